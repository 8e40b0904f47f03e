/* report: what one run came to, as the JSON that is kept for ever. Main thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "orchestrator/engine/engine_priv.h"

#define GROUPS_MAX 256             /* causes in one report */
#define EXAMPLES_BYTES (32U << 20) /* of all pairs together; beyond it only figures */

/* text_printable() escapes the backslashes of what is escaped already: undo just that. */
char *safe_text(const char *s)
{
    char *text = text_printable(s, strlen(s)), *to = text;
    for (const char *p = text; *p; p++) {
        *to++ = *p;
        if (strncmp(p, "\\x5c", 4) == 0)
            p += 3;
    }
    *to = '\0';
    return text;
}

static json_t *safe_json(const char *s)
{
    char *text = safe_text(s);
    json_t *j = json_string(text);
    free(text);
    return j;
}

static json_t *group_json(const Godwit__FailureGroup *g)
{
    json_t *j = json_object(), *examples = json_array();
    int err = g->err < 4096 ? (int)g->err : 0;
    (void)json_object_set_new(j, "err", json_integer(err));
    (void)json_object_set_new(j, "what", safe_json(g->what));
    (void)json_object_set_new(
        j, "count", json_integer(g->count > INT64_MAX ? INT64_MAX : (json_int_t)g->count));
    for (size_t i = 0; i < g->n_examples && i < LIMIT_FAILURE_EXAMPLES; i++)
        (void)json_array_append_new(examples, safe_json(g->examples[i]));
    (void)json_object_set_new(j, "examples", examples);
    const char *remedy = g->remedy && g->remedy[0] ? g->remedy : fault_remedy_of(err, g->what);
    (void)json_object_set_new(j, "remedy", safe_json(remedy));
    (void)json_object_set_new(j, "cause", json_string(err ? strerror(err) : ""));
    (void)json_object_set_new(j, "code", json_string(fault_code(err, g->what)));
    return j;
}

json_t *failures_json(const Godwit__Result *r)
{
    json_t *all = json_array();
    for (size_t i = 0; r && i < r->n_failures && i < LIMIT_FAILURE_GROUPS; i++)
        (void)json_array_append_new(all, group_json(r->failures[i]));
    return all;
}

static json_t *same_group(json_t *all, const json_t *g)
{
    size_t i;
    json_t *have;
    json_array_foreach(all, i, have)
    {
        if (json_equal(json_object_get(have, "err"), json_object_get(g, "err")) &&
            json_equal(json_object_get(have, "what"), json_object_get(g, "what")))
            return have;
    }
    return NULL;
}

static void join_group(json_t *have, const json_t *g)
{
    json_t *examples = json_object_get(have, "examples"), *one;
    json_int_t a = json_integer_value(json_object_get(have, "count"));
    json_int_t b = json_integer_value(json_object_get(g, "count"));
    json_int_t sum = a > INT64_MAX - b ? INT64_MAX : a + b;
    size_t i;
    (void)json_object_set_new(have, "count", json_integer(sum));
    json_array_foreach(json_object_get(g, "examples"), i, one)
    {
        if (json_array_size(examples) < LIMIT_FAILURE_EXAMPLES)
            (void)json_array_append(examples, one);
    }
}

void failures_merge(json_t *to, const json_t *groups)
{
    size_t i;
    json_t *g;
    json_array_foreach(groups, i, g)
    {
        json_t *have = same_group(to, g);
        if (have)
            join_group(have, g);
        else if (json_array_size(to) < GROUPS_MAX)
            (void)json_array_append_new(to, json_deep_copy(g));
    }
}

/* What ended a pair is a cause like any other: it stands in the report with its remedy. */
void failures_add_pair(struct pair *p, const struct fault *why)
{
    if (!why->err)
        return;
    char *example = xasprintf("%s:%s", p->host[SIDE_DESTINATION]->name, p->path[SIDE_DESTINATION]);
    Godwit__FailureGroup g = GODWIT__FAILURE_GROUP__INIT;
    g.err = (uint32_t)why->err;
    g.what = (char *)(uintptr_t) "end of the pair";
    g.count = 1;
    g.n_examples = 1;
    g.examples = &example;
    json_t *group = group_json(&g);
    if (!same_group(p->failures, group)) /* a store in trouble brings us here again */
        (void)json_array_append(p->failures, group);
    json_decref(group);
    free(example);
}

static json_t *rate_json(const Godwit__Counters *c)
{
    double rate = c->elapsed_ms ? (double)c->bytes * 1000.0 / (double)c->elapsed_ms : 0;
    return json_integer((json_int_t)rate);
}

static json_t *place_json(const struct pair *p, int side)
{
    json_t *j = json_object();
    (void)json_object_set_new(j, "host", json_string(p->host[side]->name));
    (void)json_object_set_new(j, "path", shown_path(p->path[side]));
    const char *endpoint = side == SIDE_SOURCE ? p->endpoint : p->to_endpoint;
    if (endpoint)
        (void)json_object_set_new(j, "endpoint", json_string(endpoint));
    return j;
}

