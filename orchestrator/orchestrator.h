/* orchestrator: the daemon as a function, so that `godwit migrate` runs the same code. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "common/base/fault.h"

struct orchestrator_conf {
    char *state_dir;   /* "/var/lib/godwit": database, keys */
    char *run_dir;     /* "/run/godwit": console sockets */
    char *listen;      /* address of the agents and enrolment sockets: "*", "127.0.0.1" */
    char *public_name; /* host name or address that tokens name; "" is this host's name */
    uint32_t agents_port, enrol_port, agents_port_b, enrol_port_b;
    uint64_t heartbeat_ms;
    uint32_t max_pairs;          /* at once, in all */
    uint32_t max_pairs_per_host; /* at once, per host, either side */
    uint32_t max_pairs_per_job;
    uint32_t max_pairs_per_link; /* between two hosts, either way; 0: no such limit */
    uint32_t enrol_rate;         /* requests a second, in all */
    uint32_t enrol_rate_address; /* from one address */
    bool approve;                /* enrolled agents wait for `godwit agent approve` */
    char *log_level;
};

/* Runs until SIGTERM or SIGINT. Exit code. Below state_dir: "godwit.db", "keys/server-a.key",
 * "keys/console.key" and "console.json" (how a console reaches this daemon: endpoint, server key,
 * path of its key). Prints nothing; tells systemd when it is ready. */
int orchestrator_run(const struct orchestrator_conf *conf);

/* After a backup of state_dir was put back: raises the epoch over all that agents may have seen
 * since (to the seconds since 1970, which no count of starts reaches). Not while the daemon runs:
 * -EBUSY. */
int orchestrator_new_epoch(const struct orchestrator_conf *conf, uint64_t *ret,
                           struct fault *reterr);
