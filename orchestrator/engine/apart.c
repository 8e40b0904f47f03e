/* apart: phases that only run when they are asked for, and whose stages have limits. Which those
 * are the workload says. How they are taken back is back.c. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/engine/engine_priv.h"

static int need_job(struct engine *e, const char *name, struct job **ret, struct fault *reterr)
{
    *ret = job_find(e, name);
    if (*ret)
        return 0;
    CLEANUP(mem_free) char *shown = text_printable(name, strnlen(name, 64));
    return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "there is no job %s", shown);
}

static bool is_apart(const struct job *j, const char *phase)
{
    for (size_t i = 0; i < j->workload->nstages; i++)
        if (j->workload->stages[i].apart && strcmp(j->workload->stages[i].phase, phase) == 0)
            return true;
    return false;
}

int apart_check(const struct job *j, const char *phase, struct fault *reterr)
{
    int rc = 0;
    /* A workload may have no other phases at all. */
    if (is_apart(j, phase) || (!*phase && j->workload->stages[0].apart))
        return fault_set(
            reterr, FAULT_STOP_JOB, EPROTO, "%s%s of job %s has commands of its own: %s",
            *phase ? "the phase " : "the start", phase, j->name, j->workload->commands);
    for (unsigned i = 0; rc == 0 && i < j->npairs; i++)
        rc = stage_admit(&j->pairs[i], phase, NULL, reterr);
    return rc;
}

/* ── entering ── */

struct entry {
    unsigned *stage; /* by pair; the number of stages: it does not take part */
};

static bool pick_entry(const struct pair *p, struct pair_change *c, const void *arg)
{
    const struct entry *en = arg;
    if (en->stage[p->n - 1] >= p->job->workload->nstages)
        return false;
    *c = pair_change_of(p, PAIR_EV_QUEUE, NULL);
    c->stage = en->stage[p->n - 1];
    c->tries = 0;
    c->flags = PAIR_IN_RUN;
    return true;
}

/* What such a phase changes is the host's, so that two pairs cannot both do it. */
static int check_hosts(const struct job *j, const struct entry *en, struct fault *reterr)
{
    for (unsigned i = 0; i < j->npairs; i++) {
        for (unsigned k = 0; k < i; k++) {
            const struct pair *a = &j->pairs[i], *b = &j->pairs[k];
            bool both = en->stage[i] < j->workload->nstages && en->stage[k] < j->workload->nstages;
            if (both && (a->host[0] == b->host[0] || a->host[1] == b->host[1] ||
                         a->host[0] == b->host[1] || a->host[1] == b->host[0]))
                return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                                 "pairs %u and %u have a host in common, which has one identity: "
                                 "put the folders of a server into one pair",
                                 b->n, a->n);
        }
    }
    return 0;
}

static int admit_all(const struct job *j, const char *phase, const json_t *settings,
                     struct entry *en, struct fault *reterr)
{
    unsigned none = (unsigned)j->workload->nstages, n = 0, mistakes = 0;
    for (unsigned i = 0; i < j->npairs; i++) {
        int rc = stage_admit(&j->pairs[i], phase, settings, reterr);
        if (rc < 0)
            return rc;
        mistakes += rc == 2;
        en->stage[i] = rc == 0 ? stage_enter(&j->pairs[i], phase) : none;
        n += en->stage[i] < none;
    }
    if (n == 0 && mistakes)
        return -reterr->err;
    if (n == 0)
        return fault_set(reterr, FAULT_STOP_JOB, EALREADY, "nothing is left to be done");
    return j->workload->whole_hosts ? check_hosts(j, en, reterr) : 0;
}

static int begin(struct job *j, const char *phase, const json_t *settings, json_t **ret,
                 struct fault *reterr)
{
    CLEANUP(mem_free) unsigned *stages = xcalloc(j->npairs, sizeof *stages);
    struct entry en = {.stage = stages};
    int rc = admit_all(j, phase, settings, &en, reterr);
    if (rc < 0)
        return rc;
    job_keep_overrides(j, NULL);
    struct job_change c = job_change_of(j, JOB_EV_START, phase);
    c.phase = phase;
    c.run = j->run + 1;
    c.flags = 0;
    c.started_ms = clock_wall_ms();
    c.ended_ms = 0;
    rc = job_handle(j, &c, pick_entry, &en);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "%s",
                         j->engine->trouble[0] ? j->engine->trouble : strerror(-rc));
    schedule_run(j->engine);
    *ret = job_state_json(j);
    return 0;
}

