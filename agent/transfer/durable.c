/* durable: makes what was placed last a crash: sync of the file system, then the catalogue, then
 * the counters that the source is told. Any thread; one flush at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/transfer/receiver_priv.h"
#include "common/base/clock.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define FLUSH_BYTES (256ULL << 20)
#define FLUSH_EARLY (32ULL << 20) /* on a disk, by the step's thread: lanes go on meanwhile */
#define FLUSH_MS 2000
#define ROWS_MAX (64U << 20)
#define ROWS_DUE (8U << 20)

void durable_put(struct placed *p, struct bytes folder, struct bytes name,
                 const struct catalogue_entry *e)
{
    struct placed_row row = {(uint32_t)folder.n, (uint32_t)name.n, p->temp, *e};
    p->waiting += p->temp != 0;
    p->temp = 0;
    buf_put(&p->rows, &row, sizeof row);
    buf_put(&p->rows, folder.p, folder.n);
    buf_put(&p->rows, name.p, name.n);
}

void durable_row(struct placed *p, struct bytes folder, struct bytes name,
                 const struct meta *source, const uint8_t digest[DIGEST_BYTES])
{
    struct catalogue_entry e = {.mode = source->mode,
                                .size = source->size,
                                .ino = source->ino,
                                .mtime = source->mtime,
                                .ctime = source->ctime};
    if (digest)
        memcpy(e.digest, digest, DIGEST_BYTES);
    durable_put(p, folder, name, &e);
}

static void add(struct placed *to, const struct placed *p)
{
    to->files += p->files;
    to->bytes += p->bytes;
    to->entries += p->entries;
    to->content += p->content;
    to->data += p->data;
    to->past += p->past;
    to->parts += p->parts;
    to->waiting += p->waiting;
}

bool placed_is_empty(const struct placed *p)
{
    return p->rows.len == 0 && p->content == 0 && p->entries == 0 && p->parts == 0;
}

/* ── folders with something new ── */

/* Under lock. */
static void news_add(struct receiver *r, const struct buf *rows)
{
    struct cursor c = cursor_of(rows->data, rows->len);
    struct bytes last = {NULL, 0};
    while (cursor_left(&c) > 0) {
        struct placed_row row;
        memcpy(&row, cursor_bytes(&c, sizeof row), sizeof row);
        struct bytes folder = {cursor_bytes(&c, row.folder_len), row.folder_len};
        (void)cursor_bytes(&c, row.name_len);
        if (last.p && last.n == folder.n && memcmp(last.p, folder.p, last.n) == 0)
            continue;
        folderset_add(&r->new_pending, folder.p, folder.n);
        last = folder;
    }
}

/* A step is over: what it took has its names, or is in the catalogue like what had them before. */
static void news_step(struct receiver *r, bool named)
{
    (void)pthread_mutex_lock(&r->lock);
    folderset_clear(&r->new_named);
    if (named)
        folderset_take(&r->new_named, &r->new_synced);
    folderset_clear(&r->new_synced);
    (void)pthread_mutex_unlock(&r->lock);
}

int durable_settle_in(struct receiver *r, struct bytes folder)
{
    (void)pthread_mutex_lock(&r->lock);
    bool some = folderset_has(&r->new_pending, folder.p, folder.n) ||
                folderset_has(&r->new_synced, folder.p, folder.n) ||
                folderset_has(&r->new_named, folder.p, folder.n);
    (void)pthread_mutex_unlock(&r->lock);
    return some ? durable_flush(r) : 0;
}

/* Under lock, which is let go of for a flush. More than one takes, should it come: with rows names
 * would be lost. */
static int room_make(struct receiver *r, size_t rows)
{
    int rc = 0;
    while (rc == 0 && r->pending.rows.len + rows > ROWS_MAX) {
        (void)pthread_mutex_unlock(&r->lock);
        rc = durable_step(r);
        (void)pthread_mutex_lock(&r->lock);
    }
    return rc;
}

/* Under lock. The disk is to have something to do from the first second on: what is written at the
 * end is what everybody waits for. Each sync writes the digests of all pieces under way anew, so it
 * waits for more where they are many. */
static bool is_early(const struct receiver *r)
{
    uint64_t content = r->pending.content, cached = content - r->pending.past;
    return r->root_later && (cached > FLUSH_EARLY + r->incoming_pieces * 1024 ||
                             content > FLUSH_BYTES / 2 + r->incoming_pieces * 1024);
}

