/* journal: the chained record. Main thread. */
#include "orchestrator/store/journal.h"

#include <errno.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/sha256.h"
#include "orchestrator/store/schema.h"
#include "orchestrator/store/store_priv.h"

#define ROW_MAX (64U << 10) /* canonical form of one row */

const char *const schema_journal[] = {
    "CREATE TABLE journal ("
    " seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, job TEXT NOT NULL, pair INTEGER NOT NULL,"
    " op_id TEXT NOT NULL, event TEXT NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL,"
    " digest BLOB NOT NULL) STRICT;"
    "CREATE INDEX journal_job ON journal (job, seq);"
    "CREATE TRIGGER journal_keeps BEFORE UPDATE ON journal"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;"
    "CREATE TRIGGER journal_stays BEFORE DELETE ON journal"
    " BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;",
    NULL,
};

static const char *text_or_empty(const char *s)
{
    return s ? s : "";
}

/* Canonical: lengths before texts, so that no two rows have the same bytes. */
static int chain(const uint8_t prev[JOURNAL_DIGEST], const struct journal_row *r,
                 uint8_t ret[JOURNAL_DIGEST])
{
    const char *const texts[] = {r->job, r->op_id, r->event, r->state, r->detail};
    struct buf b;
    buf_init(&b, ROW_MAX);
    buf_put(&b, prev, JOURNAL_DIGEST);
    buf_put_u64(&b, r->seq);
    buf_put_u64(&b, (uint64_t)r->at_ms);
    buf_put_u64(&b, r->pair);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        buf_put_blob(&b, texts[i], strlen(texts[i]));
    int rc = b.overflow ? -EMSGSIZE : 0;
    if (rc == 0)
        sha256_of(b.data, b.len, ret);
    buf_done(&b);
    return rc;
}

static int read_head(struct store *s, struct journal_mark *ret)
{
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc = db_query(&q, s->db, "SELECT seq, digest FROM journal ORDER BY seq DESC LIMIT 1", "");
    if (rc == 0)
        rc = db_next(q);
    if (rc <= 0)
        return rc;
    size_t n = 0;
    const void *digest = db_blob(q, 1, &n);
    if (n != JOURNAL_DIGEST)
        return -EBADMSG;
    ret->seq = (uint64_t)db_int(q, 0);
    memcpy(ret->digest, digest, JOURNAL_DIGEST);
    return 0;
}

int journal_append(struct store *s, struct journal_row *r)
{
    struct journal_mark head = {.seq = 0};
    int rc = read_head(s, &head);
    if (rc < 0)
        return rc;
    r->seq = head.seq + 1;
    r->job = text_or_empty(r->job);
    r->op_id = text_or_empty(r->op_id);
    r->event = text_or_empty(r->event);
    r->state = text_or_empty(r->state);
    r->detail = text_or_empty(r->detail);
    rc = chain(head.digest, r, r->digest);
    if (rc < 0)
        return rc;
    return db_run(s->db, "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                  "iititttt"
                  "b",
                  (int64_t)r->seq, r->at_ms, r->job, (int64_t)r->pair, r->op_id, r->event, r->state,
                  r->detail, r->digest, (size_t)JOURNAL_DIGEST);
}

static int read_row(struct db_rows *q, struct journal_row *r)
{
    *r = (struct journal_row){.seq = (uint64_t)db_int(q, 0),
                              .at_ms = db_int(q, 1),
                              .job = db_text(q, 2),
                              .pair = (unsigned)db_int(q, 3),
                              .op_id = db_text(q, 4),
                              .event = db_text(q, 5),
                              .state = db_text(q, 6),
                              .detail = db_text(q, 7)};
    size_t n = 0;
    const void *digest = db_blob(q, 8, &n);
    if (n != JOURNAL_DIGEST)
        return -EBADMSG;
    memcpy(r->digest, digest, JOURNAL_DIGEST);
    return 0;
}

int journal_each(struct store *s, const char *job, uint64_t after, unsigned max,
                 int (*each)(void *arg, const struct journal_row *r), void *arg)
{
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc = db_query(&q, s->db,
                      "SELECT seq, at_ms, job, pair, op_id, event, state, detail, digest"
                      " FROM journal WHERE job = ? AND seq > ? ORDER BY seq LIMIT ?",
                      "tii", job, (int64_t)after, (int64_t)max);
    while (rc >= 0 && (rc = db_next(q)) > 0) {
        struct journal_row r;
        rc = read_row(q, &r);
        if (rc == 0)
            rc = each(arg, &r);
    }
    return rc;
}

static int verify_row(struct db_rows *q, struct journal_mark *mark)
{
    struct journal_row r;
    uint8_t want[JOURNAL_DIGEST];
    int rc = read_row(q, &r);
    if (rc == 0)
        rc = chain(mark->digest, &r, want);
    if (rc < 0)
        return rc;
    if (r.seq != mark->seq + 1 || memcmp(want, r.digest, sizeof want) != 0)
        return -EBADMSG;
    mark->seq = r.seq;
    memcpy(mark->digest, want, sizeof want);
    return 0;
}

int journal_verify(struct store *s, struct journal_mark *mark, unsigned max)
{
    unsigned n = 0;
    CLEANUP(db_rows_close) struct db_rows *q = NULL;
    int rc = db_query(&q, s->db,
                      "SELECT seq, at_ms, job, pair, op_id, event, state, detail, digest"
                      " FROM journal WHERE seq > ? ORDER BY seq LIMIT ?",
                      "ii", (int64_t)mark->seq, (int64_t)max);
    while (rc >= 0 && (rc = db_next(q)) > 0) {
        rc = verify_row(q, mark);
        n++;
    }
    return rc < 0 ? rc : n == max;
}
