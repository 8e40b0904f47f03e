/* load: reads jobs, pairs and steps after a start and goes on where the rows say. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/store/jobs.h"

struct loading {
    struct engine *engine;
    struct job *job; /* of the row before */
    struct fault *reterr;
};

/* Moves the paths out of s. */
void load_pairs(struct job *j, const struct spec *s)
{
    j->limit = s->limit;
    j->workload = s->workload;
    j->spec = json_incref(s->json);
    j->options = json_object_get(j->spec, "options");
    j->npairs = s->npairs;
    j->pairs = xcalloc(s->npairs, sizeof *j->pairs);
    j->count[PAIR_PENDING] = s->npairs;
    for (unsigned i = 0; i < s->npairs; i++) {
        struct pair *p = &j->pairs[i];
        p->job = j;
        p->n = i + 1;
        p->reason = xstrdup("");
        p->facts = json_object();
        p->failures = json_array();
        godwit__counters__init(&p->base);
        for (int side = 0; side < 2; side++) {
            p->host[side] = host_get(j->engine, s->pairs[i].host[side]);
            p->path[side] = xstrdup(s->pairs[i].path[side]);
        }
        p->endpoint = xstrdup(s->pairs[i].endpoint);
        p->to_endpoint = xstrdup(s->pairs[i].to_endpoint);
    }
}

static int damaged(struct loading *l, const char *what, const char *id)
{
    return fault_set(l->reterr, FAULT_STOP_JOB, EBADMSG, "the store's row of %s %s is damaged",
                     what, id);
}

static int load_job(void *arg, const struct job_row *r)
{
    struct loading *l = arg;
    struct spec spec;
    int state = job_state_parse(r->state);
    if (state < 0 || spec_parse(r->spec, strlen(r->spec), &spec, l->reterr) < 0)
        return damaged(l, "job", r->name);
    struct job *j = job_new(l->engine);
    (void)snprintf(j->id, sizeof j->id, "%s", r->id);
    (void)snprintf(j->phase, sizeof j->phase, "%s", r->phase);
    j->name = xstrdup(r->name);
    free(j->reason);
    j->reason = xstrdup(r->reason);
    j->state = (enum job_state)state;
    j->run = r->run;
    j->flags = r->flags;
    j->created_ms = r->created_ms;
    j->started_ms = r->started_ms;
    j->ended_ms = r->ended_ms;
    load_pairs(j, &spec);
    spec_done(&spec);
    return 0;
}

static struct pair *find_pair(struct loading *l, const char *id, unsigned n)
{
    struct job *j = l->job;
    if (!j || strcmp(j->id, id) != 0) {
        TAILQ_FOREACH(j, &l->engine->jobs, link)
        {
            if (strcmp(j->id, id) == 0)
                break;
        }
    }
    l->job = j;
    return j && n >= 1 && n <= j->npairs ? &j->pairs[n - 1] : NULL;
}

static void replace_json(json_t **slot, const char *text, size_t len, json_type type)
{
    json_t *j = json_loadb(text, len, 0, NULL);
    if (j && json_typeof(j) == type) {
        json_decref(*slot);
        *slot = j;
    } else {
        json_decref(j);
    }
}

static void enter_lists(struct pair *p)
{
    struct engine *e = p->job->engine;
    if (p->state == PAIR_WAITING)
        TAILQ_INSERT_TAIL(&p->job->waiting, p, link);
    if (p->state == PAIR_RUNNING) {
        TAILQ_INSERT_TAIL(&e->running, p, link);
        e->nrunning++;
        host_hold(p, 1);
    }
}

