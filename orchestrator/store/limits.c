/* limits: rows of bandwidth limits and of sites. Main thread. */
#include "orchestrator/store/limits.h"

#include "orchestrator/store/schema.h"
#include "orchestrator/store/store_priv.h"

const char *const schema_limits[] = {
    "CREATE TABLE limits ("
    " scope TEXT NOT NULL, name TEXT NOT NULL, rate INTEGER NOT NULL, calendar TEXT NOT NULL,"
    " PRIMARY KEY (scope, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE site_hosts (host TEXT PRIMARY KEY, site TEXT NOT NULL) STRICT, WITHOUT ROWID;",
    NULL,
};

int limit_rows_put(struct store *s, const struct limit_row *r)
{
    return db_run(s->db,
                  "INSERT INTO limits VALUES (?1, ?2, ?3, ?4)"
                  " ON CONFLICT (scope, name) DO UPDATE SET rate = ?3, calendar = ?4",
                  "ttit", r->scope, r->name, (int64_t)r->rate, r->calendar);
}

int limit_rows_delete(struct store *s, const char *scope, const char *name)
{
    return db_run(s->db, "DELETE FROM limits WHERE scope = ? AND name = ?", "tt", scope, name);
}

int limit_rows_each(struct store *s, int (*each)(void *arg, const struct limit_row *r), void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc = db_query(&q, s->db,
                      "SELECT scope, name, rate, calendar FROM limits ORDER BY scope, name", "");
    while (rc >= 0 && (rc = db_next(q)) > 0) {
        struct limit_row row = {.scope = db_text(q, 0),
                                .name = db_text(q, 1),
                                .rate = (uint64_t)db_int(q, 2),
                                .calendar = db_text(q, 3)};
        rc = each(arg, &row);
    }
    return rc;
}

int site_rows_put(struct store *s, const char *site, const char *host)
{
    return db_run(
        s->db, "INSERT INTO site_hosts VALUES (?1, ?2) ON CONFLICT (host) DO UPDATE SET site = ?2",
        "tt", host, site);
}

int site_rows_delete(struct store *s, const char *site)
{
    return db_run(s->db, "DELETE FROM site_hosts WHERE site = ?", "t", site);
}

int site_rows_each(struct store *s, int (*each)(void *arg, const char *site, const char *host),
                   void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc = db_query(&q, s->db, "SELECT site, host FROM site_hosts ORDER BY site, host", "");
    while (rc >= 0 && (rc = db_next(q)) > 0)
        rc = each(arg, db_text(q, 0), db_text(q, 1));
    return rc;
}

int limit_rows_rename_host(struct store *s, const char *from, const char *to)
{
    int rc =
        db_run(s->db, "UPDATE OR REPLACE limits SET name = ? WHERE scope = 'host' AND name = ?",
               "tt", to, from);
    if (rc == 0)
        rc = db_run(s->db, "UPDATE OR REPLACE site_hosts SET host = ? WHERE host = ?", "tt", to,
                    from);
    return rc;
}
