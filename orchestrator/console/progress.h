/* progress: a job and its pairs as lines of a given width. Pure text; draws nothing. Main thread.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

struct look {
    int width; /* columns; a line is never wider */
    bool utf8;
    bool color;
};

/* "[#####.....]" or blocks, that many columns in all; malloc'd. */
char *progress_bar(double percent, int columns, bool utf8);
/* "12-15 s left", "over 2 h left"; "" when nobody knows. malloc'd. */
char *progress_eta(const json_t *eta_ms);
/* One line for a pair, fitted; malloc'd. */
char *progress_pair(const json_t *pair, const struct look *look);
/* The same facts as one sentence for a log; malloc'd. */
char *progress_plain(const json_t *pair);
/* "wave1  running  45%  3 of 100 pairs done, 8 running"; malloc'd. */
char *progress_job(const json_t *job, const struct look *look);
/* True for pairs that a full screen shows first: running, paused, stalled. */
bool progress_active(const json_t *pair);
bool progress_over(const char *job_state); /* done, partial, failed, stopped */
