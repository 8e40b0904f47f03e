/* governor: divides limits among the steps that send, every second and at each change, and tells
 * the agents. Windows of calendars are sent ahead, so that an agent keeps them when we are away.
 * Main thread. */
#include "orchestrator/engine/governor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/calendar.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/engine/governor_priv.h"
#include "orchestrator/engine/share.h"

#define TICK_MS 1000
#define AHEAD_MS (INT64_C(8) * 86400000)
#define USED_PART 85     /* percent of its share that a pair uses if the share is what holds it */
#define SETTLE_SAMPLES 5 /* before what a pair uses says what it can use */
#define SMOOTH 0.3       /* weight of the newest sample */
#define SPARE_MOST (4U << 20)

struct governor *governor_new(void)
{
    struct governor *g = xcalloc(1, sizeof *g);
    g->budgets = zhash_new();
    g->sites = zhash_new();
    return g;
}

struct governor *governor_free(struct governor *g)
{
    if (g) {
        zhash_destroy(&g->budgets);
        zhash_destroy(&g->sites);
        free(g);
    }
    return NULL;
}

void governor_soon(struct engine *e)
{
    e->governor->due = true;
}

/* ── who sends ── */

/* The steps that send now, and what each is held by. */
struct senders {
    struct step **steps;
    struct share *shares;
    size_t n;
    struct budget **budgets;
    uint64_t *rates; /* of the budgets */
    size_t nbudgets;
};

static bool sends(const struct step *s)
{
    const struct pair *p = s->pair;
    return s->side == SIDE_SOURCE && p->job->workload->stages[p->stage].lanes && !s->result &&
           !s->unsaved;
}

static void add_budget(struct senders *w, struct share *to, struct budget *b, double used)
{
    if (!b)
        return;
    if (b->index == SIZE_MAX) {
        b->index = w->nbudgets;
        w->budgets[w->nbudgets++] = b;
    }
    to->budgets[to->nbudgets++] = b->index;
    b->used += used;
}

static void add_step(struct engine *e, struct senders *w, struct step *s)
{
    const struct governor *g = e->governor;
    const struct pair *p = s->pair;
    const char *from = p->host[SIDE_SOURCE]->name, *to = p->host[SIDE_DESTINATION]->name;
    const char *site[2] = {limits_site(g, from), limits_site(g, to)};
    bool within = site[0] && site[1] && strcmp(site[0], site[1]) == 0;
    struct share *share = &w->shares[w->n];
    *share = (struct share){.want = RATE_UNLIMITED};
    if (!s->pace)
        s->pace = xcalloc(1, sizeof *s->pace);
    double used = s->pace->used;
    w->steps[w->n++] = s;
    add_budget(w, share, limits_find(g, "job", p->job->id), used);
    add_budget(w, share, limits_find(g, "host", from), used);
    if (p->host[SIDE_SOURCE] != p->host[SIDE_DESTINATION])
        add_budget(w, share, limits_find(g, "host", to), used);
    for (int side = 0; side < 2; side++)
        if (site[side] && !within)
            add_budget(w, share, limits_find(g, "site", site[side]), used);
}

static void senders_find(struct engine *e, struct senders *ret)
{
    struct pair *p;
    size_t nbudgets = 0;
    for (struct budget *b = limits_first(e->governor); b; b = limits_next(e->governor)) {
        b->index = SIZE_MAX;
        b->used = 0;
        nbudgets++;
    }
    *ret = (struct senders){.n = 0};
    ret->steps = xcalloc((size_t)e->nrunning + 1, sizeof *ret->steps);
    ret->shares = xcalloc((size_t)e->nrunning + 1, sizeof *ret->shares);
    ret->budgets = xcalloc(nbudgets + 1, sizeof(struct budget *));
    ret->rates = xcalloc(nbudgets + 1, sizeof *ret->rates);
    TAILQ_FOREACH(p, &e->running, link)
    {
        for (unsigned i = 0; i < p->nsteps; i++)
            if (sends(p->steps[i]))
                add_step(e, ret, p->steps[i]);
    }
}

static void senders_done(struct senders *w)
{
    free(w->steps);
    free(w->shares);
    free(w->budgets);
    free(w->rates);
}

/* ── shares ── */

/* A few sizes, so that dividing takes few rounds (share.c). */
static uint64_t coarse(double want)
{
    double size = 64 << 10;
    while (size < want && size < 1e15)
        size *= 1.2;
    return (uint64_t)size;
}

