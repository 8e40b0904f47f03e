/* stage: brings one pair through the stages of its workload: plan, send, judge, next. Knows no
 * workload. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/store/store.h"

static void fill_host(struct stage_view *w, const struct pair *p, int side)
{
    struct fleet_host *h = &w->host[side];
    const struct fleet_host *f = fleet_find(p->job->engine->fleet, p->host[side]->name);
    *h = (struct fleet_host){
        .name = p->host[side]->name, .agent_id = "", .lane_address = "", .can = p->host[side]->can};
    if (!f)
        return;
    h->online = f->online;
    h->lane_port = f->lane_port;
    (void)snprintf(w->address[side], sizeof w->address[side], "%s",
                   f->lane_address ? f->lane_address : "");
    h->lane_address = w->address[side];
    if (f->lane_pin) {
        memcpy(w->pin[side], f->lane_pin, sizeof w->pin[side]);
        h->lane_pin = w->pin[side];
    }
    if (f->sign_key) {
        memcpy(w->sign_key[side], f->sign_key, sizeof w->sign_key[side]);
        h->sign_key = w->sign_key[side];
    }
}

/* An endpoint that was taken away has no address: the agent says so. */
static void fill_endpoint(struct stage_view *w, const struct pair *p)
{
    struct endpoint e;
    const char *name = p->endpoint ? p->endpoint : p->to_endpoint;
    w->v.endpoint = p->endpoint;
    w->v.to_endpoint = p->to_endpoint;
    w->v.address = w->endpoint_address;
    if (!name || endpoint_find(p->job->engine, name, &e) < 0)
        return;
    (void)snprintf(w->endpoint_address, sizeof w->endpoint_address, "%s", e.address);
    endpoint_done(&e);
}

void stage_view_fill(struct stage_view *w, const struct pair *p)
{
    fill_host(w, p, SIDE_SOURCE);
    fill_host(w, p, SIDE_DESTINATION);
    w->v =
        (struct pair_view){.job = p->job->id,
                           .name = p->job->name,
                           .run = p->job->run,
                           .phase = p->job->phase,
                           .signer = p->job->engine->signer,
                           .realm = store_realm(p->job->engine->store),
                           .n = p->n,
                           .source_host = p->host[SIDE_SOURCE]->name,
                           .destination_host = p->host[SIDE_DESTINATION]->name,
                           .source = p->path[SIDE_SOURCE],
                           .destination = p->path[SIDE_DESTINATION],
                           .options = p->job->options,
                           .facts = p->facts,
                           .attempt = p->attempt,
                           .only_failed = (p->flags & PAIR_ONLY_FAILED) != 0,
                           .only_cause = json_string_value(json_object_get(p->facts, "only_cause")),
                           .dry_run = (p->job->flags & JOB_DRY) != 0,
                           .from = &w->host[SIDE_SOURCE],
                           .to = &w->host[SIDE_DESTINATION]};
    for (int side = 0; side < 2; side++)
        w->v.away_ms[side] =
            p->host[side]->online ? 0 : clock_mono_ms() - p->host[side]->since_ms + 1;
    fill_endpoint(w, p);
}

static bool is_wanted(struct stage_view *w, const struct workload *k, unsigned stage)
{
    w->v.stage = &k->stages[stage];
    return !k->stages[stage].wanted || k->stages[stage].wanted(&w->v);
}

/* A run of all phases has none of those apart; one of them ends where it ends. */
static bool in_phase(const struct stage *s, const char *phase)
{
    return *phase ? strcmp(s->phase, phase) == 0 : !s->apart;
}

unsigned stage_after(const struct pair *p, unsigned stage)
{
    const struct workload *k = p->job->workload;
    const char *phase = k->stages[stage].apart ? k->stages[stage].phase : p->job->phase;
    struct stage_view w = {.host = {{.name = NULL}}};
    stage_view_fill(&w, p);
    for (unsigned i = stage + 1; i < k->nstages && in_phase(&k->stages[i], phase); i++)
        if (is_wanted(&w, k, i))
            return i;
    return (unsigned)k->nstages;
}

unsigned stage_enter(const struct pair *p, const char *phase)
{
    const struct workload *k = p->job->workload;
    struct stage_view w = {.host = {{.name = NULL}}};
    stage_view_fill(&w, p);
    for (unsigned i = 0; i < k->nstages; i++)
        if (strcmp(k->stages[i].phase, phase) == 0 && is_wanted(&w, k, i))
            return i;
    return (unsigned)k->nstages;
}

