/* net: what `ip` prints and what it is told. Worker thread. */
#include "agent/identity/net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/arp.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define NAME_MAX_LEN 15
#define SETTLE_MS 3000

static const char *text_at(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

bool net_host_valid(const char *text)
{
    uint8_t room[16];
    return inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, room) == 1;
}

bool net_address_valid(const char *text)
{
    char host[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    char *end = NULL;
    if (!slash || slash == text || (size_t)(slash - text) >= sizeof host)
        return false;
    memcpy(host, text, (size_t)(slash - text));
    host[slash - text] = '\0';
    if (slash[1] < '1' || slash[1] > '9' || !net_host_valid(host))
        return false;
    unsigned long bits = strtoul(slash + 1, &end, 10);
    return *end == '\0' && bits <= (strchr(host, ':') ? 128 : 32);
}

/* An interface's name becomes a part of paths and of commands. */
static bool name_fits(const char *name)
{
    size_t n = strlen(name);
    return n > 0 && n <= NAME_MAX_LEN && name[0] != '.' && name[0] != '-' &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-:") == n;
}

static void push(char ***list, size_t *n, char *text)
{
    *list = xrealloc(*list, (*n + 1) * sizeof **list);
    (*list)[(*n)++] = text;
}

static void own(char **slot, const char *text)
{
    if (*slot != protobuf_c_empty_string)
        free(*slot);
    *slot = xstrdup(text);
}

static void read_addresses(const json_t *link, Godwit__UndoInterface *i)
{
    size_t k;
    const json_t *a;
    json_array_foreach(json_object_get(link, "addr_info"), k, a)
    {
        json_int_t bits = json_integer_value(json_object_get(a, "prefixlen"));
        if (strcmp(text_at(a, "scope"), "global") != 0 || i->n_addresses == NET_ADDRESSES)
            continue;
        char *text = xasprintf("%s/%lld", text_at(a, "local"), (long long)bits);
        if (!net_address_valid(text)) {
            free(text);
            continue;
        }
        push(&i->addresses, &i->n_addresses, text);
        if (json_is_true(json_object_get(a, "dynamic")))
            push(&i->leased, &i->n_leased, xstrdup(text));
    }
}

static void read_links(const json_t *all, Godwit__UndoNetwork *n)
{
    size_t k;
    const json_t *link;
    json_array_foreach(all, k, link)
    {
        json_int_t mtu = json_integer_value(json_object_get(link, "mtu"));
        const char *name = text_at(link, "ifname");
        if (strcmp(text_at(link, "link_type"), "loopback") == 0 || !name_fits(name) ||
            n->n_interfaces == NET_INTERFACES)
            continue;
        Godwit__UndoInterface *i = xmalloc(sizeof *i);
        godwit__undo_interface__init(i);
        own(&i->name, name);
        own(&i->mac, text_at(link, "address"));
        i->mtu = mtu > 0 && mtu <= 65536 ? (uint32_t)mtu : 0;
        read_addresses(link, i);
        n->interfaces = xrealloc(n->interfaces, (n->n_interfaces + 1) * sizeof *n->interfaces);
        n->interfaces[n->n_interfaces++] = i;
    }
}

/* NULL: one that is not ours to keep. */
static char *route_text(const json_t *r, bool six)
{
    const char *to = text_at(r, "dst"), *via = text_at(r, "gateway"),
               *proto = text_at(r, "protocol");
    const char *type = text_at(r, "type");
    if (strcmp(proto, "kernel") == 0 || strcmp(proto, "ra") == 0 ||
        (*type && strcmp(type, "unicast") != 0))
        return NULL;
    bool whole = strcmp(to, "default") == 0, bare = !strchr(to, '/');
    CLEANUP(mem_free)
    char *net = whole  ? xstrdup(six ? "::/0" : "default")
                : bare ? xasprintf("%s/%d", to, six ? 128 : 32)
                       : xstrdup(to);
    if ((!whole && !net_address_valid(net)) || (*via && !net_host_valid(via)))
        return NULL;
    json_int_t metric = json_integer_value(json_object_get(r, "metric"));
    CLEANUP(mem_free) char *hop = *via ? xasprintf(" via %s", via) : xstrdup("");
    CLEANUP(mem_free)
    char *cost = metric > 0 ? xasprintf(" metric %lld", (long long)metric) : xstrdup("");
    return xasprintf("%s%s%s", net, hop, cost);
}

static void read_routes(const json_t *all, bool six, Godwit__UndoNetwork *n)
{
    size_t k;
    const json_t *r;
    json_array_foreach(all, k, r)
    {
        const char *dev = text_at(r, "dev");
        for (size_t j = 0; j < n->n_interfaces; j++) {
            Godwit__UndoInterface *i = n->interfaces[j];
            if (strcmp(i->name, dev) != 0 || i->n_routes == NET_ADDRESSES)
                continue;
            char *text = route_text(r, six);
            if (text)
                push(&i->routes, &i->n_routes, text);
        }
    }
}

void net_free(Godwit__UndoNetwork *n)
{
    if (n)
        godwit__undo_network__free_unpacked(n, NULL);
}

static json_t *list_of(const char *text)
{
    json_t *v = json_loads(*text ? text : "[]", JSON_REJECT_DUPLICATES, NULL);
    if (v && json_is_array(v))
        return v;
    json_decref(v);
    return NULL;
}

int net_parse(const char *addresses, const char *routes4, const char *routes6,
              Godwit__UndoNetwork **ret, struct fault *reterr)
{
    json_t *a = list_of(addresses), *r4 = list_of(routes4), *r6 = list_of(routes6);
    int rc = a && r4 && r6 ? 0 : -EBADMSG;
    if (rc == 0) {
        Godwit__UndoNetwork *n = xmalloc(sizeof *n);
        godwit__undo_network__init(n);
        read_links(a, n);
        read_routes(r4, false, n);
        read_routes(r6, true, n);
        *ret = n;
    }
    json_decref(a);
    json_decref(r4);
    json_decref(r6);
    return rc == 0
               ? 0
               : fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "what 'ip -j' printed is no JSON list");
}

