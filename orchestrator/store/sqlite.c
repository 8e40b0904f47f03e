/* sqlite: the adapter. SQLite's codes end here and become -errno. Main thread. */
#include "orchestrator/store/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

#define KEPT_STATEMENTS 128
#define BUSY_MS 2000

struct db_rows {
    sqlite3_stmt *stmt;
    const char *sql; /* identity of a kept statement */
    bool busy;
    bool kept;
};

struct db {
    sqlite3 *handle;
    struct db_rows statements[KEPT_STATEMENTS];
    size_t nstatements;
};

static int to_errno(int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
    case SQLITE_ROW:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_CONSTRAINT:
        return -EEXIST;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
        return -EACCES;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_TOOBIG:
        return -EFBIG;
    default:
        return -EIO;
    }
}

/* The file must be 0600 from its first byte; SQLite gives its journals the same mode. */
static int create_file(const char *path)
{
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : 0;
}

static int set_up(struct db *d)
{
    /* Exclusive before the first read: the WAL index stays in this process, and a second daemon on
     * the same file is refused. */
    int rc = db_script(d, "PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF;"
                          "PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL;");
    if (rc < 0)
        return rc;
    CLEANUP(db_rows_close) struct db_rows *r = NULL;
    rc = db_query(&r, d, "PRAGMA journal_mode=WAL", "");
    if (rc == 0)
        rc = db_next(r);
    if (rc < 0)
        return rc;
    if (rc == 0 || strcmp(db_text(r, 0), "wal") != 0)
        return -ENOTSUP;
    r = db_rows_close(r);
    return db_script(d, "BEGIN EXCLUSIVE; COMMIT;");
}

int db_open(struct db **ret, const char *path, struct fault *reterr)
{
    int rc = create_file(path);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot create '%s'", path);
    CLEANUP(db_close) struct db *d = xcalloc(1, sizeof *d);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_EXRESCODE;
    rc = to_errno(sqlite3_open_v2(path, &d->handle, flags, NULL));
    if (rc == 0)
        rc = to_errno(sqlite3_busy_timeout(d->handle, BUSY_MS));
    if (rc == 0)
        rc = set_up(d);
    if (rc == -EBUSY)
        return fault_set(reterr, FAULT_STOP_JOB, EBUSY, "another process has '%s' open", path);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot open '%s': %s", path, db_error(d));
    *ret = d;
    d = NULL;
    return 0;
}

struct db *db_close(struct db *d)
{
    if (!d)
        return NULL;
    for (size_t i = 0; i < d->nstatements; i++)
        (void)sqlite3_finalize(d->statements[i].stmt);
    (void)sqlite3_close(d->handle);
    free(d);
    return NULL;
}

int db_script(struct db *d, const char *sql)
{
    return to_errno(sqlite3_exec(d->handle, sql, NULL, NULL, NULL));
}

/* A statement that nobody runs right now: a kept one, or a fresh one when it is busy or the list is
 * full. */
static int take(struct db *d, const char *sql, struct db_rows **ret)
{
    for (size_t i = 0; i < d->nstatements; i++) {
        if (d->statements[i].sql == sql && !d->statements[i].busy) {
            *ret = &d->statements[i];
            (*ret)->busy = true;
            return 0;
        }
    }
    sqlite3_stmt *stmt = NULL;
    int rc =
        to_errno(sqlite3_prepare_v3(d->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt, NULL));
    if (rc < 0)
        return rc;
    bool keep = d->nstatements < KEPT_STATEMENTS;
    struct db_rows *r = keep ? &d->statements[d->nstatements++] : xcalloc(1, sizeof *r);
    *r = (struct db_rows){.stmt = stmt, .sql = sql, .busy = true, .kept = keep};
    *ret = r;
    return 0;
}

static int bind_all(struct db_rows *r, const char *types, va_list ap)
{
    int code = SQLITE_OK;
    for (int i = 1; *types && code == SQLITE_OK; types++, i++) {
        if (*types == 't') {
            code = sqlite3_bind_text(r->stmt, i, va_arg(ap, const char *), -1, SQLITE_TRANSIENT);
        } else if (*types == 'i') {
            code = sqlite3_bind_int64(r->stmt, i, va_arg(ap, int64_t));
        } else {
            const void *p = va_arg(ap, const void *);
            size_t n = va_arg(ap, size_t);
            /* A NULL pointer would bind NULL; an empty blob is not that. */
            code = sqlite3_bind_blob64(r->stmt, i, p ? p : "", n, SQLITE_TRANSIENT);
        }
    }
    return to_errno(code);
}

static int start(struct db_rows **ret, struct db *d, const char *sql, const char *types, va_list ap)
{
    struct db_rows *r = NULL;
    int rc = take(d, sql, &r);
    if (rc < 0)
        return rc;
    rc = bind_all(r, types, ap);
    if (rc < 0) {
        (void)db_rows_close(r);
        return rc;
    }
    *ret = r;
    return 0;
}

int db_run(struct db *d, const char *sql, const char *types, ...)
{
    struct db_rows *r = NULL;
    va_list ap;
    va_start(ap, types);
    int rc = start(&r, d, sql, types, ap);
    va_end(ap);
    if (rc < 0)
        return rc;
    while ((rc = db_next(r)) > 0)
        ;
    (void)db_rows_close(r);
    return rc;
}

int64_t db_changed(struct db *d)
{
    return sqlite3_changes64(d->handle);
}

int64_t db_last_id(struct db *d)
{
    return sqlite3_last_insert_rowid(d->handle);
}

int db_query(struct db_rows **ret, struct db *d, const char *sql, const char *types, ...)
{
    va_list ap;
    va_start(ap, types);
    int rc = start(ret, d, sql, types, ap);
    va_end(ap);
    return rc;
}

int db_next(struct db_rows *r)
{
    int code = sqlite3_step(r->stmt);
    return code == SQLITE_ROW ? 1 : to_errno(code);
}

struct db_rows *db_rows_close(struct db_rows *r)
{
    if (!r)
        return NULL;
    if (r->kept) {
        (void)sqlite3_reset(r->stmt);
        (void)sqlite3_clear_bindings(r->stmt);
        r->busy = false;
    } else {
        (void)sqlite3_finalize(r->stmt);
        free(r);
    }
    return NULL;
}

int64_t db_int(struct db_rows *r, int column)
{
    return sqlite3_column_int64(r->stmt, column);
}

const char *db_text(struct db_rows *r, int column)
{
    const unsigned char *text = sqlite3_column_text(r->stmt, column);
    return text ? (const char *)text : "";
}

const void *db_blob(struct db_rows *r, int column, size_t *retlen)
{
    const void *p = sqlite3_column_blob(r->stmt, column);
    *retlen = (size_t)sqlite3_column_bytes(r->stmt, column);
    return p ? p : "";
}

void db_copy(struct db_rows *r, int column, char *ret, size_t size)
{
    (void)snprintf(ret, size, "%s", db_text(r, column));
}

const char *db_error(struct db *d)
{
    return d->handle ? sqlite3_errmsg(d->handle) : "out of memory";
}
