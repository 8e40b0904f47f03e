/* jobs: rows of jobs, pairs and steps. No rules; main thread. */
#include "orchestrator/store/jobs.h"

#include <stdio.h>

#include "orchestrator/store/schema.h"
#include "orchestrator/store/store_priv.h"

const char *const schema_jobs[] = {
    "CREATE TABLE jobs ("
    " id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, workload TEXT NOT NULL, spec TEXT NOT NULL,"
    " state TEXT NOT NULL, reason TEXT NOT NULL, phase TEXT NOT NULL, run INTEGER NOT NULL,"
    " flags INTEGER NOT NULL, created_ms INTEGER NOT NULL, started_ms INTEGER NOT NULL,"
    " ended_ms INTEGER NOT NULL) STRICT;"
    "CREATE TABLE pairs ("
    " job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, n INTEGER NOT NULL,"
    " state TEXT NOT NULL, reason TEXT NOT NULL, stage INTEGER NOT NULL, attempt INTEGER NOT NULL,"
    " tries INTEGER NOT NULL, flags INTEGER NOT NULL, facts TEXT NOT NULL, counters BLOB NOT NULL,"
    " failures BLOB NOT NULL, started_ms INTEGER NOT NULL, ended_ms INTEGER NOT NULL,"
    " PRIMARY KEY (job, n)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE steps ("
    " op_id TEXT PRIMARY KEY, job TEXT NOT NULL, n INTEGER NOT NULL, side INTEGER NOT NULL,"
    " kind TEXT NOT NULL, state TEXT NOT NULL, args BLOB NOT NULL, tally BLOB NOT NULL,"
    " result BLOB NOT NULL,"
    " FOREIGN KEY (job, n) REFERENCES pairs (job, n) ON DELETE CASCADE) STRICT;"
    "CREATE INDEX steps_pair ON steps (job, n);",
    "ALTER TABLE steps ADD COLUMN lanes BLOB NOT NULL DEFAULT x'';",
    NULL,
};

int job_rows_insert(struct store *s, const struct job_row *r)
{
    return db_run(s->db, "INSERT INTO jobs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  "tttttttiiiii", r->id, r->name, r->workload, r->spec, r->state, r->reason,
                  r->phase, (int64_t)r->run, (int64_t)r->flags, r->created_ms, r->started_ms,
                  r->ended_ms);
}

int job_rows_update(struct store *s, const struct job_row *r)
{
    return db_run(s->db,
                  "UPDATE jobs SET state = ?, reason = ?, phase = ?, run = ?, flags = ?,"
                  " started_ms = ?, ended_ms = ? WHERE id = ?",
                  "tttiiiit", r->state, r->reason, r->phase, (int64_t)r->run, (int64_t)r->flags,
                  r->started_ms, r->ended_ms, r->id);
}

int job_rows_delete(struct store *s, const char *id)
{
    return db_run(s->db, "DELETE FROM jobs WHERE id = ?", "t", id);
}

int job_rows_each(struct store *s, int (*each)(void *arg, const struct job_row *r), void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc = db_query(&q, s->db,
                      "SELECT id, name, workload, spec, state, reason, phase, run, flags,"
                      " created_ms, started_ms, ended_ms FROM jobs ORDER BY created_ms, id",
                      "");
    while (rc >= 0 && (rc = db_next(q)) > 0) {
        struct job_row r = {.name = db_text(q, 1),
                            .workload = db_text(q, 2),
                            .spec = db_text(q, 3),
                            .state = db_text(q, 4),
                            .reason = db_text(q, 5),
                            .phase = db_text(q, 6),
                            .run = (unsigned)db_int(q, 7),
                            .flags = (unsigned)db_int(q, 8),
                            .created_ms = db_int(q, 9),
                            .started_ms = db_int(q, 10),
                            .ended_ms = db_int(q, 11)};
        db_copy(q, 0, r.id, sizeof r.id);
        rc = each(arg, &r);
    }
    return rc;
}

