/* show: what the engine knows, as JSON for the console. Reads only. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/store/reports.h"

#define VERIFY_ROWS 10000 /* of the chain, in one answer */
#define JOURNAL_PAGE 1000

json_t *shown_path(const char *bytes)
{
    char *text = text_printable(bytes, strlen(bytes));
    json_t *j = json_string(text);
    free(text);
    return j;
}

json_t *time_json(int64_t wall_ms)
{
    char text[24];
    if (wall_ms == 0)
        return json_null();
    clock_format(wall_ms, text);
    return json_string(text);
}

json_t *job_state_json(const struct job *j)
{
    return json_pack("{s:s,s:s}", "job", j->name, "state", job_state_name(j->state));
}

void counters_of_job(const struct job *j, Godwit__Counters *ret)
{
    bool known = j->npairs > 0;
    godwit__counters__init(ret);
    for (unsigned i = 0; i < j->npairs; i++) {
        Godwit__Counters c;
        motion_counters(&j->pairs[i], &c);
        counters_add(ret, &c);
        known = known && c.total_known;
    }
    ret->total_known = known;
}

static int find_job(struct engine *e, const char *name, struct job **ret, struct fault *reterr)
{
    *ret = job_find(e, name);
    if (*ret)
        return 0;
    char *shown = text_printable(name, strnlen(name, 64));
    int rc = fault_set(reterr, FAULT_STOP_JOB, ENOENT, "there is no job %s", shown);
    free(shown);
    return rc;
}

static unsigned job_percent(const struct job *j)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < j->npairs; i++)
        sum += motion_percent(&j->pairs[i]);
    return j->npairs ? (unsigned)(sum / j->npairs) : 0;
}

static json_t *job_json(const struct job *j)
{
    json_t *o = json_object();
    static const struct {
        const char *name;
        enum pair_state state;
    } counts[] = {
        {"done",    PAIR_DONE   },
        {"partial", PAIR_PARTLY },
        {"failed",  PAIR_FAILED },
        {"running", PAIR_RUNNING},
        {"waiting", PAIR_WAITING},
        {"paused",  PAIR_PAUSED },
        {"stopped", PAIR_STOPPED}
    };
    (void)json_object_set_new(o, "job", json_string(j->name));
    (void)json_object_set_new(o, "id", json_string(j->id));
    (void)json_object_set_new(o, "workload", json_string(j->workload->name));
    (void)json_object_set_new(o, "state", json_string(job_state_name(j->state)));
    (void)json_object_set_new(o, "reason", json_string(j->reason));
    (void)json_object_set_new(o, "phase", json_string(j->phase));
    (void)json_object_set_new(o, "run", json_integer((json_int_t)j->run));
    (void)json_object_set_new(o, "pairs", json_integer((json_int_t)j->npairs));
    for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
        (void)json_object_set_new(o, counts[i].name,
                                  json_integer((json_int_t)j->count[counts[i].state]));
    (void)json_object_set_new(o, "percent", json_integer((json_int_t)job_percent(j)));
    (void)json_object_set_new(o, "created", time_json(j->created_ms));
    (void)json_object_set_new(o, "started", time_json(j->started_ms));
    (void)json_object_set_new(o, "ended", time_json(j->ended_ms));
    return o;
}

int engine_job_list(struct engine *e, json_t **ret, struct fault *reterr)
{
    (void)reterr;
    json_t *jobs = json_array();
    const struct job *j;
    TAILQ_FOREACH(j, &e->jobs, link)
    (void)json_array_append_new(jobs, job_json(j));
    *ret = json_object();
    (void)json_object_set_new(*ret, "jobs", jobs);
    return 0;
}

static void pair_reason(const struct pair *p, char *ret, size_t size)
{
    static const char *const closing[] = {[CLOSE_PAUSE] = "pauses when its steps have ended",
                                          [CLOSE_STOP] = "stops when its steps have ended"};
    const struct engine *e = p->job->engine;
    *ret = '\0';
    if (p->state == PAIR_WAITING)
        schedule_reason(p, ret, size);
    else if (p->state != PAIR_RUNNING)
        (void)snprintf(ret, size, "%s", p->reason);
    else if (host_absent(e, p->host[SIDE_SOURCE], ret, size) ||
             host_absent(e, p->host[SIDE_DESTINATION], ret, size))
        return;
    else if (e->trouble[0])
        (void)snprintf(ret, size, "%s", e->trouble);
    else if (p->closing == CLOSE_PAUSE || p->closing == CLOSE_STOP)
        (void)snprintf(ret, size, "%s", closing[p->closing]);
    else if (p->closing != CLOSE_NO)
        (void)snprintf(ret, size, "%s", p->why.text);
    else
        (void)governor_reason(p, ret, size);
}

