/* rotate: replaces the server's key, and agents' keys, with both valid for a while. Main thread. */
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/zap.h"
#include "orchestrator/fleet/fleet_priv.h"

#define OVERLAP_MIN_MS INT64_C(1000)
#define OVERLAP_MAX_MS (INT64_C(365) * 86400 * 1000)
#define KEYS_PER_AGENT 4

/* ── the server's key ── */

void server_keys(struct fleet *f, Godwit__ServerKeys *ret)
{
    *ret = (Godwit__ServerKeys)GODWIT__SERVER_KEYS__INIT;
    ret->keys = xcalloc(ARRAY_SIZE(f->gates), sizeof(Godwit__ServerKey *));
    for (size_t i = 0; i < ARRAY_SIZE(f->gates) && f->gates[i]; i++) {
        Godwit__ServerKey *k = xcalloc(1, sizeof *k);
        *k = (Godwit__ServerKey)GODWIT__SERVER_KEY__INIT;
        k->public_key.data = f->gates[i]->key.public_key;
        k->public_key.len = sizeof f->gates[i]->key.public_key;
        k->endpoint = xasprintf("tcp://*:%u", f->gates[i]->agents_port);
        k->not_after_ms = f->gates[i]->not_after_ms;
        ret->keys[ret->n_keys++] = k;
    }
}

void server_keys_done(Godwit__ServerKeys *keys)
{
    for (size_t i = 0; i < keys->n_keys; i++) {
        free(keys->keys[i]->endpoint);
        free(keys->keys[i]);
    }
    free(keys->keys);
}

static void tell_all(struct fleet *f)
{
    struct agent **list = NULL;
    Godwit__ServerKeys keys;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    size_t n = registry_agents(f->reg, &list);
    server_keys(f, &keys);
    e.body_case = GODWIT__ENVELOPE__BODY_SERVER_KEYS;
    e.server_keys = &keys;
    for (size_t i = 0; i < n; i++)
        (void)session_send(list[i], &e); /* the absent hear it in their next welcome */
    server_keys_done(&keys);
}

static int put_gate(struct fleet *f, const struct gate *g, int64_t not_after_ms)
{
    struct gate_row row = {g->slot, g->created_ms, not_after_ms};
    return gates_put(f->store, &row);
}

struct gate_rows {
    struct gate_row rows[2];
    size_t n;
};

static int keep_row(void *arg, const struct gate_row *row)
{
    struct gate_rows *rows = arg;
    if (rows->n == ARRAY_SIZE(rows->rows) || (row->slot != 'a' && row->slot != 'b'))
        return -EBADMSG;
    rows->rows[rows->n++] = *row;
    return 0;
}

static int open_row(struct fleet *f, const struct gate_row *row, struct fault *reterr)
{
    size_t at = row->not_after_ms ? 1 : 0;
    if (row->not_after_ms && row->not_after_ms <= clock_wall_ms()) {
        (void)gate_forget_key(f->conf, row->slot);
        return gates_delete(f->store, row->slot);
    }
    if (f->gates[at])
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the database names two current keys");
    int rc = gate_open(&f->gates[at], f->conf, row->slot, reterr);
    if (rc < 0)
        return rc;
    f->gates[at]->created_ms = row->created_ms;
    f->gates[at]->not_after_ms = row->not_after_ms;
    return fleet_watch_gate(f, f->gates[at]);
}

int rotate_open_gates(struct fleet *f, struct fault *reterr)
{
    struct gate_rows rows = {.n = 0};
    int rc = gates_each(f->store, keep_row, &rows);
    if (rc == 0 && rows.n == 0) {
        rows.rows[rows.n++] = (struct gate_row){'a', clock_wall_ms(), 0};
        rc = gates_put(f->store, &rows.rows[0]);
    }
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot read the server keys");
    for (size_t i = 0; rc == 0 && i < rows.n; i++)
        rc = open_row(f, &rows.rows[i], reterr);
    if (rc == 0 && !f->gates[0])
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the database names no current key");
    return rc;
}

/* Rows first: a crash between leaves either the old state or both gates. */
static int begin_overlap(struct fleet *f, struct gate *next, int64_t until_ms)
{
    int rc = put_gate(f, next, 0);
    if (rc < 0)
        return rc;
    rc = put_gate(f, f->gates[0], until_ms);
    if (rc < 0)
        (void)gates_delete(f->store, next->slot);
    return rc;
}

int fleet_rotate_server(struct fleet *f, int64_t overlap_ms, struct fault *reterr)
{
    struct gate *next = NULL, *old = f->gates[0];
    if (f->gates[1])
        return fault_set(reterr, FAULT_STOP_JOB, EALREADY,
                         "a rotation is under way: `godwit key retire` ends it");
    if (overlap_ms < OVERLAP_MIN_MS || overlap_ms > OVERLAP_MAX_MS)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "an overlap is between 1 s and 365 days");
    char slot = old->slot == 'a' ? 'b' : 'a';
    (void)gate_forget_key(f->conf, slot); /* a rotation that was cut short never named it */
    int rc = gate_open(&next, f->conf, slot, reterr);
    if (rc < 0)
        return rc;
    int64_t until = clock_wall_ms() + overlap_ms;
    rc = fleet_watch_gate(f, next);
    if (rc == 0)
        rc = begin_overlap(f, next, until);
    if (rc < 0) {
        fleet_unwatch_gate(f, next);
        (void)gate_close(next);
        (void)gate_forget_key(f->conf, slot);
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot keep the new server key");
    }
    old->not_after_ms = until;
    f->gates[0] = next;
    f->gates[1] = old;
    rc = fleet_write_console_json(f);
    if (rc < 0)
        log_error("cannot write console.json: %s", strerror(-rc));
    tell_all(f);
    log_info("a new server key is in slot %c; the old one ends in %lld s", slot,
             (long long)(overlap_ms / 1000));
    return 0;
}