int pair_rows_insert(struct store *s, const struct pair_row *r)
{
    return db_run(s->db, "INSERT INTO pairs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  "tittiiiitbbii", r->job, (int64_t)r->n, r->state, r->reason, (int64_t)r->stage,
                  (int64_t)r->attempt, (int64_t)r->tries, (int64_t)r->flags, r->facts, r->counters,
                  r->counters_len, r->failures, r->failures_len, r->started_ms, r->ended_ms);
}

int pair_rows_update(struct store *s, const struct pair_row *r)
{
    return db_run(s->db,
                  "UPDATE pairs SET state = ?, reason = ?, stage = ?, attempt = ?, tries = ?,"
                  " flags = ?, facts = ?, counters = ?, failures = ?, started_ms = ?,"
                  " ended_ms = ? WHERE job = ? AND n = ?",
                  "ttiiiitbbiiti", r->state, r->reason, (int64_t)r->stage, (int64_t)r->attempt,
                  (int64_t)r->tries, (int64_t)r->flags, r->facts, r->counters, r->counters_len,
                  r->failures, r->failures_len, r->started_ms, r->ended_ms, r->job, (int64_t)r->n);
}

int pair_rows_each(struct store *s, int (*each)(void *arg, const struct pair_row *r), void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc = db_query(&q, s->db,
                      "SELECT job, n, state, reason, stage, attempt, tries, flags, facts,"
                      " counters, failures, started_ms, ended_ms FROM pairs ORDER BY job, n",
                      "");
    while (rc >= 0 && (rc = db_next(q)) > 0) {
        struct pair_row r = {.job = db_text(q, 0),
                             .n = (unsigned)db_int(q, 1),
                             .state = db_text(q, 2),
                             .reason = db_text(q, 3),
                             .stage = (unsigned)db_int(q, 4),
                             .attempt = (unsigned)db_int(q, 5),
                             .tries = (unsigned)db_int(q, 6),
                             .flags = (unsigned)db_int(q, 7),
                             .facts = db_text(q, 8),
                             .started_ms = db_int(q, 11),
                             .ended_ms = db_int(q, 12)};
        r.counters = db_blob(q, 9, &r.counters_len);
        r.failures = db_blob(q, 10, &r.failures_len);
        rc = each(arg, &r);
    }
    return rc;
}

int step_rows_insert(struct store *s, const struct step_row *r)
{
    return db_run(s->db, "INSERT INTO steps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", "ttiittbbbb",
                  r->op_id, r->job, (int64_t)r->n, (int64_t)r->side, r->kind, r->state, r->args,
                  r->args_len, r->tally, r->tally_len, r->result, r->result_len, r->lanes,
                  r->lanes_len);
}

int step_rows_update(struct store *s, const struct step_row *r)
{
    if (r->result_len == 0)
        return db_run(s->db, "UPDATE steps SET state = ?, tally = ? WHERE op_id = ?", "tbt",
                      r->state, r->tally, r->tally_len, r->op_id);
    return db_run(s->db, "UPDATE steps SET state = ?, tally = ?, result = ? WHERE op_id = ?",
                  "tbbt", r->state, r->tally, r->tally_len, r->result, r->result_len, r->op_id);
}

int step_rows_delete(struct store *s, const char *job, unsigned n)
{
    return db_run(s->db, "DELETE FROM steps WHERE job = ? AND n = ?", "ti", job, (int64_t)n);
}

int step_rows_each(struct store *s, int (*each)(void *arg, const struct step_row *r), void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc = db_query(&q, s->db,
                      "SELECT op_id, job, n, side, kind, state, args, tally, result, lanes"
                      " FROM steps"
                      " ORDER BY job, n, rowid",
                      "");
    while (rc >= 0 && (rc = db_next(q)) > 0) {
        struct step_row r = {.job = db_text(q, 1),
                             .n = (unsigned)db_int(q, 2),
                             .side = (unsigned)db_int(q, 3),
                             .kind = db_text(q, 4),
                             .state = db_text(q, 5)};
        db_copy(q, 0, r.op_id, sizeof r.op_id);
        r.args = db_blob(q, 6, &r.args_len);
        r.tally = db_blob(q, 7, &r.tally_len);
        r.result = db_blob(q, 8, &r.result_len);
        r.lanes = db_blob(q, 9, &r.lanes_len);
        rc = each(arg, &r);
    }
    return rc;
}
