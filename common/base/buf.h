/* buf: bytes that grow up to a named maximum, and a cursor that reads hostile bytes within bounds.
 * Numbers are little-endian. One owner, one thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
    size_t max; /* growth beyond it sets overflow and drops the write */
    bool overflow;
};

void buf_init(struct buf *b, size_t max);
void buf_done(struct buf *b); /* frees; b may be used again after buf_init() */
void buf_clear(struct buf *b);
/* Room for n more bytes; NULL (and overflow) when that would pass max. The caller then adds to len.
 */
uint8_t *buf_reserve(struct buf *b, size_t n);
void buf_put(struct buf *b, const void *p, size_t n);
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_varint(struct buf *b, uint64_t v);            /* LEB128 */
void buf_put_blob(struct buf *b, const void *p, size_t n); /* varint length, bytes */

struct cursor {
    const uint8_t *at;
    const uint8_t *end;
    bool bad; /* sticky: a read passed the end; what was read since is zero */
};

static inline struct cursor cursor_of(const void *p, size_t n)
{
    const uint8_t *at = p; /* NULL where nothing came: protobuf-c's empty bytes */
    return (struct cursor){.at = at, .end = n > 0 ? at + n : at, .bad = false};
}
static inline size_t cursor_left(const struct cursor *c)
{
    return (size_t)(c->end - c->at);
}
uint8_t cursor_u8(struct cursor *c);
uint16_t cursor_u16(struct cursor *c);
uint32_t cursor_u32(struct cursor *c);
uint64_t cursor_u64(struct cursor *c);
uint64_t cursor_varint(struct cursor *c);
const void *cursor_bytes(struct cursor *c, size_t n); /* borrowed; NULL when short */
/* A blob of at most max bytes, borrowed; NULL (and bad) when short or larger. */
const void *cursor_blob(struct cursor *c, size_t max, size_t *retlen);
