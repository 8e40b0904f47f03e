/* ops: what an operator may do to a job. Main thread. */
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

static int need_job(struct engine *e, const char *name, struct job **ret, struct fault *reterr)
{
    *ret = job_find(e, name);
    if (*ret)
        return 0;
    char *shown = text_printable(name, strnlen(name, 64));
    int rc = fault_set(reterr, FAULT_STOP_JOB, ENOENT, "there is no job %s", shown);
    free(shown);
    return rc;
}

static int explain(const struct job *j, int rc, const char *verb, struct fault *reterr)
{
    if (rc == -EPROTO)
        return fault_set(reterr, FAULT_STOP_JOB, EPROTO, "job %s is %s: it cannot be %s", j->name,
                         job_state_name(j->state), verb);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "%s",
                         j->engine->trouble[0] ? j->engine->trouble : strerror(-rc));
    return 0;
}

static int answer(const struct job *j, json_t **ret)
{
    *ret = job_state_json(j);
    return 0;
}

/* ── create ── */

static int write_new_pair(struct store *store, const struct pair *p)
{
    struct pair_row row = {.job = p->job->id,
                           .n = p->n,
                           .state = pair_state_name(p->state),
                           .reason = "",
                           .facts = "{}",
                           .counters = "",
                           .failures = "[]",
                           .failures_len = 2};
    return pair_rows_insert(store, &row);
}

static int write_new_job(struct job *j, const struct spec *spec)
{
    struct store *store = j->engine->store;
    char *text = json_dumps(j->spec, JSON_COMPACT);
    char detail[32];
    (void)snprintf(detail, sizeof detail, "%u pairs", j->npairs);
    struct job_row row = {.name = j->name,
                          .workload = j->workload->name,
                          .spec = text,
                          .state = job_state_name(j->state),
                          .reason = "",
                          .phase = "",
                          .created_ms = j->created_ms};
    (void)snprintf(row.id, sizeof row.id, "%s", j->id);
    int rc = journal_job(j, "create", row.state, detail);
    if (rc == 0)
        rc = job_rows_insert(store, &row);
    for (unsigned i = 0; rc == 0 && i < j->npairs; i++)
        rc = write_new_pair(store, &j->pairs[i]);
    if (rc == 0)
        rc = limits_write_job(j->engine, j->id, spec->rate, spec->calendar);
    free(text);
    return rc;
}

static int commit_new_job(struct job *j, const struct spec *spec)
{
    struct store *store = j->engine->store;
    int rc = store_begin(store);
    if (rc < 0)
        return rc;
    rc = write_new_job(j, spec);
    if (rc == 0)
        return store_commit(store);
    store_rollback(store);
    return rc;
}

int engine_job_create(struct engine *e, const char *text, json_t **ret, struct fault *reterr)
{
    struct spec spec;
    CLEANUP(mem_free) char *resolved = NULL;
    int rc = endpoints_resolve(e, text, &resolved, reterr);
    if (rc == 0)
        rc = spec_parse(resolved, strlen(resolved), &spec, reterr);
    if (rc < 0)
        return rc;
    rc = spec_check_pairs(&spec, reterr);
    if (rc == 0 && spec.calendar)
        rc = limits_check_calendar(spec.calendar, reterr);
    if (rc == 0 && job_find(e, spec.name))
        rc = fault_set(reterr, FAULT_STOP_JOB, EEXIST, "there is a job %s already", spec.name);
    if (rc < 0) {
        spec_done(&spec);
        return rc;
    }
    struct job *j = job_new(e);
    text_new_id(j->id);
    j->name = xstrdup(spec.name);
    j->created_ms = clock_wall_ms();
    load_pairs(j, &spec);
    rc = trouble_note(e, commit_new_job(j, &spec));
    if (rc == 0)
        limits_keep_job(e, j->id, spec.rate, spec.calendar);
    spec_done(&spec);
    if (rc < 0) {
        rc = explain(j, rc, "created", reterr);
        (void)job_free(j);
        return rc;
    }
    *ret = json_pack("{s:s,s:s,s:i}", "job", j->name, "id", j->id, "pairs", (int)j->npairs);
    return 0;
}

/* ── start and retry ── */

struct run_plan {
    unsigned stage;
    bool only_bad;
    const char *cause; /* only pairs in which something failed by it; NULL: all */
};