/* A report is one document, however many pairs fail in however many ways. *left: bytes of examples
 * that still fit. */
static json_t *bounded_failures(const json_t *failures, size_t *left)
{
    size_t n = json_dumpb(failures, NULL, 0, JSON_COMPACT), i;
    json_t *copy = json_deep_copy(failures), *group;
    if (n <= *left) {
        *left -= n;
        return copy;
    }
    json_array_foreach(copy, i, group)(void) json_array_clear(json_object_get(group, "examples"));
    return copy;
}

/* Rows while they fit, counts always. */
static json_t *bounded_rows(json_t *accounts, size_t *left)
{
    json_t *copy = json_copy(accounts);
    size_t n = json_dumpb(copy, NULL, 0, JSON_COMPACT);
    if (n <= *left) {
        *left -= n;
        return copy;
    }
    (void)json_object_del(copy, "rows");
    (void)json_object_del(copy, "map");
    return copy;
}

static json_t *pair_report(const struct pair *p, size_t *left)
{
    Godwit__Counters c;
    motion_counters(p, &c);
    json_t *j = json_object();
    (void)json_object_set_new(j, "n", json_integer((json_int_t)p->n));
    (void)json_object_set_new(j, "source", place_json(p, SIDE_SOURCE));
    (void)json_object_set_new(j, "destination", place_json(p, SIDE_DESTINATION));
    (void)json_object_set_new(j, "state", json_string(pair_state_name(p->state)));
    (void)json_object_set_new(j, "reason", json_string(p->reason));
    (void)json_object_set_new(j, "in_run", json_boolean(p->flags & PAIR_IN_RUN));
    (void)json_object_set_new(j, "attempts", json_integer((json_int_t)p->attempt));
    (void)json_object_set_new(j, "started", time_json(p->started_ms));
    (void)json_object_set_new(j, "ended", time_json(p->ended_ms));
    (void)json_object_set_new(j, "counters", counters_json(&c));
    (void)json_object_set_new(j, "rate", rate_json(&c));
    (void)json_object_set_new(j, "failures", bounded_failures(p->failures, left));
    json_t *evidence = json_object_get(p->facts, "evidence");
    if (json_integer_value(json_object_get(evidence, "run")) == (json_int_t)p->job->run)
        (void)json_object_set(j, "evidence", evidence);
    json_t *shares = json_object_get(p->facts, "shares_moved");
    if (json_integer_value(json_object_get(shares, "run")) == (json_int_t)p->job->run)
        (void)json_object_set(j, "shares", shares);
    json_t *quotas = json_object_get(p->facts, "quotas_moved");
    if (json_integer_value(json_object_get(quotas, "run")) == (json_int_t)p->job->run)
        (void)json_object_set(j, "quotas", quotas);
    json_t *accounts = json_object_get(p->facts, "accounts");
    if (json_integer_value(json_object_get(accounts, "run")) == (json_int_t)p->job->run)
        (void)json_object_set_new(j, "accounts", bounded_rows(accounts, left));
    return j;
}

json_t *report_make(const struct job *j, const char *state, int64_t ended_ms)
{
    Godwit__Counters total;
    size_t left = EXAMPLES_BYTES;
    json_t *r = json_object(), *pairs = json_array(), *failures = json_array();
    for (unsigned i = 0; i < j->npairs; i++) {
        (void)json_array_append_new(pairs, pair_report(&j->pairs[i], &left));
        failures_merge(failures, j->pairs[i].failures);
    }
    counters_of_job(j, &total);
    total.elapsed_ms = ended_ms > j->started_ms ? (uint64_t)(ended_ms - j->started_ms) : 0;
    (void)json_object_set_new(r, "schema", json_integer(1));
    (void)json_object_set_new(r, "job", json_string(j->name));
    (void)json_object_set_new(r, "id", json_string(j->id));
    (void)json_object_set_new(r, "workload", json_string(j->workload->name));
    (void)json_object_set(r, "options", j->options);
    (void)json_object_set_new(r, "phase", json_string(j->phase));
    (void)json_object_set_new(r, "dry_run", json_boolean(j->flags & JOB_DRY));
    (void)json_object_set_new(r, "run", json_integer((json_int_t)j->run));
    (void)json_object_set_new(r, "state", json_string(state));
    (void)json_object_set_new(r, "started", time_json(j->started_ms));
    (void)json_object_set_new(r, "ended", time_json(ended_ms));
    (void)json_object_set_new(r, "totals", counters_json(&total));
    (void)json_object_set_new(r, "rate", rate_json(&total));
    (void)json_object_set_new(r, "pairs", pairs);
    (void)json_object_set_new(r, "failures", failures);
    return r;
}
