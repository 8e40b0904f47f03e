/* preflight: checks of a job before it starts, each with its evidence and its remedy. Changes
 * nothing. Main thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/fleet/fleet.h"

#define SHOWN_MAX 5 /* cases that one check names */

/* One check's answer while it is made. */
struct finding {
    char text[480];
    size_t len;
    unsigned n;
};

static void note(struct finding *f, const char *text)
{
    if (f->n++ >= SHOWN_MAX || f->len + 1 >= sizeof f->text)
        return;
    int n =
        snprintf(f->text + f->len, sizeof f->text - f->len, "%s%.300s", f->len ? "; " : "", text);
    f->len += n > 0 ? (size_t)n : 0;
}

static void add_check(json_t *checks, const char *id, struct finding *f, const char *good,
                      const char *remedy)
{
    char more[32];
    if (f->n > SHOWN_MAX) {
        (void)snprintf(more, sizeof more, "and %u more", f->n - SHOWN_MAX);
        f->n = 1;
        note(f, more);
    }
    f->text[sizeof f->text - 1] = '\0';
    json_t *evidence = json_string(f->n ? f->text : good);
    json_t *o = json_pack("{s:s,s:s,s:o,s:s}", "id", id, "result", f->n ? "fail" : "pass",
                          "evidence", evidence ? evidence : json_string("(not printable)"),
                          "remedy", f->n ? remedy : "");
    (void)json_array_append_new(checks, o);
}

/* A '/' sorts before all else, so that what lies below a folder follows it at once. */
static int compare_paths(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    int x = *a == '/' ? 1 : (unsigned char)*a + (*a != '\0');
    int y = *b == '/' ? 1 : (unsigned char)*b + (*b != '\0');
    return x - y;
}

/* b is a or lies below it. */
static bool path_holds(const char *a, const char *b)
{
    size_t n = strcmp(a, "/") == 0 ? 0 : strlen(a);
    return strncmp(a, b, n) == 0 && (b[n] == '\0' || b[n] == '/');
}

struct place {
    const struct host *host;
    const char *path;
    const struct pair *pair;
};

static int compare_places(const void *x, const void *y)
{
    const struct place *a = x, *b = y;
    int by_host = strcmp(a->host->name, b->host->name);
    return by_host ? by_host : compare_paths(a->path, b->path);
}

static bool is_active(const struct job *j)
{
    return j->state == JOB_RUNNING || j->state == JOB_PAUSING || j->state == JOB_PAUSED ||
           j->state == JOB_STOPPING;
}

static size_t add_places(struct place *to, const struct job *j)
{
    for (unsigned i = 0; i < j->npairs; i++)
        to[i] = (struct place){.host = j->pairs[i].host[SIDE_DESTINATION],
                               .path = j->pairs[i].path[SIDE_DESTINATION],
                               .pair = &j->pairs[i]};
    return j->npairs;
}

static void note_overlap(struct finding *f, const struct place *a, const struct place *b)
{
    char text[400];
    char *shown = text_quote(b->path, strnlen(b->path, 100));
    if (a->pair->job == b->pair->job)
        (void)snprintf(text, sizeof text, "pairs %u and %u both write %s on %s", a->pair->n,
                       b->pair->n, shown, b->host->name);
    else
        (void)snprintf(text, sizeof text, "jobs %s and %s both write %s on %s", a->pair->job->name,
                       b->pair->job->name, shown, b->host->name);
    note(f, text);
    free(shown);
}

/* Destinations of this job, and of others that are under way. Sorted, each only has to be held
 * against the last one that does not lie below another. */
static void check_overlaps(json_t *checks, const struct job *j)
{
    struct finding f = {.n = 0};
    const struct job *other;
    size_t n = j->npairs;
    TAILQ_FOREACH(other, &j->engine->jobs, link)
    n += other != j && is_active(other) ? other->npairs : 0;
    struct place *all = xcalloc(n, sizeof *all);
    size_t filled = add_places(all, j);
    TAILQ_FOREACH(other, &j->engine->jobs, link)
    {
        if (other != j && is_active(other))
            filled += add_places(all + filled, other);
    }
    qsort(all, filled, sizeof *all, compare_places);
    for (size_t i = 1, top = 0; i < filled; i++) {
        bool inside = all[i].host == all[top].host && path_holds(all[top].path, all[i].path);
        if (inside && (all[i].pair->job == j || all[top].pair->job == j))
            note_overlap(&f, &all[top], &all[i]);
        top = inside ? top : i;
    }
    free(all);
    add_check(checks, "destinations-distinct", &f, "no two pairs write to the same folder",
              "give each pair a destination of its own");
}

static void check_loops(json_t *checks, const struct job *j)
{
    struct finding f = {.n = 0};
    for (unsigned i = 0; i < j->npairs; i++) {
        const struct pair *p = &j->pairs[i];
        if (p->endpoint || p->host[0] != p->host[1] ||
            (!path_holds(p->path[0], p->path[1]) && !path_holds(p->path[1], p->path[0])))
            continue;
        char text[96];
        (void)snprintf(text, sizeof text,
                       "pair %u: source and destination on %.40s lie in each other", p->n,
                       p->host[0]->name);
        note(&f, text);
    }
    add_check(checks, "source-not-destination", &f, "no pair copies into itself",
              "choose a destination outside the source");
}

