/* names_text: /etc/hosts and smb.conf with other names. Pure; any thread. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/identity/names.h"
#include "agent/share/smbconf.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define OUT_MAX (2U * NAMES_FILE_MAX)

static void say(struct buf *b, const char *text)
{
    buf_put(b, text, strlen(text));
}

static char *done(struct buf *b)
{
    char *text = xmemdup(b->data ? b->data : (const uint8_t *)"", b->len);
    buf_done(b);
    return text;
}

/* ── /etc/hosts ── */

/* "fs1" and "fs1.example.org" are both the host fs1. */
static bool is_name(const char *word, size_t n, const char *host)
{
    size_t h = strlen(host);
    return n >= h && strncasecmp(word, host, h) == 0 && (n == h || word[h] == '.');
}

struct hosts {
    const struct hosts_edit *e;
    struct buf out;
    bool has_own; /* the address has the name already */
};

static bool is_loopback(const char *address)
{
    return strncmp(address, "127.", 4) == 0 || strcmp(address, "::1") == 0;
}

/* Where no address moves, the name does not stay where it was. */
static bool is_elsewhere(const struct hosts_edit *e, const char *address)
{
    return e->moved && e->address && !is_loopback(address) && strcmp(address, e->address) != 0;
}

static void put_word(struct hosts *h, const char *address, const char *word, size_t n,
                     size_t *names)
{
    const struct hosts_edit *e = h->e;
    bool loopback = is_loopback(address);
    if (is_elsewhere(e, address) && is_name(word, n, e->after))
        return;
    if (is_name(word, n, e->before) && !is_name(word, n, e->after)) {
        if (!loopback && e->forget)
            return;
        if (loopback) {
            say(&h->out, *names ? " " : "\t");
            say(&h->out, e->after);
            size_t b = strlen(e->before);
            buf_put(&h->out, word + b, n - b);
            (*names)++;
            return;
        }
    }
    say(&h->out, *names ? " " : "\t");
    buf_put(&h->out, word, n);
    (*names)++;
}

static bool has_name(const char *line, size_t n, const char *name, const char *but)
{
    for (size_t i = 0; i < n && line[i] != '#';) {
        size_t from = i + strspn(line + i, " \t\r"), len = strcspn(line + from, " \t\r\n#");
        if (from + len > n || len == 0)
            break;
        if (is_name(line + from, len, name) && !(but && is_name(line + from, len, but)))
            return true;
        i = from + len;
    }
    return false;
}

static bool says_own(const struct hosts *h, const char *address, const char *line, size_t n)
{
    if (!h->e->address || strcmp(address, h->e->address) != 0)
        return false;
    for (size_t i = 0; i < n && line[i] != '#'; i++)
        if ((i == 0 || isspace((unsigned char)line[i - 1])) &&
            is_name(line + i, strcspn(line + i, " \t\r\n#"), h->e->after))
            return true;
    return false;
}

static void put_line(struct hosts *h, const char *line, size_t n)
{
    size_t from = strspn(line, " \t\r"), len = from < n ? strcspn(line + from, " \t\r\n#") : 0;
    CLEANUP(mem_free) char *address = xmemdup(line + from, len);
    bool loopback = is_loopback(address);
    size_t names = 0, mark = h->out.len, at = from + len;
    h->has_own = h->has_own || says_own(h, address, line, n);
    bool before = has_name(line, n, h->e->before, h->e->after) && (loopback || h->e->forget);
    bool taken = is_elsewhere(h->e, address) && has_name(line, n, h->e->after, NULL);
    if (len == 0 || (!before && !taken)) {
        buf_put(&h->out, line, n);
        say(&h->out, "\n");
        return;
    }
    say(&h->out, address);
    while (at < n) {
        at += strspn(line + at, " \t\r");
        size_t w = at < n ? strcspn(line + at, " \t\r\n#") : 0;
        if (w == 0)
            break;
        put_word(h, address, line + at, w, &names);
        at += w;
    }
    if (names == 0)
        h->out.len = mark; /* nobody is left at that address */
    else
        say(&h->out, "\n");
}

char *names_hosts(const char *text, const struct hosts_edit *e)
{
    struct hosts h = {.e = e};
    buf_init(&h.out, OUT_MAX);
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        put_line(&h, at, n);
        at += n + (at[n] == '\n');
    }
    if (e->address && !h.has_own) {
        CLEANUP(mem_free)
        char *line = xasprintf("%s\t%s%s%s\n", e->address, e->full ? e->full : "",
                               e->full ? " " : "", e->after);
        say(&h.out, line);
    }
    return done(&h.out);
}

/* ── smb.conf ── */

struct conf {
    const struct conf_set *sets;
    size_t n;
    struct buf out;
    bool put; /* the new ones stand there */
};

static void put_sets(struct conf *c)
{
    for (size_t i = 0; i < c->n && !c->put; i++) {
        if (!c->sets[i].value || !*c->sets[i].value)
            continue;
        CLEANUP(mem_free)
        char *line = xasprintf("   %s = %s\n", c->sets[i].name, c->sets[i].value);
        say(&c->out, line);
    }
    c->put = true;
}

static bool is_set(const struct conf *c, const char *line, size_t n)
{
    const char *eq = memchr(line, '=', n);
    if (!eq)
        return false;
    CLEANUP(mem_free) char *name = xmemdup(line, (size_t)(eq - line));
    for (size_t i = 0; i < c->n; i++)
        if (smbconf_same(name, c->sets[i].name))
            return true;
    return false;
}

/* With the lines that a backslash at the end takes in. */
static size_t logical(const char *at)
{
    size_t n = strcspn(at, "\n");
    for (;;) {
        size_t last = n;
        while (last > 0 && (at[last - 1] == ' ' || at[last - 1] == '\t' || at[last - 1] == '\r'))
            last--;
        if (!at[n] || last == 0 || at[last - 1] != '\\')
            return n;
        n += 1 + strcspn(at + n + 1, "\n");
    }
}

static bool is_global(const char *line, size_t n)
{
    const char *end = memchr(line, ']', n);
    if (!end)
        return false;
    CLEANUP(mem_free) char *name = xmemdup(line + 1, (size_t)(end - line - 1));
    return smbconf_same(name, "global");
}

char *names_globals(const char *text, const struct conf_set *sets, size_t n)
{
    struct conf c = {.sets = sets, .n = n};
    bool in = true; /* what stands before the first section is global too */
    buf_init(&c.out, OUT_MAX);
    for (const char *at = text; *at;) {
        size_t blanks = strspn(at, " \t\r"), len = logical(at);
        bool comment = at[blanks] == '#' || at[blanks] == ';';
        bool header = at[blanks] == '[';
        if (comment)
            len = strcspn(at, "\n");
        if (header)
            in = is_global(at + blanks, blanks < len ? len - blanks : 0);
        if (comment || header || !in || !is_set(&c, at, len)) {
            buf_put(&c.out, at, len);
            say(&c.out, "\n");
        }
        if (header && in)
            put_sets(&c);
        at += len + (at[len] == '\n');
    }
    if (!c.put) {
        say(&c.out, "[global]\n");
        put_sets(&c);
    }
    return done(&c.out);
}
