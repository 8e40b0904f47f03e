/* schema: brings a database to the version that this program knows. Main thread. */
#include "orchestrator/store/schema.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/store/sqlite.h"

/* Order matters: a room may refer to tables of those above it. */
static const struct schema_room rooms[] = {
    {"base",      schema_base     },
    {"agents",    schema_agents   },
    {"jobs",      schema_jobs     },
    {"journal",   schema_journal  },
    {"reports",   schema_reports  },
    {"limits",    schema_limits   },
    {"endpoints", schema_endpoints},
};

const char *const schema_base[] = {
    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;",
    NULL,
};

static int64_t known_version(const char *room)
{
    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
        int64_t n = 0;
        while (rooms[i].steps[n])
            n++;
        if (strcmp(rooms[i].name, room) == 0)
            return n;
    }
    return -1;
}

/* Fails closed: rows that this program does not understand may mean anything. */
static int refuse_newer(struct db *d, struct fault *reterr)
{
    CLEANUP(db_rows_close) struct db_rows *r = NULL;
    int rc = db_query(&r, d, "SELECT room, version FROM schema_version", "");
    while (rc == 0 && (rc = db_next(r)) > 0) {
        if (db_int(r, 1) > known_version(db_text(r, 0)))
            return fault_set(reterr, FAULT_STOP_JOB, ENOTSUP,
                             "the database is of a newer Godwit (%s %lld)", db_text(r, 0),
                             (long long)db_int(r, 1));
        rc = 0;
    }
    return rc;
}

static int version_of(struct db *d, const char *room, int64_t *ret)
{
    CLEANUP(db_rows_close) struct db_rows *r = NULL;
    int rc = db_query(&r, d, "SELECT version FROM schema_version WHERE room = ?", "t", room);
    if (rc == 0)
        rc = db_next(r);
    if (rc < 0)
        return rc;
    *ret = rc > 0 ? db_int(r, 0) : 0;
    return 0;
}

static int update_room(struct db *d, const struct schema_room *room)
{
    int64_t v = 0;
    int rc = version_of(d, room->name, &v);
    for (; rc == 0 && room->steps[v]; v++) {
        rc = db_script(d, room->steps[v]);
        if (rc == 0)
            rc = db_run(d,
                        "INSERT INTO schema_version VALUES (?1, ?2)"
                        " ON CONFLICT (room) DO UPDATE SET version = ?2",
                        "ti", room->name, v + 1);
    }
    return rc;
}

static int update_all(struct db *d, struct fault *reterr)
{
    int rc = db_script(d, "CREATE TABLE IF NOT EXISTS schema_version"
                          " (room TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT");
    if (rc == 0)
        rc = refuse_newer(d, reterr);
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(rooms); i++)
        rc = update_room(d, &rooms[i]);
    return rc;
}

int schema_update(struct db *d, struct fault *reterr)
{
    int rc = db_script(d, "BEGIN IMMEDIATE");
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write the database: %s", db_error(d));
    struct fault why = {.err = 0};
    rc = update_all(d, &why);
    if (rc == 0)
        rc = db_script(d, "COMMIT");
    if (rc == 0)
        return 0;
    if (!why.err)
        (void)fault_set(&why, FAULT_STOP_JOB, -rc, "cannot update the database: %s", db_error(d));
    (void)db_script(d, "ROLLBACK");
    if (reterr)
        *reterr = why;
    return rc;
}
