/* askshares: which shares a server without an agent has, asked of its proxy's agent outside of any
 * job. In memory only: it changes nothing, and who no longer waits for an answer loses it. Main
 * thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/scan.h"
#include "orchestrator/engine/engine_priv.h"
#include "orchestrator/fleet/fleet.h"
#include "proto/smb.pb-c.h"

#define SHARES_MAX 4096
#define ASKS_MAX 64
#define ASK_MS 90000 /* after it nobody waits any more */

struct ask {
    char *endpoint;
    int64_t since_ms;
    bool over;
    struct fault why; /* err 0: shares is the answer */
    json_t *shares;
};

static void ask_free(void *arg)
{
    struct ask *a = arg;
    free(a->endpoint);
    json_decref(a->shares);
    free(a);
}

void askshares_done(struct engine *e)
{
    zhash_destroy(&e->asks);
}

static const char *kind_name(uint32_t kind)
{
    static const char *const names[] = {"folder", "printer", "device", "pipe"};
    return kind < sizeof names / sizeof *names ? names[kind] : "other";
}

/* A share whose name ends so is the server's own (ADMIN$, C$, IPC$). */
static bool is_special(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && name[n - 1] == '$';
}

static int take_list(struct ask *a, const Godwit__Result *r)
{
    Godwit__SmbShareList *list = NULL;
    const struct scan_limit limits[] = {
        {&godwit__smb_share_list__descriptor, "shares", 0, SHARES_MAX},
        {NULL,                                NULL,     0, 0         }
    };
    struct scan scan = {.limits = limits, .max_fields = SHARES_MAX * 5};
    if (scan_message(&scan, &godwit__smb_share_list__descriptor, r->body.data, r->body.len) == 0)
        list = godwit__smb_share_list__unpack(NULL, r->body.len, r->body.data);
    if (!list)
        return -EBADMSG;
    a->shares = json_array();
    for (size_t i = 0; i < list->n_shares; i++) {
        const Godwit__SmbShare *s = list->shares[i];
        json_t *one = json_pack("{s:s,s:s,s:b,s:s}", "share", s->name, "kind", kind_name(s->kind),
                                "special", is_special(s->name), "comment", s->comment);
        if (one)
            (void)json_array_append_new(a->shares, one);
    }
    godwit__smb_share_list__free_unpacked(list, NULL);
    return 0;
}

/* about->job is the op_id. r NULL: there will be none. */
static void on_end(struct engine *e, const struct chore_about *about, const Godwit__Result *r)
{
    struct ask *a = zhash_lookup(e->asks, about->job);
    if (!a)
        return;
    a->over = true;
    if (r && r->status == GODWIT__RESULT__STATUS__DONE && take_list(a, r) == 0)
        return;
    if (r && r->fault)
        (void)fault_set(&a->why, FAULT_STOP_JOB, r->fault->err ? (int)r->fault->err : EIO, "%s",
                        r->fault->text);
    else
        (void)fault_set(&a->why, FAULT_STOP_JOB, EIO,
                        "the proxy's agent went away, or is too old to list shares");
}

static void drop_old(struct engine *e)
{
    int64_t now = clock_mono_ms();
    const char *oldest = NULL;
    int64_t since = INT64_MAX;
    for (struct ask *a = zhash_first(e->asks); a; a = zhash_next(e->asks))
        if (a->since_ms < since) {
            since = a->since_ms;
            oldest = zhash_cursor(e->asks);
        }
    if (oldest && (now - since > ASK_MS || zhash_size(e->asks) >= ASKS_MAX)) {
        CLEANUP(mem_free) char *key = xstrdup(oldest);
        zhash_delete(e->asks, key);
    }
}

static void send_ask(struct engine *e, const struct endpoint *p, struct host *h, const char *op_id)
{
    Godwit__SmbServer o = GODWIT__SMB_SERVER__INIT;
    o.endpoint = p->name;
    o.address = p->address;
    struct planned_step s = {.kind = "endpoint.shares"};
    struct chore_about about = {.endpoint = p->name};
    (void)snprintf(s.op_id, sizeof s.op_id, "%s", op_id);
    (void)snprintf(about.job, sizeof about.job, "%s", op_id);
    s.args_len = godwit__smb_server__get_packed_size(&o);
    s.args = xmalloc(s.args_len);
    (void)godwit__smb_server__pack(&o, s.args);
    chore_add(e, h, &about, &s, on_end);
    planned_step_done(&s);
    chore_tick(e);
}

static int begin(struct engine *e, const struct endpoint *p, const char *proxy, json_t **ret,
                 struct fault *reterr)
{
    char op_id[17], absent[256];
    if (!*proxy)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "endpoint %s has no proxy of its own: name the host that is to ask it, "
                         "--proxy HOST",
                         p->name);
    if (!fleet_find(e->fleet, proxy))
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "the proxy %.64s has no approved agent",
                         proxy);
    struct host *h = host_get(e, proxy);
    if (host_absent(e, h, absent, sizeof absent))
        return fault_set(reterr, FAULT_STOP_JOB, EHOSTUNREACH, "%.120s", absent);
    drop_old(e);
    text_new_id(op_id);
    struct ask *a = xcalloc(1, sizeof *a);
    a->endpoint = xstrdup(p->name);
    a->since_ms = clock_mono_ms();
    (void)zhash_insert(e->asks, op_id, a);
    (void)zhash_freefn(e->asks, op_id, ask_free);
    send_ask(e, p, h, op_id);
    *ret = json_pack("{s:s,s:b}", "ask", op_id, "asking", true);
    return 0;
}

int engine_endpoint_ask(struct engine *e, const char *name, const char *proxy, json_t **ret,
                        struct fault *reterr)
{
    struct endpoint p;
    if (endpoint_find(e, name, &p) < 0)
        return endpoint_missing(name, reterr);
    int rc = begin(e, &p, proxy && *proxy ? proxy : p.proxy, ret, reterr);
    endpoint_done(&p);
    return rc;
}

int engine_endpoint_answer(struct engine *e, const char *ask, json_t **ret, struct fault *reterr)
{
    struct ask *a = zhash_lookup(e->asks, ask);
    if (!a)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "nobody asked that, or long ago");
    if (!a->over) {
        *ret = json_pack("{s:s,s:b}", "ask", ask, "asking", true);
        return 0;
    }
    int rc = a->shares ? 0 : -a->why.err;
    if (a->shares)
        *ret = json_pack("{s:s,s:b,s:O}", "endpoint", a->endpoint, "asking", false, "shares",
                         a->shares);
    else
        *reterr = a->why;
    zhash_delete(e->asks, ask);
    return rc;
}