int durable_note(struct rlane *l)
{
    struct receiver *r = l->r;
    (void)pthread_mutex_lock(&r->lock);
    int rc = room_make(r, l->placed.rows.len);
    if (placed_is_empty(&r->pending))
        r->flushed_ms = clock_mono_ms(); /* the age of the oldest unflushed thing */
    buf_put(&r->pending.rows, l->placed.rows.data, l->placed.rows.len);
    news_add(r, &l->placed.rows);
    add(&r->pending, &l->placed);
    bool much = r->pending.rows.len > ROWS_DUE || r->pending.content > FLUSH_BYTES;
    if (is_early(r))
        (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    struct buf rows = l->placed.rows;
    l->placed = (struct placed){.rows = rows};
    buf_clear(&l->placed.rows);
    return rc == 0 && much ? durable_step(r) : rc;
}

bool durable_is(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->lock);
    bool all = !r->named_waits && placed_is_empty(&r->pending);
    (void)pthread_mutex_unlock(&r->lock);
    return all;
}

bool durable_due(const struct receiver *r)
{
    bool some = r->named_waits || !placed_is_empty(&r->pending);
    return is_early(r) || (some && clock_mono_ms() - r->flushed_ms >= FLUSH_MS);
}

/* In the same transaction as the rows that it counts. */
static int put_run(struct receiver *r, const struct placed *p)
{
    if (p->data == 0)
        return 0;
    r->run.durable += p->data;
    return catalogue_run_put(r->cat, &r->run);
}

static int put_rows(struct receiver *r, const struct buf *rows)
{
    struct cursor c = cursor_of(rows->data, rows->len);
    int rc = 0;
    while (rc == 0 && cursor_left(&c) > 0) {
        struct placed_row row;
        memcpy(&row, cursor_bytes(&c, sizeof row), sizeof row);
        const char *folder = cursor_bytes(&c, row.folder_len);
        const char *name = cursor_bytes(&c, row.name_len);
        if (row.temp == ROW_VOID)
            continue;
        rc = catalogue_put(r->cat, folder, row.folder_len, name, row.name_len, &row.entry);
        if (rc == -EAGAIN) {
            rc = catalogue_commit(r->cat);
            if (rc == 0)
                rc = catalogue_put(r->cat, folder, row.folder_len, name, row.name_len, &row.entry);
        }
    }
    return rc;
}

/* The pieces of large files that were written before the sync. */
struct snapshot {
    struct snapshot *next;
    char *folder, *name;
    size_t folder_len, name_len;
    struct catalogue_partial p;
};

static struct snapshot *snapshot_one(struct incoming *in)
{
    struct snapshot *s = NULL;
    (void)pthread_mutex_lock(&in->lock);
    if (!in->over && in->npieces > 1 && in->ndone > 0) {
        s = xcalloc(1, sizeof *s);
        s->folder = xmemdup(in->folder, in->folder_len);
        s->folder_len = in->folder_len;
        s->name = xmemdup(in->name, in->name_len);
        s->name_len = in->name_len;
        memcpy(s->p.temp, in->temp, sizeof s->p.temp);
        s->p.of = (struct catalogue_entry){.mode = in->meta.mode,
                                           .size = in->meta.size,
                                           .ino = in->meta.ino,
                                           .mtime = in->meta.mtime,
                                           .ctime = in->meta.ctime};
        s->p.piece_bytes = PIECE_BYTES;
        s->p.bitmap_len = (in->npieces + 7) / 8;
        s->p.bitmap = xmemdup(in->bitmap, s->p.bitmap_len);
        s->p.piece_digests = xmemdup(in->digests, (size_t)in->npieces * DIGEST_BYTES);
        in->kept_partial = true;
    }
    (void)pthread_mutex_unlock(&in->lock);
    return s;
}

/* Under lock. */
static struct snapshot *snapshot_all(struct receiver *r)
{
    struct snapshot *all = NULL;
    for (struct incoming *in = r->incoming; in; in = in->next) {
        struct snapshot *s = snapshot_one(in);
        if (!s)
            continue;
        s->next = all;
        all = s;
    }
    return all;
}