/* Each host once. */
static void check_hosts(json_t *checks, const struct job *j, bool online)
{
    struct finding f = {.n = 0};
    struct engine *e = j->engine;
    zhash_t *seen = zhash_new();
    for (unsigned i = 0; i < 2 * j->npairs; i++) {
        struct host *h = j->pairs[i / 2].host[i % 2];
        char text[400];
        if (zhash_insert(seen, h->name, h) != 0)
            continue;
        bool known = fleet_find(e->fleet, h->name) != NULL;
        if (!online && !known) {
            (void)snprintf(text, sizeof text, "host %s has no approved agent", h->name);
            note(&f, text);
        } else if (online && known && host_absent(e, h, text, sizeof text)) {
            note(&f, text);
        }
    }
    zhash_destroy(&seen);
    if (online)
        add_check(checks, "hosts-online", &f, "every host is there",
                  "start godwit-agent on it and check that it reaches the orchestrator");
    else
        add_check(checks, "hosts-known", &f, "every host has an approved agent",
                  "enrol it: godwit token create --host NAME, or approve its agent");
}

/* ── what the workload checks, pair by pair ── */

static const char *const result_names[] = {[CHECK_PASS] = "pass",
                                           [CHECK_WARN] = "warn",
                                           [CHECK_UNKNOWN] = "unknown",
                                           [CHECK_FAIL] = "fail"};

/* The measure of the way stands with the first pair that goes it. Borrowed until json_decref(). */
static json_t *source_of(const struct pair *p)
{
    const struct pair *way = p->way ? p->way : p;
    json_t *own = p->probe[SIDE_SOURCE], *all = json_copy(way->probe[SIDE_SOURCE]);
    static const char *const keys[] = {"host", "place", "place_err", "readable"};
    if (!own || !all) {
        json_decref(all);
        return json_incref(own);
    }
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        (void)json_object_set(all, keys[i], json_object_get(own, keys[i]));
    return all;
}

static enum check_result check_pair(const struct pair *p, size_t i, char *text, size_t size)
{
    json_t *source = source_of(p);
    struct check_pair about = {.endpoint = p->endpoint != NULL,
                               .to_endpoint = p->to_endpoint != NULL,
                               .facts = p->facts,
                               .options = p->job->options,
                               .source = source,
                               .destination = p->probe[SIDE_DESTINATION],
                               .way_back = (p->way ? p->way : p)->probe[SIDE_DESTINATION]};
    enum check_result r = p->job->workload->check(i, &about, text, size);
    json_decref(source);
    return r;
}

/* The worst of all pairs, with what some of them say. */
static void check_all(json_t *checks, const struct job *j, size_t i)
{
    const struct check_info *info = j->workload->check_info(i);
    struct finding f = {.n = 0};
    enum check_result worst = CHECK_PASS;
    char text[280], first[280] = "";
    for (unsigned n = 0; n < j->npairs; n++) {
        char line[320];
        enum check_result r = check_pair(&j->pairs[n], i, text, sizeof text);
        if (n == 0)
            memcpy(first, text, sizeof first);
        if (r > worst) {
            f = (struct finding){.n = 0};
            worst = r;
        }
        (void)snprintf(line, sizeof line, j->npairs > 1 ? "pair %u: %s" : "%.0u%s",
                       j->npairs > 1 ? j->pairs[n].n : 0, text);
        if (r == worst && r != CHECK_PASS)
            note(&f, line);
    }
    add_check(checks, info->id, &f, first, info->remedy);
    json_t *o = json_array_get(checks, json_array_size(checks) - 1);
    (void)json_object_set_new(o, "result", json_string(result_names[worst]));
    (void)json_object_set_new(o, "from", json_string(info->from));
}

static void check_workload(json_t *checks, const struct job *j, const struct preflight *how)
{
    const struct check_info *info;
    for (size_t i = 0; j->workload->check && (info = j->workload->check_info(i)) != NULL; i++)
        if ((how->online && j->probed) || (how->by_facts && info->by_facts))
            check_all(checks, j, i);
}

/* ── overridden ── */

static bool is_line(const char *lines, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = lines; p && *p; p += strcspn(p, "\n"), p += *p == '\n')
        if (strcspn(p, "\n") == n && strncmp(p, name, n) == 0)
            return true;
    return false;
}

static bool is_overridden(const struct job *j, const struct preflight *how, const char *id)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(j->options, "override"), i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), id) == 0)
            return true;
    }
    return is_line(how->override, id);
}

/* Unknown stops as failing does. */
static bool stops(const json_t *check)
{
    const char *result = json_string_value(json_object_get(check, "result"));
    return result && (strcmp(result, "fail") == 0 || strcmp(result, "unknown") == 0) &&
           !json_is_true(json_object_get(check, "overridden"));
}

json_t *preflight_run(const struct job *j, const struct preflight *how, bool *retok)
{
    json_t *checks = json_array(), *check;
    size_t i;
    check_overlaps(checks, j);
    check_loops(checks, j);
    if (how->online) {
        check_hosts(checks, j, false);
        check_hosts(checks, j, true);
    }
    check_workload(checks, j, how);
    *retok = true;
    json_array_foreach(checks, i, check)
    {
        if (!json_object_get(check, "from"))
            (void)json_object_set_new(check, "from", json_string("orchestrator"));
        if (is_overridden(j, how, json_string_value(json_object_get(check, "id"))))
            (void)json_object_set_new(check, "overridden", json_true());
        *retok = *retok && !stops(check);
    }
    return checks;
}
