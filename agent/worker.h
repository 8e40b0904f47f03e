/* worker: runs steps, each on a thread of its own, so many at once; the rest wait in line. The main
 * thread hands in a job slip and gets back an end by message; the only mutexes of the agent are
 * here. All calls are for the main thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/oplog.h"
#include "agent/step.h"
#include "common/wire/limits.h"

struct workers;

/* What a step may send, now and from each of these times on. */
struct rate_plan {
    uint64_t now; /* bytes a second, or BUCKET_UNLIMITED */
    size_t n;     /* windows that have not begun */
    struct {
        int64_t from_ms; /* clock_fleet_ms() */
        uint64_t rate;
    } next[LIMIT_RATE_WINDOWS];
};

struct step_slip {
    const struct step_kind *kind;
    const char *op_id;
    const char *job;
    const void *args;
    size_t args_len;
    struct step_secret secret;
    const struct rate_plan *plan; /* NULL: no limit */
};

struct step_end {
    char op_id[OPLOG_ID_MAX + 1];
    char job[64];
    bool cancelled;            /* it was asked to stop */
    bool by_order;             /* by workers_cancel(), not only by workers_cancel_all() */
    struct step_result result; /* the caller's: step_result_done() */
};

struct step_view { /* what a step says about itself */
    const char *op_id;
    const char *job;
    bool started; /* false: in line */
    uint64_t seq; /* grows with each report; 0 before the first */
    struct counters counters;
    unsigned percent;
    const char *doing;   /* static string, never NULL */
    uint32_t latency_us; /* step_source_latency() */
    unsigned pace;
};

/* Borrows env until free. */
int workers_new(const struct agent_env *env, size_t at_once, size_t in_line, struct workers **ret);
/* Every step must have been reaped, else -EBUSY and nothing is freed. */
int workers_free(struct workers *w);
int workers_fd(const struct workers *w); /* readable: call workers_reap() */
/* Copies the slip. -EAGAIN: the line is full. -EEXIST: op_id is here already. */
int workers_submit(struct workers *w, const struct step_slip *slip);
/* 1: *ret set. 0: nothing has ended. */
int workers_reap(struct workers *w, struct step_end *ret);
bool workers_has(const struct workers *w, const char *op_id);
size_t workers_count(const struct workers *w); /* running and in line */
/* Asks the step to stop; one in line ends at once as STOPPED. False: no such step. */
bool workers_cancel(struct workers *w, const char *op_id);
void workers_cancel_all(struct workers *w);
/* Holds from now on. False: no such step. */
bool workers_set_rate(struct workers *w, const char *op_id, const struct rate_plan *plan);
void workers_tick(struct workers *w, int64_t fleet_ms); /* windows begin */
void workers_each(const struct workers *w, void (*fn)(void *arg, const struct step_view *v),
                  void *arg);
