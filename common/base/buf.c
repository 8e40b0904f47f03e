/* buf: bounded growing bytes and a bounded cursor. One thread. */
#include "common/base/buf.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->overflow = false;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
    if (b->overflow || n > b->max || b->len > b->max - n) {
        b->overflow = true;
        return NULL;
    }
    if (b->cap - b->len < n) {
        size_t want = b->cap ? b->cap * 2 : 256;
        while (want < b->len + n)
            want *= 2;
        b->cap = want < b->max ? want : b->max;
        b->data = xrealloc(b->data, b->cap);
    }
    return b->data + b->len;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    uint8_t *to = n > 0 ? buf_reserve(b, n) : NULL;
    if (!to)
        return;
    memcpy(to, p, n);
    b->len += n;
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    buf_put(b, &v, 1);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    v = htole16(v);
    buf_put(b, &v, sizeof v);
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    v = htole32(v);
    buf_put(b, &v, sizeof v);
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    v = htole64(v);
    buf_put(b, &v, sizeof v);
}

void buf_put_varint(struct buf *b, uint64_t v)
{
    uint8_t out[10];
    size_t n = 0;
    do {
        out[n] = (uint8_t)((v & 0x7f) | (v > 0x7f ? 0x80 : 0));
        n++;
        v >>= 7;
    } while (v);
    buf_put(b, out, n);
}

void buf_put_blob(struct buf *b, const void *p, size_t n)
{
    buf_put_varint(b, n);
    buf_put(b, p, n);
}

const void *cursor_bytes(struct cursor *c, size_t n)
{
    if (c->bad || cursor_left(c) < n) {
        c->bad = true;
        return NULL;
    }
    const void *p = c->at;
    c->at += n;
    return p;
}

uint8_t cursor_u8(struct cursor *c)
{
    const uint8_t *p = cursor_bytes(c, 1);
    return p ? *p : 0;
}

uint16_t cursor_u16(struct cursor *c)
{
    uint16_t v = 0;
    const void *p = cursor_bytes(c, sizeof v);
    if (p)
        memcpy(&v, p, sizeof v);
    return le16toh(v);
}

uint32_t cursor_u32(struct cursor *c)
{
    uint32_t v = 0;
    const void *p = cursor_bytes(c, sizeof v);
    if (p)
        memcpy(&v, p, sizeof v);
    return le32toh(v);
}

uint64_t cursor_u64(struct cursor *c)
{
    uint64_t v = 0;
    const void *p = cursor_bytes(c, sizeof v);
    if (p)
        memcpy(&v, p, sizeof v);
    return le64toh(v);
}

uint64_t cursor_varint(struct cursor *c)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = cursor_u8(c);
        if (shift == 63 && byte > 1)
            break;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return c->bad ? 0 : v;
    }
    c->bad = true;
    return 0;
}

const void *cursor_blob(struct cursor *c, size_t max, size_t *retlen)
{
    uint64_t n = cursor_varint(c);
    if (n > max)
        c->bad = true;
    const void *p = cursor_bytes(c, c->bad ? 0 : (size_t)n);
    *retlen = p ? (size_t)n : 0;
    return p;
}
