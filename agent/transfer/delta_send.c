/* delta_send: a large file of which the destination has an older one: each piece is offered by its
 * digest, and only the blocks that differ are sent. A piece stays in memory from its offer to its
 * end. Worker threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/delta.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define WAIT_MS 200
#define RUN_PIECES 32U  /* then the worker looks for something else to do */
#define SKIP_PIECES 16U /* most pieces in a row that go whole because those before were all new */

/* A piece that was offered. */
struct offered {
    struct large *g;
    uint32_t piece;
    uint64_t len, holes;
    bool answered, wanted;
    uint8_t *data;
    uint8_t digest[DIGEST_BYTES];
    uint8_t theirs[PIECE_BLOCKS * SUM_BYTES];
};

/* Of one worker, from the first time that it needs it. */
struct delta {
    struct offered ring[DELTA_AHEAD];
    unsigned first, n;
    uint32_t nholes;
    struct hole holes[OFFER_HOLES_MAX];
    uint8_t mine[PIECE_BLOCKS * SUM_BYTES];
};

void delta_free(struct worker *w)
{
    if (!w->delta)
        return;
    for (unsigned i = 0; i < DELTA_AHEAD; i++)
        free(w->delta->ring[i].data);
    free(w->delta);
    w->delta = NULL;
}

static struct offered *slot(struct delta *d, unsigned i)
{
    return &d->ring[(d->first + i) % DELTA_AHEAD];
}

/* Is there something at the destination to compare with, and was that of use lately? What shares
 * blocks is offered in any case: it is not only time that is to be saved. */
static bool is_wanted(struct sender *s, struct large *g, uint32_t piece)
{
    if (piece * PIECE_BYTES >= g->old_size)
        return false;
    (void)pthread_mutex_lock(&s->lock);
    bool wanted = g->skip == 0 || g->basis;
    g->skip -= !wanted;
    (void)pthread_mutex_unlock(&s->lock);
    return wanted;
}

/* Where most blocks are new (something was inserted before them, say), those that follow are likely
 * to be, too: they go whole for a while. */
static void learn(struct sender *s, struct large *g, uint64_t sent, uint64_t of)
{
    (void)pthread_mutex_lock(&s->lock);
    bool useless = sent > of - of / 8;
    g->useless = !useless ? 0 : g->useless * 2 < SKIP_PIECES ? g->useless * 2 + 1 : SKIP_PIECES;
    g->skip = g->useless;
    (void)pthread_mutex_unlock(&s->lock);
}

/* ── offering ── */

static int take_data(struct worker *w, const struct large *g, uint8_t *to, uint64_t at, uint64_t n)
{
    while (n > 0) {
        size_t k = n < CHUNK_BYTES ? n : CHUNK_BYTES;
        int rc = large_read(w, g, to, k, at);
        if (rc < 0)
            return rc;
        (void)XXH3_128bits_update(w->hash, to, k);
        to += k;
        at += k;
        n -= k;
    }
    return 0;
}

/* 0: in p, its holes in d. 1: too many holes, or nothing else. */
static int piece_read(struct worker *w, struct delta *d, struct offered *p)
{
    uint64_t start = p->piece * PIECE_BYTES, at = start, end = start + p->len;
    large_read_ahead(w, p->g, p->piece);
    d->nholes = 0;
    p->holes = 0;
    (void)XXH3_128bits_reset(w->hash);
    while (at < end) {
        uint64_t from, to;
        large_data_range(p->g, at, end, &from, &to);
        if (from > at) {
            if (from - at == p->len || d->nholes == OFFER_HOLES_MAX)
                return 1;
            d->holes[d->nholes++] = (struct hole){(uint32_t)(at - start), (uint32_t)(from - at)};
            p->holes += from - at;
            memset(p->data + (at - start), 0, from - at);
            (void)XXH3_128bits_update(w->hash, p->data + (at - start), from - at);
        }
        int rc = take_data(w, p->g, p->data + (from - start), from, to - from);
        if (rc < 0)
            return rc;
        at = to;
    }
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(w->hash));
    memcpy(p->digest, c.digest, DIGEST_BYTES);
    return 0;
}

static int offer_send(struct worker *w, const struct delta *d, const struct offered *p)
{
    struct offer o = {.id = p->g->id, .piece = p->piece, .nholes = d->nholes};
    memcpy(o.digest, p->digest, DIGEST_BYTES);
    worker_head(&w->record);
    offer_put(&w->record, &o);
    for (uint32_t i = 0; i < d->nholes; i++)
        hole_put(&w->record, &d->holes[i]);
    return worker_send(w, REC_OFFER, &w->record);
}

