/* compress: tries LZ4 only where the link is the limit, and stops trying on what does not shrink.
 */
#include "agent/transfer/compress.h"

#include <errno.h>
#include <lz4.h>

#define SKIP_AFTER_POOR 64
#define SMALLEST 512

/* Worth it: a gain of 1.2 or more. */
static bool is_gain(size_t raw, size_t packed)
{
    return packed * 6 <= raw * 5;
}

bool compress_record(struct compress *c, const uint8_t *body, size_t len, struct buf *ret)
{
    if (c->policy == COMPRESS_OFF || (c->policy == COMPRESS_AUTO && !atomic_load(&c->link_bound)))
        return false;
    if (len < SMALLEST)
        return false;
    if (c->skip > 0) {
        c->skip--;
        return false;
    }
    static const uint8_t room[LANE_HEADER_BYTES];
    buf_clear(ret);
    buf_put(ret, room, sizeof room);
    buf_put_u32(ret, (uint32_t)len);
    int bound = LZ4_compressBound((int)len);
    uint8_t *to = buf_reserve(ret, (size_t)bound);
    int n = to ? LZ4_compress_default((const char *)body, (char *)to, (int)len, bound) : 0;
    if (n <= 0 || !is_gain(len, (size_t)n)) {
        c->skip = SKIP_AFTER_POOR;
        return false;
    }
    ret->len += (size_t)n;
    return true;
}

int compress_open(const uint8_t *body, size_t len, uint8_t *to, size_t max, size_t *retlen)
{
    struct cursor c = cursor_of(body, len);
    uint32_t raw = cursor_u32(&c);
    if (c.bad || raw == 0 || raw > max)
        return -EBADMSG;
    int n = LZ4_decompress_safe((const char *)c.at, (char *)to, (int)cursor_left(&c), (int)raw);
    if (n < 0 || (uint32_t)n != raw)
        return -EBADMSG;
    *retlen = raw;
    return 0;
}
