/* limits: the limits and sites that operators set: kept in the store, used by the governor. Main
 * thread. */
#include "orchestrator/store/limits.h"

#include <czmq.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/calendar.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rate.h"
#include "common/base/text.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/engine/governor_priv.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/store/store.h"

/* ── in memory ── */

static void free_budget(void *p)
{
    struct budget *b = p;
    free(b->scope);
    free(b->name);
    free(b->text);
    (void)calendar_free(b->calendar);
    free(b);
}

static char *key_of(const char *scope, const char *name)
{
    return xasprintf("%s/%s", scope, name);
}

struct budget *limits_find(const struct governor *g, const char *scope, const char *name)
{
    char key[LIMIT_HOST_NAME + 16];
    (void)snprintf(key, sizeof key, "%s/%s", scope, name);
    return zhash_lookup(g->budgets, key);
}

struct budget *limits_first(const struct governor *g)
{
    return zhash_first(g->budgets);
}

struct budget *limits_next(const struct governor *g)
{
    return zhash_next(g->budgets);
}

const char *limits_site(const struct governor *g, const char *host)
{
    return zhash_lookup(g->sites, host);
}

bool limits_refresh(struct budget *b, int64_t wall_ms)
{
    if (b->until_ms > wall_ms && b->until_ms != 0)
        return false;
    b->now = b->calendar ? calendar_rate(b->calendar, wall_ms) : b->rate;
    b->until_ms = b->calendar ? calendar_next(b->calendar, wall_ms) : INT64_MAX;
    return true;
}

static void drop(struct engine *e, const char *scope, const char *name)
{
    CLEANUP(mem_free) char *key = key_of(scope, name);
    zhash_delete(e->governor->budgets, key);
    e->governor->plan_due = true;
    governor_soon(e);
}

/* A calendar that cannot be read any more (its zone was removed) costs its windows, not the start.
 */
static void keep(struct engine *e, const struct limit_row *r)
{
    struct calendar_error err;
    CLEANUP(mem_free) char *key = key_of(r->scope, r->name);
    struct budget *b = xcalloc(1, sizeof *b);
    b->scope = xstrdup(r->scope);
    b->name = xstrdup(r->name);
    b->rate = r->rate;
    b->text = xstrdup(r->calendar);
    if (*r->calendar && calendar_parse(r->calendar, r->rate, &b->calendar, &err) < 0)
        log_error("the calendar of %s %s does not hold: line %u column %u: %s", r->scope, r->name,
                  err.line, err.column, err.text);
    drop(e, r->scope, r->name);
    (void)zhash_insert(e->governor->budgets, key, b);
    (void)zhash_freefn(e->governor->budgets, key, free_budget);
}

static void keep_site(struct engine *e, const char *site, const char *host)
{
    zhash_delete(e->governor->sites, host);
    (void)zhash_insert(e->governor->sites, host, xstrdup(site));
    (void)zhash_freefn(e->governor->sites, host, free);
    e->governor->plan_due = true;
    governor_soon(e);
}

static int load_limit(void *arg, const struct limit_row *r)
{
    keep(arg, r);
    return 0;
}

static int load_site(void *arg, const char *site, const char *host)
{
    keep_site(arg, site, host);
    return 0;
}

int governor_load(struct engine *e)
{
    int rc = limit_rows_each(e->store, load_limit, e);
    return rc < 0 ? rc : site_rows_each(e->store, load_site, e);
}

/* ── of a job, as it comes and goes ── */

static struct limit_row row_of(const char *id, uint64_t rate, const char *calendar)
{
    return (struct limit_row){"job", id, rate, calendar ? calendar : ""};
}

int limits_write_job(struct engine *e, const char *id, uint64_t rate, const char *calendar)
{
    struct limit_row r = row_of(id, rate, calendar);
    return rate == RATE_UNLIMITED && !calendar ? 0 : limit_rows_put(e->store, &r);
}

