/* catalogue_session: the rows that say which session was finished last, and what the source's
 * folder was then. One thread at a time. */
#include <errno.h>

#include "agent/store/catalogue_priv.h"
#include "agent/store/rootid.h"

static int run(struct catalogue *c, const char *sql, const uint64_t *session, uint64_t *ret)
{
    sqlite3_stmt *st = NULL;
    int rc = catalogue_errno(sqlite3_prepare_v2(c->db, sql, -1, &st, NULL));
    if (rc == 0 && session)
        rc = catalogue_errno(sqlite3_bind_int64(st, 1, (sqlite3_int64)*session));
    int step = rc == 0 ? sqlite3_step(st) : SQLITE_DONE;
    if (rc == 0)
        rc = catalogue_errno(step);
    if (rc == 0 && ret)
        *ret = step == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
    (void)sqlite3_finalize(st);
    return rc;
}

int catalogue_session_get(struct catalogue *c, uint64_t *ret)
{
    return run(c, "SELECT session FROM feed", NULL, ret);
}

int catalogue_session_put(struct catalogue *c, uint64_t session)
{
    int rc = catalogue_begin(c);
    if (rc == 0)
        rc = run(c, "INSERT OR REPLACE INTO feed(id, session) VALUES(0, ?1)", &session, NULL);
    return rc == 0 ? catalogue_commit(c) : rc;
}

int catalogue_source_get(struct catalogue *c, struct rootid *ret)
{
    sqlite3_stmt *st = NULL;
    int rc = catalogue_errno(
        sqlite3_prepare_v2(c->db, "SELECT root FROM source WHERE id=0", -1, &st, NULL));
    int step = rc == 0 ? sqlite3_step(st) : SQLITE_DONE;
    if (rc == 0)
        rc = catalogue_errno(step);
    bool there = rc == 0 && step == SQLITE_ROW;
    if (rc == 0)
        rootid_unpack(there ? sqlite3_column_blob(st, 0) : NULL,
                      there ? (size_t)sqlite3_column_bytes(st, 0) : 0, ret);
    (void)sqlite3_finalize(st);
    return rc;
}

int catalogue_source_put(struct catalogue *c, const struct rootid *root)
{
    uint8_t packed[ROOTID_BYTES];
    sqlite3_stmt *st = NULL;
    rootid_pack(root, packed);
    int rc = catalogue_begin(c);
    if (rc == 0)
        rc = catalogue_errno(sqlite3_prepare_v2(
            c->db, "INSERT OR REPLACE INTO source(id, root) VALUES(0, ?1)", -1, &st, NULL));
    if (rc == 0)
        rc = catalogue_bind(st, 1, packed, sizeof packed);
    if (rc == 0)
        rc = catalogue_errno(sqlite3_step(st));
    (void)sqlite3_finalize(st);
    return rc;
}

bool catalogue_is_used(struct catalogue *c)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(c->db, "SELECT 1 FROM segment LIMIT 1", -1, &st, NULL);
    bool used = rc == SQLITE_OK && sqlite3_step(st) == SQLITE_ROW;
    (void)sqlite3_finalize(st);
    return used;
}
