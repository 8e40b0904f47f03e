/* loop: the agent's one deciding thread: session, orders, steps, timers. What it works on is handed
 * in, so that tests run it with steps of their own. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/step.h"

struct loop_setup {
    const char *state_dir;
    uint32_t workers; /* steps at once */
    const struct agent_env *env;
    const struct step_kind *const *tables; /* ends with NULL */
    const uint8_t *sign_key;               /* 32 bytes, public; NULL: it signs nothing */
    const uint8_t *lane_pin;               /* 32 bytes; NULL: no lanes */
    uint16_t lane_port;
    const char *lane_address; /* "": what the orchestrator sees */
    void (*heard)(bool busy); /* now and then while the orchestrator is; busy: steps run. Or NULL */
    int stop_fd;              /* readable: stop the steps, say goodbye, return */
};

/* 0 when it was asked to stop, -errno when it could not start. -ETIME: steps
 * did not stop in time and still use env: nothing that they may touch may be freed. */
int loop_run(const struct loop_setup *setup);