/* What a pair can use is known once it has left a part of its share unused for a while. */
static uint64_t want_of(const struct pace *p)
{
    bool held = p->used * 100 >= (double)p->rate * USED_PART;
    if (p->rate == RATE_UNLIMITED || p->samples < SETTLE_SAMPLES || held)
        return RATE_UNLIMITED;
    double spare = (double)p->budget / 10;
    return coarse(p->used * 1.2 + (spare < SPARE_MOST ? spare : SPARE_MOST));
}

static void name_holder(const struct senders *w, const struct step *s, int held_by)
{
    struct pace *p = s->pace;
    const struct budget *b = held_by >= 0 ? w->budgets[held_by] : NULL;
    p->budget = b ? b->now : RATE_UNLIMITED;
    p->until_ms = b ? b->until_ms : INT64_MAX;
    p->by[0] = '\0';
    if (b)
        (void)snprintf(p->by, sizeof p->by, "%s %.64s", b->scope,
                       strcmp(b->scope, "job") == 0 ? s->pair->job->name : b->name);
}

static void divide_now(struct senders *w, int64_t wall_ms)
{
    for (size_t i = 0; i < w->nbudgets; i++) {
        (void)limits_refresh(w->budgets[i], wall_ms);
        w->rates[i] = w->budgets[i]->now;
    }
    for (size_t i = 0; i < w->n; i++)
        w->shares[i].want = want_of(w->steps[i]->pace);
    share_fill(w->rates, w->nbudgets, w->shares, w->n);
    for (size_t i = 0; i < w->n; i++) {
        struct pace *p = w->steps[i]->pace;
        uint64_t rate = w->shares[i].rate;
        if ((double)rate > (double)p->rate * 1.1)
            p->samples = 0; /* it has still to grow into it */
        p->rate = rate;
        name_holder(w, w->steps[i], w->shares[i].held_by);
    }
}

/* ── what is sent ahead ── */

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The next times at which some budget's calendar changes. */
static size_t times_ahead(const struct senders *w, int64_t wall_ms, int64_t ret[LIMIT_RATE_WINDOWS])
{
    CLEANUP(mem_free)
    int64_t *all = xcalloc(w->nbudgets * LIMIT_RATE_WINDOWS + 1, sizeof *all);
    size_t n = 0, kept = 0;
    for (size_t i = 0; i < w->nbudgets; i++) {
        const struct budget *b = w->budgets[i];
        int64_t t = b->until_ms;
        for (int k = 0; k < LIMIT_RATE_WINDOWS && t < wall_ms + AHEAD_MS; k++) {
            all[n++] = t;
            t = calendar_next(b->calendar, t);
        }
    }
    qsort(all, n, sizeof *all, by_time);
    for (size_t i = 0; i < n && kept < LIMIT_RATE_WINDOWS; i++)
        if (kept == 0 || all[i] != ret[kept - 1])
            ret[kept++] = all[i];
    return kept;
}

static void add_window(struct pace *p, int64_t from_ms, uint64_t rate)
{
    if (p->n > 0 && p->next[p->n - 1].rate == rate)
        return;
    p->next[p->n].from_ms = from_ms;
    p->next[p->n++].rate = rate;
}

/* As if all pairs went on as now and wanted all they could get. */
static void plan_ahead(struct senders *w, int64_t wall_ms)
{
    int64_t times[LIMIT_RATE_WINDOWS];
    size_t n = times_ahead(w, wall_ms, times);
    for (size_t i = 0; i < w->n; i++) {
        w->steps[i]->pace->n = 0;
        w->steps[i]->pace->news = true;
        w->shares[i].want = RATE_UNLIMITED;
    }
    for (size_t t = 0; t < n; t++) {
        for (size_t b = 0; b < w->nbudgets; b++) {
            const struct budget *x = w->budgets[b];
            w->rates[b] = x->calendar ? calendar_rate(x->calendar, times[t]) : x->rate;
        }
        share_fill(w->rates, w->nbudgets, w->shares, w->n);
        for (size_t i = 0; i < w->n; i++)
            add_window(w->steps[i]->pace, times[t], w->shares[i].rate);
    }
}

static uint64_t identity(const struct senders *w)
{
    uint64_t id = 14695981039346656037ULL; /* FNV-1a */
    for (size_t i = 0; i < w->n; i++)
        for (const char *c = w->steps[i]->op_id; *c; c++)
            id = (id ^ (uint8_t)*c) * 1099511628211ULL;
    return id;
}

