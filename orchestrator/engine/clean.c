/* clean: what agents keep of a job that is deleted is forgotten there too, as far as they are
 * there. Chores live in memory only: nobody waits for them, and what a lost host keeps does no
 * harm. The probes of a job that is checked are chores too. Main thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"

#define CHORES_OUT 4 /* at once, per host */
#define NAMES_SHOWN 5

struct chore {
    char op_id[17];
    struct host *host;
    char *job; /* name */
    char *kind;
    uint8_t *args;
    size_t args_len;
    bool sent;
    struct chore_about about;
    chore_end ended; /* NULL: nobody waits for it */
    TAILQ_ENTRY(chore) link;
};

static void drop(struct engine *e, struct chore *c, const Godwit__Result *r)
{
    if (c->ended)
        c->ended(e, &c->about, r);
    c->host->chores -= c->sent;
    TAILQ_REMOVE(&e->chores, c, link);
    zhash_delete(e->chore_ids, c->op_id);
    free(c->job);
    free(c->kind);
    free(c->args);
    free(c);
}

void clean_drop_all(struct engine *e)
{
    while (!TAILQ_EMPTY(&e->chores))
        drop(e, TAILQ_FIRST(&e->chores), NULL);
}

bool clean_knows(const struct engine *e, const char *op_id)
{
    return zhash_lookup(e->chore_ids, op_id) != NULL;
}

/* only NULL: every host. */
static void send_some(struct engine *e, const struct host *only)
{
    struct chore *c;
    TAILQ_FOREACH(c, &e->chores, link)
    {
        if (c->sent || (only && c->host != only) || c->host->chores >= CHORES_OUT)
            continue;
        struct order o = {.host = c->host->name,
                          .op_id = c->op_id,
                          .kind = c->kind,
                          .job = c->job,
                          .args = c->args,
                          .args_len = c->args_len};
        c->sent = orders_send_raw(e, &o) == 0;
        c->host->chores += c->sent;
        if (only && c->host->chores >= CHORES_OUT)
            return;
    }
}

void clean_tick(struct engine *e)
{
    if (!e->draining)
        send_some(e, NULL);
}

void clean_online(struct engine *e, struct host *h)
{
    struct chore *c;
    TAILQ_FOREACH(c, &e->chores, link)
    {
        if (c->host == h)
            c->sent = false; /* a repeat is answered from its op log */
    }
    h->chores = 0;
    send_some(e, h);
}

void clean_lost(struct engine *e, const struct host *h)
{
    struct chore *c, *next;
    unsigned n = 0;
    for (c = TAILQ_FIRST(&e->chores); c; c = next) {
        next = TAILQ_NEXT(c, link);
        if (c->host != h)
            continue;
        n += c->ended == NULL;
        drop(e, c, NULL);
    }
    if (n)
        log_warning("host %s was lost: it keeps what %u pairs of deleted jobs left there", h->name,
                    n);
}

void clean_message(struct engine *e, const char *host, const Godwit__Envelope *m)
{
    struct chore *c = m->op_id && *m->op_id ? zhash_lookup(e->chore_ids, m->op_id) : NULL;
    if (!c || strcmp(c->host->name, host) != 0)
        return;
    bool result = m->body_case == GODWIT__ENVELOPE__BODY_RESULT;
    if (!result && m->body_case != GODWIT__ENVELOPE__BODY_REFUSAL)
        return;
    const struct host *h = c->host;
    struct log_about about = {.job = c->job, .host = host, .op = c->op_id};
    if (c->ended) {
        drop(e, c, result ? m->result : NULL);
        send_some(e, h);
        return;
    }
    if (!result || m->result->status != GODWIT__RESULT__STATUS__DONE)
        log_line(LOG_WARNING, &about, "%s did not end well: some of its leftovers stay", c->kind);
    drop(e, c, NULL);
    send_some(e, h);
}

/* ── a job is deleted ── */

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

void clean_add(const struct pair *p, struct planned_step *s, chore_end ended)
{
    struct engine *e = p->job->engine;
    struct chore *c = xcalloc(1, sizeof *c);
    (void)snprintf(c->op_id, sizeof c->op_id, "%s", s->op_id);
    c->host = p->host[s->side];
    c->ended = ended;
    c->about = (struct chore_about){.n = p->n, .side = s->side};
    memcpy(c->about.job, p->job->id, sizeof c->about.job);
    c->job = xstrdup(p->job->name);
    c->kind = xstrdup(s->kind);
    c->args = s->args;
    c->args_len = s->args_len;
    s->args = NULL;
    TAILQ_INSERT_TAIL(&e->chores, c, link);
    (void)zhash_insert(e->chore_ids, c->op_id, c);
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
    int n = j->workload->clean(&v, whole, s);
    for (int i = 0; i < n; i++) {
        const struct host *h = p->host[s[i].side];
        if (h->online)
            clean_add(p, &s[i], NULL);
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
    send_some(j->engine, NULL);
}
