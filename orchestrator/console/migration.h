/* migration: one run of `godwit migrate`, from the start of the children to the report. Main
 * thread. */
#pragma once
#include "orchestrator/console/jobspec_filter.h"
#include "orchestrator/console/run.h"

struct migrate_opts {
    bool delete_extras, dry_run, checksum, delta, one_file_system, quiet;
    char *compress;
    char *verify, *manifest;
    char *rate; /* NULL: no limit */
    char *snapshot;
    char *override; /* ids of checks, newline between them; NULL: none */
    char *keep;
    struct filter_opts filter;
};

struct migration {
    struct run run; /* of the embedded orchestrator */
    struct globals globals;
    const struct migrate_opts *opts;
    char *src, *dst;
    char *dir; /* what is kept for this pair of folders */
    char *job;
    struct embed *embed;
    struct watch_view *view; /* NULL: quiet */
};

/* src, dst, dir and opts are set; the rest is zero. Leaves job for the caller to free. An exit
 * code; errors have been said. asked: the command as it was given. */
int migration_run(struct migration *m, const struct run *asked);