void limits_keep_job(struct engine *e, const char *id, uint64_t rate, const char *calendar)
{
    struct limit_row r = row_of(id, rate, calendar);
    if (rate != RATE_UNLIMITED || calendar)
        keep(e, &r);
}

int limits_drop_job(struct engine *e, const char *id)
{
    return limit_rows_delete(e->store, "job", id);
}

void limits_forget_job(struct engine *e, const char *id)
{
    drop(e, "job", id);
}

/* ── what operators ask for ── */

int limits_check_calendar(const char *text, struct fault *reterr)
{
    CLEANUP(calendar_free) struct calendar *c = NULL;
    struct calendar_error err;
    if (calendar_parse(text, RATE_UNLIMITED, &c, &err) == 0)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "calendar line %u column %u: %s", err.line,
                     err.column, err.text);
}

/* All or nothing; the store's trouble becomes the engine's. */
static int commit(struct engine *e, int rc, struct fault *reterr)
{
    if (rc == 0)
        rc = store_commit(e->store);
    else
        store_rollback(e->store);
    if (trouble_note(e, rc) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "%s",
                         e->trouble[0] ? e->trouble : strerror(-rc));
    return 0;
}

static bool site_known(const struct governor *g, const char *site)
{
    for (const char *s = zhash_first(g->sites); s; s = zhash_next(g->sites))
        if (strcmp(s, site) == 0)
            return true;
    return false;
}

static int no_such(struct fault *reterr, const char *what, const char *name, const char *remedy)
{
    CLEANUP(mem_free) char *shown = text_printable(name, strnlen(name, 64));
    return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "there is no %s %s%s", what, shown, remedy);
}

/* The key of what a limit is on, if that exists. */
static int resolve(struct engine *e, const char *scope, const char *name, const char **ret,
                   struct fault *reterr)
{
    *ret = name;
    if (strcmp(scope, "job") == 0) {
        const struct job *j = job_find(e, name);
        *ret = j ? j->id : NULL;
        return j ? 0 : no_such(reterr, "job", name, "");
    }
    if (strcmp(scope, "host") == 0)
        return fleet_find(e->fleet, name) ? 0 : no_such(reterr, "host", name, "");
    if (strcmp(scope, "site") == 0)
        return site_known(e->governor, name)
                   ? 0
                   : no_such(reterr, "site", name, ": godwit site set makes it");
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "a limit is on a job, a host or a site");
}

int engine_limit_set(struct engine *e, const struct engine_limit *l, json_t **ret,
                     struct fault *reterr)
{
    const char *key = NULL;
    struct limit_row r = {.scope = l->scope, .rate = RATE_UNLIMITED};
    r.calendar = l->calendar ? l->calendar : "";
    int rc = resolve(e, l->scope, l->name, &key, reterr);
    if (rc < 0)
        return rc;
    if (l->rate && rate_parse(l->rate, &r.rate) < 0)
        return fault_set(
            reterr, FAULT_STOP_JOB, EINVAL,
            "the rate must be such as 200MiB/s or 100Mbit/s (1 KiB/s to 1 TiB/s), none "
            "or unlimited");
    if (!l->rate && !*r.calendar)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "a limit wants a rate or a calendar");
    rc = limits_check_calendar(r.calendar, reterr);
    if (rc < 0)
        return rc;
    r.name = key;
    rc = store_begin(e->store);
    rc = commit(e, rc < 0 ? rc : limit_rows_put(e->store, &r), reterr);
    if (rc < 0)
        return rc;
    keep(e, &r);
    char text[24];
    rate_text(r.rate, text);
    log_info("limit of %s %s: %s%s", l->scope, l->name, text, *r.calendar ? ", by a calendar" : "");
    *ret = json_pack("{s:s,s:s,s:s}", "scope", l->scope, "name", l->name, "rate", text);
    return 0;
}