static int load_pair(void *arg, const struct pair_row *r)
{
    struct loading *l = arg;
    struct pair *p = find_pair(l, r->job, r->n);
    int state = pair_state_parse(r->state);
    if (!p || state < 0 || r->stage >= p->job->workload->nstages)
        return damaged(l, "a pair of job", r->job);
    pair_set_reason(p, r->reason);
    p->stage = r->stage;
    p->attempt = r->attempt;
    p->tries = r->tries;
    p->flags = r->flags;
    p->started_ms = r->started_ms;
    p->ended_ms = r->ended_ms;
    p->rate.moved_ms = clock_mono_ms();
    p->waiting_ms = mono_of_wall(p->started_ms);
    p->entered_ms = p->attempt ? clock_mono_ms() : 0;
    counters_unpack(r->counters, r->counters_len, &p->base);
    replace_json(&p->facts, r->facts, strlen(r->facts), JSON_OBJECT);
    replace_json(&p->failures, r->failures, r->failures_len, JSON_ARRAY);
    p->job->count[PAIR_PENDING]--;
    p->job->count[state]++;
    p->state = (enum pair_state)state;
    enter_lists(p);
    return 0;
}

static int load_step(void *arg, const struct step_row *r)
{
    struct loading *l = arg;
    struct pair *p = find_pair(l, r->job, r->n);
    int state = step_state_parse(r->state);
    if (!p || p->nsteps >= 2 || r->side > SIDE_WITNESS || state < 0)
        return damaged(l, "step", r->op_id);
    struct step *s = step_new(l->engine, p, r->op_id);
    p->steps[p->nsteps++] = s;
    s->side = (enum step_side)r->side;
    s->state = (enum step_state)state;
    (void)snprintf(s->kind, sizeof s->kind, "%s", r->kind);
    s->args = xmemdup(r->args, r->args_len);
    s->args_len = r->args_len;
    s->has_lanes = r->lanes_len == sizeof s->lanes;
    if (s->has_lanes)
        memcpy(s->lanes, r->lanes, sizeof s->lanes);
    tally_unpack(r->tally, r->tally_len, &s->tally);
    if (s->state != STEP_DONE)
        return 0;
    s->result = godwit__result__unpack(NULL, r->result_len, r->result);
    zhash_delete(l->engine->steps, s->op_id);
    return s->result ? 0 : damaged(l, "step", r->op_id);
}

int load_all(struct engine *e, struct fault *reterr)
{
    struct fault why = {.err = 0};
    struct loading l = {.engine = e, .reterr = &why};
    int rc = job_rows_each(e->store, load_job, &l);
    if (rc == 0)
        rc = pair_rows_each(e->store, load_pair, &l);
    if (rc == 0)
        rc = step_rows_each(e->store, load_step, &l);
    if (rc < 0 && !why.err)
        (void)fault_set(&why, FAULT_STOP_JOB, -rc, "the store's jobs cannot be read");
    if (rc < 0 && reterr)
        *reterr = why;
    return rc;
}

static void close_again(struct job *j)
{
    bool pause = j->state == JOB_PAUSING;
    struct fault why = {.what_next = FAULT_NONE};
    for (unsigned i = 0; i < j->npairs && (pause || j->state == JOB_STOPPING); i++)
        if (j->pairs[i].state == PAIR_RUNNING)
            stage_close(&j->pairs[i], pause ? CLOSE_PAUSE : CLOSE_STOP, &why);
}

static void take_unsaved(struct pair *p)
{
    for (unsigned i = 0; i < p->nsteps; i++) {
        Godwit__Result *r = p->steps[i]->unsaved;
        if (!r)
            continue;
        /* stage_result() may end the pair and its steps. */
        p->steps[i]->unsaved = NULL;
        stage_result(p->steps[i], r);
        i = 0;
        if (p->state != PAIR_RUNNING || p->job->engine->trouble[0])
            return;
    }
}

void recover_all(struct engine *e)
{
    struct job *j, *next;
    for (j = TAILQ_FIRST(&e->jobs); j; j = next) {
        next = TAILQ_NEXT(j, link);
        close_again(j);
        for (unsigned i = 0; i < j->npairs && !e->trouble[0]; i++) {
            take_unsaved(&j->pairs[i]);
            stage_judge(&j->pairs[i]);
        }
        if (!e->trouble[0])
            job_settle(j);
    }
    schedule_soon(e);
}
