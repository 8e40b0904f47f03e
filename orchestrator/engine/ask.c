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

#define ASK_MS 20000   /* after it an answer is not waited for any more */
#define KEEP_MS 600000 /* an answer that nobody asks for */

struct answer {
    const struct question *q;
    int64_t asked_ms; /* monotonic; 0: nothing is out */
    int64_t came_ms;  /* likewise; 0: never */
    bool orphan;      /* nobody wants to know any more: ends with its chore */
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

/* about: which of several questions to the same host; "": there is but one. */
static char *key_of(const struct question *q, const char *host, const char *about)
{
    return xasprintf("%s %s\n%s", q->name, host, about);
}

static struct answer *answer_at(struct engine *e, const struct question *q, const char *key)
{
    struct answer *a = zhash_lookup(e->answers, key);
    if (a)
        return a;
    a = xcalloc(1, sizeof *a);
    a->q = q;
    (void)zhash_insert(e->answers, key, a);
    (void)zhash_freefn(e->answers, key, free_answer);
    return a;
}

static struct answer *answer_get(struct engine *e, const struct question *q, const char *host)
{
    CLEANUP(mem_free) char *key = key_of(q, host, "");
    return answer_at(e, q, key);
}

static void settle(struct answer *a, json_t *json, char *why)
{
    json_decref(a->json);
    free(a->why);
    a->json = json;
    a->why = why;
    a->asked_ms = 0;
    a->came_ms = clock_mono_ms();
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
    struct answer *a = about->arg;
    (void)e;
    if (a->orphan) {
        free_answer(a);
        return;
    }
    json_t *json = r && r->status == GODWIT__RESULT__STATUS__DONE ? a->q->answer(r) : NULL;
    settle(a, json, json ? NULL : why_of(r));
}

static void ask_host(struct engine *e, struct answer *a, const char *name,
                     const struct engine_asking *with)
{
    struct host *h = host_get(e, name);
    struct planned_step s = {.kind = a->q->kind};
    struct chore_about about = {.arg = a};
    char why[256];
    if (a->asked_ms != 0)
        return;
    if (host_absent(e, h, why, sizeof why)) {
        settle(a, NULL, xstrdup(why));
        return;
    }
    a->asked_ms = clock_mono_ms();
    text_new_id(s.op_id);
    s.args = with ? xmemdup(with->args, with->args_len) : xcalloc(1, 1);
    s.args_len = with ? with->args_len : 0;
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
            ask_host(e, answer_get(e, q, name), name, NULL);
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

/* ── one question to one host ── */

json_t *engine_ask_hosts(struct engine *e)
{
    return hosts_of(e, NULL);
}

int engine_ask_once(struct engine *e, const struct engine_asking *ask, json_t **ret,
                    struct fault *reterr)
{
    const struct question *q = question_find(ask->name);
    if (!q)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "there is no such question");
    if (!fleet_find(e->fleet, ask->host))
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "host %.64s has no approved agent",
                         ask->host);
    CLEANUP(mem_free) char *key = key_of(q, ask->host, ask->about);
    struct answer *a = answer_at(e, q, key);
    if (!a->came_ms && !a->asked_ms) {
        ask_host(e, a, ask->host, ask);
        chore_tick(e);
    }
    if (a->asked_ms && clock_mono_ms() - a->asked_ms < ASK_MS)
        return 1;
    *ret = answer_json(a, ask->host);
    return 0;
}

/* One that is out is freed when its chore ends. */
static void forget(struct engine *e, const char *key, struct answer *a)
{
    a->orphan = a->asked_ms != 0;
    if (a->orphan)
        (void)zhash_freefn(e->answers, key, NULL);
    zhash_delete(e->answers, key);
}

void engine_ask_forget(struct engine *e, const char *about)
{
    zlist_t *keys = zhash_keys(e->answers);
    int64_t now = clock_mono_ms();
    for (const char *key = zlist_first(keys); key; key = zlist_next(keys)) {
        const char *its = strchr(key, '\n');
        struct answer *a = zhash_lookup(e->answers, key);
        bool old = a && !a->asked_ms && now - a->came_ms > KEEP_MS;
        if (a && its && its[1] && (old || strcmp(its + 1, about) == 0))
            forget(e, key, a);
    }
    zlist_destroy(&keys);
}

/* ── what was seen before ── */

#define BEST_MS (INT64_C(7) * 86400000)

static bool is_between(const struct pair *p, const char *from, const char *to)
{
    return p->state == PAIR_DONE && strcmp(p->host[SIDE_SOURCE]->name, from) == 0 &&
           strcmp(p->host[SIDE_DESTINATION]->name, to) == 0;
}

uint64_t engine_best_between(const struct engine *e, const char *workload, const char *from,
                             const char *to, uint64_t (*rate)(const json_t *facts))
{
    int64_t since = clock_wall_ms() - BEST_MS;
    uint64_t best = 0;
    const struct job *j;
    TAILQ_FOREACH(j, &e->jobs, link)
    {
        /* What a limit of its own held back tells nothing of the way. */
        bool tells =
            strcmp(j->workload->name, workload) == 0 && !limits_find(e->governor, "job", j->id);
        for (unsigned i = 0; tells && i < j->npairs; i++) {
            const struct pair *p = &j->pairs[i];
            uint64_t its = is_between(p, from, to) && p->ended_ms > since ? rate(p->facts) : 0;
            best = its > best ? its : best;
        }
    }
    return best;
}

void engine_each_coming(const struct engine *e, const char *workload, const char *to,
                        void (*take)(void *arg, const json_t *options, unsigned n), void *arg)
{
    const struct job *j;
    TAILQ_FOREACH(j, &e->jobs, link)
    {
        bool counts = j->state == JOB_RUNNING && strcmp(j->workload->name, workload) == 0;
        for (unsigned i = 0; counts && i < j->npairs; i++) {
            const struct pair *p = &j->pairs[i];
            if ((p->state == PAIR_RUNNING || p->state == PAIR_WAITING) &&
                strcmp(p->host[SIDE_DESTINATION]->name, to) == 0)
                take(arg, j->options, p->n);
        }
    }
}
