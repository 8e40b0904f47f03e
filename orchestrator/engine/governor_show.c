/* governor_show: limits, sites, and what holds a pair back, as JSON and in words. Reads only. Main
 * thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/calendar.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/engine/governor_priv.h"

#define HELD_PART 85 /* percent of its share in use: the share is what holds the pair */

static const struct step *sender_of(const struct pair *p)
{
    for (unsigned i = 0; p->state == PAIR_RUNNING && i < p->nsteps; i++)
        if (p->steps[i]->side == SIDE_SOURCE && p->steps[i]->pace)
            return p->steps[i];
    return NULL;
}

bool governor_pauses(const struct pair *p)
{
    const struct step *s = sender_of(p);
    return s && s->pace->rate == 0;
}

static void until_text(int64_t until_ms, char *ret, size_t size)
{
    char at[24];
    *ret = '\0';
    if (until_ms == INT64_MAX)
        return;
    clock_format(until_ms, at);
    (void)snprintf(ret, size, " until %s", at);
}

/* Its limits as they are now, though nothing of it runs. */
static bool is_closed(const struct budget *b, int64_t wall_ms)
{
    return b && (b->calendar ? calendar_rate(b->calendar, wall_ms) : b->rate) == 0;
}

bool governor_closed(const struct pair *p, char *ret, size_t size)
{
    const struct governor *g = p->job->engine->governor;
    const char *host[2] = {p->host[SIDE_SOURCE]->name, p->host[SIDE_DESTINATION]->name};
    const char *site[2] = {limits_site(g, host[0]), limits_site(g, host[1])};
    bool within = site[0] && site[1] && strcmp(site[0], site[1]) == 0;
    const struct budget *held[5] = {limits_find(g, "job", p->job->id), NULL};
    int64_t now = clock_wall_ms();
    for (int side = 0; side < 2; side++) {
        held[1 + side] = limits_find(g, "host", host[side]);
        held[3 + side] = site[side] && !within ? limits_find(g, "site", site[side]) : NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(held); i++) {
        char until[40];
        if (!is_closed(held[i], now))
            continue;
        until_text(held[i]->calendar ? calendar_next(held[i]->calendar, now) : INT64_MAX, until,
                   sizeof until);
        (void)snprintf(ret, size, "the limit of %s %.64s lets nothing pass%s", held[i]->scope,
                       i == 0 ? p->job->name : held[i]->name, until);
        return true;
    }
    return false;
}

static void held_text(const struct pace *x, char *ret, size_t size)
{
    char budget[24], share[24], until[40];
    rate_text(x->budget, budget);
    rate_text(x->rate, share);
    until_text(x->until_ms, until, sizeof until);
    if (x->rate == 0)
        (void)snprintf(ret, size, "paused by the limit of %s%s", x->by, until);
    else if ((double)x->rate >= (double)x->budget * 0.98)
        (void)snprintf(ret, size, "held by %s %s", x->by, budget);
    else
        (void)snprintf(ret, size, "held by %s %s, its share is %s", x->by, budget, share);
}

/* In milliseconds; one digit behind the point where that is much. */
static void ms_text(uint32_t us, char ret[16])
{
    (void)snprintf(ret, 16, us < 10000 ? "%.1f ms" : "%.0f ms", us / 1000.0);
}

static bool latency_reason(const struct step *s, char *ret, size_t size)
{
    json_int_t most =
        json_integer_value(json_object_get(s->pair->job->options, "max_source_latency"));
    char now[16];
    if (most <= 0 || s->latency_pace == 0 || s->latency_pace >= 100)
        return false;
    ms_text(s->latency_us, now);
    (void)snprintf(ret, size, "held back: source latency %s %s %lld ms, at %u%% of its pace", now,
                   s->latency_us > most * 1000 ? "over" : "again within", (long long)most,
                   s->latency_pace);
    return true;
}

bool governor_reason(const struct pair *p, char *ret, size_t size)
{
    const struct step *s = sender_of(p);
    if (!s)
        return false;
    if (s->pace->rate != 0 && latency_reason(s, ret, size))
        return true;
    if (s->pace->rate == RATE_UNLIMITED)
        return false;
    const struct pace *x = s->pace;
    const struct host *h = step_host(s);
    if (!(h->can & WIRE_CAN_RATE) && h->online) {
        (void)snprintf(ret, size, "host %s runs an older agent, which keeps no limit", h->name);
        return true;
    }
    bool held = x->used * 100 >= (double)x->rate * HELD_PART;
    if (held)
        held_text(x, ret, size);
    return held;
}

