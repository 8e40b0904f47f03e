/* endpoints: rows of endpoints and of credentials. Main thread. */
#include "orchestrator/store/endpoints.h"

#include <errno.h>

#include "orchestrator/store/schema.h"
#include "orchestrator/store/store_priv.h"

const char *const schema_endpoints[] = {
    "CREATE TABLE endpoints (name TEXT PRIMARY KEY, address TEXT NOT NULL, credentials TEXT NOT "
    "NULL, proxy TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE credentials (ref TEXT PRIMARY KEY, user TEXT NOT NULL, proof INTEGER NOT NULL, "
    "sealed BLOB NOT NULL) STRICT, WITHOUT ROWID;",
    NULL,
};

int endpoint_rows_put(struct store *s, const struct endpoint_row *r)
{
    return db_run(s->db,
                  "INSERT INTO endpoints VALUES (?1, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET"
                  " address = ?2, credentials = ?3, proxy = ?4",
                  "tttt", r->name, r->address, r->credentials, r->proxy);
}

int endpoint_rows_delete(struct store *s, const char *name)
{
    int rc = db_run(s->db, "DELETE FROM endpoints WHERE name = ?", "t", name);
    return rc == 0 && db_changed(s->db) == 0 ? -ENOENT : rc;
}

int endpoint_rows_each(struct store *s, int (*each)(void *arg, const struct endpoint_row *r),
                       void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc = db_query(&q, s->db,
                      "SELECT name, address, credentials, proxy FROM endpoints ORDER BY name", "");
    while (rc >= 0 && (rc = db_next(q)) > 0) {
        struct endpoint_row row = {.name = db_text(q, 0),
                                   .address = db_text(q, 1),
                                   .credentials = db_text(q, 2),
                                   .proxy = db_text(q, 3)};
        rc = each(arg, &row);
    }
    return rc;
}

int credential_rows_put(struct store *s, const struct credential_row *r)
{
    return db_run(s->db,
                  "INSERT INTO credentials VALUES (?1, ?2, ?3, ?4) ON CONFLICT (ref) DO UPDATE SET"
                  " user = ?2, proof = ?3, sealed = ?4",
                  "ttib", r->ref, r->user, (int64_t)r->proof, r->sealed, r->sealed_len);
}

int credential_rows_delete(struct store *s, const char *ref)
{
    int rc = db_run(s->db, "DELETE FROM credentials WHERE ref = ?", "t", ref);
    return rc == 0 && db_changed(s->db) == 0 ? -ENOENT : rc;
}

int credential_rows_each(struct store *s, int (*each)(void *arg, const struct credential_row *r),
                         void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc =
        db_query(&q, s->db, "SELECT ref, user, proof, sealed FROM credentials ORDER BY ref", "");
    while (rc >= 0 && (rc = db_next(q)) > 0) {
        struct credential_row row = {
            .ref = db_text(q, 0), .user = db_text(q, 1), .proof = (uint32_t)db_int(q, 2)};
        row.sealed = db_blob(q, 3, &row.sealed_len);
        rc = each(arg, &row);
    }
    return rc;
}
