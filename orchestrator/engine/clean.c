/* clean: what agents keep of a job that is deleted is forgotten there too, as far as they are
 * there: nobody waits for it, and what a lost host keeps does no harm. Main thread. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"

#define NAMES_SHOWN 5

static bool is_listed(const json_t *names, const char *name)
{
    size_t i;
    json_t *one;
    json_array_foreach(names, i, one)
    {
        if (strcmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

static void clean_pair(const struct pair *p, json_t *left)
{
    const struct job *j = p->job;
    struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
    struct pair_view v = {.job = j->id,
                          .n = p->n,
                          .source_host = p->host[SIDE_SOURCE]->name,
                          .destination_host = p->host[SIDE_DESTINATION]->name,
                          .source = p->path[SIDE_SOURCE],
                          .destination = p->path[SIDE_DESTINATION],
                          .options = j->options,
                          .facts = p->facts};
    bool whole = p->state == PAIR_DONE && stage_after(p, p->stage) == j->workload->nstages &&
                 !(j->flags & JOB_DRY);
    int n = j->workload->clean ? j->workload->clean(&v, whole, s) : 0;
    for (int i = 0; i < n; i++) {
        const struct host *h = p->host[s[i].side];
        if (h->online)
            chore_add_pair(p, &s[i], NULL);
        else if (!is_listed(left, h->name))
            (void)json_array_append_new(left, json_string(h->name));
        planned_step_done(&s[i]);
    }
}

static char *left_note(const json_t *left)
{
    char *names = xstrdup("");
    size_t n = json_array_size(left);
    for (size_t i = 0; i < n && i < NAMES_SHOWN; i++) {
        char *more =
            xasprintf("%s%s%s", names, i ? ", " : "", json_string_value(json_array_get(left, i)));
        free(names);
        names = more;
    }
    char *note = xasprintf("not there now, and keeping what its transfers left there: %s%s", names,
                           n > NAMES_SHOWN ? " and others" : "");
    free(names);
    return note;
}

void clean_job(const struct job *j, json_t *answer)
{
    json_t *left = json_array();
    for (unsigned i = 0; i < j->npairs; i++)
        clean_pair(&j->pairs[i], left);
    if (json_array_size(left) > 0) {
        char *note = left_note(left);
        (void)json_object_set_new(answer, "note", json_string(note));
        free(note);
    }
    (void)json_object_set_new(answer, "left_on", left);
    chore_tick(j->engine);
}