static void end_overlap(struct fleet *f)
{
    struct agent **list = NULL;
    struct gate *old = f->gates[1];
    size_t n = registry_agents(f->reg, &list);
    int rc = gates_delete(f->store, old->slot);
    if (rc < 0) {
        log_error("cannot end the old server key: %s", strerror(-rc));
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (list[i]->session.gate == old)
            session_end(f, list[i], "it had not moved to the new server key");
    }
    fleet_unwatch_gate(f, old);
    (void)gate_forget_key(f->conf, old->slot);
    f->gates[1] = gate_close(old);
    log_info("the old server key has ended");
}

int fleet_retire_server(struct fleet *f, struct fault *reterr)
{
    if (!f->gates[1])
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "no rotation is under way");
    f->gates[1]->not_after_ms = 1; /* the sweep closes it: a console may be asking through it now */
    return 0;
}

/* ── agents' keys ── */

void rotate_ask(struct agent *a)
{
    Godwit__RotateKey r = GODWIT__ROTATE_KEY__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    r.overlap_ms = (uint32_t)a->rotation_overlap_ms;
    e.body_case = GODWIT__ENVELOPE__BODY_ROTATE_KEY;
    e.rotate_key = &r;
    (void)session_send(a, &e);
}

int fleet_rotate_agent(struct fleet *f, const char *who, int64_t overlap_ms, struct fault *reterr)
{
    struct agent *a = registry_any(f->reg, who);
    if (!a || a->row.state != AGENT_APPROVED)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "no approved agent is called '%.64s'",
                         who);
    if (overlap_ms < OVERLAP_MIN_MS || overlap_ms > UINT32_MAX)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "an overlap is between 1 s and 49 days");
    a->rotation_overlap_ms = overlap_ms; /* asked again at each hello until it answers */
    rotate_ask(a);
    return 0;
}

static int replace_key(struct fleet *f, struct agent *a, const uint8_t key[32], int64_t overlap_ms)
{
    struct agent_key *old[KEYS_PER_AGENT];
    int64_t now = clock_wall_ms();
    struct key_row row = {.created_ms = now};
    size_t n = registry_keys_of(f->reg, a, old, ARRAY_SIZE(old));
    if (n == ARRAY_SIZE(old))
        return -EBUSY; /* earlier overlaps have to end first */
    memcpy(row.key, key, sizeof row.key);
    memcpy(row.agent_id, a->row.agent_id, sizeof row.agent_id);
    int rc = registry_add_key(f->reg, a, &row);
    for (size_t i = 0; rc == 0 && i < n; i++) {
        int64_t until = now + overlap_ms;
        if (!old[i]->row.not_after_ms || old[i]->row.not_after_ms > until)
            rc = registry_save_key(f->reg, old[i], until);
    }
    if (rc == 0)
        zap_allow(f->zap, DOMAIN_AGENTS, key);
    return rc;
}

void rotate_reply(struct fleet *f, struct agent *a, const Godwit__RotateKeyReply *reply)
{
    struct log_about about = {.host = a->row.host};
    if (!a->rotation_overlap_ms || reply->public_key.len != 32) {
        agent_note(a, LOG_WARNING, "host %s offers a key that nobody asked for", a->row.host);
        return;
    }
    int rc = replace_key(f, a, reply->public_key.data, a->rotation_overlap_ms);
    if (rc < 0 && rc != -EEXIST) {
        log_line(LOG_ERR, &about, "new key of host %s not kept: %s", a->row.host, strerror(-rc));
        return; /* asked again at its next hello */
    }
    a->rotation_overlap_ms = 0;
    log_line(LOG_INFO, &about, "host %s has a new key", a->row.host); /* it comes back with it */
}

/* ── time ── */

static void drop_over_keys(struct fleet *f)
{
    struct agent_key **keys = NULL;
    int64_t now = clock_wall_ms();
    for (size_t i = registry_keys(f->reg, &keys); i-- > 0;) {
        struct agent_key *k = keys[i];
        if (!k->row.not_after_ms || k->row.not_after_ms > now)
            continue;
        struct agent *a = k->agent;
        zap_deny(f->zap, DOMAIN_AGENTS, k->row.key);
        if (a->session.online && memcmp(a->session.key, k->row.key, sizeof k->row.key) == 0)
            session_end(f, a, "its key has ended");
        int rc = registry_drop_key(f->reg, k);
        if (rc < 0)
            log_error("cannot forget a key of host %s: %s", a->row.host, strerror(-rc));
        (void)registry_keys(f->reg, &keys);
    }
}

void rotate_sweep(struct fleet *f)
{
    drop_over_keys(f);
    if (f->gates[1] && f->gates[1]->not_after_ms <= clock_wall_ms())
        end_overlap(f);
}