int stage_admit(const struct pair *p, const char *phase, const json_t *settings,
                struct fault *reterr)
{
    struct stage_view w = {.host = {{.name = NULL}}};
    stage_view_fill(&w, p);
    return p->job->workload->admit ? p->job->workload->admit(&w.v, phase, settings, reterr) : 0;
}

json_t *stage_outline(const struct pair *p)
{
    struct stage_view w = {.host = {{.name = NULL}}};
    stage_view_fill(&w, p);
    w.v.stage = p->state == PAIR_RUNNING || p->state == PAIR_WAITING
                    ? &p->job->workload->stages[p->stage]
                    : NULL;
    return p->job->workload->outline ? p->job->workload->outline(&w.v) : json_null();
}

int stage_tell_passed(const struct pair *p, unsigned to)
{
    const struct workload *k = p->job->workload;
    struct stage_view w = {.host = {{.name = NULL}}};
    int rc = 0;
    if (!k->passed || !k->stages[to].apart)
        return 0;
    stage_view_fill(&w, p);
    for (unsigned i = p->stage + 1; rc == 0 && i < to; i++) {
        w.v.stage = &k->stages[i];
        bool here = in_phase(w.v.stage, k->stages[to].phase);
        const char *why = here && !w.v.stage->wanted(&w.v) ? k->passed(&w.v) : NULL;
        CLEANUP(mem_free) char *text = NULL;
        if (!why)
            continue;
        text = xasprintf("%u%% %s passed over: %s", w.v.stage->percent, w.v.stage->name, why);
        struct journal_row row = {.at_ms = clock_wall_ms(),
                                  .job = p->job->id,
                                  .pair = p->n,
                                  .event = "skip",
                                  .state = pair_state_name(p->state),
                                  .detail = text};
        rc = journal_append(p->job->engine->store, &row);
    }
    return rc;
}

static bool is_last(const struct pair *p)
{
    return stage_after(p, p->stage) == p->job->workload->nstages;
}

bool stage_ready(const struct pair *p, unsigned stage, char *why, size_t size)
{
    const struct workload *k = p->job->workload;
    struct stage_view w = {.host = {{.name = NULL}}};
    if (!k->ready || !k->stages[stage].apart)
        return p->host[SIDE_SOURCE]->online && p->host[SIDE_DESTINATION]->online;
    stage_view_fill(&w, p);
    w.v.stage = &k->stages[stage];
    return k->ready(&w.v, why, size);
}

/* Of a phase whose order gives way to who is there: the first that can be done, else the first that
 * waits. */
static unsigned first_loose(const struct pair *p, const char *phase)
{
    const struct workload *k = p->job->workload;
    unsigned waits = (unsigned)k->nstages;
    struct stage_view w = {.host = {{.name = NULL}}};
    char why[FAULT_TEXT_MAX];
    stage_view_fill(&w, p);
    for (unsigned i = 0; i < k->nstages; i++) {
        if (strcmp(k->stages[i].phase, phase) != 0 || !is_wanted(&w, k, i))
            continue;
        if (stage_ready(p, i, why, sizeof why))
            return i;
        waits = waits < k->nstages ? waits : i;
    }
    return waits;
}

unsigned stage_turn(const struct pair *p, unsigned stage)
{
    const struct stage *s = &p->job->workload->stages[stage];
    return s->loose ? first_loose(p, s->phase) : stage;
}