static int ask(const struct site *v, const char *const *argv, char **ret, struct fault *reterr)
{
    const struct program_call c = {.argv = argv, .search = v->search, .max_out = NET_TEXT_MAX};
    struct program_output o;
    int rc = program_run(&c, &o, reterr);
    if (rc < 0)
        return rc;
    if (o.code == 0) {
        *ret = o.out;
        o.out = NULL;
    } else {
        CLEANUP(mem_free) char *words = program_words(&o);
        rc = fault_set(reterr, FAULT_STOP_JOB, EIO, "ip ended with %d: %s", o.code, words);
    }
    program_done(&o);
    return rc;
}

int net_look(const struct site *v, Godwit__UndoNetwork **ret, struct fault *reterr)
{
    static const char *const links[] = {"ip", "-j", "address", "show", NULL};
    static const char *const four[] = {"ip", "-j", "-4", "route", "show", NULL};
    static const char *const six[] = {"ip", "-j", "-6", "route", "show", NULL};
    CLEANUP(mem_free) char *a = NULL;
    CLEANUP(mem_free) char *r4 = NULL;
    CLEANUP(mem_free) char *r6 = NULL;
    int rc = ask(v, links, &a, reterr);
    if (rc == 0)
        rc = ask(v, four, &r4, reterr);
    if (rc == 0 && ask(v, six, &r6, NULL) < 0)
        r6 = xstrdup("[]"); /* a kernel without IPv6 */
    return rc < 0 ? rc : net_parse(a, r4, r6, ret, reterr);
}

const Godwit__UndoInterface *net_find(const Godwit__UndoNetwork *n, const char *mac,
                                      const char *name)
{
    for (size_t k = 0; k < n->n_interfaces; k++)
        if (*mac ? strcasecmp(n->interfaces[k]->mac, mac) == 0
                 : strcmp(n->interfaces[k]->name, name) == 0)
            return n->interfaces[k];
    return NULL;
}

struct network {
    uint8_t ip[16];
    int family;
    unsigned bits;
};

