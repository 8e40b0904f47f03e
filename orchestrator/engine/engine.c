/* engine: starts, ticks, ends. Main thread. */
#include "orchestrator/engine/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/fleet/fleet.h"

#define STEPS_TICK_MS 1000
#define GONE_TICK_MS 10000

int engine_new(struct engine **ret, struct store *store, struct fleet *fleet,
               const struct engine_limits *limits, struct fault *reterr)
{
    struct engine *e = xcalloc(1, sizeof *e);
    e->store = store;
    e->fleet = fleet;
    e->limits = *limits;
    e->started_ms = clock_mono_ms();
    e->governor = governor_new();
    e->hosts = zhash_new();
    e->steps = zhash_new();
    TAILQ_INIT(&e->jobs);
    TAILQ_INIT(&e->running);
    TAILQ_INIT(&e->chores);
    e->chore_ids = zhash_new();
    e->answers = zhash_new();
    e->asks = zhash_new();
    int rc = load_all(e, reterr);
    if (rc == 0 && (rc = governor_load(e)) < 0)
        (void)fault_set(reterr, FAULT_STOP_JOB, -rc, "the store's limits cannot be read");
    if (rc < 0) {
        (void)engine_free(e);
        return rc;
    }
    orders_listen(e);
    recover_all(e);
    if (e->nrunning)
        log_info("%u pairs were running when the last daemon ended: they go on", e->nrunning);
    *ret = e;
    return 0;
}

struct engine *engine_free(struct engine *e)
{
    if (!e)
        return NULL;
    static const struct fleet_events nobody = {.arg = NULL};
    fleet_set_events(e->fleet, &nobody);
    chore_drop_all(e);
    ask_done(e);
    askshares_done(e);
    while (!TAILQ_EMPTY(&e->jobs))
        (void)job_free(TAILQ_FIRST(&e->jobs));
    zhash_destroy(&e->steps);
    zhash_destroy(&e->chore_ids);
    zhash_destroy(&e->hosts);
    (void)governor_free(e->governor);
    free(e);
    return NULL;
}

/* A host whose lease was lost a day ago, or that was revoked while nothing could be written. */
static bool pick_gone(const struct pair *p, struct pair_change *c, const void *arg)
{
    static char text[256]; /* one thread, used before the next pair */
    int64_t now = *(const int64_t *)arg;
    if ((p->state != PAIR_WAITING && p->state != PAIR_RUNNING) || back_goes_on(p))
        return false;
    for (int side = 0; side < 2; side++) {
        const struct host *h = p->host[side];
        int64_t since =
            p->state == PAIR_WAITING && p->waiting_ms > h->since_ms ? p->waiting_ms : h->since_ms;
        if (h->online || (!h->revoked && now - since < HOST_GONE_MS))
            continue;
        (void)host_absent(p->job->engine, h, text, sizeof text);
        *c = pair_change_of(p, PAIR_EV_FAIL, text);
        return true;
    }
    return false;
}

static bool any_gone(struct engine *e, int64_t now)
{
    bool gone = false;
    for (struct host *h = zhash_first(e->hosts); h; h = zhash_next(e->hosts))
        gone = gone || (!h->online && (h->revoked || now - h->since_ms >= HOST_GONE_MS));
    /* While this daemon was away no host could be heard. */
    return gone && now - e->started_ms >= RETURN_MS;
}

static void fail_gone(struct engine *e, int64_t now)
{
    struct job *j, *next;
    if (!any_gone(e, now) || e->trouble[0])
        return;
    for (j = TAILQ_FIRST(&e->jobs); j; j = next) {
        next = TAILQ_NEXT(j, link);
        if (j->count[PAIR_WAITING] + j->count[PAIR_RUNNING] == 0)
            continue;
        (void)job_handle(j, NULL, pick_gone, &now);
        job_settle(j);
    }
}

void engine_set_signer(struct engine *e, const struct sign_key *signer)
{
    e->signer = signer;
}

void engine_tick(struct engine *e)
{
    int64_t now = clock_mono_ms();
    trouble_tick(e, now);
    if (now - e->slow_ms >= STEPS_TICK_MS) {
        e->slow_ms = now;
        orders_tick(e, now);
        apart_tick(e, now);
        chore_tick(e);
        schedule_soon(e); /* back-off may be over */
    }
    if (now - e->gone_ms >= GONE_TICK_MS) {
        e->gone_ms = now;
        fail_gone(e, now);
    }
    if (now - e->sample_ms >= SAMPLE_MS) {
        e->sample_ms = now;
        motion_sample(e);
    }
    schedule_run(e);
    governor_tick(e, now);
}

void engine_drain(struct engine *e)
{
    motion_sample(e);
    e->draining = true;
}

const char *engine_trouble(const struct engine *e)
{
    return e->trouble[0] ? e->trouble : NULL;
}

json_t *engine_job_counts(const struct engine *e)
{
    unsigned n[JOB_STATES] = {0};
    const struct job *j;
    json_t *ret = json_object();
    TAILQ_FOREACH(j, &e->jobs, link)
    n[j->state]++;
    for (int s = 0; s < JOB_STATES; s++)
        if (n[s])
            (void)json_object_set_new(ret, job_state_name((enum job_state)s),
                                      json_integer((json_int_t)n[s]));
    return ret;
}
