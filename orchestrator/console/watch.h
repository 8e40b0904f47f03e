/* watch: follows a job until it ends, drawing its pairs. Main thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "orchestrator/console/cmd_job.h"

/* Lines, or a redrawn screen on a terminal, go to standard output; JSON lines with -o json. The
 * job's exit code; 7 when the time is up or Ctrl-C came (the job goes on, and that is said). */
int watch_job(struct run *r, const char *job, const struct watch_opts *o);

struct watch_view;
/* For `migrate`: the same view on out, fed by the caller. */
struct watch_view *watch_view_new(FILE *out);
void watch_view_draw(struct watch_view *v, const json_t *doc);
struct watch_view *watch_view_free(struct watch_view *v);
