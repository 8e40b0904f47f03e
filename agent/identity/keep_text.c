/* keep_text: .network files of systemd and stanzas of ifupdown with other addresses. Pure; any
 * thread. */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/identity/keep.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/route.h"

#define OUT_MAX (2U * KEEP_FILE_MAX)
#define LINES_MAX 20000

struct lines {
    char **at;
    size_t n;
};

static void lines_done(struct lines *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->at[i]);
    free(l->at);
}

static int split(const char *text, struct lines *ret, struct fault *reterr)
{
    *ret = (struct lines){.n = 0};
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n");
        if (ret->n == LINES_MAX)
            return fault_set(reterr, FAULT_STOP_JOB, E2BIG, "more than %d lines", LINES_MAX);
        if ((ret->n & (ret->n - 1)) == 0)
            ret->at = xrealloc(ret->at, (ret->n ? 2 * ret->n : 1) * sizeof *ret->at);
        ret->at[ret->n++] = xmemdup(at, n);
        at += n + (at[n] == '\n');
    }
    return 0;
}

static void say(struct buf *b, const char *a, const char *c)
{
    buf_put(b, a, strlen(a));
    buf_put(b, c, strlen(c));
    buf_put(b, "\n", 1);
}

static int finish(struct buf *b, char **ret, struct fault *reterr)
{
    bool over = b->overflow;
    if (!over)
        *ret = xmemdup(b->data ? b->data : (const uint8_t *)"", b->len);
    buf_done(b);
    return over ? fault_set(reterr, FAULT_STOP_JOB, EFBIG, "the file is too large") : 0;
}

