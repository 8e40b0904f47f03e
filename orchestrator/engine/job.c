/* job: the only writer of a job's state. Its rows and the journal's are written first. Main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/store/jobs.h"
#include "orchestrator/store/reports.h"
#include "orchestrator/store/store.h"

struct job_change job_change_of(const struct job *j, enum job_event on, const char *detail)
{
    return (struct job_change){.on = on,
                               .detail = detail,
                               .phase = j->phase,
                               .run = j->run,
                               .flags = j->flags,
                               .started_ms = j->started_ms,
                               .ended_ms = j->ended_ms};
}

int journal_job(const struct job *j, const char *event, const char *state, const char *detail)
{
    struct journal_row row = {
        .at_ms = clock_wall_ms(), .job = j->id, .event = event, .state = state, .detail = detail};
    return journal_append(j->engine->store, &row);
}

int job_write(struct job *j, const struct job_change *c)
{
    int next = job_next(j->state, c->on);
    if (next < 0)
        return next;
    const char *state = job_state_name((enum job_state)next);
    int rc = journal_job(j, job_event_name(c->on), state, c->detail);
    struct job_row row = {.state = state,
                          .reason = c->detail ? c->detail : "",
                          .phase = c->phase,
                          .run = c->run,
                          .flags = c->flags,
                          .started_ms = c->started_ms,
                          .ended_ms = c->ended_ms};
    (void)snprintf(row.id, sizeof row.id, "%s", j->id);
    return rc < 0 ? rc : job_rows_update(j->engine->store, &row);
}

void job_apply(struct job *j, const struct job_change *c)
{
    int next = job_next(j->state, c->on);
    if (next < 0)
        return;
    struct log_about about = {.job = j->name};
    log_line(LOG_INFO, &about, "%s: %s is now %s", job_event_name(c->on), job_state_name(j->state),
             job_state_name((enum job_state)next));
    char *reason = xstrdup(c->detail ? c->detail : "");
    free(j->reason);
    j->reason = reason;
    j->state = (enum job_state)next;
    if (c->phase != j->phase)
        (void)snprintf(j->phase, sizeof j->phase, "%s", c->phase);
    j->run = c->run;
    j->flags = c->flags;
    j->started_ms = c->started_ms;
    j->ended_ms = c->ended_ms;
    schedule_soon(j->engine);
}

static int write_pairs(struct job *j, pair_pick pick, const void *arg)
{
    int rc = 0;
    for (unsigned i = 0; rc == 0 && pick && i < j->npairs; i++) {
        struct pair_change c;
        if (pick(&j->pairs[i], &c, arg))
            rc = pair_write(&j->pairs[i], &c);
    }
    return rc;
}

static void apply_pairs(struct job *j, pair_pick pick, const void *arg)
{
    for (unsigned i = 0; pick && i < j->npairs; i++) {
        struct pair_change c;
        if (pick(&j->pairs[i], &c, arg))
            pair_apply(&j->pairs[i], &c);
    }
}

int job_handle(struct job *j, const struct job_change *c, pair_pick pick, const void *arg)
{
    struct engine *e = j->engine;
    int rc = store_begin(e->store);
    if (rc < 0)
        return trouble_note(e, rc);
    rc = c ? job_write(j, c) : 0;
    if (rc == 0)
        rc = write_pairs(j, pick, arg);
    if (rc == 0)
        rc = store_commit(e->store);
    else
        store_rollback(e->store);
    if (rc < 0)
        return rc == -EPROTO ? rc : trouble_note(e, rc);
    apply_pairs(j, pick, arg);
    if (c)
        job_apply(j, c);
    return 0;
}

/* What the pairs make of the job; -1 while something is open. */
static int outcome(const struct job *j)
{
    const unsigned *n = j->count;
    if (j->state != JOB_RUNNING && j->state != JOB_PAUSING && j->state != JOB_PAUSED &&
        j->state != JOB_STOPPING)
        return -1;
    if (n[PAIR_WAITING] + n[PAIR_RUNNING] > 0)
        return -1;
    if (n[PAIR_PAUSED] > 0)
        return j->state == JOB_PAUSING ? (int)JOB_EV_ALL_PAUSED : -1;
    if (n[PAIR_STOPPED] > 0 && j->state == JOB_STOPPING)
        return (int)JOB_EV_ALL_STOPPED;
    if (n[PAIR_DONE] == j->npairs)
        return (int)JOB_EV_ALL_DONE;
    return n[PAIR_DONE] + n[PAIR_PARTLY] > 0 ? (int)JOB_EV_SOME_LEFT : (int)JOB_EV_NONE_DONE;
}

