/* schedule: which waiting pair may start, under the limits per job, host and link, and in all. A
 * pass looks at each waiting pair once and runs at most every 50 ms, so that its cost does not grow
 * with how many pairs end. Main thread. */
#include <stdio.h>

#include "common/base/clock.h"
#include "orchestrator/engine/engine_priv.h"

#define PASS_MS 50

static unsigned job_limit(const struct job *j)
{
    unsigned once = apart_at_once(j);
    return once ? once : j->limit ? j->limit : j->engine->limits.pairs_per_job;
}

static bool host_full(const struct engine *e, const struct host *h)
{
    return h->running >= e->limits.pairs_per_host;
}

/* Only where such a limit is set: what runs is looked through for each that waits. */
static bool link_full(const struct pair *p)
{
    const struct engine *e = p->job->engine;
    const struct host *a = p->host[SIDE_SOURCE], *b = p->host[SIDE_DESTINATION];
    const struct pair *r;
    unsigned n = 0;
    if (!e->limits.pairs_per_link || a == b)
        return false;
    TAILQ_FOREACH(r, &e->running, link)
    {
        const struct host *c = r->host[SIDE_SOURCE], *d = r->host[SIDE_DESTINATION];
        n += (a == c && b == d) || (a == d && b == c);
    }
    return n >= e->limits.pairs_per_link;
}

/* What has begun goes on, and what is taken back; storage alone needs no lane. */
static bool is_shut(const struct pair *p, char *why, size_t size)
{
    return p->job->workload->in_windows && p->attempt == 0 &&
           !p->job->workload->stages[p->stage].loose && p->host[0] != p->host[1] &&
           governor_closed(p, why, size);
}

static bool may_start(const struct engine *e, const struct pair *p, unsigned at, int64_t now_ms)
{
    const struct host *a = p->host[SIDE_SOURCE], *b = p->host[SIDE_DESTINATION];
    char why[FAULT_TEXT_MAX];
    return p->not_before_ms <= now_ms && stage_ready(p, at, why, sizeof why) && !host_full(e, a) &&
           !host_full(e, b) && !link_full(p) && !is_shut(p, why, sizeof why);
}

/* Returns true when the job could take no more or has nothing that may start. */
static void start_some(struct job *j, int64_t now_ms)
{
    struct engine *e = j->engine;
    struct pair *p, *next;
    for (p = TAILQ_FIRST(&j->waiting); p; p = next) {
        if (j->count[PAIR_RUNNING] >= job_limit(j) || e->nrunning >= e->limits.pairs ||
            e->trouble[0] || j->state != JOB_RUNNING)
            return;
        next = TAILQ_NEXT(p, link);
        unsigned at = stage_turn(p, p->stage);
        if (at < j->workload->nstages && may_start(e, p, at, now_ms))
            stage_launch(p, at ? at : stage_enter(p, j->workload->stages[0].phase));
    }
}

void schedule_soon(struct engine *e)
{
    e->schedule_due = true;
}

void schedule_run(struct engine *e)
{
    int64_t now = clock_mono_ms();
    struct job *j, *next;
    if (!e->schedule_due || e->draining || e->trouble[0] || now - e->schedule_ms < PASS_MS)
        return;
    e->schedule_due = false;
    e->schedule_ms = now;
    for (j = TAILQ_FIRST(&e->jobs); j; j = next) {
        next = TAILQ_NEXT(j, link);
        apart_halt(j);
        if (j->state == JOB_RUNNING)
            start_some(j, now);
    }
}

static bool host_reason(const struct engine *e, const struct host *h, char *ret, size_t size)
{
    if (host_absent(e, h, ret, size))
        return true;
    if (!host_full(e, h))
        return false;
    (void)snprintf(ret, size, "host %s is at its limit of %u pairs", h->name,
                   e->limits.pairs_per_host);
    return true;
}

void schedule_reason(const struct pair *p, char *ret, size_t size)
{
    const struct engine *e = p->job->engine;
    const struct job *j = p->job;
    int64_t wait_ms = p->not_before_ms - clock_mono_ms();
    if (e->trouble[0])
        (void)snprintf(ret, size, "%s", e->trouble);
    else if (wait_ms > 0)
        (void)snprintf(ret, size, "tries again in %lld s: %s", (long long)(wait_ms + 999) / 1000,
                       p->reason);
    else if (p->job->workload->stages[p->stage].loose &&
             !stage_ready(p, stage_turn(p, p->stage), ret, size) && ret[0])
        return;
    else if (host_reason(e, p->host[SIDE_SOURCE], ret, size) ||
             host_reason(e, p->host[SIDE_DESTINATION], ret, size))
        return;
    else if (is_shut(p, ret, size))
        return;
    else if (link_full(p))
        (void)snprintf(ret, size, "the link between %s and %s is at its limit of %u pairs",
                       p->host[SIDE_SOURCE]->name, p->host[SIDE_DESTINATION]->name,
                       e->limits.pairs_per_link);
    else if (j->count[PAIR_RUNNING] >= job_limit(j))
        (void)snprintf(ret, size, "the job is at its limit of %u pairs", job_limit(j));
    else if (e->nrunning >= e->limits.pairs)
        (void)snprintf(ret, size, "the orchestrator is at its limit of %u pairs", e->limits.pairs);
    else
        (void)snprintf(ret, size, "is next");
}
