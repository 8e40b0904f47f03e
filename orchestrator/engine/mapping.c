/* mapping: asks the source of a pair what the job's id map would change on it, a page at a time. In
 * memory only; it changes nothing. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"

#define AFTER_MAX (128U << 10)

static struct pair *pair_of(struct engine *e, const struct chore_about *about)
{
    struct job *j;
    TAILQ_FOREACH(j, &e->jobs, link)
    {
        if (strcmp(j->id, about->job) == 0)
            return about->n > 0 && about->n <= j->npairs ? &j->pairs[about->n - 1] : NULL;
    }
    return NULL;
}

static void set_fault(struct map_look *m, const Godwit__Result *r)
{
    const char *text = r && r->fault ? r->fault->text : "the source did not answer";
    (void)fault_set(&m->why, FAULT_STOP_JOB, EIO, "%.150s", text);
}

/* An answer to another page is what somebody else asked for before. */
static void on_end(struct engine *e, const struct chore_about *about, const Godwit__Result *r)
{
    struct pair *p = pair_of(e, about);
    if (!p || !p->map.out)
        return;
    bool good = r && r->status == GODWIT__RESULT__STATUS__DONE;
    json_t *page = good ? p->job->workload->mapped(r) : NULL;
    const char *after = json_string_value(json_object_get(page, "after"));
    if (page && (!after || strcmp(after, p->map.after) != 0)) {
        json_decref(page);
        return;
    }
    p->map.out = false;
    p->map.page = page;
    if (!page)
        set_fault(&p->map, r);
}

void mapping_done(struct pair *p)
{
    json_decref(p->map.page);
    free(p->map.after);
    p->map = (struct map_look){.out = false};
}

static int begin(struct pair *p, const struct engine_map *how, struct fault *reterr)
{
    struct planned_step s = {.kind = NULL};
    const struct host *h = p->host[SIDE_SOURCE];
    if (!h->online)
        return fault_set(reterr, FAULT_RETRY, ENOTCONN, "host %s is not online", h->name);
    int rc = stage_plan_map(p, how->after, &s, reterr);
    if (rc < 0)
        return rc;
    mapping_done(p);
    (void)snprintf(p->map.token, sizeof p->map.token, "%s", how->token);
    p->map.after = xstrdup(how->after);
    p->map.out = true;
    chore_add_pair(p, &s, on_end);
    planned_step_done(&s);
    chore_tick(p->job->engine);
    return 0;
}

int mapping_ask(struct job *j, const struct engine_map *how, json_t **ret, struct fault *reterr)
{
    if (!j->workload->map_page || how->pair < 1 || how->pair > j->npairs)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "job %s has no pair %u", j->name,
                         how->pair);
    if (!how->token || !*how->token || strlen(how->token) >= sizeof j->pairs->map.token ||
        !how->after || strlen(how->after) > AFTER_MAX)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the question is not well formed");
    struct pair *p = &j->pairs[how->pair - 1];
    bool mine = strcmp(p->map.token, how->token) == 0;
    if (!mine)
        return begin(p, how, reterr);
    if (p->map.out)
        return 0;
    if (p->map.page) {
        *ret = json_incref(p->map.page);
        (void)json_object_set_new(*ret, "pairs", json_integer((json_int_t)j->npairs));
    } else {
        *reterr = p->map.why;
    }
    int rc = p->map.page ? 0 : -EIO;
    mapping_done(p);
    return rc;
}
