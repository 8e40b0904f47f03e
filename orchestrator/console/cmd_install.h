/* cmd_install: `godwit agent install`: agents onto hosts over SSH. Main thread; one child a host.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "orchestrator/console/command.h"

struct install_opts {
    char *ssh;        /* "root@" */
    char *package;    /* NULL: the newest below /usr/share/godwit/packages */
    char *ssh_option; /* newline between them */
    uint32_t parallel;
    uint64_t timeout_ms;
    uint64_t wait_ms; /* 0: not at all */
    bool approve, again;
};
extern const struct option_row install_options[];
extern const char *const install_examples[];

int install_run(struct run *r);
