/* agents: rows of hosts, keys and tokens. No rules; main thread. */
#include "orchestrator/store/agents.h"

#include <errno.h>
#include <string.h>

#include "orchestrator/store/schema.h"
#include "orchestrator/store/store_priv.h"

#define DAY_MS INT64_C(86400000)

const char *const schema_agents[] = {
    "CREATE TABLE agents ("
    " agent_id TEXT PRIMARY KEY, host TEXT NOT NULL, state INTEGER NOT NULL, reason TEXT NOT NULL,"
    " token_id TEXT NOT NULL, created_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL,"
    " version TEXT NOT NULL, os TEXT NOT NULL, kernel TEXT NOT NULL, machine TEXT NOT NULL,"
    " hostname TEXT NOT NULL, cpus INTEGER NOT NULL, memory_bytes INTEGER NOT NULL,"
    " address TEXT NOT NULL, lane_port INTEGER NOT NULL, lane_pin BLOB) STRICT;"
    "CREATE UNIQUE INDEX agents_host ON agents (host) WHERE state IN (1, 2);"
    "CREATE TABLE agent_keys ("
    " key BLOB PRIMARY KEY, agent_id TEXT NOT NULL REFERENCES agents (agent_id),"
    " created_ms INTEGER NOT NULL, not_after_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE tokens ("
    " id TEXT PRIMARY KEY, host TEXT NOT NULL, secret_hash BLOB NOT NULL,"
    " created_ms INTEGER NOT NULL, expires_ms INTEGER NOT NULL, uses_left INTEGER NOT NULL) "
    "STRICT;",
    "CREATE TABLE gates (slot TEXT PRIMARY KEY, created_ms INTEGER NOT NULL,"
    " not_after_ms INTEGER NOT NULL) STRICT;",
    NULL,
};

static void copy_blob(struct db_rows *r, int column, uint8_t ret[32])
{
    size_t n = 0;
    const void *p = db_blob(r, column, &n);
    memcpy(ret, p, n < 32 ? n : 32);
}

static void read_agent(struct db_rows *r, struct agent_row *a)
{
    size_t pin_len = 0;
    *a = (struct agent_row){.state = (enum agent_state)db_int(r, 2),
                            .created_ms = db_int(r, 5),
                            .seen_ms = db_int(r, 6),
                            .cpus = (uint32_t)db_int(r, 12),
                            .memory_bytes = (uint64_t)db_int(r, 13),
                            .lane_port = (uint32_t)db_int(r, 15)};
    db_copy(r, 0, a->agent_id, sizeof a->agent_id);
    db_copy(r, 1, a->host, sizeof a->host);
    db_copy(r, 3, a->reason, sizeof a->reason);
    db_copy(r, 4, a->token_id, sizeof a->token_id);
    db_copy(r, 7, a->version, sizeof a->version);
    db_copy(r, 8, a->os, sizeof a->os);
    db_copy(r, 9, a->kernel, sizeof a->kernel);
    db_copy(r, 10, a->machine, sizeof a->machine);
    db_copy(r, 11, a->hostname, sizeof a->hostname);
    db_copy(r, 14, a->address, sizeof a->address);
    (void)db_blob(r, 16, &pin_len);
    a->has_lane_pin = pin_len == sizeof a->lane_pin;
    if (a->has_lane_pin)
        copy_blob(r, 16, a->lane_pin);
}

int agents_each(struct store *s, int (*each)(void *arg, const struct agent_row *row), void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *r = NULL;
    int rc =
        db_query(&r, s->db,
                 "SELECT agent_id, host, state, reason, token_id, created_ms, seen_ms, version,"
                 " os, kernel, machine, hostname, cpus, memory_bytes, address, lane_port,"
                 " lane_pin FROM agents ORDER BY created_ms, agent_id",
                 "");
    while (rc >= 0 && (rc = db_next(r)) > 0) {
        struct agent_row row;
        read_agent(r, &row);
        rc = each(arg, &row);
    }
    return rc;
}

int agents_put(struct store *s, const struct agent_row *a)
{
    return db_run(s->db,
                  "INSERT INTO agents VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,"
                  "?16,?17) ON CONFLICT (agent_id) DO UPDATE SET host=?2, state=?3, reason=?4,"
                  " token_id=?5, created_ms=?6, seen_ms=?7, version=?8, os=?9, kernel=?10,"
                  " machine=?11, hostname=?12, cpus=?13, memory_bytes=?14, address=?15,"
                  " lane_port=?16, lane_pin=?17",
                  "ttittiitttttiitib", a->agent_id, a->host, (int64_t)a->state, a->reason,
                  a->token_id, a->created_ms, a->seen_ms, a->version, a->os, a->kernel, a->machine,
                  a->hostname, (int64_t)a->cpus, (int64_t)a->memory_bytes, a->address,
                  (int64_t)a->lane_port, (const void *)a->lane_pin,
                  a->has_lane_pin ? sizeof a->lane_pin : (size_t)0);
}

