/* managed: blocks between marks. Any thread. */
#include "agent/share/managed.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/smbconf.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define BEGIN "# godwit: pair "
#define END "# godwit: end"
#define HEAD                                                                                       \
    "# Shares that Godwit moved here. It rewrites this file: settings of your own belong into "    \
    "smb.conf.\n"

static bool line_is(const char *line, size_t n, const char *what, const char *more)
{
    size_t a = strlen(what), b = strlen(more);
    return n == a + b && memcmp(line, what, a) == 0 && memcmp(line + a, more, b) == 0;
}

/* Lines inside (or outside) the block of pair; marks belong to neither but stay outside of others.
 */
static char *cut(const char *text, const char *pair, bool inside)
{
    struct buf b;
    bool mine = false;
    buf_init(&b, SMBCONF_MAX);
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n"), whole = n + (at[n] == '\n');
        bool begins = line_is(at, n, BEGIN, pair), ends = mine && line_is(at, n, END, "");
        if (begins)
            mine = true;
        else if (!ends && mine == inside)
            buf_put(&b, at, whole);
        if (ends)
            mine = false;
        at += whole;
    }
    char *ret = xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return ret;
}

char *managed_without(const char *text, const char *pair)
{
    return cut(text, pair, false);
}

char *managed_block(const char *text, const char *pair)
{
    return cut(text, pair, true);
}

char *managed_with(const char *text, const char *pair, const char *block)
{
    const char *head = strncmp(text, HEAD, strlen(HEAD)) == 0 ? "" : HEAD;
    const char *nl = *text && text[strlen(text) - 1] != '\n' ? "\n" : "";
    if (!*block)
        return xasprintf("%s%s", head, text);
    return xasprintf("%s%s%s" BEGIN "%s\n%s" END "\n", head, text, nl, pair, block);
}

/* Is this line "include = file"? */
static bool includes(const char *line, size_t n, const char *file)
{
    CLEANUP(mem_free) char *copy = xmemdup(line, n);
    char *eq = strchr(copy, '=');
    if (!eq)
        return false;
    *eq = '\0';
    char *value = eq + 1;
    value += strspn(value, " \t");
    size_t len = strlen(value);
    while (len > 0 && strchr(" \t\r", value[len - 1]))
        len--;
    return smbconf_same(copy, "include") && len == strlen(file) && memcmp(value, file, len) == 0;
}

char *managed_redirect(const char *smbconf, const char *file, const char *other)
{
    struct buf b;
    buf_init(&b, 2 * SMBCONF_MAX);
    for (const char *at = smbconf; *at;) {
        size_t n = strcspn(at, "\n"), whole = n + (at[n] == '\n');
        if (includes(at, n, file)) {
            CLEANUP(mem_free) char *line = xasprintf("include = %s\n", other);
            buf_put(&b, line, strlen(line));
        } else {
            buf_put(&b, at, whole);
        }
        at += whole;
    }
    char *ret = xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return ret;
}

char *managed_include(const char *smbconf, const char *file)
{
    for (const char *at = smbconf; *at;) {
        size_t n = strcspn(at, "\n");
        if (includes(at, n, file))
            return xstrdup(smbconf);
        at += n + (at[n] == '\n');
    }
    size_t n = strlen(smbconf);
    return xasprintf("%s%s\n# Shares that Godwit moved here; this has to stay the last line.\n"
                     "include = %s\n",
                     smbconf, n && smbconf[n - 1] != '\n' ? "\n" : "", file);
}
