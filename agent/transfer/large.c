/* large: a file in pieces of 8 MiB; the worker that met it sends them, and idle ones help. Worker
 * threads; the list is under the sender's lock. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/transfer/digest.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define WAIT_MS 200

static const uint8_t zeros[64 << 10];

static bool piece_there(const struct large *g, uint32_t piece)
{
    return (g->bitmap[piece / 8] >> (piece % 8)) & 1;
}

static bool is_begun(struct sender *s, const struct large *g)
{
    (void)pthread_mutex_lock(&s->lock);
    bool begun = g->begun;
    (void)pthread_mutex_unlock(&s->lock);
    return begun;
}

/* Under the lock: the next piece that nobody has; false: none. */
static bool claim_from(struct large *g, uint32_t *retpiece)
{
    if (g->dropped || g->err)
        return false;
    while (g->next_piece < g->npieces && piece_there(g, g->next_piece))
        g->next_piece++;
    if (g->next_piece >= g->npieces)
        return false;
    *retpiece = g->next_piece++;
    g->inflight++;
    return true;
}

bool large_claim(struct sender *s, struct large *g, uint32_t *retpiece)
{
    (void)pthread_mutex_lock(&s->lock);
    bool some = claim_from(g, retpiece);
    (void)pthread_mutex_unlock(&s->lock);
    return some;
}

/* Several lanes that read one file by turns are no order that the kernel would see through. Not
 * where blocks may be reserved and unwritten: once they are in memory they count as data. Nor where
 * the source is to be spared: how long its disk takes shows only to who waits for it. */
void large_read_ahead(const struct worker *w, const struct large *g, uint32_t piece)
{
    if (g->fd < 0 || g->sparse || w->s->hold.max_us)
        return;
    if (piece == 0)
        file_read_ahead(g->fd, 0, PIECES_AHEAD * PIECE_BYTES);
    file_read_ahead(g->fd, (piece + PIECES_AHEAD) * PIECE_BYTES, PIECE_BYTES);
}

void large_hold(struct sender *s, struct large *g)
{
    (void)pthread_mutex_lock(&s->lock);
    g->inflight++;
    (void)pthread_mutex_unlock(&s->lock);
}

void large_release(struct sender *s, struct large *g, int err)
{
    (void)pthread_mutex_lock(&s->lock);
    if (err < 0 && g->err == 0)
        g->err = err;
    bool last = --g->inflight == 0;
    (void)pthread_mutex_unlock(&s->lock);
    if (last)
        sender_ring(s);
}

static int hash_zeros(struct worker *w, uint64_t n)
{
    while (n > 0) {
        size_t k = n < sizeof zeros ? n : sizeof zeros;
        (void)XXH3_128bits_update(w->hash, zeros, k);
        n -= k;
    }
    return 0;
}

int large_read(struct worker *w, const struct large *g, uint8_t *to, size_t n, uint64_t at)
{
    int64_t from = hold_begin(&w->s->hold);
    for (size_t got = 0; got < n;) {
        ssize_t k = pread(g->fd, to + got, n - got, (off_t)(at + got));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? -errno : -EBUSY;
        got += (size_t)k;
    }
    hold_end(&w->s->hold, from);
    return 0;
}

void large_count(struct sender *s, uint64_t n)
{
    (void)pthread_mutex_lock(&s->lock);
    s->sent += n;
    s->counters.sent_bytes += n;
    (void)pthread_mutex_unlock(&s->lock);
}

/* *reterr: of reading. Fills the record with up to CHUNK_BYTES from at on. */
static int chunk_send(struct worker *w, const struct large *g, uint64_t at, size_t n, int *reterr)
{
    struct buf *b = &w->record;
    worker_head(b);
    uint8_t *head = buf_reserve(b, CHUNK_HEAD_BYTES + n);
    if (!head)
        return -EMSGSIZE;
    chunk_head_put(head, g->id, at);
    *reterr = large_read(w, g, head + CHUNK_HEAD_BYTES, n, at);
    if (*reterr < 0)
        return 0;
    FAULT_POINT("chunk-read");
    (void)XXH3_128bits_update(w->hash, head + CHUNK_HEAD_BYTES, n);
    b->len += CHUNK_HEAD_BYTES + n;
    large_count(w->s, n);
    int rc = worker_send(w, REC_CHUNK, b);
    /* Nobody can help before the answer is read, and on a long link a piece takes its time. */
    return rc == 0 && g->owner == w && !is_begun(w->s, g) ? worker_pump(w, 0) : rc;
}

