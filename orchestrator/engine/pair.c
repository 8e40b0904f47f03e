/* pair: the only writer of a pair's state. Its rows and the journal's are written first. Main
 * thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/store/jobs.h"
#include "orchestrator/store/store.h"

struct pair_change pair_change_of(const struct pair *p, enum pair_event on, const char *detail)
{
    return (struct pair_change){
        .on = on, .detail = detail, .stage = p->stage, .tries = p->tries, .flags = p->flags};
}

static bool is_over(enum pair_state s)
{
    return s >= PAIR_STOPPED;
}

/* The steps of an attempt end with it. */
static bool ends_attempt(const struct pair_change *c)
{
    return c->on != PAIR_EV_RESULT;
}

static bool loses_work(const struct pair_change *c)
{
    return c->on == PAIR_EV_AGAIN || c->on == PAIR_EV_PAUSE || c->on == PAIR_EV_STOP;
}

static int write_planned(const struct pair *p, const struct pair_change *c)
{
    int rc = 0;
    for (int i = 0; rc == 0 && i < c->nplanned; i++) {
        const struct planned_step *s = &c->planned[i];
        struct step_row row = {.job = p->job->id,
                               .n = p->n,
                               .side = (unsigned)s->side,
                               .kind = s->kind,
                               .state = step_state_name(STEP_INTENDED),
                               .args = s->args,
                               .args_len = s->args_len,
                               .lanes = c->lanes ? (const void *)c->lanes : "",
                               .lanes_len = c->lanes ? SHA256_LEN : 0,
                               .tally = "",
                               .result = ""};
        (void)snprintf(row.op_id, sizeof row.op_id, "%s", s->op_id);
        rc = step_rows_insert(p->job->engine->store, &row);
    }
    return rc;
}

static int write_result(struct store *store, const struct step *s, const Godwit__Result *r)
{
    size_t n = godwit__result__get_packed_size(r);
    CLEANUP(mem_free) uint8_t *packed = xmalloc(n);
    CLEANUP(mem_free) uint8_t *tally = NULL;
    struct step_row row = {.state = step_state_name(STEP_DONE),
                           .result = packed,
                           .result_len = godwit__result__pack(r, packed)};
    (void)snprintf(row.op_id, sizeof row.op_id, "%s", s->op_id);
    tally_pack(&s->tally, &tally, &row.tally_len);
    row.tally = tally;
    return step_rows_update(store, &row);
}

static int write_journal(const struct pair *p, const struct pair_change *c, enum pair_state next)
{
    struct journal_row row = {.at_ms = clock_wall_ms(),
                              .job = p->job->id,
                              .pair = p->n,
                              .event = pair_event_name(c->on),
                              .state = pair_state_name(next),
                              .detail = c->detail};
    if (c->step)
        row.op_id = c->step->op_id;
    else if (c->nplanned > 0)
        row.op_id = c->planned[0].op_id;
    CLEANUP(mem_free) char *launch = NULL;
    if (c->on == PAIR_EV_LAUNCH) {
        launch =
            xasprintf("%s%s%s", p->job->workload->stages[c->stage].name,
                      c->nplanned > 1 ? " with " : "", c->nplanned > 1 ? c->planned[1].op_id : "");
        row.detail = launch;
    }
    return journal_append(p->job->engine->store, &row);
}

/* What the run's counters are once this change is applied; motion_fold() does the same. */
static void counters_after(const struct pair *p, const struct pair_change *c, Godwit__Counters *ret)
{
    struct pair copy = *p;
    if (c->on == PAIR_EV_QUEUE && !(p->state == PAIR_PAUSED))
        godwit__counters__init(&copy.base);
    else if (ends_attempt(c))
        motion_fold(&copy, c->stage, loses_work(c));
    *ret = copy.base;
}

static int write_pair(const struct pair *p, const struct pair_change *c, enum pair_state next)
{
    Godwit__Counters counters;
    counters_after(p, c, &counters);
    CLEANUP(mem_free) char *facts = json_dumps(p->facts, JSON_COMPACT);
    CLEANUP(mem_free) char *failures = json_dumps(p->failures, JSON_COMPACT);
    CLEANUP(mem_free) uint8_t *packed = NULL;
    bool again = c->on == PAIR_EV_QUEUE && p->state != PAIR_PAUSED;
    struct pair_row row = {.job = p->job->id,
                           .n = p->n,
                           .state = pair_state_name(next),
                           .reason = c->on == PAIR_EV_RESULT ? p->reason
                                     : c->detail             ? c->detail
                                                             : "",
                           .stage = c->stage,
                           .attempt = c->on == PAIR_EV_LAUNCH ? p->attempt + 1
                                      : again                 ? 0
                                                              : p->attempt,
                           .tries = c->tries,
                           .flags = c->flags,
                           .facts = facts,
                           .failures = again ? "[]" : failures,
                           .started_ms = again ? clock_wall_ms() : p->started_ms,
                           .ended_ms = is_over(next) ? clock_wall_ms() : 0};
    row.counters_len = counters_pack(&counters, &packed);
    row.counters = packed;
    row.failures_len = strlen(row.failures);
    return pair_rows_update(p->job->engine->store, &row);
}

