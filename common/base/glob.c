/* glob: matches one pattern against one text of bytes. Takes time in proportion to the product of
 * both lengths and of the longest name: what a user wrote cannot stall a walk. Any thread. */
#include <stdint.h>
#include <string.h>

#include "common/base/filter_priv.h"

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + ('a' - 'A') : c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* The byte that p stands for, past a backslash if there is one; its length in the pattern. */
static size_t literal(const char *p, size_t left, unsigned char *ret)
{
    *ret = (unsigned char)p[0];
    if (p[0] != '\\' || left < 2)
        return 1;
    int hi = p[1] == 'x' && left >= 4 ? hex_digit(p[2]) : -1;
    int lo = hi >= 0 ? hex_digit(p[3]) : -1;
    if (lo < 0) {
        *ret = (unsigned char)p[1];
        return 2;
    }
    *ret = (unsigned char)(hi << 4 | lo);
    return 4;
}

/* Where the class that begins at p ends, behind its bracket; 0: it does not. A bracket that comes
 * first is a member. */
static size_t class_end(const char *p, size_t left)
{
    size_t i = 1;
    unsigned char c;
    i += i < left && (p[i] == '!' || p[i] == '^');
    for (size_t first = i; i < left; i += literal(p + i, left - i, &c))
        if (p[i] == ']' && i > first)
            return i + 1;
    return 0;
}

/* p: from '[' to ']', n long. */
static bool class_has(const char *p, size_t n, unsigned char c)
{
    size_t i = 1, end = n - 1;
    bool not = p[i] == '!' || p[i] == '^', found = false;
    i += not ;
    while (i < end) {
        unsigned char from, to;
        i += literal(p + i, end - i, &from);
        to = from;
        if (i + 1 < end && p[i] == '-') {
            i++;
            i += literal(p + i, end - i, &to);
        }
        found = found || (c >= from && c <= to);
    }
    return found != not ;
}

/* One character of the text against what stands at p; the length in the pattern, 0: no match. */
static size_t match_one(const char *p, size_t left, unsigned char c)
{
    unsigned char want;
    if (p[0] == '?')
        return c != '/';
    size_t n = p[0] == '[' ? class_end(p, left) : 0;
    if (n > 0)
        return c != '/' && class_has(p, n, c) ? n : 0;
    n = literal(p, left, &want);
    return want == c ? n : 0;
}

/* Where to go on from when the way taken fails: the last star of each kind. A later star of the
 * same kind can do all that an earlier one could, so one place each is enough. */
struct retry {
    bool set;
    size_t glob, text;
};

static bool star_at(const char *glob, size_t n, size_t *g, size_t t, struct retry retry[2])
{
    if (*g >= n || glob[*g] != '*')
        return false;
    bool deep = *g + 1 < n && glob[*g + 1] == '*';
    while (*g < n && glob[*g] == '*')
        (*g)++;
    retry[deep] = (struct retry){true, *g, t};
    if (deep)
        retry[0].set = false;
    return true;
}

static bool go_back(const char *text, size_t len, size_t *g, size_t *t, struct retry retry[2])
{
    for (int deep = 0; deep < 2; deep++) {
        struct retry *r = &retry[deep];
        if (!r->set || r->text >= len || (!deep && text[r->text] == '/'))
            continue;
        if (deep)
            retry[0].set = false;
        *t = ++r->text;
        *g = r->glob;
        return true;
    }
    return false;
}

bool glob_match(const char *glob, size_t glob_len, const char *text, size_t len)
{
    struct retry retry[2] = {
        {false, 0, 0},
        {false, 0, 0}
    }; /* [1]: of ** */
    size_t g = 0, t = 0;
    for (;;) {
        if (star_at(glob, glob_len, &g, t, retry))
            continue;
        if (g == glob_len && t == len)
            return true;
        size_t n =
            g < glob_len && t < len ? match_one(glob + g, glob_len - g, (unsigned char)text[t]) : 0;
        if (n > 0) {
            g += n;
            t++;
        } else if (!go_back(text, len, &g, &t, retry)) {
            return false;
        }
    }
}

const char *glob_check(const char *glob, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = 0;
        if (glob[i] == '\\' && i + 1 == len)
            return "ends with a backslash that takes nothing";
        if (glob[i] == '[' && class_end(glob + i, len - i) == 0)
            return "has a [ without its ]: write \\[ for the character";
        size_t n = glob[i] == '[' ? class_end(glob + i, len - i) : literal(glob + i, len - i, &c);
        if (n == 4 && c == '\0' && glob[i] == '\\')
            return "has a NUL byte, which no name has";
        i += n;
    }
    return NULL;
}
