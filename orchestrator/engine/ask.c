/* ask: puts a question to hosts outside of any job and keeps each one's last answer, in memory
 * only. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/question.h"

#define ASK_MS 20000 /* after it an answer is not waited for any more */

struct answer {
    int64_t asked_ms; /* monotonic; 0: nothing is out */
    char *why;        /* NULL: json is the answer */
    json_t *json;
};

static void free_answer(void *p)
{
    struct answer *a = p;
    json_decref(a->json);
    free(a->why);
    free(a);
}

void ask_done(struct engine *e)
{
    zhash_destroy(&e->answers);
}

static char *key_of(const struct question *q, const char *host)
{
    return xasprintf("%s %s", q->name, host);
}

static struct answer *answer_get(struct engine *e, const struct question *q, const char *host)
{
    CLEANUP(mem_free) char *key = key_of(q, host);
    struct answer *a = zhash_lookup(e->answers, key);
    if (a)
        return a;
    a = xcalloc(1, sizeof *a);
    (void)zhash_insert(e->answers, key, a);
    (void)zhash_freefn(e->answers, key, free_answer);
    return a;
}

static void settle(struct answer *a, json_t *json, char *why)
{
    json_decref(a->json);
    free(a->why);
    a->json = json;
    a->why = why;
    a->asked_ms = 0;
}

static char *why_of(const Godwit__Result *r)
{
    if (!r)
        return xstrdup("the host was lost, or its agent is too old for this question");
    const char *text = r->fault && *r->fault->text ? r->fault->text : "the agent gave no reason";
    return text_printable(text, strnlen(text, 240));
}

static void on_end(struct engine *e, const struct chore_about *about, const Godwit__Result *r)
{
    const struct question *q = about->arg;
    struct answer *a = answer_get(e, q, about->host->name);
    json_t *json = r && r->status == GODWIT__RESULT__STATUS__DONE ? q->answer(r) : NULL;
    settle(a, json, json ? NULL : why_of(r));
}

static void ask_host(struct engine *e, const struct question *q, const char *name)
{
    struct host *h = host_get(e, name);
    struct answer *a = answer_get(e, q, name);
    struct planned_step s = {.kind = q->kind};
    struct chore_about about = {.arg = q};
    char why[256];
    if (a->asked_ms != 0)
        return;
    if (host_absent(e, h, why, sizeof why)) {
        settle(a, NULL, xstrdup(why));
        return;
    }
    a->asked_ms = clock_mono_ms();
    text_new_id(s.op_id);
    s.args = xcalloc(1, 1);
    chore_add(e, h, &about, &s, on_end);
    planned_step_done(&s);
}

static const char *host_name(const json_t *agent)
{
    return json_string_value(json_object_get(agent, "host"));
}

static bool is_approved(const json_t *agent)
{
    const char *state = json_string_value(json_object_get(agent, "state"));
    return state && host_name(agent) && strcmp(state, "approved") == 0;
}

static json_t *answer_json(const struct answer *a, const char *host)
{
    json_t *o = json_pack("{s:s}", "host", host);
    if (a->asked_ms)
        (void)json_object_set_new(o, "why", json_string("no answer yet"));
    else if (a->json)
        (void)json_object_set(o, "answer", a->json);
    else
        (void)json_object_set_new(o, "why", json_string(a->why ? a->why : "not asked"));
    return o;
}

/* Asks, or tells what came, of each host in hosts. Returns how many answers are still out. */
static unsigned go_through(struct engine *e, const struct question *q, json_t *hosts, json_t *to)
{
    size_t i;
    json_t *one;
    unsigned out = 0;
    json_array_foreach(hosts, i, one)
    {
        const char *name = json_string_value(one);
        if (!to)
            ask_host(e, q, name);
        const struct answer *a = answer_get(e, q, name);
        out += a->asked_ms && clock_mono_ms() - a->asked_ms < ASK_MS;
        if (to)
            (void)json_array_append_new(to, answer_json(a, name));
    }
    return out;
}

/* The hosts that are meant: one, or all that were let in. */
static json_t *hosts_of(struct engine *e, const char *host)
{
    json_t *names = json_array(), *all = host ? NULL : fleet_list(e->fleet), *one;
    size_t i;
    if (host)
        (void)json_array_append_new(names, json_string(host));
    json_array_foreach(all, i, one)
    {
        if (is_approved(one))
            (void)json_array_append_new(names, json_string(host_name(one)));
    }
    json_decref(all);
    return names;
}

int engine_ask(struct engine *e, const struct engine_question *ask, bool *retout, json_t **ret,
               struct fault *reterr)
{
    const struct question *q = question_find(ask->name);
    if (!q)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "there is no such question");
    if (ask->host && !fleet_find(e->fleet, ask->host))
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "host %.64s has no approved agent",
                         ask->host);
    json_t *hosts = hosts_of(e, ask->host), *answers = json_array();
    if (ask->begin) {
        (void)go_through(e, q, hosts, NULL);
        chore_tick(e);
    }
    *retout = go_through(e, q, hosts, answers) > 0;
    json_decref(hosts);
    *ret = json_pack("{s:o}", "hosts", answers);
    return 0;
}
