/* motion: what moves, how fast, and when it may end. In memory; a sample goes to the store every
 * few seconds, never through the journal. Main thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/store/jobs.h"
#include "orchestrator/store/store.h"

#define RATE_MIN_MS 1000

static void attempt_counters(const struct pair *p, Godwit__Counters *ret)
{
    godwit__counters__init(ret);
    for (unsigned i = 0; i < p->nsteps; i++) {
        Godwit__Counters c;
        counters_follow(&p->steps[i]->tally.base, &p->steps[i]->tally.cur, &c);
        counters_max(ret, &c);
    }
}

/* The attempt seen with those before it. */
static void with_base(const struct pair *p, const Godwit__Counters *now, Godwit__Counters *ret)
{
    counters_follow(&p->base, now, ret);
    counters_clamp(ret);
    if (p->job->workload->stages[p->stage].resumes)
        return;
    Godwit__Counters alone;
    counters_copy(&alone, now);
    alone.total_files = ret->total_files;
    alone.total_bytes = ret->total_bytes;
    alone.elapsed_ms = ret->elapsed_ms;
    *ret = alone;
}

void motion_counters(const struct pair *p, Godwit__Counters *ret)
{
    if (p->nsteps == 0) {
        *ret = p->base;
        return;
    }
    Godwit__Counters now;
    attempt_counters(p, &now);
    if (p->job->workload->stages[p->stage].aside) {
        counters_copy(ret, &p->base);
        ret->failed += now.failed;
        return;
    }
    with_base(p, &now, ret);
}

static bool is_aside(const struct pair *p, unsigned stage)
{
    return stage < p->job->workload->nstages && p->job->workload->stages[stage].aside;
}

void motion_fold(struct pair *p, unsigned to, bool lost)
{
    bool same_stage = to == p->stage;
    Godwit__Counters now, all;
    if (p->nsteps == 0 && same_stage)
        return;
    if (is_aside(p, p->stage)) {
        motion_counters(p, &all);
        if (!lost)
            p->base = all;
        return;
    }
    attempt_counters(p, &now);
    with_base(p, &now, &all);
    if (same_stage || is_aside(p, to)) {
        p->base = all;
        return;
    }
    /* Another stage counts other things; how much there is stays known. */
    godwit__counters__init(&p->base);
    p->base.total_files = all.total_files > all.files ? all.total_files : all.files;
    p->base.total_bytes = all.total_bytes > all.bytes ? all.total_bytes : all.bytes;
    p->base.elapsed_ms = all.elapsed_ms;
}

void tally_take(struct tally *t, const Godwit__Counters *now)
{
    counters_carry(&t->base, &t->cur, now);
    counters_copy(&t->cur, now);
}

/* Of a file that comes in pieces, those that are durable are there. */
static uint64_t bytes_here(const Godwit__Counters *c)
{
    return c->bytes + c->parts_bytes + c->unchanged_bytes;
}

static void sample_rate(struct pair *p, int64_t now_ms)
{
    struct rate *r = &p->rate;
    unsigned last = (r->head + RATE_SLOTS - 1) % RATE_SLOTS;
    if (r->n > 0 && now_ms - r->at[last].ms < RATE_MIN_MS)
        return;
    Godwit__Counters c;
    motion_counters(p, &c);
    r->at[r->head].ms = now_ms;
    r->at[r->head].bytes = c.bytes + c.parts_bytes;
    r->head = (r->head + 1) % RATE_SLOTS;
    if (r->n < RATE_SLOTS)
        r->n++;
}

void motion_take(struct step *s, const Godwit__Progress *m)
{
    struct pair *p = s->pair;
    int64_t now = clock_mono_ms();
    if (m->counters) {
        if (!counters_same(&s->tally.cur, m->counters))
            p->rate.moved_ms = now;
        tally_take(&s->tally, m->counters);
        governor_note(s, now);
    }
    s->latency_us = m->source_latency_us;
    s->latency_pace = m->source_pace;
    if (s->state != STEP_DONE)
        s->state = STEP_ACCEPTED;
    s->percent = m->percent < 100 ? m->percent : 100;
    char *doing = safe_text(m->doing);
    (void)snprintf(s->doing, sizeof s->doing, "%.60s", doing);
    free(doing);
    p->dirty = true;
    sample_rate(p, now);
}

/* The i-th newest sample. */
static unsigned slot(const struct rate *r, unsigned i)
{
    return (r->head + RATE_SLOTS - 1 - i) % RATE_SLOTS;
}

static uint64_t rate_between(const struct rate *r, unsigned newer, unsigned older)
{
    int64_t ms = r->at[slot(r, newer)].ms - r->at[slot(r, older)].ms;
    uint64_t a = r->at[slot(r, older)].bytes, b = r->at[slot(r, newer)].bytes;
    return ms > 0 && b > a ? (uint64_t)((double)(b - a) * 1000.0 / (double)ms) : 0;
}