void large_data_range(const struct large *g, uint64_t at, uint64_t end, uint64_t *retfrom,
                      uint64_t *retto)
{
    *retfrom = at;
    *retto = end;
    if (!g->sparse)
        return;
    off_t data = lseek(g->fd, (off_t)at, SEEK_DATA);
    if (data < 0 && errno != ENXIO)
        return; /* what cannot be told from a hole is read */
    *retfrom = data < 0 || (uint64_t)data > end ? end : (uint64_t)data;
    off_t hole = *retfrom < end ? lseek(g->fd, (off_t)*retfrom, SEEK_HOLE) : -1;
    if (hole >= 0 && (uint64_t)hole < end)
        *retto = (uint64_t)hole;
}

int large_piece_end(struct worker *w, const struct large *g, uint32_t piece,
                    const uint8_t digest[DIGEST_BYTES])
{
    struct piece_end p = {.id = g->id, .piece = piece};
    memcpy(p.digest, digest, DIGEST_BYTES);
    worker_head(&w->record);
    piece_end_put(&w->record, &p);
    return worker_send(w, REC_PIECE_END, &w->record);
}

int large_piece_send(struct worker *w, const struct large *g, uint32_t piece, int *reterr)
{
    uint64_t at = piece * PIECE_BYTES, start = at, end = at + piece_len(g->meta.size, piece);
    large_read_ahead(w, g, piece);
    (void)XXH3_128bits_reset(w->hash);
    while (at < end) {
        uint64_t from, to;
        large_data_range(g, at, end, &from, &to);
        if (from == end && at == start && end - start == PIECE_BYTES)
            return large_piece_end(w, g, piece, digest_zero_piece);
        (void)hash_zeros(w, from - at);
        for (at = from; at < to;) {
            size_t n = to - at < CHUNK_BYTES ? to - at : CHUNK_BYTES;
            int rc = chunk_send(w, g, at, n, reterr);
            if (rc < 0 || *reterr < 0)
                return rc;
            at += n;
        }
    }
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(w->hash));
    return large_piece_end(w, g, piece, c.digest);
}

static int take(struct worker *w, struct large *g, uint32_t piece)
{
    int err = 0;
    if (g->old_size)
        return delta_take(w, g, piece);
    int rc =
        w->s->source ? w->s->source->piece(w, g, piece, &err) : large_piece_send(w, g, piece, &err);
    direct_drop(&w->direct); /* nothing is under way by descriptors that the owner closes */
    large_release(w->s, g, rc < 0 ? -ECANCELED : err);
    return rc < 0 ? rc : 1;
}

int large_help(struct worker *w)
{
    uint32_t piece = 0;
    struct large *found = NULL;
    (void)pthread_mutex_lock(&w->s->lock);
    for (struct large *g = w->s->larges; g && !found; g = g->next)
        if (g->begun && claim_from(g, &piece))
            found = g;
    (void)pthread_mutex_unlock(&w->s->lock);
    return found ? take(w, found, piece) : 0;
}

void large_begun(struct worker *w, const struct begun *b)
{
    struct sender *s = w->s;
    struct near near;
    near_take(w, b->id, &near);
    (void)pthread_mutex_lock(&s->lock);
    struct large *g = s->larges;
    while (g && g->id != b->id)
        g = g->next;
    if (g && !g->begun) {
        g->begun = true;
        g->near = near;
        near = NEAR_NONE;
        if ((s->spec->options.delta || g->basis) && !s->source && b->old_size) {
            g->old_size = b->old_size;
            g->seed = b->seed;
        }
        if (b->bitmap.n == (g->npieces + 7) / 8)
            memcpy(g->bitmap, b->bitmap.p, b->bitmap.n);
    }
    (void)pthread_mutex_unlock(&s->lock);
    near_close(&near);
    sender_ring(s);
}

/* ── the owner ── */

static int begin_send(struct worker *w, const struct folder *f, const char *name,
                      const struct large *g)
{
    struct begin b = {
        .id = g->id,
        .flags = f->fresh ? BEGIN_FRESH : 0,
        .folder = {f->path,                      f->len       },
        .name = {name,                         strlen(name) },
        .meta = g->meta,
        .xattrs = {(const char *)w->xattrs.data, w->xattrs.len}
    };
    if (g->basis) {
        b.basis = (struct bytes){g->basis->path, g->basis->len};
        b.basis_ino = g->basis->ino;
    }
    worker_head(&w->record);
    begin_put(&w->record, &b);
    return worker_send(w, REC_BEGIN, &w->record);
}

