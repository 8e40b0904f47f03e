/* record_large: packing and parsing of the records of one larger file: its pieces, and what the
 * destination has of them. Bounds as in record.c. */
#include <errno.h>
#include <string.h>

#include "agent/transfer/record.h"
#include "agent/transfer/record_priv.h"

void begin_put(struct buf *b, const struct begin *g)
{
    buf_put_u32(b, g->id);
    buf_put_u8(b, g->flags);
    record_bytes_put(b, g->folder);
    record_bytes_put(b, g->name);
    meta_put(b, &g->meta);
    record_bytes_put(b, g->xattrs);
    if (g->basis.n == 0)
        return;
    record_bytes_put(b, g->basis);
    buf_put_u64(b, g->basis_ino);
}

int begin_get(struct cursor *c, struct begin *ret)
{
    *ret = (struct begin){0};
    ret->id = cursor_u32(c);
    ret->flags = cursor_u8(c);
    bool ok = record_path_get(c, &ret->folder) && record_name_get(c, &ret->name) &&
              meta_get(c, &ret->meta) && record_xattrs_get(c, &ret->xattrs);
    ok = ok && S_ISREG(ret->meta.mode) && ret->meta.size <= LARGE_BYTES_MAX;
    if (ok && cursor_left(c) > 0) {
        ok = record_link_target_get(c, &ret->basis); /* a path, never that of the root */
        ret->basis_ino = cursor_u64(c);
    }
    return ok && !c->bad ? 0 : -EBADMSG;
}

void chunk_head_put(uint8_t to[CHUNK_HEAD_BYTES], uint32_t id, uint64_t offset)
{
    record_put32(&to, id);
    record_put64(&to, offset);
}

int chunk_get(struct cursor *c, struct chunk *ret)
{
    ret->id = cursor_u32(c);
    ret->offset = cursor_u64(c);
    ret->data.n = cursor_left(c);
    ret->data.p = cursor_bytes(c, ret->data.n);
    return c->bad || ret->offset > FILE_BYTES_MAX || ret->data.n == 0 ? -EBADMSG : 0;
}

void piece_end_put(struct buf *b, const struct piece_end *p)
{
    buf_put_u32(b, p->id);
    buf_put_u32(b, p->piece);
    buf_put(b, p->digest, DIGEST_BYTES);
}

int piece_end_get(struct cursor *c, struct piece_end *ret)
{
    ret->id = cursor_u32(c);
    ret->piece = cursor_u32(c);
    const void *digest = cursor_bytes(c, DIGEST_BYTES);
    if (!digest)
        return -EBADMSG;
    memcpy(ret->digest, digest, DIGEST_BYTES);
    return 0;
}

void offer_put(struct buf *b, const struct offer *o)
{
    buf_put_u32(b, o->id);
    buf_put_u32(b, o->piece);
    buf_put(b, o->digest, DIGEST_BYTES);
    buf_put_u32(b, o->nholes);
}

int offer_get(struct cursor *c, struct offer *ret)
{
    ret->id = cursor_u32(c);
    ret->piece = cursor_u32(c);
    const void *digest = cursor_bytes(c, DIGEST_BYTES);
    if (!digest)
        return -EBADMSG;
    memcpy(ret->digest, digest, DIGEST_BYTES);
    ret->nholes = cursor_u32(c);
    return c->bad || ret->nholes > OFFER_HOLES_MAX ? -EBADMSG : 0;
}

void hole_put(struct buf *b, const struct hole *h)
{
    buf_put_u32(b, h->from);
    buf_put_u32(b, h->len);
}

int hole_get(struct cursor *c, uint32_t *at, struct hole *ret)
{
    uint32_t from = cursor_u32(c), len = cursor_u32(c);
    if (c->bad || from < *at || from > PIECE_BYTES || len == 0 || len > PIECE_BYTES - from)
        return -EBADMSG;
    *at = from + len;
    *ret = (struct hole){from, len};
    return 0;
}

void sums_put(struct buf *b, const struct sums *s)
{
    buf_put_u32(b, s->id);
    buf_put_u32(b, s->piece);
    buf_put_u8(b, s->kind);
    buf_put(b, s->blocks.p, s->blocks.n);
}

int sums_get(struct cursor *c, struct sums *ret)
{
    ret->id = cursor_u32(c);
    ret->piece = cursor_u32(c);
    ret->kind = cursor_u8(c);
    ret->blocks.n = cursor_left(c);
    ret->blocks.p = cursor_bytes(c, ret->blocks.n);
    bool fits = ret->kind == SUMS_SAME
                    ? ret->blocks.n == 0
                    : ret->kind == SUMS_BLOCKS && ret->blocks.n % sizeof(uint64_t) == 0 &&
                          ret->blocks.n <= PIECE_BLOCKS * sizeof(uint64_t);
    return c->bad || !fits ? -EBADMSG : 0;
}

void begun_put(struct buf *b, const struct begun *g)
{
    buf_put_u32(b, g->id);
    record_bytes_put(b, g->bitmap);
    if (g->old_size == 0)
        return;
    buf_put_u64(b, g->old_size);
    buf_put_u64(b, g->seed);
}

int begun_get(struct cursor *c, struct begun *ret)
{
    *ret = (struct begun){.id = cursor_u32(c)};
    ret->bitmap = record_bytes_get(c, PIECES_MAX / 8);
    if (!c->bad && cursor_left(c) > 0) {
        ret->old_size = cursor_u64(c);
        ret->seed = cursor_u64(c);
    }
    return c->bad || ret->old_size > FILE_BYTES_MAX ? -EBADMSG : 0;
}