static const char *pair_doing(const struct pair *p)
{
    const char *doing = "";
    for (unsigned i = 0; i < p->nsteps; i++)
        if (p->steps[i]->doing[0] && (!*doing || p->steps[i]->side == SIDE_SOURCE))
            doing = p->steps[i]->doing;
    return doing;
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

static void set_motion(json_t *o, const struct pair *p)
{
    Godwit__Counters c;
    int64_t now = clock_mono_ms(), eta[2];
    motion_counters(p, &c);
    (void)json_object_set_new(o, "stalled", json_boolean(motion_stalled(p, now)));
    (void)json_object_set_new(o, "counters", counters_json(&c));
    (void)json_object_set_new(o, "rate", json_integer((json_int_t)motion_rate(p, now)));
    (void)json_object_set_new(o, "eta_ms",
                              motion_eta(p, now, eta)
                                  ? json_pack("[I,I]", (json_int_t)eta[0], (json_int_t)eta[1])
                                  : json_null());
}

static json_t *latency_json(const struct pair *p)
{
    for (unsigned i = 0; i < p->nsteps; i++)
        if (p->steps[i]->latency_pace > 0)
            return json_integer((json_int_t)p->steps[i]->latency_us);
    return json_null();
}

static json_t *pair_json(const struct pair *p)
{
    char reason[400];
    const struct stage *stage = &p->job->workload->stages[p->stage];
    pair_reason(p, reason, sizeof reason);
    json_t *o = json_object();
    (void)json_object_set_new(o, "n", json_integer((json_int_t)p->n));
    (void)json_object_set_new(o, "source", place_json(p, SIDE_SOURCE));
    (void)json_object_set_new(o, "destination", place_json(p, SIDE_DESTINATION));
    (void)json_object_set_new(o, "state", json_string(pair_state_name(p->state)));
    (void)json_object_set_new(o, "phase", json_string(stage->phase));
    (void)json_object_set_new(o, "stage", json_string(stage->name));
    (void)json_object_set_new(o, "percent", json_integer((json_int_t)motion_percent(p)));
    (void)json_object_set_new(o, "doing", json_string(pair_doing(p)));
    (void)json_object_set_new(o, "reason", json_string(reason));
    (void)json_object_set_new(o, "limit", governor_json(p));
    (void)json_object_set_new(o, "source_latency_us", latency_json(p));
    json_t *scan = json_object_get(p->facts, "scan");
    (void)json_object_set_new(o, "last_pass", scan ? json_incref(scan) : json_null());
    (void)json_object_set_new(o, "attempt", json_integer((json_int_t)p->attempt));
    set_motion(o, p);
    return o;
}

int engine_job_show(struct engine *e, const char *job, json_t **ret, struct fault *reterr)
{
    struct job *j = NULL;
    int rc = find_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    json_t *o = job_json(j), *pairs = json_array();
    Godwit__Counters total;
    counters_of_job(j, &total);
    for (unsigned i = 0; i < j->npairs; i++)
        (void)json_array_append_new(pairs, pair_json(&j->pairs[i]));
    (void)json_object_set(o, "options", j->options);
    (void)json_object_set_new(o, "dry_run", json_boolean(j->flags & JOB_DRY));
    (void)json_object_set_new(o, "totals", counters_json(&total));
    (void)json_object_set_new(o, "pairs", pairs);
    *ret = o;
    return 0;
}

int engine_job_over(struct engine *e, const char *job, bool *retover, json_t **ret,
                    struct fault *reterr)
{
    struct job *j = NULL;
    int rc = find_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    *retover = j->state == JOB_DONE || j->state == JOB_PARTIAL || j->state == JOB_FAILED ||
               j->state == JOB_STOPPED;
    *ret = job_state_json(j);
    return 0;
}

int engine_job_validate(struct engine *e, const char *job, json_t **ret, struct fault *reterr)
{
    const struct engine_check how = {.probe = false};
    return engine_job_check(e, job, &how, ret, reterr);
}

int engine_job_map(struct engine *e, const char *job, const struct engine_map *map, json_t **ret,
                   struct fault *reterr)
{
    struct job *j = NULL;
    int rc = find_job(e, job, &j, reterr);
    return rc < 0 ? rc : mapping_ask(j, map, ret, reterr);
}

int engine_job_check(struct engine *e, const char *job, const struct engine_check *check,
                     json_t **ret, struct fault *reterr)
{
    struct job *j = NULL;
    bool ok = false;
    int rc = find_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    if (check->probe)
        probe_begin(j);
    const struct preflight how = {.online = true, .override = check->override};
    *ret = job_state_json(j);
    (void)json_object_set_new(*ret, "checks", preflight_run(j, &how, &ok));
    (void)json_object_set_new(*ret, "probing", json_boolean(probe_is_out(j)));
    (void)json_object_set_new(*ret, "ok", json_boolean(ok));
    return ok ? 0
              : fault_set(reterr, FAULT_STOP_JOB, EREMOTEIO, "job %s is not ready to start",
                          j->name);
}

int engine_job_report(struct engine *e, const char *job, unsigned run, json_t **ret,
                      struct fault *reterr)
{
    char *text = NULL;
    unsigned runs = 0;
    int rc = reports_get(e->store, job, run, &text, &runs);
    if (rc == -ENOENT)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                         job_find(e, job) ? "this job has no report of such a run"
                                          : "there is no such job");
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the report cannot be read: %s",
                         strerror(-rc));
    json_t *report = json_loads(text, 0, NULL);
    free(text);
    if (!report)
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the report is damaged");
    (void)json_object_set_new(report, "runs", json_integer((json_int_t)runs));
    *ret = report;
    return 0;
}

