/* step_priv: the inside of a step, for worker.c and step.c only. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "agent/step.h"
#include "agent/worker.h"
#include "common/base/bucket.h"

struct step_report {
    uint64_t seq;
    struct counters counters;
    unsigned percent;
    const char *doing;
    uint32_t latency_us;
    unsigned pace;
};

struct step {
    /* set before the thread starts, then only read */
    const struct step_kind *kind;
    const struct agent_env *env;
    char *op_id;
    char *job;
    void *args;
    size_t args_len;
    struct step_secret secret; /* its texts are this step's */
    int cancel_fd;
    int end_fd; /* the end of the step is written here: a pointer to it */

    atomic_bool cancelled;
    struct bucket bucket;
    pthread_mutex_t lock; /* guards report */
    struct step_report report;

    struct step_result result; /* the worker's until the end is written, then main's */

    /* main thread only */
    pthread_t thread;
    bool started;
    bool by_order; /* cancelled by name */
    struct rate_plan plan;
    struct step *next;
};
