/* store: opens the durable state and fences older daemons by the epoch. Knows no tables but its
 * own. Main thread. */
#include "orchestrator/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/store/schema.h"
#include "orchestrator/store/store_priv.h"

static int meta_get(struct store *s, const char *name, char *ret, size_t size)
{
    CLEANUP(db_rows_close) struct db_rows *r = NULL;
    int rc = db_query(&r, s->db, "SELECT value FROM meta WHERE name = ?", "t", name);
    if (rc == 0)
        rc = db_next(r);
    if (rc > 0)
        db_copy(r, 0, ret, size);
    return rc;
}

static int meta_put(struct store *s, const char *name, const char *value)
{
    return db_run(s->db,
                  "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2",
                  "tt", name, value);
}

static int raise_epoch(struct store *s)
{
    char text[32] = "0";
    int rc = meta_get(s, "epoch", text, sizeof text);
    if (rc < 0)
        return rc;
    s->epoch = strtoull(text, NULL, 10) + 1;
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)s->epoch);
    return meta_put(s, "epoch", text);
}

int store_lift_epoch(struct store *s, uint64_t least)
{
    char text[32];
    uint64_t epoch = least > s->epoch ? least : s->epoch + 1;
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)epoch);
    int rc = meta_put(s, "epoch", text);
    if (rc == 0)
        s->epoch = epoch;
    return rc;
}

static int name_realm(struct store *s)
{
    int rc = meta_get(s, "realm", s->realm, sizeof s->realm);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    uint8_t id[16];
    (void)text_random(id, sizeof id);
    text_hex(id, sizeof id, s->realm);
    return meta_put(s, "realm", s->realm);
}

static int start(struct store *s)
{
    int rc = store_begin(s);
    if (rc < 0)
        return rc;
    rc = raise_epoch(s);
    if (rc == 0)
        rc = name_realm(s);
    if (rc == 0)
        return store_commit(s);
    store_rollback(s);
    return rc;
}

int store_open(struct store **ret, const char *path, struct fault *reterr)
{
    CLEANUP(store_close) struct store *s = xcalloc(1, sizeof *s);
    int rc = db_open(&s->db, path, reterr);
    if (rc == 0)
        rc = schema_update(s->db, reterr);
    if (rc < 0)
        return rc;
    rc = start(s);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write '%s': %s", path,
                         db_error(s->db));
    *ret = s;
    s = NULL;
    return 0;
}

struct store *store_close(struct store *s)
{
    if (s) {
        (void)db_close(s->db);
        free(s);
    }
    return NULL;
}

uint64_t store_epoch(const struct store *s)
{
    return s->epoch;
}

const char *store_realm(const struct store *s)
{
    return s->realm;
}

int store_begin(struct store *s)
{
    if (s->in_transaction)
        return -EALREADY;
    int rc = db_script(s->db, "BEGIN IMMEDIATE");
    s->in_transaction = rc == 0;
    return rc;
}

int store_commit(struct store *s)
{
    if (!s->in_transaction)
        return -EINVAL;
    int rc = db_script(s->db, "COMMIT");
    if (rc < 0)
        store_rollback(s);
    s->in_transaction = false;
    return rc;
}

void store_rollback(struct store *s)
{
    if (s->in_transaction)
        (void)db_script(s->db, "ROLLBACK"); /* fails when SQLite has rolled back by itself: fine */
    s->in_transaction = false;
}
