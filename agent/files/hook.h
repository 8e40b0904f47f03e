/* hook: runs a program of the administrator's before and after the source is read. Its name comes
 * from the job, the program only ever from this host's own folder. Blocking; worker threads. */
#pragma once
#include <stdbool.h>

#include "common/base/fault.h"

#define HOOK_NAME_MAX 32

struct hook_call {
    const char *dir;      /* agent.conf's hooks */
    const char *name;     /* hook_name_valid() */
    const char *verb;     /* "pre" or "post" */
    const char *path;     /* of the source, as the job names it */
    const char *pair;     /* "JOB.N" */
    const char *snapshot; /* what pre printed; "" for none */
    int cancel_fd;        /* -1: none */
};

bool hook_name_valid(const char *name); /* letters, digits, '.', '-', '_' */
/* Is DIR/NAME a program that only root could have put there? A fault says why not. */
int hook_check(const char *dir, const char *name, struct fault *reterr);
/* Runs DIR/NAME VERB without a shell. *retline: the first line it printed, malloc'd, "" for none.
 * reterr names hook, exit code and its last words. */
int hook_run(const struct hook_call *c, char **retline, struct fault *reterr);