static void snapshots_free(struct snapshot *all)
{
    for (struct snapshot *s = all, *next; s; s = next) {
        next = s->next;
        free(s->p.bitmap);
        free(s->p.piece_digests);
        free(s->folder);
        free(s->name);
        free(s);
    }
}

static int put_snapshots(struct receiver *r, const struct snapshot *all)
{
    int rc = 0;
    for (const struct snapshot *s = all; rc == 0 && s; s = s->next)
        rc = catalogue_partial_put(r->cat, s->folder, s->folder_len, s->name, s->name_len, &s->p);
    return rc;
}

/* Takes pending over, which is empty afterwards, and at that very moment the pieces: each is in the
 * counts if it is among them. */
static struct placed pending_take(struct receiver *r, struct snapshot **retpartials)
{
    (void)pthread_mutex_lock(&r->lock);
    struct placed p = r->pending;
    *retpartials = snapshot_all(r);
    r->pending = (struct placed){0};
    buf_init(&r->pending.rows, ROWS_MAX);
    folderset_take(&r->new_synced, &r->new_pending);
    r->flushed_ms = clock_mono_ms();
    (void)pthread_mutex_unlock(&r->lock);
    return p;
}

/* Under flush_lock: rows and counts of what is durable. */
static int commit(struct receiver *r, const struct placed *done, const struct snapshot *partials)
{
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = done->rows.overflow ? 0 : put_rows(r, &done->rows);
    int rc2 = put_snapshots(r, partials);
    if (rc == 0)
        rc = rc2;
    if (rc == 0)
        rc = put_run(r, done);
    if (rc == 0)
        rc = catalogue_commit(r->cat);
    (void)pthread_mutex_unlock(&r->cat_lock);
    FAULT_POINT("committed");
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&r->lock);
    add(&r->durable, done);
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    return 0;
}

/* Under flush_lock. The names that p has got become durable with the next sync; without any, p is
 * durable now, as what was named before is. */
static int settle(struct receiver *r, struct placed *p, const struct snapshot *partials)
{
    struct placed done = r->named;
    bool waits = p->waiting > 0;
    if (waits)
        naming_give(r, p);
    p->waiting = 0;
    r->named = waits ? *p : (struct placed){.files = 0};
    (void)pthread_mutex_lock(&r->lock);
    r->named_waits = waits;
    (void)pthread_mutex_unlock(&r->lock);
    if (!waits && placed_is_empty(&done)) {
        buf_done(&done.rows);
        done = *p;
    } else if (!waits) {
        buf_put(&done.rows, p->rows.data, p->rows.len);
        add(&done, p);
        buf_done(&p->rows);
    }
    int rc = commit(r, &done, partials);
    buf_done(&done.rows);
    return rc;
}

static int step_locked(struct receiver *r)
{
    struct snapshot *partials = NULL;
    struct placed p = pending_take(r, &partials);
    FAULT_POINT("flush-begun");
    int rc = r->sync_failed ? -EIO : written_sync(r);
    r->sync_failed = rc < 0;
    FAULT_POINT("synced");
    if (rc == 0) {
        rc = settle(r, &p, partials);
    } else {
        naming_drop(r, &p);
        buf_done(&p.rows);
    }
    snapshots_free(partials);
    news_step(r, rc == 0 && r->named.rows.len > 0);
    if (rc < 0) {
        struct fault f;
        (void)fault_set(&f, FAULT_STOP_JOB, -rc, "cannot make the destination durable: %s",
                        strerror(-rc));
        receiver_stop(r, &f);
    }
    return rc;
}

int durable_step(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->flush_lock);
    int rc = step_locked(r);
    (void)pthread_mutex_unlock(&r->flush_lock);
    return rc;
}

int durable_name(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->flush_lock);
    (void)pthread_mutex_lock(&r->lock);
    bool waits = r->pending.waiting > 0;
    (void)pthread_mutex_unlock(&r->lock);
    int rc = waits ? step_locked(r) : 0;
    (void)pthread_mutex_unlock(&r->flush_lock);
    return rc;
}

int durable_flush(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->flush_lock);
    int rc = step_locked(r);
    if (rc == 0 && r->named.rows.len > 0)
        rc = step_locked(r);
    (void)pthread_mutex_unlock(&r->flush_lock);
    return rc;
}
