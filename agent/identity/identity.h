/* identity: the steps "identity.capture" and "identity.stage", and what goes on without an order:
 * the timer. Worker threads. */
#pragma once

struct agent_env;

/* Starts the watch over the dead-man timers of this host; once, when the agent starts. */
void identity_watch(const struct agent_env *env);
/* `godwit-agent stage NAME`: does what STATE_DIR/cutover/run/NAME.order says with the rights of
 * this process, and leaves NAME.result there. The exit code. */
int identity_helper(const char *state_dir, const char *name);
