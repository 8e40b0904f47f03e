/* access: asks both hosts of each pair of a job whether users may do there what they may here: the
 * source first, which also says who and what is asked about. In memory only, and nothing is
 * changed. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/engine/engine_priv.h"

#define ACCESS_MS 310000 /* after it an answer is not waited for any more */

static void forget(struct pair *p)
{
    for (int side = 0; side < 2; side++) {
        json_decref(p->access[side]);
        p->access[side] = NULL;
    }
    free(p->access_why);
    p->access_why = NULL;
}

void access_done(struct pair *p)
{
    forget(p);
}

static void on_end(struct engine *e, const struct chore_about *about, const Godwit__Result *r);

static void ask(struct pair *p, enum step_side side, const json_t *about)
{
    struct planned_step s = {.kind = NULL};
    if (stage_plan_access(p, side, about, &s) != 1)
        return;
    p->job->accessing++;
    chore_add_pair(p, &s, on_end);
    planned_step_done(&s);
    chore_tick(p->job->engine);
}

static void fail(struct pair *p, enum step_side side, const Godwit__Result *r)
{
    const char *why = r && r->fault && *r->fault->text
                          ? r->fault->text
                          : "the host was lost, or its agent is too old for this question";
    CLEANUP(mem_free) char *text = text_printable(why, strnlen(why, 240));
    free(p->access_why);
    p->access_why = xasprintf("%s: %s", p->host[side]->name, text);
}

/* r NULL: there will be none. The job may be gone. */
static void on_end(struct engine *e, const struct chore_about *about, const Godwit__Result *r)
{
    struct job *j;
    TAILQ_FOREACH(j, &e->jobs, link)
    {
        if (strcmp(j->id, about->job) == 0)
            break;
    }
    if (!j || about->n == 0 || about->n > j->npairs)
        return;
    struct pair *p = &j->pairs[about->n - 1];
    if (j->accessing > 0)
        j->accessing--;
    json_t *answer =
        r && r->status == GODWIT__RESULT__STATUS__DONE ? j->workload->accessed(r) : NULL;
    if (!answer) {
        fail(p, about->side, r);
        return;
    }
    json_decref(p->access[about->side]);
    p->access[about->side] = answer;
    if (about->side == SIDE_SOURCE)
        ask(p, SIDE_DESTINATION, answer);
}

static bool is_out(const struct job *j)
{
    return j->accessing > 0 && clock_mono_ms() - j->access_ms < ACCESS_MS;
}

static void begin(struct job *j, const json_t *request)
{
    j->accessing = 0;
    j->access_ms = clock_mono_ms();
    for (unsigned i = 0; i < j->npairs; i++) {
        struct pair *p = &j->pairs[i];
        char why[256];
        forget(p);
        if (p->endpoint)
            p->access_why = xstrdup("the source is an endpoint: only its own host could ask it");
        else if (host_absent(j->engine, p->host[0], why, sizeof why) ||
                 host_absent(j->engine, p->host[1], why, sizeof why))
            p->access_why = xstrdup(why);
        else
            ask(p, SIDE_SOURCE, request);
    }
}

static json_t *pair_json(const struct pair *p)
{
    bool both = p->access[0] && p->access[1];
    json_t *o = both ? p->job->workload->access_compare(p->access[0], p->access[1]) : json_object();
    (void)json_object_set_new(o, "n", json_integer(p->n));
    if (!both)
        (void)json_object_set_new(o, "why",
                                  json_string(p->access_why ? p->access_why : "no answer yet"));
    return o;
}

int engine_job_access(struct engine *e, const char *job, const json_t *request, bool *retout,
                      json_t **ret, struct fault *reterr)
{
    struct job *j = job_find(e, job);
    if (!j)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "there is no job '%.64s'", job);
    if (!j->workload->access)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "%s jobs have no files to open",
                         j->workload->name);
    if (request && is_out(j))
        return fault_set(reterr, FAULT_STOP_JOB, EPROTO, "the hosts of job %s are being asked",
                         j->name);
    if (request)
        begin(j, request);
    json_t *pairs = json_array();
    *retout = is_out(j);
    for (unsigned i = 0; !*retout && i < j->npairs; i++)
        (void)json_array_append_new(pairs, pair_json(&j->pairs[i]));
    *ret = json_pack("{s:s,s:b,s:o}", "job", j->name, "asking", *retout, "pairs", pairs);
    return 0;
}
