/* failed: hands on what a pair's source keeps of failures, one page at a time and none of it kept
 * here: a list of ten million rows costs the orchestrator a page. In memory only. Main thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"

struct failed_page {
    struct failed_ask ask;
    bool out;         /* asked, no answer yet */
    json_t *page;     /* the answer, for whoever asked */
    struct fault why; /* or what came instead; err 0: nothing yet */
};

struct failed_page *failed_free(struct failed_page *f)
{
    if (f)
        json_decref(f->page);
    free(f);
    return NULL;
}

static void no_page(struct failed_page *f, const Godwit__Result *r)
{
    const char *text = r && r->fault
                           ? r->fault->text
                           : "the source's host was lost, or its agent is too old to be asked";
    char *clean = safe_text(text);
    (void)fault_set(&f->why, FAULT_STOP_JOB, EIO, "%s", clean);
    free(clean);
}

static void on_end(struct engine *e, const struct chore_about *about, const Godwit__Result *r)
{
    struct job *j = job_of_id(e, about->job);
    struct failed_page *f =
        j && about->n > 0 && about->n <= j->npairs ? j->pairs[about->n - 1].failed : NULL;
    if (!f)
        return;
    f->out = false;
    if (r && r->status == GODWIT__RESULT__STATUS__DONE)
        f->page = j->workload->failures_json(r);
    if (!f->page)
        no_page(f, r);
}

static int begin(struct pair *p, const struct failed_ask *ask, struct fault *reterr)
{
    struct host *h = p->host[SIDE_SOURCE];
    struct planned_step s = {.kind = NULL};
    if (!p->job->workload->failures)
        return fault_set(reterr, FAULT_STOP_JOB, ENOTSUP, "%s jobs have no such list",
                         p->job->workload->name);
    if (!h->online)
        return fault_set(reterr, FAULT_STOP_JOB, EHOSTDOWN,
                         "host %s has the list, and is not there now", h->name);
    p->failed = failed_free(p->failed);
    p->failed = xcalloc(1, sizeof *p->failed);
    p->failed->ask = *ask;
    p->failed->out = true;
    (void)stage_plan_failures(p, ask, &s);
    chore_add_pair(p, &s, on_end);
    planned_step_done(&s);
    chore_tick(p->job->engine);
    return 0;
}

/* An answer is given once: the one that asked goes on with the next page. */
static int give(struct pair *p, json_t **ret, struct fault *reterr)
{
    struct failed_page *f = p->failed;
    int rc = 0;
    if (f->page) {
        *ret = f->page;
        f->page = NULL;
    } else {
        *reterr = f->why;
        rc = -EIO;
    }
    p->failed = failed_free(f);
    return rc;
}

int engine_job_failures(struct engine *e, const struct engine_failed *which, bool *retlater,
                        json_t **ret, struct fault *reterr)
{
    struct job *j = job_find(e, which->job);
    const struct failed_ask ask = {.from = which->from, .list = which->list};
    if (!j || which->pair < 1 || which->pair > j->npairs)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "there is no such %s", j ? "pair" : "job");
    struct pair *p = &j->pairs[which->pair - 1];
    bool mine = p->failed && p->failed->ask.from == ask.from && p->failed->ask.list == ask.list;
    if (mine && !p->failed->out)
        return give(p, ret, reterr);
    int rc = p->failed && p->failed->out ? 0 : begin(p, &ask, reterr);
    *retlater = rc == 0;
    return rc;
}
