/* text: short printable forms. Any thread. */
#include "common/base/text.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "common/base/mem.h"

void text_hex(const void *p, size_t n, char *ret)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = p;
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = digits[b[i] >> 4];
        ret[2 * i + 1] = digits[b[i] & 15];
    }
    ret[2 * n] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int text_unhex(const char *hex, void *ret, size_t n)
{
    uint8_t *out = ret;
    if (strlen(hex) != 2 * n)
        return -EINVAL;
    for (size_t i = 0; i < n; i++) {
        int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);
        if (hi < 0 || lo < 0)
            return -EINVAL;
        out[i] = (uint8_t)(hi << 4 | lo);
    }
    return 0;
}

int text_random(void *ret, size_t n)
{
    uint8_t *p = ret;
    while (n) {
        ssize_t got = getrandom(p, n, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            abort();
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

void text_new_id(char ret[TEXT_ID_LEN + 1])
{
    uint8_t raw[TEXT_ID_LEN / 2];
    (void)text_random(raw, sizeof raw);
    text_hex(raw, sizeof raw, ret);
}

bool text_is_name(const char *s, size_t max)
{
    size_t n = s ? strlen(s) : 0;
    if (n == 0 || n > max || !isalnum((unsigned char)s[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr("._-", s[i]))
            return false;
    return true;
}

void text_bytes(uint64_t n, char ret[16])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)n;
    size_t u = 0;
    while (v >= 1024 && u + 1 < ARRAY_SIZE(units)) {
        v /= 1024;
        u++;
    }
    (void)snprintf(ret, 16, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
}

/* May code point cp, encoded in n bytes, be shown as it is? Not if it is overlong, a control, a
 * mark that turns the direction of text, or no character at all. */
static bool is_showable(uint32_t cp, size_t n)
{
    if ((n == 3 && cp < 0x800) || (n == 4 && cp < 0x10000))
        return false;
    if (cp < 0xa0 || (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069))
        return false;
    return cp <= 0x10ffff && (cp < 0xd800 || cp > 0xdfff);
}

/* Length of the UTF-8 sequence at p that may be shown as it is, or 0. */
static size_t utf8_len(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80)
        return p[0] >= 0x20 && p[0] != 0x7f && p[0] != '\\' ? 1 : 0;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < n)
        return 0;
    uint32_t cp = p[0] & (0xff >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        cp = cp << 6 | (p[i] & 0x3f);
    }
    return is_showable(cp, n) ? n : 0;
}

static char *escape(const void *bytes, size_t len, char quote)
{
    const uint8_t *p = bytes;
    char *out = xmalloc(len * 4 + 3);
    size_t o = 0;
    if (quote)
        out[o++] = quote;
    for (size_t i = 0; i < len;) {
        size_t n = p[i] == (uint8_t)quote && quote ? 0 : utf8_len(p + i, len - i);
        if (n == 0) {
            o += (size_t)snprintf(out + o, 5, "\\x%02x", p[i]);
            i++;
            continue;
        }
        memcpy(out + o, p + i, n);
        o += n;
        i += n;
    }
    if (quote)
        out[o++] = quote;
    out[o] = '\0';
    return out;
}

char *text_quote(const void *bytes, size_t len)
{
    return escape(bytes, len, '\'');
}

char *text_printable(const void *bytes, size_t len)
{
    return escape(bytes, len, '\0');
}