/* Offers it, or sends it as it is. */
static int piece_begin(struct worker *w, struct delta *d, struct large *g, uint32_t piece)
{
    int err = 0, rc = 0;
    bool offers = is_wanted(w->s, g, piece);
    if (offers) {
        struct offered *p = slot(d, d->n);
        p->g = g;
        p->piece = piece;
        p->len = piece_len(g->meta.size, piece);
        p->answered = false;
        if (!p->data)
            p->data = xmalloc(PIECE_BYTES);
        int got = piece_read(w, d, p);
        offers = got == 0;
        if (offers) {
            d->n++;
            FAULT_POINT("piece-offered");
            return offer_send(w, d, p);
        }
        err = got < 0 ? got : 0;
    }
    if (err == 0)
        rc = large_piece_send(w, g, piece, &err);
    large_release(w->s, g, rc < 0 ? -ECANCELED : err);
    return rc;
}

/* ── settling ── */

int delta_answer(struct worker *w, struct cursor *c)
{
    struct sums s;
    struct delta *d = w->delta;
    int rc = sums_get(c, &s);
    unsigned i = 0;
    while (rc == 0 && d && i < d->n && slot(d, i)->answered)
        i++;
    if (rc < 0 || !d || i >= d->n)
        return -EPROTO;
    struct offered *p = slot(d, i);
    p->wanted = s.kind == SUMS_BLOCKS;
    if (s.id != p->g->id || s.piece != p->piece ||
        (p->wanted && s.blocks.n != delta_blocks(p->len) * SUM_BYTES))
        return -EPROTO;
    if (p->wanted)
        memcpy(p->theirs, s.blocks.p, s.blocks.n);
    p->answered = true;
    return 0;
}

static int blocks_send(struct worker *w, const struct offered *p, uint64_t from, uint64_t to)
{
    while (from < to) {
        size_t n = to - from < CHUNK_BYTES ? to - from : CHUNK_BYTES;
        worker_head(&w->record);
        uint8_t *head = buf_reserve(&w->record, CHUNK_HEAD_BYTES + n);
        if (!head)
            return -EMSGSIZE;
        chunk_head_put(head, p->g->id, p->piece * PIECE_BYTES + from);
        memcpy(head + CHUNK_HEAD_BYTES, p->data + from, n);
        w->record.len += CHUNK_HEAD_BYTES + n;
        large_count(w->s, n);
        int rc = worker_send(w, REC_CHUNK, &w->record);
        if (rc < 0)
            return rc;
        from += n;
    }
    return 0;
}

static int difference_send(struct worker *w, struct delta *d, const struct offered *p,
                           uint64_t *retsent)
{
    uint32_t from = 0, to = 0, n = delta_blocks(p->len);
    int rc = 0;
    delta_sums(p->data, p->len, p->g->seed, d->mine);
    for (; rc == 0 && delta_differ(d->mine, p->theirs, n, &from, &to); from = to) {
        uint64_t end = (uint64_t)to * DELTA_BLOCK;
        end = end < p->len ? end : p->len;
        rc = blocks_send(w, p, (uint64_t)from * DELTA_BLOCK, end);
        *retsent += end - (uint64_t)from * DELTA_BLOCK;
    }
    return rc < 0 ? rc : large_piece_end(w, p->g, p->piece, p->digest);
}

/* The oldest that is offered comes to its end. */
static int settle(struct worker *w, struct delta *d)
{
    struct offered *p = slot(d, 0);
    uint64_t sent = 0, data = p->len - p->holes;
    int rc = 0;
    while (rc >= 0 && !p->answered)
        rc = worker_pump(w, WAIT_MS);
    if (rc >= 0)
        rc = p->wanted ? difference_send(w, d, p, &sent) : 0;
    d->first = (d->first + 1) % DELTA_AHEAD;
    d->n--;
    if (rc == 0) {
        (void)pthread_mutex_lock(&w->s->lock);
        w->s->counters.delta_saved += data > sent ? data - sent : 0;
        (void)pthread_mutex_unlock(&w->s->lock);
        learn(w->s, p->g, sent, p->len);
    }
    large_release(w->s, p->g, rc < 0 ? -ECANCELED : 0);
    return rc;
}

int delta_take(struct worker *w, struct large *g, uint32_t piece)
{
    if (!w->delta)
        w->delta = xcalloc(1, sizeof *w->delta);
    struct delta *d = w->delta;
    int rc = 0;
    bool more = true;
    large_hold(w->s, g); /* between one piece and the next nothing else keeps it */
    for (unsigned i = 0; rc >= 0 && more; i++) {
        rc = piece_begin(w, d, g, piece);
        if (rc >= 0 && d->n == DELTA_AHEAD)
            rc = settle(w, d);
        more = rc >= 0 && i + 1 < RUN_PIECES && large_claim(w->s, g, &piece);
    }
    while (rc >= 0 && d->n > 0)
        rc = settle(w, d);
    while (d->n > 0)
        large_release(w->s, slot(d, --d->n)->g, -ECANCELED);
    large_release(w->s, g, 0);
    return rc < 0 ? rc : 1;
}