static bool failed_by(const struct pair *p, const char *cause)
{
    size_t i;
    const json_t *g;
    json_array_foreach(p->failures, i, g)
    {
        const char *code = json_string_value(json_object_get(g, "code"));
        if (code && strcmp(code, cause) == 0)
            return true;
    }
    return false;
}

/* Has the agent a list of what failed? Not after a run that came to no end, unless that run itself
 * only went by a list: until it ends the list stays. */
static bool has_list(const struct pair *p)
{
    return p->state == PAIR_PARTLY || (p->state == PAIR_FAILED && p->flags & PAIR_ONLY_FAILED);
}

static bool pick_run(const struct pair *p, struct pair_change *c, const void *arg)
{
    const struct run_plan *plan = arg;
    bool bad = p->state == PAIR_PARTLY || p->state == PAIR_FAILED;
    if (plan->only_bad && (!bad || (plan->cause && !failed_by(p, plan->cause))))
        return false;
    *c = pair_change_of(p, PAIR_EV_QUEUE, NULL);
    c->stage = plan->stage;
    c->tries = 0;
    c->flags = PAIR_IN_RUN;
    if (plan->only_bad && has_list(p))
        c->flags |= PAIR_ONLY_FAILED;
    return true;
}

static bool phase_known(const struct job *j, const char *phase)
{
    for (size_t i = 0; i < j->workload->nstages; i++)
        if (strcmp(j->workload->stages[i].phase, phase) == 0)
            return true;
    return false;
}

static unsigned first_of_phase(const struct job *j, const char *phase)
{
    unsigned i = 0;
    while (*phase && strcmp(j->workload->stages[i].phase, phase) != 0)
        i++;
    return i;
}

static int preflight(const struct job *j, const struct preflight *how, struct fault *reterr)
{
    bool ok = false;
    json_t *checks = preflight_run(j, how, &ok), *check;
    size_t i;
    int rc = 0;
    json_array_foreach(checks, i, check)
    {
        const char *result = json_string_value(json_object_get(check, "result"));
        if (ok || rc < 0 || !result || strcmp(result, "fail") != 0 ||
            json_is_true(json_object_get(check, "overridden")))
            continue;
        rc = fault_set(reterr, FAULT_STOP_JOB, EREMOTEIO, "%s (%s)",
                       json_string_value(json_object_get(check, "evidence")),
                       json_string_value(json_object_get(check, "id")));
    }
    json_decref(checks);
    return rc;
}

/* Into the facts of those that will run; a later run without one forgets it. */
static unsigned note_cause(struct job *j, const char *cause)
{
    unsigned n = 0;
    for (unsigned i = 0; i < j->npairs; i++) {
        struct pair *p = &j->pairs[i];
        bool bad = p->state == PAIR_PARTLY || p->state == PAIR_FAILED;
        (void)json_object_del(p->facts, "only_cause");
        if (!cause || !bad || !failed_by(p, cause))
            continue;
        (void)json_object_set_new(p->facts, "only_cause", json_string(cause));
        n++;
    }
    return n;
}

/* Into the facts of all pairs, from where the start's transaction writes them. */
static int accept_losses(struct job *j, const char *lines, struct fault *reterr)
{
    CLEANUP(mem_free) char *copy = xstrdup(lines ? lines : "");
    char *save = NULL;
    json_t *list = json_array(), *options = json_object();
    for (char *one = strtok_r(copy, "\n", &save); one; one = strtok_r(NULL, "\n", &save))
        (void)json_array_append_new(list, json_string(one));
    (void)json_object_set(options, "accept_loss", list);
    int rc = json_array_size(list) ? j->workload->check_options(options, reterr) : 0;
    for (unsigned i = 0; rc == 0 && json_array_size(list) && i < j->npairs; i++) {
        json_t *had = json_object_get(j->pairs[i].facts, "accept_loss");
        json_t *all = had ? json_copy(had) : json_array();
        (void)json_array_extend(all, list);
        (void)json_object_set_new(j->pairs[i].facts, "accept_loss", all);
    }
    json_decref(options);
    json_decref(list);
    return rc;
}

/* For what is checked only when the source was counted. Holds for this run. */
void job_keep_overrides(struct job *j, const char *lines)
{
    CLEANUP(mem_free) char *copy = xstrdup(lines ? lines : "");
    char *save = NULL;
    json_t *list = json_array();
    for (char *one = strtok_r(copy, "\n", &save); one; one = strtok_r(NULL, "\n", &save))
        (void)json_array_append_new(list, json_string(one));
    for (unsigned i = 0; i < j->npairs; i++) {
        (void)json_object_del(j->pairs[i].facts, "override");
        if (json_array_size(list))
            (void)json_object_set(j->pairs[i].facts, "override", list);
    }
    json_decref(list);
}

