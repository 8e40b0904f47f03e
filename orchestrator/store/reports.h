/* reports: one document for each run of a job, kept for ever, also when the job is deleted. Main
 * thread. */
#pragma once
#include <stdint.h>

struct store;

/* A report of the same job and run is replaced. 0 or -errno. */
int reports_put(struct store *s, const char *job, const char *name, unsigned run, const char *json);
/* Of the job's name, the newest job first when several had it; run 0 is the last. *ret is malloc'd,
 * *retruns how many runs there are. 0; -ENOENT; -errno. */
int reports_get(struct store *s, const char *name, unsigned run, char **ret, unsigned *retruns);