static bool is_in(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

/* "default via G" of that family: G, malloc'd; NULL for none. */
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

/* ── networkd ── */

/* The value of "KEY = value", trimmed, malloc'd; NULL: another line. */
static char *value_of(const char *line, const char *key)
{
    size_t n = strlen(key);
    line += strspn(line, " \t");
    if (strncasecmp(line, key, n) != 0)
        return NULL;
    line += n + strspn(line + n, " \t");
    if (*line++ != '=')
        return NULL;
    line += strspn(line, " \t");
    n = strlen(line);
    while (n > 0 && isspace((unsigned char)line[n - 1]))
        n--;
    return xmemdup(line, n);
}

struct unit {
    struct lines l;
    const struct net_want *w;
    bool *gone;  /* a line */
    bool *there; /* an address of w->add */
    size_t dropped;
    bool said[2]; /* the gateway of IPv4, of IPv6 */
};

static bool is_section(const char *line, const char *name)
{
    line += strspn(line, " \t");
    size_t n = strlen(name);
    return line[0] == '[' && strncmp(line + 1, name, n) == 0 && line[n + 1] == ']';
}

/* Lines of one section, header included: from .. *retend. */
static size_t section_end(const struct lines *l, size_t from)
{
    for (size_t i = from + 1; i < l->n; i++)
        if (l->at[i][strspn(l->at[i], " \t")] == '[')
            return i;
    return l->n;
}

/* In the first round what has to go; in the second what stands there all the same. */
static void one_address(struct unit *u, size_t line, size_t from, size_t to, bool second)
{
    CLEANUP(mem_free) char *a = value_of(u->l.at[line], "Address");
    const struct net_want *w = u->w;
    if (!a)
        return;
    for (size_t i = 0; i < w->nadd && second && !u->gone[line]; i++)
        u->there[i] = u->there[i] || strcmp(w->add[i], a) == 0;
    if (second || !is_in(w->drop, w->ndrop, a) || is_in(w->add, w->nadd, a))
        return;
    u->dropped++;
    for (size_t i = from; i < to; i++)
        u->gone[i] = true;
}

static void look_at_addresses(struct unit *u, bool second)
{
    for (size_t i = 0; i < u->l.n; i = section_end(&u->l, i)) {
        size_t end = section_end(&u->l, i);
        bool network = is_section(u->l.at[i], "Network");
        for (size_t k = i; k < end && (network || is_section(u->l.at[i], "Address")); k++)
            one_address(u, k, network ? k : i, network ? k + 1 : end, second);
    }
}

/* Does [Network] name a gateway of that family? Then it is replaced where it stands. */
static bool has_gateway(const struct unit *u, bool six)
{
    bool in = false;
    for (size_t i = 0; i < u->l.n; i++) {
        CLEANUP(mem_free) char *gate = value_of(u->l.at[i], "Gateway");
        if (u->l.at[i][strspn(u->l.at[i], " \t")] == '[')
            in = is_section(u->l.at[i], "Network");
        if (in && gate && (strchr(gate, ':') != NULL) == six)
            return true;
    }
    return false;
}

static void put_network(struct unit *u, struct buf *b)
{
    CLEANUP(mem_free) char *g4 = has_gateway(u, false) ? NULL : gateway_of(u->w, false);
    CLEANUP(mem_free) char *g6 = has_gateway(u, true) ? NULL : gateway_of(u->w, true);
    for (size_t i = 0; i < u->w->nadd; i++)
        if (!u->there[i])
            say(b, "Address=", u->w->add[i]);
    if (g4)
        say(b, "Gateway=", g4);
    if (g6)
        say(b, "Gateway=", g6);
}

static bool has_key(const struct unit *u, const char *key)
{
    for (size_t i = 0; i < u->l.n; i++) {
        CLEANUP(mem_free) char *value = value_of(u->l.at[i], key);
        if (value)
            return true;
    }
    return false;
}

/* What had come with the lease: who asks for names goes on to be answered. */
static void put_names(const struct unit *u, struct buf *b)
{
    if (u->w->dns && !has_key(u, "DNS"))
        say(b, "DNS=", u->w->dns);
    if (u->w->domain && !has_key(u, "Domains"))
        say(b, "Domains=", u->w->domain);
}

/* A line of [Network] that put_network() has said already, or that would undo it. */
static bool is_replaced(struct unit *u, const char *line, struct buf *b)
{
    CLEANUP(mem_free) char *gate = value_of(line, "Gateway");
    CLEANUP(mem_free) char *dhcp = value_of(line, "DHCP");
    CLEANUP(mem_free) char *mine = gate ? gateway_of(u->w, strchr(gate, ':') != NULL) : NULL;
    if (mine) {
        bool six = strchr(gate, ':') != NULL;
        if (!u->said[six])
            say(b, "Gateway=", mine);
        u->said[six] = true;
        return true;
    }
    if (!dhcp || u->dropped >= u->w->ndrop || strcasecmp(dhcp, "no") == 0)
        return false;
    say(b, "DHCP=", "no"); /* what goes away had come from there */
    put_names(u, b);
    return true;
}

static bool has_way(const struct unit *u, const struct route *way)
{
    for (size_t i = 0; i < u->l.n; i = section_end(&u->l, i)) {
        bool to = false, via = false;
        for (size_t k = i; is_section(u->l.at[i], "Route") && k < section_end(&u->l, i); k++) {
            CLEANUP(mem_free) char *a = value_of(u->l.at[k], "Destination");
            CLEANUP(mem_free) char *b = value_of(u->l.at[k], "Gateway");
            to = to || (a && strcmp(a, way->to) == 0);
            via = via || (b && strcmp(b, way->via) == 0);
        }
        if (to && via)
            return true;
    }
    return false;
}

static void put_ways(const struct unit *u, struct buf *b)
{
    struct route way;
    for (size_t i = 0; i < u->w->nroutes; i++) {
        if (!route_read(u->w->routes[i], &way) || way.whole || has_way(u, &way))
            continue;
        say(b, "[Route]", "");
        say(b, "Destination=", way.to);
        say(b, "Gateway=", way.via);
    }
}

static void write_unit(struct unit *u, struct buf *b)
{
    bool in = false, done = false;
    for (size_t i = 0; i < u->l.n; i++) {
        const char *line = u->l.at[i];
        if (line[strspn(line, " \t")] == '[')
            in = is_section(line, "Network");
        if (u->gone[i] || (in && is_replaced(u, line, b)))
            continue;
        say(b, line, "");
        if (in && !done && is_section(line, "Network")) {
            put_network(u, b);
            done = true;
        }
    }
    if (!done) {
        say(b, "[Network]", "");
        put_network(u, b);
    }
    put_ways(u, b);
}

int keep_networkd(const char *text, const struct net_want *w, char **ret, struct fault *reterr)
{
    struct unit u = {.w = w};
    struct buf b;
    int rc = split(text, &u.l, reterr);
    buf_init(&b, OUT_MAX);
    if (rc == 0) {
        u.gone = xcalloc(u.l.n + 1, sizeof *u.gone);
        u.there = xcalloc(w->nadd + 1, sizeof *u.there);
        look_at_addresses(&u, false);
        look_at_addresses(&u, true);
        write_unit(&u, &b);
        rc = finish(&b, ret, reterr);
        free(u.gone);
        free(u.there);
    }
    lines_done(&u.l);
    return rc;
}

/* ── ifupdown ── */

struct stanza {
    size_t from, to; /* lines; the first is "iface NAME inet METHOD" */
    bool six, dhcp;
    char *address; /* "192.0.2.7/24"; NULL: none */
};

static bool words_of(const char *line, char *copy, size_t max, char *words[4])
{
    size_t n = 0;
    char *save = NULL;
    if (strlen(line) >= max)
        return false;
    memcpy(copy, line, strlen(line) + 1);
    for (char *w = strtok_r(copy, " \t\r", &save); w && n < 4; w = strtok_r(NULL, " \t\r", &save))
        words[n++] = w;
    while (n < 4)
        words[n++] = NULL;
    return words[0] != NULL;
}

static bool begins_stanza(const char *word)
{
    static const char *const all[] = {
        "iface",  "auto",         "mapping",   "source", "source-directory",
        "rename", "no-auto-down", "no-scripts"};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (strcmp(word, all[i]) == 0)
            return true;
    return strncmp(word, "allow-", 6) == 0;
}

static unsigned bits_of(const char *mask)
{
    unsigned bits = 0, part[4] = {0};
    char *end = NULL;
    if (!strchr(mask, '.'))
        return (unsigned)strtoul(mask, NULL, 10);
    for (int i = 0; i < 4; i++, mask = end && *end ? end + 1 : "") {
        part[i] = (unsigned)strtoul(mask, &end, 10) & 255;
        for (unsigned p = part[i]; p; p &= p - 1)
            bits++;
    }
    return bits;
}

static void read_stanza(const struct lines *l, size_t from, struct stanza *s)
{
    char copy[512], *w[4];
    CLEANUP(mem_free) char *address = NULL;
    unsigned bits = 0;
    (void)words_of(l->at[from], copy, sizeof copy, w);
    *s = (struct stanza){.from = from, .six = w[2] && strcmp(w[2], "inet6") == 0};
    s->dhcp = w[3] && strcmp(w[3], "dhcp") == 0;
    for (s->to = from + 1; s->to < l->n; s->to++) {
        if (!words_of(l->at[s->to], copy, sizeof copy, w))
            continue;
        if (begins_stanza(w[0]))
            break;
        if (w[1] && strcmp(w[0], "address") == 0) {
            free(address);
            address = xstrdup(w[1]);
        }
        if (w[1] && strcmp(w[0], "netmask") == 0)
            bits = bits_of(w[1]);
    }
    if (address)
        s->address = strchr(address, '/') ? xstrdup(address) : xasprintf("%s/%u", address, bits);
}

static const char *same_family(const struct net_want *w, bool *used, bool six)
{
    for (size_t i = 0; i < w->nadd; i++)
        if (!used[i] && (strchr(w->add[i], ':') != NULL) == six) {
            used[i] = true;
            return w->add[i];
        }
    return NULL;
}

static void put_ups(const struct net_want *w, bool six, struct buf *b)
{
    struct route way;
    for (size_t i = 0; i < w->nroutes; i++) {
        if (!route_read(w->routes[i], &way) || way.whole || way.six != six)
            continue;
        CLEANUP(mem_free)
        char *line =
            xasprintf("    up ip route replace %s via %s dev %s", way.to, way.via, w->name);
        say(b, line, "");
    }
}

/* The stanza with another address; its other lines stay, but for the old mask and gateway. */
static void put_stanza(const struct lines *l, const struct stanza *s, const char *address,
                       const struct net_want *w, struct buf *b)
{
    char copy[512], *word[4];
    CLEANUP(mem_free) char *gate = gateway_of(w, s->six);
    CLEANUP(mem_free) char *head = xasprintf("iface %s inet%s static", w->name, s->six ? "6" : "");
    say(b, s->dhcp ? head : l->at[s->from], "");
    say(b, "    address ", address);
    if (gate)
        say(b, "    gateway ", gate);
    put_ups(w, s->six, b);
    for (size_t i = s->from + 1; i < s->to; i++) {
        bool some = words_of(l->at[i], copy, sizeof copy, word);
        if (some && (strcmp(word[0], "address") == 0 || strcmp(word[0], "netmask") == 0 ||
                     strcmp(word[0], "broadcast") == 0 || strcmp(word[0], "network") == 0 ||
                     (gate && strcmp(word[0], "gateway") == 0)))
            continue;
        say(b, l->at[i], "");
    }
}

static bool is_plain(const struct lines *l, const struct stanza *s)
{
    static const char *const plain[] = {"address", "netmask", "broadcast", "network", "gateway"};
    char copy[512], *word[4];
    for (size_t i = s->from + 1; i < s->to; i++) {
        bool known = !words_of(l->at[i], copy, sizeof copy, word) || word[0][0] == '#';
        for (size_t k = 0; !known && k < ARRAY_SIZE(plain); k++)
            known = strcmp(word[0], plain[k]) == 0;
        if (!known)
            return false;
    }
    return true;
}

static bool is_of(const char *line, const char *name)
{
    char copy[512], *w[4];
    return words_of(line, copy, sizeof copy, w) && strcmp(w[0], "iface") == 0 && w[1] &&
           strcmp(w[1], name) == 0 && w[2] && strncmp(w[2], "inet", 4) == 0;
}

/* Addresses that are there already are not added again. */
static void mark_there(const struct lines *l, const struct net_want *w, bool *used)
{
    for (size_t i = 0; i < l->n; i++) {
        struct stanza s;
        if (!is_of(l->at[i], w->name))
            continue;
        read_stanza(l, i, &s);
        for (size_t k = 0; s.address && k < w->nadd; k++)
            used[k] = used[k] || strcmp(w->add[k], s.address) == 0;
        free(s.address);
    }
}

static int put_one(const struct lines *l, struct stanza *s, const struct net_want *w, bool *used,
                   struct buf *b)
{
    bool dropped = s->address ? is_in(w->drop, w->ndrop, s->address) : s->dhcp && w->ndrop;
    const char *other = dropped ? same_family(w, used, s->six) : NULL;
    if (other)
        put_stanza(l, s, other, w, b);
    else if (dropped && !is_plain(l, s))
        return -EOPNOTSUPP;
    for (size_t i = s->from; !dropped && i < s->to; i++)
        say(b, l->at[i], "");
    return 0;
}

static void put_rest(const struct net_want *w, const bool *used, struct buf *b)
{
    bool said[2] = {false, false}; /* the gateway of IPv4, of IPv6 */
    for (size_t i = 0; i < w->nadd; i++) {
        bool six = strchr(w->add[i], ':') != NULL;
        CLEANUP(mem_free) char *gate = said[six] ? NULL : gateway_of(w, six);
        CLEANUP(mem_free)
        char *head = xasprintf("iface %s inet%s static", w->name, six ? "6" : "");
        if (used[i])
            continue;
        say(b, head, "");
        say(b, "    address ", w->add[i]);
        if (gate)
            say(b, "    gateway ", gate);
        if (!said[six])
            put_ups(w, six, b);
        said[six] = true;
    }
}

int keep_ifupdown(const char *text, const struct net_want *w, char **ret, struct fault *reterr)
{
    struct lines l;
    struct buf b;
    CLEANUP(mem_free) bool *used = xcalloc(w->nadd + 1, sizeof *used);
    int rc = split(text, &l, reterr);
    buf_init(&b, OUT_MAX);
    mark_there(&l, w, used);
    for (size_t i = 0; rc == 0 && i < l.n;) {
        struct stanza s = {.to = i + 1};
        if (!is_of(l.at[i], w->name)) {
            say(&b, l.at[i++], "");
            continue;
        }
        read_stanza(&l, i, &s);
        rc = put_one(&l, &s, w, used, &b);
        i = s.to;
        free(s.address);
    }
    put_rest(w, used, &b);
    lines_done(&l);
    if (rc == 0)
        return finish(&b, ret, reterr);
    buf_done(&b);
    return fault_set(reterr, FAULT_STOP_JOB, EOPNOTSUPP,
                     "a stanza of %.20s has more than an address: it has to be changed by hand",
                     w->name);
}