static int64_t back_off(unsigned tries)
{
    int64_t ms = tries < 8 ? (int64_t)BACKOFF_MIN_MS << (tries ? tries - 1 : 0) : BACKOFF_MAX_MS;
    return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

static void pair_again(struct pair *p, unsigned at, const struct fault *why);

static void launch_or_wait(struct pair *p, unsigned at)
{
    struct fault wait = {.what_next = FAULT_NONE, .text = "waits for its hosts"};
    if (stage_ready(p, at, wait.text, sizeof wait.text))
        stage_launch(p, at);
    else
        pair_again(p, at, &wait);
}

static void pair_fail(struct pair *p, const struct fault *why)
{
    struct pair_change c = pair_change_of(p, PAIR_EV_FAIL, why->text);
    failures_add_pair(p, why);
    if (pair_handle(p, &c) == 0)
        job_settle(p->job);
}

/* Where what was done is taken back, when this stage failed; beyond all stages: nowhere. */
static unsigned way_back(struct pair *p, unsigned stage, const struct fault *why)
{
    const struct workload *k = p->job->workload;
    struct stage_view w = {.host = {{.name = NULL}}};
    if (!k->back || !k->stages[stage].apart)
        return (unsigned)k->nstages;
    stage_view_fill(&w, p);
    w.v.stage = &k->stages[stage];
    unsigned at = k->back(&w.v, why);
    if (at >= k->nstages || is_wanted(&w, k, at))
        return at;
    return stage_after(p, at);
}

void stage_lose(struct pair *p, unsigned stage, const struct fault *why)
{
    unsigned at = way_back(p, stage, why);
    if (at >= p->job->workload->nstages) {
        pair_fail(p, why);
        return;
    }
    struct log_about about = {.job = p->job->name};
    log_line(LOG_WARNING, &about, "pair %u: %s; it is taken back", p->n, why->text);
    (void)json_object_set_new(p->facts, "went_back", json_string(why->text));
    p->flags |= PAIR_BACK;
    p->tries = 0;
    launch_or_wait(p, stage_turn(p, at));
}

/* Did this attempt bring anything into place? Then the count of failures in a row starts again. */
static bool made_progress(const struct pair *p)
{
    Godwit__Counters now;
    motion_counters(p, &now);
    if (!p->job->workload->stages[p->stage].resumes)
        return false;
    return now.files > p->base.files || now.bytes > p->base.bytes ||
           now.parts_bytes > p->base.parts_bytes;
}

/* The stage is run again after a pause; not without end. at: the stage that waits. */
static void pair_again(struct pair *p, unsigned at, const struct fault *why)
{
    const struct stage *s = &p->job->workload->stages[at];
    bool hurry = s->limit_s > 0, forth = s->patient && !s->loose;
    struct fault last = *why;
    struct pair_change c = pair_change_of(p, PAIR_EV_AGAIN, why->text);
    c.stage = at;
    c.tries = made_progress(p) ? 1 : p->tries + 1;
    if (c.tries > TRIES_MAX && (s->loose || s->patient))
        c.tries = TRIES_MAX;
    if (c.tries > TRIES_MAX) {
        (void)snprintf(last.text, sizeof last.text,
                       "gave up after %d attempts without progress: %.180s", TRIES_MAX, why->text);
        stage_lose(p, at, &last);
        return;
    }
    c.back_off_ms = why->what_next == FAULT_RETRY ? back_off(c.tries) : 0;
    if (hurry && (forth || c.tries < TRIES_MAX) && c.back_off_ms > BACKOFF_HURRY_MS)
        c.back_off_ms = BACKOFF_HURRY_MS;
    (void)pair_handle(p, &c);
}

static void send_orders(struct pair *p)
{
    for (unsigned i = 0; i < p->nsteps; i++)
        orders_send(p->steps[i]);
}

static void no_plan(struct pair *p, unsigned stage, const struct fault *why)
{
    if (why->what_next == FAULT_RETRY)
        pair_again(p, stage, why);
    else
        stage_lose(p, stage, why);
}

int stage_plan_map(const struct pair *p, const char *after, struct planned_step *ret,
                   struct fault *reterr)
{
    struct stage_view w = {.host = {{.name = NULL}}};
    stage_view_fill(&w, p);
    return p->job->workload->map_page(&w.v, after, ret, reterr);
}

int stage_plan_probe(const struct pair *p, bool way, struct planned_step ret[2])
{
    struct stage_view w = {.host = {{.name = NULL}}};
    stage_view_fill(&w, p);
    return p->job->workload->probe(&w.v, way, ret);
}

int stage_plan_failures(const struct pair *p, const struct failed_ask *ask,
                        struct planned_step *ret)
{
    struct stage_view w = {.host = {{.name = NULL}}};
    stage_view_fill(&w, p);
    return p->job->workload->failures(&w.v, ask, ret);
}

int stage_plan_access(const struct pair *p, enum step_side side, const json_t *about,
                      struct planned_step *ret)
{
    struct stage_view w = {.host = {{.name = NULL}}};
    stage_view_fill(&w, p);
    return p->job->workload->access(&w.v, side, about, ret);
}

void stage_launch(struct pair *p, unsigned stage)
{
    struct engine *e = p->job->engine;
    if (e->draining || e->trouble[0])
        return; /* recovery comes back here */
    struct stage_view w = {.host = {{.name = NULL}}};
    struct planned_step planned[2] = {{.kind = NULL}, {.kind = NULL}};
    struct fault why = {.what_next = FAULT_STOP_JOB, .text = "the stage cannot be planned"};
    stage_view_fill(&w, p);
    w.v.stage = &p->job->workload->stages[stage];
    int n = p->job->workload->stages[stage].plan(&w.v, planned, &why);
    if (n <= 0) {
        no_plan(p, stage, &why);
        return;
    }
    uint8_t lanes[SHA256_LEN];
    struct pair_change c = pair_change_of(p, PAIR_EV_LAUNCH, NULL);
    lanes_digest(p, lanes);
    c.lanes = p->job->workload->stages[stage].lanes ? lanes : NULL;
    c.stage = stage;
    c.planned = planned;
    c.nplanned = n;
    if (pair_handle(p, &c) == 0)
        send_orders(p);
    planned_step_done(&planned[0]);
    planned_step_done(&planned[1]);
}

/* The run is over for this pair. */
static void pair_end(struct pair *p)
{
    bool partly = (p->flags & PAIR_PARTIAL) != 0;
    CLEANUP(mem_free) char *text = NULL;
    if (p->flags & PAIR_BACK) {
        const char *had = json_string_value(json_object_get(p->facts, "went_back"));
        struct fault why = {.what_next = FAULT_STOP_JOB, .err = ECANCELED};
        (void)snprintf(why.text, sizeof why.text, "taken back: %s", had ? had : "");
        pair_fail(p, &why);
        return;
    }
    Godwit__Counters now;
    motion_counters(p, &now);
    if (partly)
        text = now.failed ? xasprintf("%llu items failed", (unsigned long long)now.failed)
                          : xstrdup("some items failed");
    struct pair_change c = pair_change_of(p, partly ? PAIR_EV_PARTLY : PAIR_EV_DONE, text);
    c.tries = 0;
    if (pair_handle(p, &c) == 0)
        job_settle(p->job);
}

/* A stage that was asked to pause or stop, at the stage where it will go on. */
static void pair_rest(struct pair *p, enum closing how, unsigned at)
{
    bool stop = how == CLOSE_STOP;
    struct pair_change c = pair_change_of(p, stop ? PAIR_EV_STOP : PAIR_EV_PAUSE,
                                          stop ? "stopped by the operator" : "paused");
    c.stage = at;
    c.tries = 0;
    if (pair_handle(p, &c) == 0)
        job_settle(p->job);
}

static void pair_advance(struct pair *p, enum closing how)
{
    const struct stage *s = &p->job->workload->stages[p->stage];
    unsigned next = s->loose ? first_loose(p, s->phase) : stage_after(p, p->stage);
    p->tries = 0;
    if (next == p->job->workload->nstages) {
        pair_end(p);
    } else if (how == CLOSE_PAUSE || how == CLOSE_STOP) {
        pair_rest(p, how, next);
    } else {
        launch_or_wait(p, next);
    }
}

static enum verdict judge(struct pair *p, struct fault *retwhy)
{
    const Godwit__Result *results[2] = {NULL, NULL};
    struct stage_view w = {.host = {{.name = NULL}}};
    for (unsigned i = 0; i < p->nsteps; i++)
        results[i] = p->steps[i]->result;
    stage_view_fill(&w, p);
    w.v.stage = &p->job->workload->stages[p->stage];
    return p->job->workload->stages[p->stage].judge(&w.v, results, retwhy);
}

static bool all_over(const struct pair *p)
{
    for (unsigned i = 0; i < p->nsteps; i++)
        if (!p->steps[i]->result)
            return false;
    return true;
}

/* The failures of the stage's steps, from what they reported. */
static void keep_failures(struct pair *p)
{
    json_t *all = json_array();
    for (unsigned i = 0; i < p->nsteps; i++) {
        json_t *groups = failures_json(p->steps[i]->result);
        failures_merge(all, groups);
        json_decref(groups);
    }
    if (p->job->workload->stages[p->stage].aside) {
        failures_merge(p->failures, all);
    } else if (json_array_size(all) > 0 || is_last(p)) {
        json_decref(p->failures);
        p->failures = json_incref(all);
    }
    json_decref(all);
}

/* Every step is over and somebody had wanted them to end. */
static void closed(struct pair *p)
{
    enum closing how = p->closing;
    struct fault why = p->why, late = {.err = 0};
    enum verdict v = judge(p, &late);
    keep_failures(p);
    if (how == CLOSE_FAIL)
        stage_lose(p, p->stage, &why);
    else if (v == VERDICT_FAIL)
        stage_lose(p, p->stage, &late);
    else if (v == VERDICT_NEXT || v == VERDICT_PARTIAL) {
        p->flags |= v == VERDICT_PARTIAL ? PAIR_PARTIAL : 0;
        pair_advance(p, how);
    } else if (how == CLOSE_AGAIN)
        pair_again(p, p->stage, &why);
    else
        pair_rest(p, how, p->stage);
}

void stage_judge(struct pair *p)
{
    struct fault why = {.err = 0};
    if (p->state != PAIR_RUNNING || p->job->engine->trouble[0])
        return;
    if (p->closing != CLOSE_NO) {
        if (all_over(p))
            closed(p);
        return;
    }
    if (p->nsteps == 0) {
        why = (struct fault){.what_next = FAULT_RETRY, .text = "its steps are not there"};
        pair_again(p, p->stage, &why);
        return;
    }
    switch (judge(p, &why)) {
    case VERDICT_WAIT:
        return;
    case VERDICT_PARTIAL:
        p->flags |= PAIR_PARTIAL;
        __attribute__((fallthrough));
    case VERDICT_NEXT:
        keep_failures(p);
        pair_advance(p, CLOSE_NO);
        return;
    case VERDICT_AGAIN:
        stage_close(p, CLOSE_AGAIN, &why);
        return;
    case VERDICT_FAIL:
        stage_close(p, CLOSE_FAIL, &why);
        return;
    }
}

void stage_close(struct pair *p, enum closing how, const struct fault *why)
{
    if (p->state != PAIR_RUNNING)
        return;
    if (how > p->closing) {
        p->closing = how;
        p->why = *why;
    }
    Godwit__Cancel__Why cancel =
        how == CLOSE_PAUSE ? GODWIT__CANCEL__WHY__PAUSE : GODWIT__CANCEL__WHY__STOP;
    for (unsigned i = 0; i < p->nsteps; i++)
        if (!p->steps[i]->result)
            orders_cancel(p->steps[i], cancel);
    if (all_over(p))
        stage_judge(p);
}

/* Texts from agents go to the journal and to terminals. */
static void clean_fault(Godwit__Result *r)
{
    if (!r->fault || !r->fault->text || !r->fault->text[0])
        return;
    char *shown = safe_text(r->fault->text);
    free(r->fault->text);
    r->fault->text = shown;
}

static const char *result_text(const Godwit__Result *r)
{
    switch (r->status) {
    case GODWIT__RESULT__STATUS__DONE:
        return "done";
    case GODWIT__RESULT__STATUS__PARTIAL:
        return "partial";
    case GODWIT__RESULT__STATUS__STOPPED:
        return "stopped";
    case GODWIT__RESULT__STATUS__FAILED:
    case GODWIT__RESULT__STATUS__STATUS_UNSPECIFIED:
    default:
        return "failed";
    }
}

void stage_result(struct step *s, Godwit__Result *r)
{
    struct pair *p = s->pair;
    clean_fault(r);
    if (r->counters)
        tally_take(&s->tally, r->counters);
    const char *why = r->fault && r->fault->text ? r->fault->text : "";
    CLEANUP(mem_free)
    char *text = xasprintf("%s on %s: %s%s%s", s->kind, step_host(s)->name, result_text(r),
                           *why ? ": " : "", why);
    struct pair_change c = pair_change_of(p, PAIR_EV_RESULT, text);
    c.step = s;
    c.result = r;
    struct log_about about = {.job = p->job->name, .host = step_host(s)->name, .op = s->op_id};
    log_line(LOG_INFO, &about, "pair %u: %s", p->n, text);
    if (pair_handle(p, &c) == 0) {
        stage_judge(p);
        return;
    }
    if (s->unsaved)
        godwit__result__free_unpacked(s->unsaved, NULL);
    s->unsaved = r; /* trouble_tick() tries again */
}

/* As if the agent had said so; made as protobuf-c makes it, because it is freed that way. */
void stage_gone(struct step *s, const char *why)
{
    Godwit__FaultInfo fault = GODWIT__FAULT_INFO__INIT;
    Godwit__Result r = GODWIT__RESULT__INIT;
    uint8_t packed[1024];
    char text[FAULT_TEXT_MAX];
    (void)snprintf(text, sizeof text, "%s", why);
    fault.what_next = FAULT_RETRY;
    fault.err = ECANCELED;
    fault.text = text;
    r.status = s->cancelled ? GODWIT__RESULT__STATUS__STOPPED : GODWIT__RESULT__STATUS__FAILED;
    r.fault = &fault;
    size_t n = godwit__result__pack(&r, packed);
    Godwit__Result *copy = godwit__result__unpack(NULL, n, packed);
    if (copy)
        stage_result(s, copy);
}
