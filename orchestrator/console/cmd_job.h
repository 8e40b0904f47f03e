/* cmd_job: the commands of `godwit job`; the rows stand in cmd_job.c. Main thread. */
#pragma once
#include "orchestrator/console/command.h"

int job_create(struct run *r);   /* job_create.c */
int job_report(struct run *r);   /* job_report.c */
int job_journal(struct run *r);  /* job_report.c */
int job_failures(struct run *r); /* job_failures.c */
int job_map(struct run *r);      /* job_map.c */
int job_watch(struct run *r);    /* watch.c */
int job_access(struct run *r);   /* cmd_access.c */

struct option_row;
extern const struct option_row access_options[];

struct access_opts {
    char *user, *users, *paths, *seed;
};

struct report_opts {
    char *run;
    bool csv;
};

struct failures_opts {
    uint32_t pair; /* 0: all */
    char *cause;
    bool csv;
};

struct map_opts {
    uint32_t pair; /* 0: all */
};

struct journal_opts {
    uint32_t after;
};

struct watch_opts {
    uint64_t timeout_ms; /* 0: for ever */
};