static bool network_of(const char *address, struct network *ret)
{
    char host[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(address, '/');
    size_t n = slash ? (size_t)(slash - address) : sizeof host;
    if (!net_address_valid(address) || n >= sizeof host)
        return false;
    memcpy(host, address, n);
    host[n] = '\0';
    ret->family = strchr(host, ':') ? AF_INET6 : AF_INET;
    ret->bits = (unsigned)strtoul(slash + 1, NULL, 10);
    return inet_pton(ret->family, host, ret->ip) == 1;
}

static bool same_bits(const uint8_t *a, const uint8_t *b, unsigned bits)
{
    unsigned rest = bits % 8, mask = 0xff00U >> rest & 0xff;
    return memcmp(a, b, bits / 8) == 0 && (!rest || ((a[bits / 8] ^ b[bits / 8]) & mask) == 0);
}

bool net_reaches(const Godwit__UndoInterface *i, const char *address)
{
    struct network want, own;
    if (!network_of(address, &want))
        return false;
    for (size_t k = 0; k < i->n_addresses; k++)
        if (network_of(i->addresses[k], &own) && own.family == want.family &&
            same_bits(own.ip, want.ip, own.bits))
            return true;
    return false;
}

bool net_leased(const Godwit__UndoInterface *i, const char *address)
{
    for (size_t k = 0; k < i->n_leased; k++)
        if (strcmp(i->leased[k], address) == 0)
            return true;
    return false;
}

bool net_has(const Godwit__UndoInterface *i, const char *address)
{
    for (size_t k = 0; k < i->n_addresses; k++)
        if (strcmp(i->addresses[k], address) == 0)
            return true;
    return false;
}

static bool is_in(char *const *list, size_t n, const char *text)
{
    for (size_t k = 0; k < n; k++)
        if (strcmp(list[k], text) == 0)
            return true;
    return false;
}

static const char default6[] = "::/0";

/* 4 or 6 for a default route, else 0. */
static int default_of(const char *route)
{
    if (strncmp(route, default6, sizeof default6 - 1) == 0)
        return 6;
    return strncmp(route, "default", 7) == 0 ? strchr(route, ':') ? 6 : 4 : 0;
}

/* Words that `ip route` takes, and nothing that would begin another line. */
bool net_route_valid(const char *text)
{
    CLEANUP(mem_free) char *copy = xstrdup(text);
    char *save = NULL, *word = strtok_r(copy, " ", &save);
    size_t n = 0;
    if (!word || (!default_of(word) && !net_address_valid(word)))
        return false;
    while ((word = strtok_r(NULL, " ", &save)) != NULL) {
        const char *value = strtok_r(NULL, " ", &save);
        bool via = strcmp(word, "via") == 0, metric = strcmp(word, "metric") == 0;
        if (!value || n++ > 1 || (!via && !metric) || (via && !net_host_valid(value)) ||
            (metric && (strspn(value, "0123456789") != strlen(value) || strlen(value) > 9)))
            return false;
    }
    return true;
}

int net_want_valid(const struct net_want *w, struct fault *reterr)
{
    const char *bad = NULL;
    for (size_t k = 0; k < w->nadd; k++)
        bad = net_address_valid(w->add[k]) ? bad : w->add[k];
    for (size_t k = 0; k < w->ndrop; k++)
        bad = net_address_valid(w->drop[k]) ? bad : w->drop[k];
    for (size_t k = 0; k < w->nroutes; k++)
        bad = net_route_valid(w->routes[k]) ? bad : w->routes[k];
    return bad ? fault_set(reterr, FAULT_STOP_JOB, EINVAL, "no address or route: %.60s", bad) : 0;
}

static void put(struct buf *b, char *line)
{
    buf_put(b, line, strlen(line));
    free(line);
}

static bool has_default(const struct net_want *w, int family)
{
    for (size_t k = 0; k < w->nroutes; k++)
        if (default_of(w->routes[k]) == family)
            return true;
    return false;
}

/* A default route of the plan instead of the one there was; the others as they were. */
static void put_routes(struct buf *b, const Godwit__UndoInterface *now, const struct net_want *w)
{
    for (size_t k = 0; k < now->n_routes; k++) {
        int family = default_of(now->routes[k]);
        if (!family || !has_default(w, family))
            put(b, xasprintf("route replace %s dev %s\n", now->routes[k], now->name));
    }
    for (size_t k = 0; k < w->nroutes; k++)
        put(b, xasprintf("route replace %s%s dev %s\n",
                         default_of(w->routes[k]) == 6 && w->routes[k][0] == 'd' ? "::/0" : "",
                         w->routes[k] +
                             (default_of(w->routes[k]) == 6 && w->routes[k][0] == 'd' ? 7 : 0),
                         now->name));
}

static const char *metric_of(const char *route)
{
    const char *metric = strstr(route, " metric ");
    return metric ? metric : "";
}

/* Is it one of these, or has one of these taken its place? */
static bool is_kept(const struct net_want *w, const char *route)
{
    size_t n = strcspn(route, " ");
    for (size_t k = 0; k < w->nroutes; k++)
        if (strcspn(w->routes[k], " ") == n && strncmp(w->routes[k], route, n) == 0 &&
            strcmp(metric_of(w->routes[k]), metric_of(route)) == 0)
            return true;
    return false;
}

/* Behind all else: what went with an address is gone already, and is looked at anew then. */
static void drop_routes(struct buf *b, const Godwit__UndoInterface *now, const struct net_want *w)
{
    for (size_t k = 0; w->exact && k < now->n_routes; k++)
        if (!is_kept(w, now->routes[k]))
            put(b, xasprintf("route del %s dev %s\n", now->routes[k], now->name));
}

/* The same way, whatever it costs where nobody says what it ought to. */
static bool is_way(const char *now, const char *want)
{
    bool whole = default_of(want) && default_of(now) == default_of(want);
    const char *a = whole ? strchr(now, ' ') : now, *b = whole ? strchr(want, ' ') : want;
    if (!a || !b || *metric_of(want))
        return a && b && strcmp(a, b) == 0;
    size_t n = strlen(a) - strlen(metric_of(a));
    return n == strlen(b) && strncmp(a, b, n) == 0;
}

static bool routes_stand(const Godwit__UndoInterface *now, const struct net_want *w)
{
    for (size_t k = 0; k < w->nroutes; k++) {
        bool found = false;
        for (size_t j = 0; j < now->n_routes && !found; j++)
            found = is_way(now->routes[j], w->routes[k]);
        if (!found)
            return false;
    }
    return true;
}

char *net_commands(const Godwit__UndoInterface *now, const struct net_want *w)
{
    struct buf b;
    bool differs = false;
    buf_init(&b, NET_TEXT_MAX);
    if (w->mtu && w->mtu != now->mtu)
        put(&b, xasprintf("link set dev %s mtu %u\n", now->name, w->mtu));
    for (size_t k = 0; k < w->nadd; k++) {
        const char *a = w->add[k];
        if (net_has(now, a))
            continue;
        put(&b, xasprintf("address add %s%s dev %s%s\n", a, strchr(a, ':') ? "" : " broadcast +",
                          now->name, strchr(a, ':') ? " nodad" : ""));
        differs = true;
    }
    for (size_t k = 0; k < w->ndrop; k++)
        if (net_has(now, w->drop[k]) && !is_in(w->add, w->nadd, w->drop[k])) {
            put(&b, xasprintf("address del %s dev %s\n", w->drop[k], now->name));
            differs = true;
        }
    if (differs || !routes_stand(now, w))
        put_routes(&b, now, w);
    drop_routes(&b, now, w);
    char *text = xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return text;
}

/* Without it the kernel takes all addresses of a subnet away with the first one of it. */
static void promote(const struct site *v, const char *name)
{
    CLEANUP(mem_free)
    char *path = xasprintf("%s/proc/sys/net/ipv4/conf/%s/promote_secondaries", v->root, name);
    FILE *f = fopen(path, "we");
    if (!f)
        return;
    (void)fputs("1\n", f);
    (void)fclose(f);
}

/* In a test's host there is nobody to ask. */
static int nobody_has(const struct site *v, const Godwit__UndoInterface *now, char *const *add,
                      size_t n, struct fault *reterr)
{
    for (size_t k = 0; k < n && !*v->root; k++) {
        char mac[18] = "";
        if (!net_has(now, add[k]) && arp_in_use(now->name, add[k], mac) == 1)
            return fault_set(reterr, FAULT_RETRY, EADDRINUSE,
                             "address %.50s is in use: the machine %s answers for it", add[k], mac);
    }
    return 0;
}

static int run_batch(const struct site *v, const char *lines, struct fault *reterr)
{
    static const char *const argv[] = {"ip", "-batch", "-", NULL};
    const struct program_call c = {
        .argv = argv, .search = v->search, .input = lines, .input_len = strlen(lines)};
    struct program_output o;
    int rc = program_run(&c, &o, reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *words = program_words(&o);
    if (o.code != 0)
        rc = fault_set(reterr, FAULT_RETRY, EIO, "ip -batch ended with %d: %s", o.code, words);
    program_done(&o);
    return rc;
}

static int change(const struct site *v, const Godwit__UndoInterface *now, const struct net_want *w,
                  struct fault *reterr)
{
    CLEANUP(mem_free) char *lines = net_commands(now, w);
    int rc = 0;
    if (*lines) {
        promote(v, now->name);
        rc = run_batch(v, lines, reterr);
    }
    /* Also when it was so: a crash may have come before this. */
    for (size_t k = 0; rc == 0 && k < w->nadd && !*v->root; k++)
        (void)arp_announce(now->name, w->add[k]);
    return rc < 0 ? rc : *lines != '\0';
}

static int make(const struct site *v, const struct net_want *w, struct fault *reterr)
{
    Godwit__UndoNetwork *n = NULL;
    int rc = net_look(v, &n, reterr);
    if (rc < 0)
        return rc;
    const Godwit__UndoInterface *now = net_find(n, w->mac, w->name);
    if (!now)
        rc = fault_set(reterr, FAULT_STOP_JOB, ENODEV,
                       "no interface here has the address %.20s (%.20s)", w->mac, w->name);
    if (rc == 0 && !w->free)
        rc = nobody_has(v, now, w->add, w->nadd, reterr);
    if (rc == 0)
        rc = change(v, now, w, reterr);
    net_free(n);
    return rc;
}

int net_await_free(const struct site *v, const struct net_want *w, int wait_ms,
                   struct fault *reterr)
{
    int64_t until = clock_mono_ms() + wait_ms;
    Godwit__UndoNetwork *n = NULL;
    int rc = net_look(v, &n, reterr);
    const Godwit__UndoInterface *now = rc == 0 ? net_find(n, w->mac, w->name) : NULL;
    while (now && (rc = nobody_has(v, now, w->add, w->nadd, reterr)) == -EADDRINUSE &&
           clock_mono_ms() < until && !site_given_up(v, 10))
        ;
    net_free(n);
    if (rc == -EADDRINUSE && site_given_up(v, 0))
        return fault_set(reterr, FAULT_RETRY, ECANCELED,
                         "nobody waits any more for the addresses to be free");
    return rc;
}

/* A manager that was just told to read its files does the same at the same time: what it did first
 * fails here, and is so when it is looked at again. */
static bool may_settle(int rc, int64_t began)
{
    if (rc != -EIO || clock_mono_ms() - began > SETTLE_MS)
        return false;
    (void)poll(NULL, 0, 100);
    return true;
}

int net_make(const struct site *v, const struct net_want *w, struct fault *reterr)
{
    int64_t began = clock_mono_ms();
    int rc = net_want_valid(w, reterr);
    if (rc < 0)
        return rc;
    do
        rc = make(v, w, reterr);
    while (may_settle(rc, began));
    return rc;
}

static int restore(const struct site *v, const Godwit__UndoInterface *was, struct fault *reterr)
{
    Godwit__UndoNetwork *n = NULL;
    int rc = net_look(v, &n, reterr);
    const Godwit__UndoInterface *now = rc == 0 ? net_find(n, was->mac, was->name) : NULL;
    if (rc == 0 && !now)
        rc = fault_set(reterr, FAULT_RETRY, ENODEV, "interface %.20s is gone", was->name);
    if (rc == 0)
        rc = nobody_has(v, now, was->addresses, was->n_addresses, reterr);
    if (rc == 0) {
        struct net_want w = {.mac = was->mac,
                             .name = was->name,
                             .add = was->addresses,
                             .nadd = was->n_addresses,
                             .drop = now->addresses,
                             .ndrop = now->n_addresses,
                             .routes = was->routes,
                             .nroutes = was->n_routes,
                             .mtu = was->mtu,
                             .exact = true};
        rc = change(v, now, &w, reterr);
    }
    net_free(n);
    return rc;
}

int net_restore(const struct site *v, const Godwit__UndoInterface *was, int wait_ms,
                struct fault *reterr)
{
    int64_t began = clock_mono_ms(), until = began + wait_ms;
    for (;;) {
        int rc = restore(v, was, reterr);
        if (may_settle(rc, began))
            continue;
        if (rc != -EADDRINUSE || clock_mono_ms() > until)
            return rc;
        (void)poll(NULL, 0, 200);
    }
}