struct rows {
    const struct job *job;
    json_t *list;
};

static int add_row(void *arg, const struct journal_row *r)
{
    struct rows *rows = arg;
    char digest[2 * JOURNAL_DIGEST + 1];
    text_hex(r->digest, sizeof r->digest, digest);
    json_t *o = json_pack("{s:I,s:s,s:i,s:s,s:s,s:s,s:s,s:s}", "seq", (json_int_t)r->seq, "job",
                          rows->job->name, "pair", (int)r->pair, "op_id", r->op_id, "event",
                          r->event, "state", r->state, "detail", r->detail, "digest", digest);
    if (!o)
        return -EBADMSG;
    (void)json_object_set_new(o, "at", time_json(r->at_ms));
    (void)json_array_append_new(rows->list, o);
    return 0;
}

/* From the beginning when a reader is at the beginning; then only what is new. No more at a time
 * than what delays the others by a moment: the reader asks again. */
static void add_verified(struct engine *e, uint64_t after, json_t *doc)
{
    if (after == 0 && !e->verifying)
        e->verified = (struct journal_mark){.seq = 0};
    int rc = journal_verify(e->store, &e->verified, VERIFY_ROWS);
    e->verifying = rc > 0;
    (void)json_object_set_new(doc, "verified", json_boolean(rc >= 0));
    (void)json_object_set_new(doc, "verifying", json_boolean(e->verifying));
}

int engine_job_journal(struct engine *e, const char *job, uint64_t after, json_t **ret,
                       struct fault *reterr)
{
    struct job *j = NULL;
    int rc = find_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    struct rows rows = {.job = j, .list = json_array()};
    rc = journal_each(e->store, j->id, after, JOURNAL_PAGE, add_row, &rows);
    if (rc < 0) {
        json_decref(rows.list);
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the journal cannot be read: %s",
                         strerror(-rc));
    }
    *ret = json_object();
    (void)json_object_set_new(*ret, "job", json_string(j->name));
    (void)json_object_set_new(*ret, "rows", rows.list);
    (void)json_object_set_new(*ret, "more",
                              json_boolean(json_array_size(rows.list) == JOURNAL_PAGE));
    add_verified(e, after, *ret);
    return 0;
}

/* Of several pairs of a host the one that looked last knows best. */
static void put_host(json_t *hosts, const char *name, json_t *host)
{
    const json_t *had = json_object_get(hosts, name);
    if (host && json_integer_value(json_object_get(had, "now_ms")) <=
                    json_integer_value(json_object_get(host, "now_ms")))
        (void)json_object_set(hosts, name, host);
    json_decref(host);
}

static json_t *hosts_json(const struct job *j)
{
    json_t *by_name = json_object(), *list = json_array(), *host;
    const char *name;
    for (unsigned i = 0; j->workload->host && i < 2 * j->npairs; i++) {
        const struct pair *p = &j->pairs[i / 2];
        put_host(by_name, p->host[i % 2]->name, j->workload->host(p->facts, i % 2));
    }
    json_object_foreach(by_name, name, host)
    {
        json_t *one = json_copy(host);
        (void)json_object_set_new(one, "host", json_string(name));
        (void)json_array_append_new(list, one);
    }
    json_decref(by_name);
    return list;
}

int engine_inventory(struct engine *e, const char *job, json_t **ret, struct fault *reterr)
{
    struct job *j = NULL;
    int rc = find_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    json_t *pairs = json_array();
    for (unsigned i = 0; i < j->npairs; i++) {
        const struct pair *p = &j->pairs[i];
        json_t *o = place_json(p, SIDE_SOURCE);
        (void)json_object_set_new(o, "n", json_integer((json_int_t)p->n));
        (void)json_object_set_new(o, "state", json_string(pair_state_name(p->state)));
        (void)json_object_set_new(o, "inventory",
                                  j->workload->inventory ? j->workload->inventory(p->facts)
                                                         : json_null());
        json_t *contract =
            j->workload->contract ? j->workload->contract(p->facts, j->options) : NULL;
        if (contract)
            (void)json_object_set_new(o, "contract", contract);
        (void)json_array_append_new(pairs, o);
    }
    *ret = json_object();
    (void)json_object_set_new(*ret, "job", json_string(j->name));
    (void)json_object_set_new(*ret, "pairs", pairs);
    (void)json_object_set_new(*ret, "hosts", hosts_json(j));
    return 0;
}
