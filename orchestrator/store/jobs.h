/* jobs: rows of jobs, pairs and steps. No rules; main thread. Pointers in rows that a callback gets
 * are borrowed for the call. All calls return 0 or -errno. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct store;

struct job_row {
    char id[17];
    const char *name, *workload;
    const char *spec;   /* canonical JSON */
    const char *state;  /* "running" */
    const char *reason; /* why it is in this state; "" */
    const char *phase;  /* what the current run does; "" is all phases */
    unsigned run;       /* number of the current or last run; 0 before the first */
    unsigned flags;     /* of the run, the engine's business */
    int64_t created_ms, started_ms, ended_ms;
};

struct pair_row {
    const char *job;
    unsigned n;
    const char *state, *reason;
    unsigned stage;   /* row of the workload's table */
    unsigned attempt; /* stages planned in this run */
    unsigned tries;   /* failures in a row without progress */
    unsigned flags;
    const char *facts;    /* JSON object */
    const void *counters; /* of what ended in this run, packed */
    size_t counters_len;
    const void *failures; /* of the last stage that had some, packed */
    size_t failures_len;
    int64_t started_ms, ended_ms;
};

struct step_row {
    char op_id[17];
    const char *job;
    unsigned n, side;
    const char *kind, *state; /* "intended" */
    const void *lanes;        /* digest of what its plan took from the fleet; may be empty */
    size_t lanes_len;
    const void *args;
    size_t args_len;
    const void *tally; /* last sample of its progress, packed */
    size_t tally_len;
    const void *result; /* packed Result; empty until it is done */
    size_t result_len;
};

int job_rows_insert(struct store *s, const struct job_row *r);
/* Everything but id, name, workload, spec and created_ms. */
int job_rows_update(struct store *s, const struct job_row *r);
/* With its pairs and steps. */
int job_rows_delete(struct store *s, const char *id);
int job_rows_each(struct store *s, int (*each)(void *arg, const struct job_row *r), void *arg);

int pair_rows_insert(struct store *s, const struct pair_row *r);
int pair_rows_update(struct store *s, const struct pair_row *r);
/* Of every job, by job and number. */
int pair_rows_each(struct store *s, int (*each)(void *arg, const struct pair_row *r), void *arg);

int step_rows_insert(struct store *s, const struct step_row *r);
/* State, tally and, when it is not empty, result. */
int step_rows_update(struct store *s, const struct step_row *r);
/* The steps of one pair. */
int step_rows_delete(struct store *s, const char *job, unsigned n);
int step_rows_each(struct store *s, int (*each)(void *arg, const struct step_row *r), void *arg);
