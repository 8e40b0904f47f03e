/* reports: one document for each run. Main thread. */
#include "orchestrator/store/reports.h"

#include <errno.h>

#include "common/base/mem.h"
#include "orchestrator/store/schema.h"
#include "orchestrator/store/store_priv.h"

const char *const schema_reports[] = {
    "CREATE TABLE reports ("
    " seq INTEGER PRIMARY KEY AUTOINCREMENT, job TEXT NOT NULL, name TEXT NOT NULL,"
    " run INTEGER NOT NULL, json TEXT NOT NULL, UNIQUE (job, run)) STRICT;"
    "CREATE INDEX reports_name ON reports (name, seq);",
    NULL,
};

int reports_put(struct store *s, const char *job, const char *name, unsigned run, const char *json)
{
    return db_run(s->db,
                  "INSERT INTO reports (job, name, run, json) VALUES (?1, ?2, ?3, ?4)"
                  " ON CONFLICT (job, run) DO UPDATE SET json = ?4",
                  "ttit", job, name, (int64_t)run, json);
}

/* The id of the last job of this name that has reports. 1, 0 or -errno. */
static int newest_job(struct store *s, const char *name, char ret[17])
{
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc = db_query(&q, s->db, "SELECT job FROM reports WHERE name = ? ORDER BY seq DESC LIMIT 1",
                      "t", name);
    if (rc == 0)
        rc = db_next(q);
    if (rc > 0)
        db_copy(q, 0, ret, 17);
    return rc;
}

int reports_get(struct store *s, const char *name, unsigned run, char **ret, unsigned *retruns)
{
    char job[17] = "";
    int rc = newest_job(s, name, job);
    if (rc <= 0)
        return rc < 0 ? rc : -ENOENT;
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    rc = db_query(&q, s->db,
                  "SELECT json, (SELECT max(run) FROM reports WHERE job = ?1) FROM reports"
                  " WHERE job = ?1 AND (run = ?2 OR ?2 = 0) ORDER BY run DESC LIMIT 1",
                  "ti", job, (int64_t)run);
    if (rc == 0)
        rc = db_next(q);
    if (rc <= 0)
        return rc < 0 ? rc : -ENOENT;
    *ret = xstrdup(db_text(q, 0));
    *retruns = (unsigned)db_int(q, 1);
    return 0;
}