static bool any_begun(const struct senders *w, int64_t wall_ms)
{
    for (size_t i = 0; i < w->nbudgets; i++)
        if (w->budgets[i]->until_ms <= wall_ms)
            return true;
    return false;
}

/* ── telling ── */

static bool worth_telling(const struct pace *p)
{
    if (!p->told)
        return p->rate != RATE_UNLIMITED || p->n > 0;
    if (p->news || p->rate == p->told_rate)
        return p->news;
    return (double)p->rate < (double)p->told_rate || (double)p->rate > (double)p->told_rate * 1.02;
}

static void message_of(const struct pace *p, struct rate_message *m)
{
    godwit__rate__init(&m->rate);
    m->rate.limited = p->rate != RATE_UNLIMITED;
    m->rate.bytes_per_s = m->rate.limited ? p->rate : 0;
    m->rate.n_next = p->n;
    m->rate.next = m->list;
    for (size_t i = 0; i < p->n; i++) {
        godwit__rate_window__init(&m->window[i]);
        m->window[i].from_ms = p->next[i].from_ms;
        m->window[i].limited = p->next[i].rate != RATE_UNLIMITED;
        m->window[i].bytes_per_s = m->window[i].limited ? p->next[i].rate : 0;
        m->list[i] = &m->window[i];
    }
}

static void mark_told(struct pace *p)
{
    p->told = true;
    p->news = false;
    p->told_rate = p->rate;
}

static bool can_keep(const struct step *s)
{
    return (step_host(s)->can & WIRE_CAN_RATE) != 0;
}

/* A step whose order is not out yet gets it with the order. */
static void tell(struct step *s)
{
    struct rate_message m;
    if (s->state == STEP_INTENDED || s->cancelled || !step_host(s)->online || !can_keep(s) ||
        !worth_telling(s->pace))
        return;
    message_of(s->pace, &m);
    if (orders_send_rate(s, &m.rate) == 0)
        mark_told(s->pace);
}

/* Who gets less hears it first. */
static void tell_all(const struct senders *w)
{
    for (int less = 1; less >= 0; less--) {
        for (size_t i = 0; i < w->n; i++) {
            const struct pace *p = w->steps[i]->pace;
            bool falls = p->told && p->rate < p->told_rate;
            if (falls == (less == 1))
                tell(w->steps[i]);
        }
    }
}

static void run(struct engine *e)
{
    struct governor *g = e->governor;
    struct senders w;
    int64_t wall_ms = clock_wall_ms();
    senders_find(e, &w);
    uint64_t id = identity(&w);
    bool plan = g->plan_due || id != g->steps_id || any_begun(&w, wall_ms);
    g->due = g->plan_due = false;
    g->steps_id = id;
    divide_now(&w, wall_ms);
    if (plan)
        plan_ahead(&w, wall_ms);
    tell_all(&w);
    senders_done(&w);
}

void governor_tick(struct engine *e, int64_t now_ms)
{
    struct governor *g = e->governor;
    if (!g->due && now_ms - g->tick_ms < TICK_MS)
        return;
    g->tick_ms = now_ms;
    run(e);
}

Godwit__Rate *governor_order(struct step *s, struct rate_message *m)
{
    if (!sends(s))
        return NULL;
    run(s->pair->job->engine);
    if (!s->pace || (s->pace->rate == RATE_UNLIMITED && s->pace->n == 0))
        return NULL;
    message_of(s->pace, m);
    mark_told(s->pace);
    return &m->rate;
}

void governor_note(struct step *s, int64_t now_ms)
{
    struct pace *p = s->pace;
    uint64_t wire = s->tally.cur.wire_bytes;
    if (!p || now_ms - p->wire_ms < TICK_MS * 9 / 10)
        return;
    if (p->wire_ms > 0 && wire >= p->wire) {
        double used = (double)(wire - p->wire) * 1000 / (double)(now_ms - p->wire_ms);
        p->used = p->samples == 0 ? used : p->used + SMOOTH * (used - p->used);
        p->samples++;
    }
    p->wire = wire;
    p->wire_ms = now_ms;
}

void governor_hello(struct engine *e, const struct host *h)
{
    struct pair *p;
    TAILQ_FOREACH(p, &e->running, link)
    {
        for (unsigned i = 0; i < p->nsteps; i++)
            if (p->steps[i]->pace && step_host(p->steps[i]) == h)
                p->steps[i]->pace->news = p->steps[i]->pace->told;
    }
    governor_soon(e);
}
