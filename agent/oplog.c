/* oplog: what this agent did with each order. The one file that knows SQLite here. Main thread. */
#include "agent/oplog.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"

#define OPLOG_VERSION 1
#define STARTED_KEPT_MS (30LL * 24 * 3600 * 1000) /* started, and nobody ever asked again */

struct oplog {
    sqlite3 *db;
    uint64_t epoch;
};

static const char schema[] =
    "CREATE TABLE IF NOT EXISTS op (op_id TEXT PRIMARY KEY, kind TEXT NOT NULL, job TEXT NOT NULL,"
    " epoch INTEGER NOT NULL, state INTEGER NOT NULL, result BLOB, at INTEGER NOT NULL)"
    " WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS seen (what TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT "
    "ROWID;";

static int to_errno(struct oplog *l, int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        return -EACCES;
    default:
        log_debug("op log: %s", l && l->db ? sqlite3_errmsg(l->db) : sqlite3_errstr(rc));
        return -EIO;
    }
}

static sqlite3_stmt *stmt_free(sqlite3_stmt *s)
{
    (void)sqlite3_finalize(s);
    return NULL;
}
DEFINE_CLEANUP(stmt_free, sqlite3_stmt *)

static int prepare(struct oplog *l, const char *sql, sqlite3_stmt **ret)
{
    return to_errno(l, sqlite3_prepare_v2(l->db, sql, -1, ret, NULL));
}

static void bind_text(sqlite3_stmt *s, int at, const char *text)
{
    (void)sqlite3_bind_text(s, at, text, -1, SQLITE_STATIC);
}

/* 1: a row; 0: done. */
static int step(struct oplog *l, sqlite3_stmt *s)
{
    int rc = sqlite3_step(s);
    return rc == SQLITE_ROW ? 1 : to_errno(l, rc);
}

static int exec(struct oplog *l, const char *sql)
{
    return to_errno(l, sqlite3_exec(l->db, sql, NULL, NULL, NULL));
}

static int read_number(struct oplog *l, const char *sql, int64_t *ret)
{
    CLEANUP(stmt_free) sqlite3_stmt *s = NULL;
    int rc = prepare(l, sql, &s);
    if (rc == 0)
        rc = step(l, s);
    if (rc == 1)
        *ret = sqlite3_column_int64(s, 0);
    return rc < 0 ? rc : 0;
}

static int prune(struct oplog *l)
{
    CLEANUP(stmt_free) sqlite3_stmt *s = NULL;
    int rc = prepare(l, "DELETE FROM op WHERE state = 1 AND at < ?", &s);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(s, 1, clock_wall_ms() - STARTED_KEPT_MS);
    return step(l, s);
}