/* What the journal keeps of a start: "dry run", what was accepted and what was overridden.
 * malloc'd; NULL: nothing. */
static char *start_detail(bool dry, const struct engine_start *how)
{
    const char *losses = how->accept_loss, *checks = how->override;
    if (!dry && !losses && !checks)
        return NULL;
    char *text =
        xasprintf("%s%s%.300s%s%.300s", dry ? "dry run; " : "",
                  losses ? "accepts the loss of " : "", losses ? losses : "",
                  checks ? (losses ? "; overrides " : "overrides ") : "", checks ? checks : "");
    for (char *c = text; *c; c++)
        *c = *c == '\n' ? ' ' : *c;
    if (!losses && !checks)
        text[strlen("dry run")] = '\0';
    return text;
}

int engine_job_start(struct engine *e, const char *job, const struct engine_start *how,
                     json_t **ret, struct fault *reterr)
{
    struct job *j = NULL;
    const char *phase = how->phase ? how->phase : "";
    int rc = need_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    if (*phase && !phase_known(j, phase))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "phase: %s jobs have no such phase",
                         j->workload->name);
    if (job_next(j->state, JOB_EV_START) < 0)
        return explain(j, -EPROTO, "started", reterr);
    rc = apart_check(j, phase, reterr);
    if (rc < 0)
        return rc;
    struct run_plan plan = {.stage = first_of_phase(j, phase)};
    bool dry = how->dry_run || json_is_true(json_object_get(j->options, "dry_run"));
    rc = accept_losses(j, how->accept_loss, reterr);
    if (rc < 0)
        return rc;
    const struct preflight check = {.by_facts = plan.stage > 0 && !dry, .override = how->override};
    rc = preflight(j, &check, reterr);
    if (rc < 0)
        return rc;
    job_keep_overrides(j, how->override);
    (void)note_cause(j, NULL);
    CLEANUP(mem_free) char *detail = start_detail(dry, how);
    struct job_change c = job_change_of(j, JOB_EV_START, detail);
    c.phase = phase;
    c.run = j->run + 1;
    c.flags = dry ? JOB_DRY : 0;
    c.started_ms = clock_wall_ms();
    c.ended_ms = 0;
    rc = job_handle(j, &c, pick_run, &plan);
    schedule_run(e);
    return rc < 0 ? explain(j, rc, "started", reterr) : answer(j, ret);
}

int engine_job_retry(struct engine *e, const char *job, json_t **ret, struct fault *reterr)
{
    return engine_job_retry_cause(e, job, NULL, ret, reterr);
}

int engine_job_retry_cause(struct engine *e, const char *job, const char *cause, json_t **ret,
                           struct fault *reterr)
{
    struct job *j = NULL;
    int rc = need_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    if (job_next(j->state, JOB_EV_RETRY) < 0)
        return explain(j, -EPROTO, "retried", reterr);
    rc = apart_check(j, j->phase, reterr);
    if (rc < 0)
        return rc;
    if (j->count[PAIR_PARTLY] + j->count[PAIR_FAILED] == 0)
        return fault_set(reterr, FAULT_STOP_JOB, EPROTO, "job %s has no pair that failed", j->name);
    if (note_cause(j, cause) == 0 && cause)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                         "nothing of job %s failed by that cause; job report names the causes",
                         j->name);
    unsigned n = 0;
    while (n + 1 < j->workload->nstages && !j->workload->stages[n + 1].apart)
        n++;
    const char *last = j->workload->stages[n].phase;
    struct run_plan plan = {.stage = first_of_phase(j, j->phase[0] ? j->phase : last),
                            .only_bad = true,
                            .cause = cause};
    struct job_change c = job_change_of(j, JOB_EV_RETRY, NULL);
    c.run = j->run + 1;
    c.started_ms = clock_wall_ms();
    c.ended_ms = 0;
    rc = job_handle(j, &c, pick_run, &plan);
    schedule_run(e);
    return rc < 0 ? explain(j, rc, "retried", reterr) : answer(j, ret);
}

/* ── pause, resume, stop, delete ── */