/* Samples that are still inside the window. */
static unsigned live_samples(const struct rate *r, int64_t now_ms)
{
    unsigned n = 0;
    while (n < r->n && now_ms - r->at[slot(r, n)].ms <= STALL_MS + RATE_MIN_MS)
        n++;
    return n;
}

uint64_t motion_rate(const struct pair *p, int64_t now_ms)
{
    unsigned n = live_samples(&p->rate, now_ms);
    return p->state == PAIR_RUNNING && n >= 2 ? rate_between(&p->rate, 0, n - 1) : 0;
}

bool motion_eta(const struct pair *p, int64_t now_ms, int64_t ret[2])
{
    enum { SPAN = 5 }; /* samples: the best and the worst five seconds */
    Godwit__Counters c;
    motion_counters(p, &c);
    uint64_t here = bytes_here(&c), best = 0, worst = UINT64_MAX;
    unsigned n = live_samples(&p->rate, now_ms);
    for (unsigned i = 0; i + SPAN < n; i += SPAN) {
        uint64_t r = rate_between(&p->rate, i, i + SPAN);
        best = r > best ? r : best;
        worst = r < worst ? r : worst;
    }
    if (p->state != PAIR_RUNNING || best == 0 || c.total_bytes <= here)
        return false;
    if (worst < best / 20)
        worst = best / 20;
    double left = (double)(c.total_bytes - here) * 1000.0;
    ret[0] = (int64_t)(left / (double)best);
    ret[1] = (int64_t)(left / (double)(worst ? worst : 1));
    return true;
}

bool motion_stalled(const struct pair *p, int64_t now_ms)
{
    return p->state == PAIR_RUNNING && now_ms - p->rate.moved_ms > STALL_MS && !governor_pauses(p);
}

static unsigned share(double part, uint64_t all)
{
    return part < (double)all ? (unsigned)(part * 100.0 / (double)all) : 100;
}

/* Of those that are not there, as many as the durable pieces are of what their content comes to: a
 * single large file would be at nothing until its end. */
static double files_here(const Godwit__Counters *c)
{
    uint64_t here = c->files + c->unchanged_files + c->failed,
             whole = c->bytes + c->unchanged_bytes;
    if (here >= c->total_files || whole >= c->total_bytes)
        return (double)here;
    uint64_t left = c->total_bytes - whole, parts = c->parts_bytes < left ? c->parts_bytes : left;
    return (double)here + (double)(c->total_files - here) * (double)parts / (double)left;
}

/* Against what the whole is known or was counted to be; an agent knows only what it has seen. */
static unsigned stage_done_percent(const struct pair *p)
{
    Godwit__Counters c;
    unsigned told = 0;
    if (p->job->workload->stages[p->stage].aside) {
        attempt_counters(p, &c);
        return p->base.total_files ? share((double)c.files, p->base.total_files) : 0;
    }
    motion_counters(p, &c);
    bool counted = c.total_known || p->base.total_files > 0;
    if (counted && c.total_files > 0) {
        unsigned files = share(files_here(&c), c.total_files);
        unsigned bytes = share((double)bytes_here(&c), c.total_bytes);
        return files < bytes ? files : bytes;
    }
    for (unsigned i = 0; i < p->nsteps; i++)
        if (p->steps[i]->percent > told)
            told = p->steps[i]->percent;
    return told;
}

unsigned motion_percent(const struct pair *p)
{
    const struct workload *w = p->job->workload;
    if (p->state == PAIR_DONE || p->state == PAIR_PARTLY)
        return 100;
    if (p->stage >= w->nstages || p->state == PAIR_PENDING)
        return 0;
    unsigned from = w->stages[p->stage].percent;
    unsigned next = stage_after(p, p->stage);
    unsigned to = next < w->nstages ? w->stages[next].percent : 100;
    if (to < from) /* on the way back */
        to = from;
    return from + (to - from) * stage_done_percent(p) / 100;
}

static int write_sample(struct engine *e, const struct step *s)
{
    struct step_row row = {.state = step_state_name(s->state)};
    uint8_t *tally = NULL;
    (void)snprintf(row.op_id, sizeof row.op_id, "%s", s->op_id);
    tally_pack(&s->tally, &tally, &row.tally_len);
    row.tally = tally;
    int rc = step_rows_update(e->store, &row);
    free(tally);
    return rc;
}

static int write_samples(struct engine *e)
{
    int rc = 0;
    struct pair *p;
    TAILQ_FOREACH(p, &e->running, link)
    {
        for (unsigned i = 0; rc == 0 && p->dirty && i < p->nsteps; i++)
            rc = write_sample(e, p->steps[i]);
        p->dirty = p->dirty && rc < 0;
    }
    return rc;
}

void motion_sample(struct engine *e)
{
    bool any = false;
    struct pair *p;
    TAILQ_FOREACH(p, &e->running, link)
    any = any || p->dirty;
    if (!any || e->trouble[0])
        return;
    int rc = store_begin(e->store);
    if (rc == 0) {
        rc = write_samples(e);
        if (rc == 0)
            rc = store_commit(e->store);
        else
            store_rollback(e->store);
    }
    (void)trouble_note(e, rc);
}
