/* bench: an engine on a store of its own with fake agents, as each test wants it. */
#pragma once
#include "tests/unit/engine/fake.h"

struct bench {
    char folder[64], path[96];
    struct fleet *fleet;
    struct store *store;
    struct engine *engine;
    struct engine_limits limits;
};

void bench_open(struct bench *b);  /* folder, fleet, store, engine */
void bench_start(struct bench *b); /* store and engine on what is there */
void bench_end(struct bench *b);   /* engine and store away, as at shutdown */
void bench_close(struct bench *b); /* and all that is left */
/* npairs pairs: s1:/data/N → d1:/data/N. Creates and starts. */
void bench_job(struct bench *b, const char *name, unsigned npairs);
void bench_create(struct bench *b, const char *spec);
/* The job's state, or a pair's; static. */
const char *bench_state(struct bench *b, const char *job);
const char *bench_pair(struct bench *b, const char *job, unsigned n, const char *key);
/* Ticks and lets agents answer until nothing moves, at most rounds. */
void bench_run(struct bench *b, fake_script script, unsigned rounds);
/* cmocka's: *state is a bench with s1 and d1 online. */
int bench_set_up(void **state);
int bench_tear_down(void **state);
typedef int (*bench_job_call)(struct engine *e, const char *job, json_t **ret,
                              struct fault *reterr);
int bench_call(struct bench *b, bench_job_call fn, const char *job);
/* Scripts: nobody answers; transfers run without end. */
struct fake_answer bench_silent(const struct fake_op *op, unsigned nth);
struct fake_answer bench_copying(const struct fake_op *op, unsigned nth);
/* Makes time pass: clock_mono_ms() of the test's program. */
extern int64_t bench_clock_ms;
/* store_commit(): fails with this when below zero. */
extern int bench_commit_rc;
/* Called before (0) and after (1) each commit. */
extern void (*bench_on_commit)(int after);
