/* agent: the daemon as a function, so that `godwit migrate` runs the same code. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct step_kind;

struct agent_conf {
    char *state_dir;    /* "/var/lib/godwit/agent": keys, op log, catalogues */
    char *lane_listen;  /* "" is every address */
    char *lane_address; /* what peers are told; "" is the address that the orchestrator sees */
    uint32_t lane_port;
    uint32_t workers;  /* steps at once */
    char *hooks;       /* folder of the hooks; "" is none */
    char *io_priority; /* of the workers: "normal", "low", "idle" */
    char *log_level;
    bool no_feed; /* for a run too short to use one */
    /* Steps that the daemon alone can do, since they need libraries that the console is not to load
     * with each command; ends with kind NULL. NULL: none. */
    const struct step_kind *more;
};

/* Runs until SIGTERM or SIGINT, which it blocks and reads: call it before other threads start. A
 * host that is not enrolled waits for agent_enrol() by another process. Exit code. */
int agent_run(const struct agent_conf *conf);
/* Redeems a token (text of token.h) and writes key and orchestrator records below state_dir. Waits
 * up to wait_ms for approval. Exit code of design.md (5: enrolled already); errors go to standard
 * error. */
int agent_enrol(const struct agent_conf *conf, const char *token, int64_t wait_ms);
/* The same for a host that is enrolled: a new key, which replaces the old one once it is let in. */
int agent_enrol_again(const struct agent_conf *conf, const char *token, int64_t wait_ms);
