/* keep_nm: a connection's file of NetworkManager with other addresses. Pure; any thread. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/identity/keep.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/route.h"

#define OUT_MAX (2U * KEEP_FILE_MAX)
#define ADDRESSES 256

/* What one family's section has. */
struct family {
    bool six, there, dropped, automatic;
    char *list[ADDRESSES];
    size_t n;
    char *gateway;   /* NULL: none */
    unsigned routes; /* the last one's number */
    char *ways;      /* "198.51.100.0/24,192.0.2.2\n…", to be added; NULL: none */
    bool differs;
};

static const char *next_line(const char *at)
{
    at += strcspn(at, "\n");
    return *at ? at + 1 : at;
}

static bool is_section(const char *line, bool six)
{
    return strncmp(line, six ? "[ipv6]" : "[ipv4]", 6) == 0;
}

/* "address1", "addresses2", "addresses": which hold addresses. Not "address-data" and the like. */
static bool is_address_key(const char *line)
{
    size_t n = strncmp(line, "addresses", 9) == 0 ? 9 : strncmp(line, "address", 7) == 0 ? 7 : 0;
    n += n ? strspn(line + n, "0123456789") : 0;
    return n > 0 && line[n + strspn(line + n, " ")] == '=';
}

static bool is_key(const char *line, const char *key)
{
    size_t n = strlen(key);
    return strncmp(line, key, n) == 0 && line[n + strspn(line + n, " ")] == '=';
}

/* "route1": its number; 0: another line. "route1_options" is one. */
static unsigned route_number(const char *line)
{
    char *end = NULL;
    if (strncmp(line, "route", 5) != 0 || !isdigit((unsigned char)line[5]))
        return 0;
    unsigned long n = strtoul(line + 5, &end, 10);
    return end[strspn(end, " ")] == '=' && n < ADDRESSES ? (unsigned)n : 0;
}

static char *value_of(const char *line)
{
    const char *v = line + strcspn(line, "=\n");
    v += *v == '=';
    v += strspn(v, " \t");
    size_t n = strcspn(v, "\r\n");
    while (n > 0 && isspace((unsigned char)v[n - 1]))
        n--;
    return xmemdup(v, n);
}

static void add(struct family *f, const char *text, size_t n)
{
    if (f->n < ADDRESSES && n > 0)
        f->list[f->n++] = xmemdup(text, n);
}

/* "192.0.2.8/24,192.0.2.1" and "192.0.2.8/24;192.0.2.9/24;" */
static void read_value(struct family *f, const char *line)
{
    CLEANUP(mem_free) char *value = value_of(line);
    for (const char *at = value; *at;) {
        size_t n = strcspn(at, ";"), a = strcspn(at, ",;");
        add(f, at, a);
        if (at[a] == ',' && !f->gateway)
            f->gateway = xmemdup(at + a + 1, n - a - 1);
        at += n + (at[n] == ';');
    }
}

static void read_family(const char *text, struct family *f)
{
    bool in = false;
    for (const char *at = text; *at; at = next_line(at)) {
        if (*at == '[')
            in = is_section(at, f->six);
        f->there = f->there || in;
        if (!in)
            continue;
        CLEANUP(mem_free) char *value = value_of(at);
        if (route_number(at) > f->routes)
            f->routes = route_number(at);
        if (is_address_key(at))
            read_value(f, at);
        else if (is_key(at, "gateway") && *value) {
            free(f->gateway);
            f->gateway = xstrdup(value);
        } else if (is_key(at, "method")) {
            f->automatic = strcmp(value, "auto") == 0 || strcmp(value, "dhcp") == 0;
        }
    }
}

static bool is_in(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

static char *gateway_of(const struct net_want *w, bool six)
{
    for (size_t i = 0; i < w->nroutes; i++) {
        const char *r = w->routes[i], *via = strstr(r, " via ");
        bool whole = strncmp(r, "default", 7) == 0 || strncmp(r, "::/0", 4) == 0;
        if (whole && via && (strchr(r, ':') != NULL) == six)
            return xmemdup(via + 5, strcspn(via + 5, " "));
    }
    return NULL;
}

static void drop(struct family *f, const struct net_want *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < f->n; i++)
        if (is_in(w->drop, w->ndrop, f->list[i]) && !is_in(w->add, w->nadd, f->list[i])) {
            free(f->list[i]);
            f->dropped = f->differs = true;
        } else {
            f->list[kept++] = f->list[i];
        }
    f->n = kept;
}