int engine_job_enter(struct engine *e, const char *job, const char *phase, const char *settings,
                     json_t **ret, struct fault *reterr)
{
    struct job *j = NULL;
    int rc = need_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    if (!is_apart(j, phase))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s jobs have no phase %.32s",
                         j->workload->name, phase);
    if (job_next(j->state, JOB_EV_START) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, EPROTO, "job %s is %s: %s", j->name,
                         job_state_name(j->state),
                         j->state == JOB_PAUSED || j->state == JOB_PAUSING
                             ? "godwit job resume or godwit job stop it first"
                             : "wait until it has ended");
    json_t *object = settings ? json_loads(settings, 0, NULL) : NULL;
    if (settings && !json_is_object(object)) {
        json_decref(object);
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the settings are no JSON object");
    }
    rc = begin(j, phase, object, ret, reterr);
    json_decref(object);
    return rc;
}

/* ── limits ── */

/* On the way back hosts are waited for, however it was begun. */
static bool is_back(const struct pair *p)
{
    return p->flags & PAIR_BACK || p->job->workload->stages[p->stage].loose;
}

/* Is one of its hosts away for longer than its stage can wait? What an orchestrator that was down
 * did not hear of does not count: nobody could come to it. */
static bool is_left_alone(const struct pair *p, struct fault *retwhy)
{
    const struct workload *k = p->job->workload;
    struct stage_view w = {.host = {{.name = NULL}}};
    if (!k->patience || !k->stages[p->stage].apart)
        return false;
    stage_view_fill(&w, p);
    w.v.stage = &k->stages[p->stage];
    int64_t most = k->patience(&w.v);
    bool could = clock_mono_ms() - p->job->engine->started_ms > most;
    for (int side = 0; most > 0 && could && side < 2; side++)
        if (w.v.away_ms[side] > most) {
            (void)fault_set(retwhy, FAULT_STOP_JOB, EHOSTDOWN,
                            "host %.64s is gone, and nobody waits for it at \"%.64s\"",
                            p->host[side]->name, k->stages[p->stage].name);
            return true;
        }
    return false;
}

/* A copy takes as long as it takes: nothing has moved for too long. Where the bandwidth's calendar
 * lets nothing pass, that is as somebody wished. */
static bool is_still(const struct pair *p, int64_t now_ms, struct fault *retwhy)
{
    const struct stage *s = &p->job->workload->stages[p->stage];
    int64_t since = p->entered_ms > p->rate.moved_ms ? p->entered_ms : p->rate.moved_ms;
    const char *away = !p->host[0]->online   ? p->host[0]->name
                       : !p->host[1]->online ? p->host[1]->name
                                             : NULL;
    if (!s->still_s || !p->entered_ms || now_ms - since <= (int64_t)s->still_s * 1000 ||
        governor_pauses(p))
        return false;
    (void)fault_set(retwhy, FAULT_STOP_JOB, ETIMEDOUT,
                    "\"%s\": nothing has moved for %u s%s%.64s%s", s->name, s->still_s,
                    away ? ", host " : "", away ? away : "", away ? " does not answer" : "");
    return true;
}

static bool is_over(const struct pair *p, int64_t now_ms, struct fault *retwhy)
{
    const struct stage *s = &p->job->workload->stages[p->stage];
    if (!is_back(p) && is_left_alone(p, retwhy))
        return true;
    if (is_still(p, now_ms, retwhy))
        return true;
    if (!s->limit_s || !p->entered_ms || now_ms - p->entered_ms <= (int64_t)s->limit_s * 1000)
        return false;
    bool said = p->state == PAIR_WAITING && *p->reason; /* what the last try came to */
    (void)fault_set(retwhy, FAULT_STOP_JOB, ETIMEDOUT,
                    "\"%.80s\" is over its limit of %u s, waiting for %s%s%s", s->name, s->limit_s,
                    s->waits, said ? ": " : "", said ? p->reason : "");
    return true;
}

static void check_running(struct engine *e, int64_t now_ms)
{
    struct pair *p, *next;
    struct fault why;
    for (p = TAILQ_FIRST(&e->running); p; p = next) {
        next = TAILQ_NEXT(p, link);
        if (p->closing != CLOSE_NO || !is_over(p, now_ms, &why))
            continue;
        bool back = is_back(p);
        why.what_next = back ? FAULT_RETRY : FAULT_STOP_JOB;
        p->entered_ms = now_ms;
        stage_close(p, back ? CLOSE_AGAIN : CLOSE_FAIL, &why);
        return; /* the list may be another now */
    }
}