int keys_each(struct store *s, int (*each)(void *arg, const struct key_row *row), void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *r = NULL;
    int rc = db_query(&r, s->db,
                      "SELECT key, agent_id, created_ms, not_after_ms FROM agent_keys"
                      " ORDER BY created_ms, key",
                      "");
    while (rc >= 0 && (rc = db_next(r)) > 0) {
        struct key_row row = {.created_ms = db_int(r, 2), .not_after_ms = db_int(r, 3)};
        copy_blob(r, 0, row.key);
        db_copy(r, 1, row.agent_id, sizeof row.agent_id);
        rc = each(arg, &row);
    }
    return rc;
}

int keys_put(struct store *s, const struct key_row *k)
{
    return db_run(s->db,
                  "INSERT INTO agent_keys VALUES (?1,?2,?3,?4) ON CONFLICT (key) DO UPDATE SET"
                  " agent_id=?2, created_ms=?3, not_after_ms=?4",
                  "btii", (const void *)k->key, sizeof k->key, k->agent_id, k->created_ms,
                  k->not_after_ms);
}

int keys_delete(struct store *s, const uint8_t key[32])
{
    return db_run(s->db, "DELETE FROM agent_keys WHERE key = ?", "b", (const void *)key,
                  (size_t)32);
}

int tokens_put(struct store *s, const struct token_row *t)
{
    return db_run(s->db,
                  "INSERT INTO tokens VALUES (?1,?2,?3,?4,?5,?6) ON CONFLICT (id) DO UPDATE SET"
                  " host=?2, secret_hash=?3, created_ms=?4, expires_ms=?5, uses_left=?6",
                  "ttbiii", t->id, t->host, (const void *)t->secret_hash, sizeof t->secret_hash,
                  t->created_ms, t->expires_ms, (int64_t)t->uses_left);
}

int tokens_get(struct store *s, const char *id, struct token_row *ret)
{
    CLEANUP(db_rows_close) struct db_rows *r = NULL;
    int rc = db_query(&r, s->db,
                      "SELECT host, secret_hash, created_ms, expires_ms, uses_left FROM tokens"
                      " WHERE id = ?",
                      "t", id);
    if (rc == 0)
        rc = db_next(r);
    if (rc <= 0)
        return rc < 0 ? rc : -ENOENT;
    struct token_row t = {.created_ms = db_int(r, 2),
                          .expires_ms = db_int(r, 3),
                          .uses_left = (uint32_t)db_int(r, 4)};
    db_copy(r, 0, t.host, sizeof t.host);
    copy_blob(r, 1, t.secret_hash);
    memcpy(t.id, id, strnlen(id, sizeof t.id - 1));
    *ret = t;
    return 0;
}

int tokens_expire(struct store *s, int64_t now_ms)
{
    return db_run(s->db, "DELETE FROM tokens WHERE expires_ms < ?", "i", now_ms - DAY_MS);
}

int gates_each(struct store *s, int (*each)(void *arg, const struct gate_row *row), void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *r = NULL;
    int rc =
        db_query(&r, s->db, "SELECT slot, created_ms, not_after_ms FROM gates ORDER BY slot", "");
    while (rc >= 0 && (rc = db_next(r)) > 0) {
        struct gate_row row = {
            .slot = db_text(r, 0)[0], .created_ms = db_int(r, 1), .not_after_ms = db_int(r, 2)};
        rc = each(arg, &row);
    }
    return rc;
}

int gates_put(struct store *s, const struct gate_row *g)
{
    char slot[2] = {g->slot, '\0'};
    return db_run(s->db,
                  "INSERT INTO gates VALUES (?1,?2,?3) ON CONFLICT (slot) DO UPDATE SET"
                  " created_ms=?2, not_after_ms=?3",
                  "tii", slot, g->created_ms, g->not_after_ms);
}

int gates_delete(struct store *s, char slot)
{
    char text[2] = {slot, '\0'};
    return db_run(s->db, "DELETE FROM gates WHERE slot = ?", "t", text);
}