static int end_send(struct worker *w, const struct large *g, bool ok)
{
    worker_head(&w->record);
    buf_put_u32(&w->record, g->id);
    buf_put_u8(&w->record, ok);
    return worker_send(w, REC_END, &w->record);
}

static void enlist(struct sender *s, struct large *g)
{
    (void)pthread_mutex_lock(&s->lock);
    g->next = s->larges;
    s->larges = g;
    (void)pthread_mutex_unlock(&s->lock);
}

/* Nobody may be in a piece of it any more; a broken session makes them leave. */
static void delist(struct sender *s, struct large *g)
{
    (void)pthread_mutex_lock(&s->lock);
    g->dropped = true;
    while (g->inflight > 0) {
        (void)pthread_mutex_unlock(&s->lock);
        (void)usleep(1000);
        (void)pthread_mutex_lock(&s->lock);
    }
    for (struct large **at = &s->larges; *at; at = &(*at)->next) {
        if (*at != g)
            continue;
        *at = g->next;
        break;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* 1: a piece of g to send. 0: none, and none under way. -EAGAIN: others are under way. */
static int own_piece(struct sender *s, struct large *g, uint32_t *retpiece)
{
    (void)pthread_mutex_lock(&s->lock);
    int rc = claim_from(g, retpiece) ? 1 : g->inflight > 0 ? -EAGAIN : 0;
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static int pieces_send(struct worker *w, struct large *g, bool fresh)
{
    int rc = 0;
    bool some = g->basis || (!fresh && g->npieces > 1) || near_waits(w, g);
    while (rc >= 0 && some) { /* what is there need not be sent */
        if (is_begun(w->s, g))
            break;
        rc = worker_pump(w, WAIT_MS);
    }
    while (rc >= 0) {
        uint32_t piece = 0;
        int own = own_piece(w->s, g, &piece);
        if (own == 0)
            return 0;
        if (own == 1)
            rc = take(w, g, piece);
        if (rc >= 0)
            rc = worker_pump(w, own == 1 ? 0 : 5);
    }
    return rc;
}

static bool held_still(struct worker *w, const struct large *g)
{
    struct stat st;
    struct meta now;
    if (w->s->source)
        return w->s->source->held_still(w, g);
    if (fstat(g->fd, &st) < 0)
        return false;
    meta_from_stat(&st, &now);
    return meta_same_content(&g->meta, &now, true);
}

/* Blocks may be taken though nothing was written to them (fallocate): the file system knows. */
static bool has_holes(int fd, const struct meta *m)
{
    if (m->blocks512 * 512 + 4096 <= m->size)
        return true;
    off_t hole = lseek(fd, 0, SEEK_HOLE);
    return hole >= 0 && (uint64_t)hole < m->size;
}

static int send_whole(struct worker *w, struct folder *f, const char *name, struct large *g)
{
    g->npieces = piece_count(g->meta.size);
    g->owner = w;
    g->id = atomic_fetch_add(&w->s->next_id, 1) + 1;
    CLEANUP(mem_free) uint8_t *bitmap = xcalloc((g->npieces + 7) / 8 + 1, 1);
    g->bitmap = bitmap;
    enlist(w->s, g);
    int rc = begin_send(w, f, name, g);
    if (rc == 0)
        rc = pieces_send(w, g, f->fresh);
    delist(w->s, g);
    near_close(&g->near);
    if (rc < 0)
        return rc;
    if (g->err == 0 && !held_still(w, g))
        g->err = -EBUSY;
    FAULT_POINT("large-sent");
    rc = end_send(w, g, g->err == 0);
    if (rc < 0 || g->err == 0)
        return rc;
    if (g->err != -EBUSY)
        worker_failed(w, f, name, -g->err, "read");
    return g->err == -EBUSY ? -EBUSY : 0;
}

int large_send(struct worker *w, struct folder *f, const char *name, int fd, const struct meta *m)
{
    struct reflink basis = {.path = NULL};
    if (reflink_look(w, f, name, fd, m, &basis))
        return 0; /* its turn comes */
    struct large g = {.fd = fd,
                      .near = NEAR_NONE,
                      .meta = *m,
                      .sparse = has_holes(fd, m),
                      .basis = basis.path ? &basis : NULL};
    int rc = send_whole(w, f, name, &g);
    free(basis.path);
    return rc;
}

int large_send_file(struct worker *w, struct folder *f, const char *name, const void *file,
                    const struct meta *m)
{
    struct large g = {.fd = -1, .near = NEAR_NONE, .file = file, .meta = *m};
    return send_whole(w, f, name, &g);
}