/* "route2=198.51.100.0/24,192.0.2.2,100": the last is what it costs. */
static bool has_way(const char *text, const struct route *way)
{
    CLEANUP(mem_free) char *want = xasprintf("%s,%s", way->to, way->via);
    bool in = false;
    for (const char *at = text; *at; at = next_line(at)) {
        if (*at == '[')
            in = is_section(at, way->six);
        CLEANUP(mem_free) char *value = in && route_number(at) ? value_of(at) : NULL;
        size_t n = strlen(want);
        if (value && strncmp(value, want, n) == 0 && (!value[n] || value[n] == ','))
            return true;
    }
    return false;
}

static void add_ways(struct family *f, const char *text, const struct net_want *w)
{
    struct route way;
    for (size_t i = 0; i < w->nroutes; i++) {
        if (!route_read(w->routes[i], &way) || way.whole || way.six != f->six ||
            has_way(text, &way))
            continue;
        char *more = xasprintf("%s%s,%s\n", f->ways ? f->ways : "", way.to, way.via);
        free(f->ways);
        f->ways = more;
        f->differs = true;
    }
}

static void change(struct family *f, const char *text, const struct net_want *w)
{
    char *gate = gateway_of(w, f->six);
    drop(f, w);
    for (size_t i = 0; i < w->nadd; i++)
        if ((strchr(w->add[i], ':') != NULL) == f->six && !is_in(f->list, f->n, w->add[i])) {
            add(f, w->add[i], strlen(w->add[i]));
            f->differs = true;
        }
    /* What goes and does not stand there had come by DHCP. */
    for (size_t i = 0; i < w->ndrop; i++)
        if ((strchr(w->drop[i], ':') != NULL) == f->six && f->automatic && !f->dropped)
            f->differs = true;
    if (gate && (!f->gateway || strcmp(gate, f->gateway) != 0)) {
        f->differs = true;
        free(f->gateway);
        f->gateway = gate;
        gate = NULL;
    }
    free(gate);
    add_ways(f, text, w);
}

static void say(struct buf *b, char *line)
{
    buf_put(b, line, strlen(line));
    free(line);
}

static bool leaves_dhcp(const struct family *f, const struct net_want *w)
{
    for (size_t i = 0; i < w->ndrop; i++)
        if ((strchr(w->drop[i], ':') != NULL) == f->six)
            return !f->dropped;
    return false;
}

static void put_family(struct buf *b, const struct family *f, const struct net_want *w)
{
    bool automatic = f->automatic && !leaves_dhcp(f, w);
    say(b, xasprintf("method=%s\n", automatic ? "auto" : f->n ? "manual" : "disabled"));
    for (size_t i = 0; i < f->n; i++)
        say(b, xasprintf("address%zu=%s%s%s\n", i + 1, f->list[i], i == 0 && f->gateway ? "," : "",
                         i == 0 && f->gateway ? f->gateway : ""));
    unsigned n = f->routes;
    for (const char *at = f->ways ? f->ways : ""; *at; at = next_line(at))
        say(b, xasprintf("route%u=%.*s\n", ++n, (int)strcspn(at, "\n"), at));
}

static void write_all(const char *text, struct family f[2], const struct net_want *w, struct buf *b)
{
    const struct family *in = NULL;
    for (const char *at = text; *at; at = next_line(at)) {
        size_t n = strcspn(at, "\n");
        if (*at == '[')
            in = is_section(at, false) ? &f[0] : is_section(at, true) ? &f[1] : NULL;
        bool ours = in && in->differs;
        if (ours && (is_address_key(at) || is_key(at, "gateway") || is_key(at, "method")))
            continue;
        buf_put(b, at, n);
        buf_put(b, "\n", 1);
        if (ours && *at == '[')
            put_family(b, in, w);
    }
    for (int i = 0; i < 2; i++)
        if (f[i].differs && !f[i].there) {
            say(b, xasprintf("\n[%s]\n", i ? "ipv6" : "ipv4"));
            put_family(b, &f[i], w);
        }
}

int keep_networkmanager(const char *text, const struct net_want *w, char **ret,
                        struct fault *reterr)
{
    struct family f[2] = {{.six = false}, {.six = true}};
    struct buf b;
    for (int i = 0; i < 2; i++) {
        read_family(text, &f[i]);
        change(&f[i], text, w);
    }
    buf_init(&b, OUT_MAX);
    write_all(text, f, w, &b);
    bool over = b.overflow;
    if (!over)
        *ret = xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    for (int i = 0; i < 2; i++) {
        for (size_t k = 0; k < f[i].n; k++)
            free(f[i].list[k]);
        free(f[i].gateway);
        free(f[i].ways);
    }
    return over ? fault_set(reterr, FAULT_STOP_JOB, EFBIG, "the file is too large") : 0;
}
