/* exports: the reader, and how a path is written. Any thread. */
#include "agent/share/exports.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define WORD_MAX 4095
#define CLIENTS_MAX (64U << 10)

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* One logical line: \ at its end goes on, # begins a comment outside of quotes. */
static const char *join_line(const char *at, const char *end, struct buf *line, unsigned *lines)
{
    bool quoted = false, comment = false;
    buf_clear(line);
    for (; at < end; at++) {
        if (*at == '\\' && at + 1 < end && at[1] == '\n') {
            buf_put_u8(line, ' ');
            ++*lines;
            at++;
            continue;
        }
        if (*at == '\n')
            break;
        quoted = quoted != (*at == '"');
        comment = comment || (*at == '#' && !quoted);
        if (!comment)
            buf_put_u8(line, (uint8_t)*at);
    }
    ++*lines;
    return at < end ? at + 1 : end;
}

/* The next word with quotes and \ooo undone; false: none, or it is not well formed (*retbad). */
static bool next_word(const char **p, const char *end, struct buf *word, bool *retbad)
{
    const char *s = *p;
    bool quoted = false;
    buf_clear(word);
    while (s < end && is_blank(*s))
        s++;
    if (s == end)
        return false;
    for (; s < end && (quoted || !is_blank(*s)); s++) {
        if (*s == '"') {
            quoted = !quoted;
        } else if (*s == '\\' && end - s > 3 && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
                   s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
            buf_put_u8(word, (uint8_t)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0')));
            s += 3;
        } else {
            buf_put_u8(word, (uint8_t)*s);
        }
    }
    *p = s;
    size_t n = word->len;
    buf_put_u8(word, 0);
    *retbad = quoted || word->overflow || strlen((const char *)word->data) != n;
    return !*retbad;
}

int exports_clients_valid(const char *clients)
{
    size_t n = strlen(clients);
    if (n == 0 || n > CLIENTS_MAX)
        return -EINVAL;
    if (clients[0] == '-' || strstr(clients, " -")) /* would be options for all that follow */
        return -EINVAL;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)clients[i] <= 0x20 ? clients[i] != ' '
                                              : strchr("#\"\\\x7f", clients[i]) != NULL)
            return -EINVAL;
    return 0;
}

/* "host(opts)", "host", "(opts)"; defaults is "opts" of a "-opts" before it, or "". */
static int add_client(struct buf *to, const char *word, const char *defaults)
{
    const char *open = strchr(word, '('), *close = strchr(word, ')');
    if (!open != !close || (open && (close < open || close[1])) ||
        exports_clients_valid(word) < 0 || strchr(word, ' '))
        return -EINVAL;
    int host = open ? (int)(open - word) : (int)strlen(word);
    int own = open ? (int)(close - open - 1) : 0;
    bool both = *defaults && own;
    CLEANUP(mem_free)
    char *text = xasprintf("%s%.*s%s%s%s%.*s%s", to->len ? " " : "", host ? host : 1,
                           host ? word : "*", *defaults || own ? "(" : "", defaults,
                           both ? "," : "", own, open ? open + 1 : "", *defaults || own ? ")" : "");
    buf_put(to, text, strlen(text));
    return to->overflow ? -EINVAL : 0;
}

static int add_line(struct exports *e, const char *path, const struct buf *clients)
{
    if (e->n == EXPORTS_LINES)
        return -E2BIG;
    if ((e->n & (e->n - 1)) == 0)
        e->list = xrealloc(e->list, (e->n ? 2 * e->n : 1) * sizeof *e->list);
    struct export_line *l = &e->list[e->n++];
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    l->path = xmemdup(path, n);
    l->clients = clients->len ? xmemdup(clients->data, clients->len) : xstrdup("*");
    return 0;
}

static int parse_line(struct exports *e, const struct buf *line, struct buf *word,
                      struct buf *clients)
{
    const char *p = line->data ? (const char *)line->data : "", *end = p + line->len;
    CLEANUP(mem_free) char *path = NULL;
    CLEANUP(mem_free) char *defaults = xstrdup("");
    bool bad = false;
    if (line->overflow)
        return -EINVAL;
    if (line->len == 0 || !next_word(&p, end, word, &bad))
        return bad ? -EINVAL : 0;
    path = xstrdup((const char *)word->data);
    if (path[0] != '/')
        return -EINVAL;
    buf_clear(clients);
    while (next_word(&p, end, word, &bad)) {
        const char *w = (const char *)word->data;
        if (*w == '-' && w[1] && exports_clients_valid(w + 1) == 0 && !strpbrk(w, "() ")) {
            free(defaults);
            defaults = xstrdup(w + 1);
        } else if (add_client(clients, w, defaults) < 0) {
            return -EINVAL;
        }
    }
    if (!bad && clients->len == 0 && *defaults && add_client(clients, "*", defaults) < 0)
        return -EINVAL;
    return bad ? -EINVAL : add_line(e, path, clients);
}

int exports_parse(const char *text, size_t len, struct exports *ret, struct fault *reterr)
{
    struct exports e = {.n = 0};
    struct buf line, word, clients;
    const char *at = text, *end = text + len;
    unsigned lines = 0, first = 1;
    int rc = 0;
    buf_init(&line, CLIENTS_MAX);
    buf_init(&word, WORD_MAX);
    buf_init(&clients, CLIENTS_MAX);
    while (rc == 0 && at < end) {
        first = lines + 1;
        line.overflow = word.overflow = clients.overflow = false;
        at = join_line(at, end, &line, &lines);
        rc = parse_line(&e, &line, &word, &clients);
    }
    buf_done(&line);
    buf_done(&word);
    buf_done(&clients);
    if (rc < 0) {
        exports_done(&e);
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "line %u is no export", first);
    }
    *ret = e;
    return 0;
}

void exports_done(struct exports *e)
{
    for (size_t i = 0; i < e->n; i++) {
        free(e->list[i].path);
        free(e->list[i].clients);
    }
    free(e->list);
    *e = (struct exports){.n = 0};
}

char *exports_escape(const char *path)
{
    char *text = xmalloc(4 * strlen(path) + 1), *to = text;
    for (const unsigned char *p = (const unsigned char *)path; *p; p++) {
        if (*p > 0x20 && *p < 0x7f && !strchr("#\"\\()", *p))
            *to++ = (char)*p;
        else
            to += snprintf(to, 5, "\\%03o", *p);
    }
    *to = '\0';
    return text;
}