static bool pick_pause(const struct pair *p, struct pair_change *c, const void *arg)
{
    (void)arg;
    *c = pair_change_of(p, PAIR_EV_PAUSE, "paused");
    return p->state == PAIR_WAITING;
}

static bool pick_resume(const struct pair *p, struct pair_change *c, const void *arg)
{
    (void)arg;
    *c = pair_change_of(p, PAIR_EV_QUEUE, NULL);
    return p->state == PAIR_PAUSED;
}

static bool pick_stop(const struct pair *p, struct pair_change *c, const void *arg)
{
    (void)arg;
    *c = pair_change_of(p, PAIR_EV_STOP, "stopped by the operator");
    return p->state == PAIR_WAITING || p->state == PAIR_PAUSED;
}

static void close_running(struct job *j, enum closing how)
{
    struct fault why = {.what_next = FAULT_NONE};
    for (unsigned i = 0; i < j->npairs; i++)
        if (j->pairs[i].state == PAIR_RUNNING)
            stage_close(&j->pairs[i], how, &why);
}

int engine_job_pause(struct engine *e, const char *job, json_t **ret, struct fault *reterr)
{
    struct job *j = NULL;
    int rc = need_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    struct job_change c = job_change_of(j, JOB_EV_PAUSE, NULL);
    rc = job_handle(j, &c, pick_pause, NULL);
    if (rc < 0)
        return explain(j, rc, "paused", reterr);
    close_running(j, CLOSE_PAUSE);
    job_settle(j);
    return answer(j, ret);
}

/* Steps that were told to pause have still to end; then their stage is planned again. */
static void turn_around(struct job *j)
{
    for (unsigned i = 0; i < j->npairs; i++) {
        struct pair *p = &j->pairs[i];
        if (p->state != PAIR_RUNNING || p->closing != CLOSE_PAUSE)
            continue;
        p->closing = CLOSE_AGAIN;
        p->why = (struct fault){.what_next = FAULT_NONE, .text = "resumed"};
    }
}

int engine_job_resume(struct engine *e, const char *job, json_t **ret, struct fault *reterr)
{
    struct job *j = NULL;
    int rc = need_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    struct job_change c = job_change_of(j, JOB_EV_RESUME, NULL);
    rc = job_handle(j, &c, pick_resume, NULL);
    if (rc < 0)
        return explain(j, rc, "resumed", reterr);
    turn_around(j);
    schedule_run(e);
    return answer(j, ret);
}

int engine_job_stop(struct engine *e, const char *job, json_t **ret, struct fault *reterr)
{
    struct job *j = NULL;
    int rc = need_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    struct job_change c = job_change_of(j, JOB_EV_STOP, NULL);
    rc = job_handle(j, &c, pick_stop, NULL);
    if (rc < 0)
        return explain(j, rc, "stopped", reterr);
    close_running(j, CLOSE_STOP);
    job_settle(j);
    return answer(j, ret);
}

static bool may_delete(const struct job *j)
{
    return j->state == JOB_CREATED || j->state == JOB_STOPPED || j->state == JOB_DONE ||
           j->state == JOB_PARTIAL || j->state == JOB_FAILED;
}

int engine_job_delete(struct engine *e, const char *job, json_t **ret, struct fault *reterr)
{
    struct job *j = NULL;
    int rc = need_job(e, job, &j, reterr);
    if (rc < 0)
        return rc;
    if (!may_delete(j))
        return explain(j, -EPROTO, "deleted (stop it first)", reterr);
    for (unsigned i = 0; j->workload->leaves && i < j->npairs; i++) {
        const char *what = j->workload->leaves(j->pairs[i].facts);
        if (what)
            return fault_set(reterr, FAULT_STOP_JOB, EBUSY, "job %s has %s", j->name, what);
    }
    rc = store_begin(e->store);
    if (rc == 0) {
        rc = journal_job(j, "delete", "deleted", j->name);
        if (rc == 0)
            rc = job_rows_delete(e->store, j->id);
        if (rc == 0)
            rc = limits_drop_job(e, j->id);
        if (rc == 0)
            rc = store_commit(e->store);
        else
            store_rollback(e->store);
    }
    if (trouble_note(e, rc) < 0)
        return explain(j, rc, "deleted", reterr);
    *ret = json_pack("{s:s,s:s}", "job", j->name, "state", "deleted");
    clean_job(j, *ret);
    limits_forget_job(e, j->id);
    (void)job_free(j);
    return 0;
}
