/* show_text: numbers, ages and foreign text as a terminal may show them. Main thread. */
#include <inttypes.h>
#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

#include "common/base/mem.h"
#include "orchestrator/console/show.h"

bool show_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

bool show_color(FILE *out)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    if (no && *no)
        return false;
    return isatty(fileno(out)) && term && strcmp(term, "dumb") != 0;
}

/* Decodes one character; *retlen is 1 and the result 0 when the bytes are no UTF-8. */
static uint32_t decode(const unsigned char *p, size_t *retlen)
{
    size_t n = p[0] < 0x80 ? 1 : p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    *retlen = 1;
    if (n == 1)
        return p[0];
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    uint32_t cp = p[0] & (0xffU >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        cp = cp << 6 | (p[i] & 0x3f);
    }
    *retlen = n;
    return cp;
}

/* Control characters, and those that turn the direction of what follows. */
static bool harmful(uint32_t cp)
{
    return (cp < 0x20 && cp != '\n') || (cp >= 0x7f && cp < 0xa0) ||
           (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

char *show_clean(const char *text)
{
    size_t len = strlen(text), o = 0;
    char *out = xmalloc(len * 4 + 1);
    for (size_t i = 0, n = 0; i < len; i += n) {
        uint32_t cp = decode((const unsigned char *)text + i, &n);
        if (!harmful(cp)) {
            memcpy(out + o, text + i, n);
            o += n;
            continue;
        }
        for (size_t k = 0; k < n; k++)
            o += (size_t)snprintf(out + o, 5, "\\x%02x", (unsigned char)text[i + k]);
    }
    out[o] = '\0';
    return out;
}

static int char_width(uint32_t cp)
{
    int w = wcwidth((wchar_t)cp);
    return w < 0 ? 1 : w;
}

int show_width(const char *text)
{
    int w = 0;
    for (size_t n = 0; *text; text += n)
        w += char_width(decode((const unsigned char *)text, &n));
    return w;
}

void show_fit(char *text, int width)
{
    if (width < 1 || show_width(text) <= width)
        return;
    int w = 0;
    size_t at = 0, n = 0;
    for (; text[at]; at += n) {
        int c = char_width(decode((const unsigned char *)text + at, &n));
        if (w + c > width - 1)
            break;
        w += c;
    }
    text[at] = '~'; /* one byte: there is room whatever stood here */
    text[at + 1] = '\0';
}

void show_count(uint64_t n, char ret[32])
{
    char plain[24];
    int len = snprintf(plain, sizeof plain, "%" PRIu64, n), o = 0;
    for (int i = 0; i < len; i++) {
        if (i && (len - i) % 3 == 0)
            ret[o++] = ',';
        ret[o++] = plain[i];
    }
    ret[o] = '\0';
}

void show_duration(uint64_t ms, char ret[32])
{
    static const struct {
        uint64_t ms;
        const char *name;
    } units[] = {
        {86400000, "d"  },
        {3600000,  "h"  },
        {60000,    "min"},
        {1000,     "s"  },
        {1,        "ms" },
    };
    size_t u = 0;
    while (u + 1 < ARRAY_SIZE(units) && ms < units[u].ms)
        u++;
    uint64_t whole = ms / units[u].ms, rest = ms % units[u].ms;
    uint64_t small = u < 2 ? rest / units[u + 1].ms : 0;
    if (small)
        (void)snprintf(ret, 32, "%" PRIu64 " %s %" PRIu64 " %s", whole, units[u].name, small,
                       units[u + 1].name);
    else
        (void)snprintf(ret, 32, "%" PRIu64 " %s", whole, units[u].name);
}
