/* back: an operator takes back what a job is doing, and what is said about a way back that is under
 * way already. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/engine/engine_priv.h"

static bool pick_rest(const struct pair *p, struct pair_change *c, const void *arg)
{
    if (p->state != PAIR_WAITING || p->attempt > 0 || p->job->workload->stages[p->stage].loose)
        return false;
    *c = pair_change_of(p, PAIR_EV_STOP, arg);
    return true;
}

unsigned back_take(struct job *j, const struct fault *why)
{
    unsigned n = 0;
    for (unsigned i = 0; i < j->npairs; i++) {
        struct pair *p = &j->pairs[i];
        bool active = p->state == PAIR_RUNNING || p->state == PAIR_WAITING;
        const struct stage *s = &j->workload->stages[p->stage];
        if (!active || p->attempt == 0 || !s->apart || s->loose || p->flags & PAIR_BACK)
            continue;
        n++;
        if (p->state == PAIR_RUNNING)
            stage_close(p, CLOSE_FAIL, why);
        else
            stage_lose(p, p->stage, why);
    }
    return n;
}

unsigned back_leave(struct job *j, const char *why)
{
    unsigned stopped = j->count[PAIR_STOPPED];
    (void)job_handle(j, NULL, pick_rest, why);
    return j->count[PAIR_STOPPED] - stopped;
}

static unsigned turn_back(struct job *j)
{
    struct fault why = {.what_next = FAULT_STOP_JOB, .err = ECANCELED};
    (void)snprintf(why.text, sizeof why.text, "taken back by the operator");
    unsigned n = back_take(j, &why);
    return n + back_leave(j, why.text);
}

bool back_goes_on(const struct pair *p)
{
    char why[FAULT_TEXT_MAX];
    const struct workload *k = p->job->workload;
    bool active = p->state == PAIR_WAITING || p->state == PAIR_RUNNING;
    if (!active || !k->stages[p->stage].loose)
        return false;
    unsigned at = p->state == PAIR_RUNNING ? p->stage : stage_turn(p, p->stage);
    return at < k->nstages && stage_ready(p, at, why, sizeof why);
}

/* ── what is said about a way back while the job runs ── */

/* An order that its host will not answer while it is away: what was said decides what is done in
 * its place. Both hosts away: the other one's is left, and waited for. */
static void let_go(struct pair *p)
{
    for (unsigned i = 0; i < p->nsteps; i++) {
        struct step *s = p->steps[i];
        if (!s->result && !s->unsaved && !step_host(s)->online) {
            stage_gone(s, "its host is away, and is not waited for");
            return; /* the steps may be others now */
        }
    }
}

/* It is on its way back already: what it waits for may be another thing now. What was said is in
 * its facts, which are written with this. */
static void tell_one(struct pair *p, const char *words)
{
    struct pair_change c = pair_change_of(p, PAIR_EV_AGAIN, words);
    if (!p->job->workload->stages[p->stage].loose)
        return; /* turn_back() does */
    c.tries = 0;
    if (p->state == PAIR_RUNNING)
        let_go(p);
    else
        (void)pair_handle(p, &c);
}

static bool is_active(const struct pair *p)
{
    return p->state == PAIR_RUNNING || p->state == PAIR_WAITING;
}

/* Every pair that is under way is asked. 1: somebody took it; 0: it concerns nobody; else nobody
 * took it, at least one says why not, and nothing was changed. */
static int ask_all(struct job *j, const char *phase, const json_t *settings, bool *rettold,
                   struct fault *reterr)
{
    struct fault why = {.err = 0};
    bool any = false;
    for (unsigned i = 0; i < j->npairs; i++) {
        struct fault own = {.err = 0};
        int rc = is_active(&j->pairs[i]) ? stage_admit(&j->pairs[i], phase, settings, &own) : 1;
        rettold[i] = rc == 0;
        any = any || rc == 0;
        if (!why.err && (rc < 0 || rc == 2))
            why = own;
    }
    if (any || !why.err)
        return any;
    *reterr = why;
    return -why.err;
}

static int tell_all(struct job *j, const char *phase, const char *settings, struct fault *reterr)
{
    CLEANUP(mem_free) char *words = text_printable(settings, strnlen(settings, 120));
    CLEANUP(mem_free) bool *told = xcalloc(j->npairs, sizeof *told);
    json_t *object = json_loads(settings, 0, NULL);
    int rc = json_is_object(object)
                 ? ask_all(j, phase, object, told, reterr)
                 : fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the settings are no JSON object");
    json_decref(object);
    for (unsigned i = 0; rc > 0 && i < j->npairs; i++)
        if (told[i])
            tell_one(&j->pairs[i], words);
    schedule_soon(j->engine);
    return rc;
}

int engine_job_back(struct engine *e, const char *job, const char *phase, const char *settings,
                    json_t **ret, struct fault *reterr)
{
    struct job *j = job_find(e, job);
    if (!j || j->state != JOB_RUNNING)
        return engine_job_enter(e, job, phase, settings, ret, reterr);
    int told = settings ? tell_all(j, phase, settings, reterr) : 0;
    if (told < 0)
        return told;
    if (turn_back(j) == 0 && !told)
        return fault_set(reterr, FAULT_STOP_JOB, EALREADY,
                         "nothing of job %s runs that is not on its way back", j->name);
    job_settle(j);
    *ret = job_state_json(j);
    return 0;
}