static json_t *rate_json(uint64_t rate)
{
    return rate == RATE_UNLIMITED ? json_null() : json_integer((json_int_t)rate);
}

static json_t *until_json(int64_t until_ms)
{
    return until_ms == INT64_MAX ? json_null() : time_json(until_ms);
}

json_t *governor_json(const struct pair *p)
{
    const struct step *s = sender_of(p);
    if (!s || s->pace->rate == RATE_UNLIMITED)
        return json_null();
    json_t *o = json_object();
    (void)json_object_set_new(o, "rate", rate_json(s->pace->rate));
    (void)json_object_set_new(o, "by", json_string(s->pace->by));
    (void)json_object_set_new(o, "budget", rate_json(s->pace->budget));
    (void)json_object_set_new(o, "until", until_json(s->pace->until_ms));
    (void)json_object_set_new(o, "used", json_integer((json_int_t)s->pace->used));
    return o;
}

/* ── lists ── */

static const char *job_name(struct engine *e, const char *id)
{
    const struct job *j;
    TAILQ_FOREACH(j, &e->jobs, link)
    {
        if (strcmp(j->id, id) == 0)
            return j->name;
    }
    return id;
}

static json_t *limit_json(struct engine *e, struct budget *b)
{
    char now[24], otherwise[24];
    bool job = strcmp(b->scope, "job") == 0;
    json_t *o = json_object();
    (void)limits_refresh(b, clock_wall_ms());
    rate_text(b->now, now);
    rate_text(b->rate, otherwise);
    (void)json_object_set_new(o, "scope", json_string(b->scope));
    (void)json_object_set_new(o, "name", json_string(job ? job_name(e, b->name) : b->name));
    (void)json_object_set_new(o, "now", json_string(now));
    (void)json_object_set_new(o, "now_bytes_per_s", rate_json(b->now));
    (void)json_object_set_new(o, "used_bytes_per_s", json_integer((json_int_t)b->used));
    (void)json_object_set_new(o, "until", until_json(b->until_ms));
    (void)json_object_set_new(o, "rate", json_string(otherwise));
    (void)json_object_set_new(o, "calendar", json_string(b->text));
    return o;
}

static int by_name(const void *a, const void *b)
{
    const struct budget *const *x = a, *const *y = b;
    int scope = strcmp((*x)->scope, (*y)->scope);
    return scope ? scope : strcmp((*x)->name, (*y)->name);
}

int engine_limit_list(struct engine *e, json_t **ret, struct fault *reterr)
{
    (void)reterr;
    struct governor *g = e->governor;
    size_t n = 0;
    struct budget **list = xcalloc(zhash_size(g->budgets) + 1, sizeof(struct budget *));
    json_t *limits = json_array();
    for (struct budget *b = limits_first(g); b; b = limits_next(g))
        list[n++] = b;
    qsort(list, n, sizeof(struct budget *), by_name);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(limits, limit_json(e, list[i]));
    free(list);
    *ret = json_object();
    (void)json_object_set_new(*ret, "limits", limits);
    return 0;
}

int engine_site_list(struct engine *e, json_t **ret, struct fault *reterr)
{
    (void)reterr;
    json_t *sites = json_object(), *list = json_array(), *hosts = NULL;
    zlist_t *names = zhash_keys(e->governor->sites);
    const char *site = NULL;
    zlist_sort(names, NULL);
    for (const char *host = zlist_first(names); host; host = zlist_next(names)) {
        site = limits_site(e->governor, host);
        if (!json_object_get(sites, site))
            (void)json_object_set_new(sites, site, json_array());
        (void)json_array_append_new(json_object_get(sites, site), json_string(host));
    }
    zlist_destroy(&names);
    json_object_foreach(sites, site, hosts)
    {
        (void)json_array_append_new(list, json_pack("{s:s,s:O}", "site", site, "hosts", hosts));
    }
    json_decref(sites);
    *ret = json_object();
    (void)json_object_set_new(*ret, "sites", list);
    return 0;
}