static int set_up(struct oplog *l)
{
    int64_t version = 0;
    int rc = exec(l, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;");
    if (rc == 0)
        rc = read_number(l, "PRAGMA user_version", &version);
    if (rc == 0 && version > OPLOG_VERSION)
        rc = -EBADMSG;
    if (rc == 0)
        rc = exec(l, schema);
    if (rc == 0)
        rc = exec(l, "PRAGMA user_version = 1");
    return rc == 0 ? prune(l) : rc;
}

int oplog_open(const char *path, struct oplog **ret)
{
    /* SQLite makes files by umask; results may name paths that are not for everyone. */
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    CLEANUP(oplog_close) struct oplog *l = xcalloc(1, sizeof *l);
    int rc = to_errno(
        l, sqlite3_open_v2(path, &l->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL));
    if (rc < 0)
        return rc;
    (void)sqlite3_busy_timeout(l->db, 5000);
    rc = set_up(l);
    int64_t epoch = 0;
    if (rc == 0)
        rc = read_number(l, "SELECT value FROM seen WHERE what = 'epoch'", &epoch);
    if (rc < 0)
        return rc;
    l->epoch = (uint64_t)epoch;
    *ret = l;
    l = NULL;
    return 0;
}

struct oplog *oplog_close(struct oplog *l)
{
    if (l)
        (void)sqlite3_close(l->db);
    free(l);
    return NULL;
}

uint64_t oplog_epoch(const struct oplog *l)
{
    return l->epoch;
}

int oplog_saw_epoch(struct oplog *l, uint64_t epoch)
{
    if (epoch <= l->epoch)
        return 0;
    if (epoch > INT64_MAX)
        return -ERANGE;
    CLEANUP(stmt_free) sqlite3_stmt *s = NULL;
    int rc = prepare(l,
                     "INSERT INTO seen (what, value) VALUES ('epoch', ?1)"
                     " ON CONFLICT (what) DO UPDATE SET value = ?1",
                     &s);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int64(s, 1, (int64_t)epoch);
    rc = step(l, s);
    if (rc == 0)
        l->epoch = epoch;
    return rc;
}

int oplog_find(struct oplog *l, const char *op_id, enum oplog_state *ret)
{
    CLEANUP(stmt_free) sqlite3_stmt *s = NULL;
    int rc = prepare(l, "SELECT state FROM op WHERE op_id = ?", &s);
    if (rc < 0)
        return rc;
    bind_text(s, 1, op_id);
    rc = step(l, s);
    if (rc == 1)
        *ret = sqlite3_column_int(s, 0) == OPLOG_FINISHED ? OPLOG_FINISHED : OPLOG_STARTED;
    return rc;
}

int oplog_start(struct oplog *l, const char *op_id, const char *kind, const char *job,
                uint64_t epoch)
{
    CLEANUP(stmt_free) sqlite3_stmt *s = NULL;
    int rc = prepare(l,
                     "INSERT INTO op (op_id, kind, job, epoch, state, at) VALUES (?, ?, ?, ?, 1, ?)"
                     " ON CONFLICT (op_id) DO NOTHING",
                     &s);
    if (rc < 0)
        return rc;
    bind_text(s, 1, op_id);
    bind_text(s, 2, kind);
    bind_text(s, 3, job);
    (void)sqlite3_bind_int64(s, 4, (int64_t)epoch);
    (void)sqlite3_bind_int64(s, 5, clock_wall_ms());
    return step(l, s);
}

int oplog_finish(struct oplog *l, const char *op_id, const void *result, size_t len)
{
    CLEANUP(stmt_free) sqlite3_stmt *s = NULL;
    int rc = prepare(l,
                     "INSERT INTO op (op_id, kind, job, epoch, state, result, at)"
                     " VALUES (?1, '', '', 0, 2, ?2, ?3)"
                     " ON CONFLICT (op_id) DO UPDATE SET state = 2, result = ?2, at = ?3",
                     &s);
    if (rc < 0)
        return rc;
    bind_text(s, 1, op_id);
    (void)sqlite3_bind_blob64(s, 2, len ? result : "", len, SQLITE_STATIC);
    (void)sqlite3_bind_int64(s, 3, clock_wall_ms());
    return step(l, s);
}

int oplog_result(struct oplog *l, const char *op_id, void **ret, size_t *retlen)
{
    CLEANUP(stmt_free) sqlite3_stmt *s = NULL;
    int rc = prepare(l, "SELECT result FROM op WHERE op_id = ? AND state = 2", &s);
    if (rc < 0)
        return rc;
    bind_text(s, 1, op_id);
    rc = step(l, s);
    if (rc != 1)
        return rc;
    size_t len = (size_t)sqlite3_column_bytes(s, 0);
    const void *blob = sqlite3_column_blob(s, 0);
    *ret = xmemdup(len ? blob : "", len);
    *retlen = len;
    return 1;
}

int oplog_forget(struct oplog *l, const char *op_id)
{
    CLEANUP(stmt_free) sqlite3_stmt *s = NULL;
    int rc = prepare(l, "DELETE FROM op WHERE op_id = ?", &s);
    if (rc < 0)
        return rc;
    bind_text(s, 1, op_id);
    return step(l, s);
}

int oplog_each(struct oplog *l, enum oplog_state state,
               int (*fn)(void *arg, const struct oplog_row *row), void *arg)
{
    CLEANUP(stmt_free) sqlite3_stmt *s = NULL;
    int rc = prepare(l,
                     "SELECT op_id, kind, job, state, at FROM op WHERE ?1 = 0 OR state = ?1"
                     " ORDER BY at, op_id",
                     &s);
    if (rc < 0)
        return rc;
    (void)sqlite3_bind_int(s, 1, (int)state);
    while ((rc = step(l, s)) == 1) {
        struct oplog_row row = {
            .op_id = (const char *)sqlite3_column_text(s, 0),
            .kind = (const char *)sqlite3_column_text(s, 1),
            .job = (const char *)sqlite3_column_text(s, 2),
            .state = sqlite3_column_int(s, 3) == OPLOG_FINISHED ? OPLOG_FINISHED : OPLOG_STARTED,
            .at_ms = sqlite3_column_int64(s, 4),
        };
        if (fn(arg, &row) != 0)
            return 0;
    }
    return rc;
}
