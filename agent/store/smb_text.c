/* smb_text: names between UTF-8 and the UTF-16 of SMB. Halves of surrogate pairs, which Windows
 * lets into names, travel as three bytes each, so that the name leads back to the same file. */
#include <errno.h>
#include <string.h>

#include "agent/store/smb_priv.h"

static void put_unit(struct buf *b, uint32_t u)
{
    buf_put_u16(b, (uint16_t)u);
}

/* Bytes of the code point at s, 0: none. */
static size_t decode(const uint8_t *s, size_t n, uint32_t *ret)
{
    size_t len = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : 4;
    if (len == 0 || len > n || s[0] > 0xf4)
        return 0;
    uint32_t v = len == 1 ? s[0] : s[0] & (0x7fU >> len);
    for (size_t i = 1; i < len; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (s[i] & 0x3fU);
    }
    bool longer = (len == 3 && v < 0x800) || (len == 4 && (v < 0x10000 || v > 0x10ffff));
    *ret = v;
    return longer ? 0 : len;
}

int smb_utf16(const char *s, size_t n, struct buf *ret)
{
    const uint8_t *p = (const uint8_t *)s;
    for (size_t at = 0; at < n;) {
        uint32_t v = 0;
        size_t k = decode(p + at, n - at, &v);
        if (k == 0)
            return -EILSEQ;
        at += k;
        if (v >= 0x10000) {
            put_unit(ret, 0xd800 + ((v - 0x10000) >> 10));
            put_unit(ret, 0xdc00 + ((v - 0x10000) & 0x3ff));
        } else {
            put_unit(ret, v == '/' ? '\\' : v);
        }
    }
    return ret->overflow ? -ENAMETOOLONG : 0;
}

static size_t encode(uint32_t v, uint8_t to[4])
{
    if (v < 0x80) {
        to[0] = (uint8_t)v;
        return 1;
    }
    size_t n = v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
    static const uint8_t first[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; v >>= 6)
        to[i] = (uint8_t)(0x80 | (v & 0x3f));
    to[0] = (uint8_t)(first[n] | v);
    return n;
}

size_t smb_utf8(const uint8_t *le, size_t bytes, char *ret, size_t max)
{
    size_t len = 0;
    for (size_t i = 0; i + 1 < bytes; i += 2) {
        uint8_t out[4];
        uint32_t v = le16(le + i);
        if (v >= 0xd800 && v < 0xdc00 && i + 3 < bytes) {
            uint32_t low = le16(le + i + 2);
            if (low >= 0xdc00 && low < 0xe000) {
                v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
                i += 2;
            }
        }
        size_t n = encode(v, out);
        if (len + n > max)
            return 0;
        memcpy(ret + len, out, n);
        len += n;
    }
    return len;
}

bool smb_name_good(const char *name, size_t len)
{
    struct buf b;
    buf_init(&b, 2048);
    bool good = smb_utf16(name, len, &b) == 0 && !b.overflow && b.len > 0 && b.len <= 510;
    buf_done(&b);
    return good;
}
