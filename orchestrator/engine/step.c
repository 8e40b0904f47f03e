/* step: one order to one agent, in memory. Main thread. */
#include <stdio.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"

struct step *step_new(struct engine *e, struct pair *p, const char *op_id)
{
    struct step *s = xcalloc(1, sizeof *s);
    s->pair = p;
    (void)snprintf(s->op_id, sizeof s->op_id, "%s", op_id);
    godwit__counters__init(&s->tally.base);
    godwit__counters__init(&s->tally.cur);
    (void)zhash_insert(e->steps, s->op_id, s);
    return s;
}

struct step *step_free(struct engine *e, struct step *s)
{
    if (s) {
        if (zhash_lookup(e->steps, s->op_id) == s)
            zhash_delete(e->steps, s->op_id);
        if (s->result)
            godwit__result__free_unpacked(s->result, NULL);
        if (s->unsaved)
            godwit__result__free_unpacked(s->unsaved, NULL);
        free(s->args);
        free(s->pace);
        free(s);
    }
    return NULL;
}

struct host *step_host(const struct step *s)
{
    const struct pair *p = s->pair;
    if (s->side == SIDE_WITNESS) {
        const struct workload *k = p->job->workload;
        const char *name = k->witness ? k->witness(p->facts) : NULL;
        return name ? host_get(p->job->engine, name) : p->host[SIDE_SOURCE];
    }
    return p->host[s->side];
}

const struct step *step_sibling(const struct step *s)
{
    const struct pair *p = s->pair;
    if (p->nsteps < 2)
        return NULL;
    return p->steps[0] == s ? p->steps[1] : p->steps[0];
}
