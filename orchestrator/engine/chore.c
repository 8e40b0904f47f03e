/* chore: what an agent is asked to do outside of any run: forget what a deleted job left, answer a
 * probe or a question. Chores live in memory only: who asks says what a lost host means to it. Main
 * thread. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "orchestrator/engine/engine_priv.h"

#define CHORES_OUT 4 /* at once, per host */

struct chore {
    char op_id[17];
    struct host *host;
    char *job; /* name */
    char *kind;
    char *endpoint;
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
    free(c->endpoint);
    free(c->args);
    free(c);
}

void chore_drop_all(struct engine *e)
{
    while (!TAILQ_EMPTY(&e->chores))
        drop(e, TAILQ_FIRST(&e->chores), NULL);
}

bool chore_knows(const struct engine *e, const char *op_id)
{
    return zhash_lookup(e->chore_ids, op_id) != NULL;
}

static void send_one(struct engine *e, struct chore *c)
{
    struct opened opened = {.user = NULL};
    struct order o = {.host = c->host->name,
                      .op_id = c->op_id,
                      .kind = c->kind,
                      .job = c->job,
                      .args = c->args,
                      .args_len = c->args_len};
    if (c->endpoint && endpoint_credential(e, c->endpoint, &opened))
        o.opened = &opened;
    c->sent = orders_send_raw(e, &o) == 0;
    endpoint_forget(&opened);
}

/* only NULL: every host. */
static void send_some(struct engine *e, const struct host *only)
{
    struct chore *c;
    TAILQ_FOREACH(c, &e->chores, link)
    {
        if (c->sent || (only && c->host != only) || c->host->chores >= CHORES_OUT)
            continue;
        send_one(e, c);
        c->host->chores += c->sent;
        if (only && c->host->chores >= CHORES_OUT)
            return;
    }
}

void chore_tick(struct engine *e)
{
    if (!e->draining)
        send_some(e, NULL);
}

void chore_online(struct engine *e, struct host *h)
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

void chore_lost(struct engine *e, const struct host *h)
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

void chore_message(struct engine *e, const char *host, const Godwit__Envelope *m)
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

void chore_add(struct engine *e, struct host *h, const struct chore_about *about,
               struct planned_step *s, chore_end ended)
{
    struct chore *c = xcalloc(1, sizeof *c);
    (void)snprintf(c->op_id, sizeof c->op_id, "%s", s->op_id);
    c->host = h;
    c->ended = ended;
    c->about = *about;
    c->about.host = h;
    c->job = xstrdup(about->name ? about->name : "");
    c->about.name = c->job;
    c->endpoint = about->endpoint ? xstrdup(about->endpoint) : NULL;
    c->about.endpoint = c->endpoint;
    c->kind = xstrdup(s->kind);
    c->args = s->args;
    c->args_len = s->args_len;
    s->args = NULL;
    TAILQ_INSERT_TAIL(&e->chores, c, link);
    (void)zhash_insert(e->chore_ids, c->op_id, c);
}

void chore_add_pair(const struct pair *p, struct planned_step *s, chore_end ended)
{
    struct chore_about about = {.name = p->job->name,
                                .n = p->n,
                                .side = s->side,
                                .endpoint = endpoint_of(p, s->kind, s->side)};
    memcpy(about.job, p->job->id, sizeof about.job);
    chore_add(p->job->engine, p->host[s->side], &about, s, ended);
}