int pair_write(struct pair *p, const struct pair_change *c)
{
    struct store *store = p->job->engine->store;
    int next = pair_next(p->state, c->on);
    if (next < 0)
        return next;
    bool moves = c->on == PAIR_EV_LAUNCH || c->on == PAIR_EV_AGAIN;
    int rc = moves && c->stage > p->stage ? stage_tell_passed(p, c->stage) : 0;
    if (rc == 0)
        rc = write_journal(p, c, (enum pair_state)next);
    if (rc == 0 && ends_attempt(c) && p->nsteps > 0)
        rc = step_rows_delete(store, p->job->id, p->n);
    if (rc == 0 && c->step)
        rc = write_result(store, c->step, c->result);
    if (rc == 0)
        rc = write_pair(p, c, (enum pair_state)next);
    if (rc == 0)
        rc = write_planned(p, c);
    return rc;
}

void pair_set_reason(struct pair *p, const char *reason)
{
    char *copy = xstrdup(reason ? reason : "");
    free(p->reason);
    p->reason = copy;
}

static void drop_steps(struct pair *p)
{
    for (unsigned i = 0; i < p->nsteps; i++)
        p->steps[i] = step_free(p->job->engine, p->steps[i]);
    p->nsteps = 0;
}

static void take_planned(struct pair *p, const struct pair_change *c)
{
    for (int i = 0; i < c->nplanned; i++) {
        struct planned_step *from = &c->planned[i];
        struct step *s = step_new(p->job->engine, p, from->op_id);
        s->side = from->side;
        (void)snprintf(s->kind, sizeof s->kind, "%s", from->kind);
        s->args = from->args;
        s->args_len = from->args_len;
        from->args = NULL;
        s->has_lanes = c->lanes != NULL;
        if (c->lanes)
            memcpy(s->lanes, c->lanes, sizeof s->lanes);
        p->steps[p->nsteps++] = s;
    }
}

/* Which list it is on, and which places it holds. */
static void move_lists(struct pair *p, enum pair_state next)
{
    struct engine *e = p->job->engine;
    if (p->state == next)
        return;
    if (p->state == PAIR_WAITING)
        TAILQ_REMOVE(&p->job->waiting, p, link);
    if (p->state == PAIR_RUNNING) {
        TAILQ_REMOVE(&e->running, p, link);
        e->nrunning--;
        host_hold(p, -1);
    }
    if (next == PAIR_WAITING)
        TAILQ_INSERT_TAIL(&p->job->waiting, p, link);
    if (next == PAIR_RUNNING) {
        TAILQ_INSERT_TAIL(&e->running, p, link);
        e->nrunning++;
        host_hold(p, 1);
    }
}

static void begin_run(struct pair *p)
{
    godwit__counters__init(&p->base);
    (void)json_array_clear(p->failures);
    p->attempt = 0;
    p->started_ms = clock_wall_ms();
}

void pair_apply(struct pair *p, const struct pair_change *c)
{
    int next = pair_next(p->state, c->on);
    if (next < 0)
        return; /* pair_write() has refused it */
    int64_t now = clock_mono_ms();
    if (c->on == PAIR_EV_QUEUE && p->state != PAIR_PAUSED)
        begin_run(p);
    else if (ends_attempt(c))
        motion_fold(p, c->stage, loses_work(c));
    if (ends_attempt(c)) {
        drop_steps(p);
        p->closing = CLOSE_NO;
        p->rate = (struct rate){.moved_ms = now};
    }
    if (c->step) {
        c->step->result = c->result;
        c->step->state = STEP_DONE;
        zhash_delete(p->job->engine->steps, c->step->op_id);
    } else {
        pair_set_reason(p, c->detail);
    }
    move_lists(p, (enum pair_state)next);
    p->job->count[p->state]--;
    p->job->count[next]++;
    p->state = (enum pair_state)next;
    if (c->on == PAIR_EV_QUEUE)
        p->entered_ms = 0;
    else if (p->entered_ms == 0 || c->stage != p->stage)
        p->entered_ms = now;
    p->stage = c->stage;
    p->tries = c->tries;
    p->flags = c->flags;
    p->attempt += c->on == PAIR_EV_LAUNCH;
    p->not_before_ms = c->back_off_ms ? now + c->back_off_ms : 0;
    if (p->state == PAIR_WAITING)
        p->waiting_ms = now;
    p->ended_ms = is_over(p->state) ? clock_wall_ms() : 0;
    take_planned(p, c);
    schedule_soon(p->job->engine);
}

int pair_handle(struct pair *p, const struct pair_change *c)
{
    struct store *store = p->job->engine->store;
    int rc = store_begin(store);
    if (rc < 0)
        return trouble_note(p->job->engine, rc);
    rc = pair_write(p, c);
    if (rc == 0)
        rc = store_commit(store);
    else
        store_rollback(store);
    if (rc < 0)
        return rc == -EPROTO ? rc : trouble_note(p->job->engine, rc);
    pair_apply(p, c);
    return 0;
}

void pair_done(struct pair *p)
{
    drop_steps(p);
    free(p->path[0]);
    free(p->path[1]);
    free(p->endpoint);
    free(p->to_endpoint);
    free(p->reason);
    json_decref(p->facts);
    json_decref(p->failures);
    p->failed = failed_free(p->failed);
    mapping_done(p);
    json_decref(p->probe[0]);
    json_decref(p->probe[1]);
    access_done(p);
}
