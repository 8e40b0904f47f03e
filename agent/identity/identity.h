/* identity: the steps "identity.capture" and "identity.stage", and what goes on without an order:
 * the timer. Worker threads. */
#pragma once
#include <stdbool.h>

struct agent_env;

/* Starts the watch over the dead-man timers of this host; once, when the agent starts. */
void identity_watch(const struct agent_env *env);
/* The orchestrator is heard: until the swap, and once a destination serves, a timer stands still
 * then, as long as steps run here or the last stage's order is not too old. Any thread. */
void identity_heard(bool busy);
/* `godwit-agent boot`: once, before this host is on the network (godwit-boot.service): a
 * destination that may be its source, and cannot know whether it still is, is itself again. The
 * exit code. */
int identity_boot(const char *state_dir, const char *root);
/* `godwit-agent stage NAME`: does what STATE_DIR/cutover/run/NAME.order says with the rights of
 * this process, and leaves NAME.result there. The exit code. */
int identity_helper(const char *state_dir, const char *name);