/* Its hosts do not come back. On the way back they are waited for. */
static void check_waiting(struct job *j, int64_t now_ms)
{
    struct pair *p, *next;
    struct fault why;
    for (p = TAILQ_FIRST(&j->waiting); p; p = next) {
        next = TAILQ_NEXT(p, link);
        if (is_back(p) || !is_over(p, now_ms, &why))
            continue;
        p->entered_ms = now_ms;
        stage_lose(p, p->stage, &why);
        return;
    }
}

/* ── waves ── */

unsigned apart_at_once(const struct job *j)
{
    unsigned once = 0, budget = 0;
    if (j->workload->wave && is_apart(j, j->phase))
        j->workload->wave(j->pairs[0].facts, j->phase, &once, &budget);
    return once;
}

/* So many pairs of this run have failed or are on their way back that the others are as before:
 * what has not begun does not, what is half done is taken back. What users are served by stays. */
void apart_halt(struct job *j)
{
    unsigned once = 0, budget = 0, bad = 0, left = 0;
    struct fault why = {.what_next = FAULT_STOP_JOB, .err = ECANCELED};
    if (!j->workload->wave || !is_apart(j, j->phase))
        return;
    j->workload->wave(j->pairs[0].facts, j->phase, &once, &budget);
    for (unsigned i = 0; i < j->npairs; i++) {
        const struct pair *p = &j->pairs[i];
        bool active = p->state == PAIR_WAITING || p->state == PAIR_RUNNING;
        bad += (active && p->flags & PAIR_BACK) ||
               (p->state == PAIR_FAILED && p->ended_ms > j->started_ms);
        left += active && !(p->flags & PAIR_BACK);
    }
    if (bad <= budget || left == 0)
        return;
    (void)snprintf(why.text, sizeof why.text, "halted: %u of the others failed, and %u may", bad,
                   budget);
    (void)back_take(j, &why);
    (void)back_leave(j, why.text);
    job_settle(j);
}

/* ── what comes by itself ── */

#define DUE_MS 1000

static void check_due(struct engine *e, int64_t now_ms)
{
    struct job *j, *next;
    struct fault why = {.err = 0};
    if (now_ms - e->due_ms < DUE_MS)
        return;
    e->due_ms = now_ms;
    for (j = TAILQ_FIRST(&e->jobs); j; j = next) {
        const char *phase = NULL;
        json_t *unused = NULL;
        next = TAILQ_NEXT(j, link);
        if (!j->workload->due || job_next(j->state, JOB_EV_START) < 0)
            continue;
        for (unsigned i = 0; i < j->npairs && !phase; i++)
            phase = j->workload->due(j->pairs[i].facts, clock_wall_ms());
        if (phase && begin(j, phase, NULL, &unused, &why) == 0)
            json_decref(unused);
    }
}

void apart_tick(struct engine *e, int64_t now_ms)
{
    struct job *j;
    if (e->draining || e->trouble[0])
        return;
    check_due(e, now_ms);
    check_running(e, now_ms);
    TAILQ_FOREACH(j, &e->jobs, link)
    {
        if (j->state == JOB_RUNNING && is_apart(j, j->phase))
            check_waiting(j, now_ms);
    }
}

/* ── show ── */

int engine_job_outline(struct engine *e, const char *job, json_t **ret, struct fault *reterr)
{
    struct job *j = NULL;
    int rc = need_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    json_t *pairs = json_array();
    for (unsigned i = 0; i < j->npairs; i++) {
        const struct pair *p = &j->pairs[i];
        json_t *o = stage_outline(p);
        if (json_is_object(o)) {
            (void)json_object_set_new(o, "n", json_integer((json_int_t)p->n));
            (void)json_object_set_new(o, "source_host", json_string(p->host[0]->name));
            (void)json_object_set_new(o, "destination_host", json_string(p->host[1]->name));
            (void)json_object_set_new(o, "pair_state", json_string(pair_state_name(p->state)));
            (void)json_object_set_new(o, "doing", json_string(j->workload->stages[p->stage].name));
            char waits[FAULT_TEXT_MAX + 64] = "";
            if (p->state == PAIR_WAITING)
                schedule_reason(p, waits, sizeof waits);
            (void)json_object_set_new(o, "pair_reason", json_string(*waits ? waits : p->reason));
            (void)json_object_set_new(
                o, "elapsed_ms", json_integer(p->entered_ms ? clock_mono_ms() - p->entered_ms : 0));
        }
        (void)json_array_append_new(pairs, o);
    }
    *ret = json_pack("{s:s,s:s,s:s,s:o}", "job", j->name, "state", job_state_name(j->state),
                     "phase", j->phase, "pairs", pairs);
    return 0;
}
