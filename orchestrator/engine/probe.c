/* probe: asks both hosts of each pair of a job what a check before its start wants to know. In
 * memory only: it changes nothing, and what a lost host would have said is unknown. Main thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"

#define PROBE_MS 60000 /* after it an answer is not waited for any more */

/* r NULL: there will be none. The job may be gone. */
static void on_end(struct engine *e, const struct chore_about *about, const Godwit__Result *r)
{
    struct job *j = job_of_id(e, about->job);
    if (!j || about->n == 0 || about->n > j->npairs)
        return;
    struct pair *p = &j->pairs[about->n - 1];
    if (j->probing > 0)
        j->probing--;
    if (!r || r->status != GODWIT__RESULT__STATUS__DONE)
        return;
    json_decref(p->probe[about->side]);
    p->probe[about->side] = j->workload->probed(r);
}

bool probe_is_out(const struct job *j)
{
    return j->probing > 0 && clock_mono_ms() - j->probe_ms < PROBE_MS;
}

static void begin_pair(struct pair *p, bool way)
{
    struct planned_step s[2] = {{.kind = NULL}, {.kind = NULL}};
    int n = stage_plan_probe(p, way, s);
    for (int i = 0; i < n; i++) {
        p->job->probing++;
        chore_add_pair(p, &s[i], on_end);
        planned_step_done(&s[i]);
    }
}

/* The way between two hosts is measured once, however many pairs go it. */
static struct pair *first_of_way(zhash_t *ways, struct pair *p)
{
    char *key = xasprintf("%s>%s", p->host[SIDE_SOURCE]->name, p->host[SIDE_DESTINATION]->name);
    struct pair *first = zhash_lookup(ways, key);
    if (!first)
        (void)zhash_insert(ways, key, p);
    free(key);
    return first ? first : p;
}

void probe_begin(struct job *j)
{
    if (!j->workload->probe || probe_is_out(j) || j->engine->draining)
        return;
    zhash_t *ways = zhash_new();
    j->probing = 0;
    j->probed = true;
    j->probe_ms = clock_mono_ms();
    for (unsigned i = 0; i < j->npairs; i++) {
        struct pair *p = &j->pairs[i];
        for (int side = 0; side < 2; side++) {
            json_decref(p->probe[side]);
            p->probe[side] = NULL;
        }
        p->way = first_of_way(ways, p);
        if (p->host[0]->online && p->host[1]->online)
            begin_pair(p, p->way == p);
    }
    zhash_destroy(&ways);
    chore_tick(j->engine);
}