static int write_report(struct job *j, const struct job_change *c)
{
    int next = job_next(j->state, c->on);
    json_t *report = report_make(j, job_state_name((enum job_state)next), c->ended_ms);
    CLEANUP(mem_free) char *text = json_dumps(report, JSON_COMPACT);
    json_decref(report);
    return text ? reports_put(j->engine->store, j->id, j->name, j->run, text) : -EINVAL;
}

void job_settle(struct job *j)
{
    struct engine *e = j->engine;
    int on = outcome(j);
    if (on < 0)
        return;
    struct job_change c = job_change_of(j, (enum job_event)on, NULL);
    CLEANUP(mem_free) char *text = NULL;
    if (c.on != JOB_EV_ALL_PAUSED) {
        c.ended_ms = clock_wall_ms();
        text = xasprintf("%u done, %u partial, %u failed, %u stopped", j->count[PAIR_DONE],
                         j->count[PAIR_PARTLY], j->count[PAIR_FAILED], j->count[PAIR_STOPPED]);
        c.detail = text;
    }
    int rc = store_begin(e->store);
    if (rc == 0) {
        rc = job_write(j, &c);
        if (rc == 0 && c.on != JOB_EV_ALL_PAUSED)
            rc = write_report(j, &c);
        if (rc == 0)
            rc = store_commit(e->store);
        else
            store_rollback(e->store);
    }
    if (trouble_note(e, rc) == 0)
        job_apply(j, &c);
}

unsigned stage_first(const struct job *j)
{
    unsigned i = 0;
    while (j->phase[0] && i < j->workload->nstages &&
           strcmp(j->workload->stages[i].phase, j->phase) != 0)
        i++;
    return i < j->workload->nstages ? i : 0;
}

struct job *job_find(struct engine *e, const char *name)
{
    struct job *j;
    TAILQ_FOREACH(j, &e->jobs, link)
    {
        if (strcmp(j->name, name) == 0)
            return j;
    }
    return NULL;
}

struct job *job_new(struct engine *e)
{
    struct job *j = xcalloc(1, sizeof *j);
    j->engine = e;
    j->reason = xstrdup("");
    TAILQ_INIT(&j->waiting);
    TAILQ_INSERT_TAIL(&e->jobs, j, link);
    return j;
}

static void leave_lists(struct pair *p)
{
    struct engine *e = p->job->engine;
    if (p->state != PAIR_RUNNING)
        return;
    TAILQ_REMOVE(&e->running, p, link);
    e->nrunning--;
    host_hold(p, -1);
}

struct job *job_free(struct job *j)
{
    if (!j)
        return NULL;
    for (unsigned i = 0; i < j->npairs; i++) {
        leave_lists(&j->pairs[i]);
        pair_done(&j->pairs[i]);
    }
    TAILQ_REMOVE(&j->engine->jobs, j, link);
    free(j->pairs);
    free(j->name);
    free(j->reason);
    json_decref(j->spec);
    free(j);
    return NULL;
}

struct job *job_of_id(struct engine *e, const char *id)
{
    struct job *j;
    TAILQ_FOREACH(j, &e->jobs, link)
    {
        if (strcmp(j->id, id) == 0)
            return j;
    }
    return NULL;
}