int engine_limit_remove(struct engine *e, const char *scope, const char *name, json_t **ret,
                        struct fault *reterr)
{
    const char *key = NULL;
    int rc = resolve(e, scope, name, &key, reterr);
    if (rc == -ENOENT && strcmp(scope, "job") != 0)
        key = name; /* its host or site is gone: the limit may go too */
    else if (rc < 0)
        return rc;
    if (!limits_find(e->governor, scope, key))
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "%s %.64s has no limit", scope, name);
    rc = store_begin(e->store);
    rc = commit(e, rc < 0 ? rc : limit_rows_delete(e->store, scope, key), reterr);
    if (rc < 0)
        return rc;
    drop(e, scope, key);
    log_info("limit of %s %s removed", scope, name);
    *ret = json_pack("{s:s,s:s}", "scope", scope, "name", name);
    return 0;
}

/* ── sites ── */

static int check_hosts(struct engine *e, const char *site, char **hosts, size_t n,
                       struct fault *reterr)
{
    for (size_t i = 0; i < n; i++) {
        const char *other = limits_site(e->governor, hosts[i]);
        if (!fleet_find(e->fleet, hosts[i]))
            return no_such(reterr, "host", hosts[i], "");
        if (other && strcmp(other, site) != 0)
            return fault_set(reterr, FAULT_STOP_JOB, EEXIST, "host %s is in site %s already",
                             hosts[i], other);
    }
    return 0;
}

/* Those of the old list that are not in the new one. */
static void forget_site(struct engine *e, const char *site)
{
    zlist_t *names = zhash_keys(e->governor->sites);
    for (const char *host = zlist_first(names); host; host = zlist_next(names)) {
        const char *of = limits_site(e->governor, host);
        if (of && strcmp(of, site) == 0)
            zhash_delete(e->governor->sites, host);
    }
    zlist_destroy(&names);
    e->governor->plan_due = true;
    governor_soon(e);
}

int engine_site_set(struct engine *e, const char *site, char **hosts, size_t n, json_t **ret,
                    struct fault *reterr)
{
    if (!text_is_name(site, LIMIT_HOST_NAME) || n == 0)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "a site wants a name (letters, digits, dots, dashes) and its hosts");
    int rc = check_hosts(e, site, hosts, n, reterr);
    if (rc < 0)
        return rc;
    rc = store_begin(e->store);
    if (rc == 0)
        rc = site_rows_delete(e->store, site);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = site_rows_put(e->store, site, hosts[i]);
    rc = commit(e, rc, reterr);
    if (rc < 0)
        return rc;
    forget_site(e, site);
    for (size_t i = 0; i < n; i++)
        keep_site(e, site, hosts[i]);
    log_info("site %s has %zu hosts", site, n);
    *ret = json_pack("{s:s,s:i}", "site", site, "hosts", (int)n);
    return 0;
}

int engine_site_remove(struct engine *e, const char *site, json_t **ret, struct fault *reterr)
{
    if (!site_known(e->governor, site))
        return no_such(reterr, "site", site, "");
    int rc = store_begin(e->store);
    if (rc == 0)
        rc = site_rows_delete(e->store, site);
    if (rc == 0)
        rc = limit_rows_delete(e->store, "site", site);
    rc = commit(e, rc, reterr);
    if (rc < 0)
        return rc;
    forget_site(e, site);
    drop(e, "site", site);
    log_info("site %s removed", site);
    *ret = json_pack("{s:s}", "site", site);
    return 0;
}

int engine_host_renamed(struct engine *e, const char *from, const char *to, struct fault *reterr)
{
    const struct budget *b = limits_find(e->governor, "host", from);
    const char *site = limits_site(e->governor, from);
    if (!b && !site)
        return 0;
    int rc = store_begin(e->store);
    rc = commit(e, rc < 0 ? rc : limit_rows_rename_host(e->store, from, to), reterr);
    if (rc < 0)
        return rc;
    if (b) {
        struct limit_row r = {"host", to, b->rate, b->text};
        keep(e, &r);
        drop(e, "host", from);
    }
    if (site) {
        keep_site(e, site, to);
        zhash_delete(e->governor->sites, from);
    }
    return 0;
}
