/* catalogue_session: the one row that says which session was finished last. One thread at a time.
 */
#include <errno.h>

#include "agent/store/catalogue_priv.h"

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
