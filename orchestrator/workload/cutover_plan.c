/* cutover_plan: looks at both sides, then writes down what moves. Pure. */
#include "orchestrator/workload/cutover_plan.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/cutover_parity.h"
#include "orchestrator/workload/cutover_routes.h"

struct planning {
    const json_t *source, *destination, *settings;
    json_t *checks, *plan;
    struct fault *reterr;
    bool failed;
};

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

static const char *remedy_of(const char *id)
{
    static const struct {
        const char *id, *remedy;
    } all[] = {
        {"new-name",       "give another one: --new-name"                                             },
        {"interface",      "say which interface takes it: --map MAC=MAC"                              },
        {"addresses",      "--map MAC=MAC, or --name-only"                                            },
        {"name-only",      "let the addresses move, from within one network, or join a domain"        },
        {"dhcp",           "give the reservation to that card, or take the address out of the pool"   },
        {"own-by-card",    "let names that stand for it stand for the destination's own"              },
        {"source-address", "say it with its prefix: --source-address 192.0.2.77/24"                   },
        {"domain",         "join the destination to the source's domain"                              },
        {"controller",     "net ads info and wbinfo -t on that host say why"                          },
        {"secret",         "join the source to its domain again before it moves"                      },
        {"idmap",          "write the source's \"idmap config\" lines into the destination's smb.conf"},
        {"share",          "correct the share's path, or remove the share"                            },
        {"samba",          "install Samba there, at least as new as the source's"                     },
        {"settings",       "write the source's value into the destination's smb.conf"                 },
        {"open-files",     "ask the users to close them; they are cut off otherwise"                  },
        {"machine",        "give one of them another: systemd-machine-id-setup"                       },
        {"method",         "--method rejoin, or a newer Samba on the destination"                     },
        {"ssh-keys",       "copy them by hand, or --method transplant"                                },
        {"role",           "demote it first"                                                          },
        {"export",         "run the job with nfs: pair to the same path, or have clients mount anew"  },
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (strcmp(all[i].id, id) == 0)
            return all[i].remedy;
    return "";
}

__attribute__((format(printf, 4, 5))) static void note(struct planning *g, const char *id,
                                                       const char *result, const char *fmt, ...)
{
    va_list ap;
    char text[FAULT_TEXT_MAX];
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    bool good = strcmp(result, "pass") == 0;
    (void)json_array_append_new(g->checks,
                                json_pack("{s:s,s:s,s:s,s:s}", "id", id, "result", result, "text",
                                          text, "remedy", good ? "" : remedy_of(id)));
    if (strcmp(result, "fail") != 0 || g->failed)
        return;
    g->failed = true;
    (void)fault_set(g->reterr, FAULT_STOP_JOB, EREMOTEIO, "%s (%s)", text, id);
}

/* ── names ── */

static char *lower(const char *s)
{
    char *copy = xstrdup(s);
    for (char *c = copy; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return copy;
}

/* The new name with the DNS domain of the old one's full name. */
static json_t *new_names(struct planning *g)
{
    const char *name = text_of(g->settings, "new_name");
    const json_t *old = json_object_get(g->source, "names");
    const char *full = json_string_value(json_array_get(json_object_get(old, "dns_names"), 0));
    const char *domain = full ? strchr(full, '.') : NULL;
    CLEANUP(mem_free) char *host = lower(name);
    CLEANUP(mem_free) char *fqdn = xasprintf("%s%s", host, domain ? domain : "");
    return json_pack("{s:s,s:s,s:[],s:[s]}", "host", host, "netbios", name, "aliases", "dns_names",
                     fqdn);
}

static bool has_name(const json_t *names, const char *name)
{
    size_t i;
    const json_t *one;
    if (strcasecmp(text_of(names, "netbios"), name) == 0 ||
        strcasecmp(text_of(names, "host"), name) == 0)
        return true;
    json_array_foreach(json_object_get(names, "aliases"), i, one)
    {
        if (strcasecmp(json_string_value(one), name) == 0)
            return true;
    }
    return false;
}

static void plan_names(struct planning *g)
{
    const char *name = text_of(g->settings, "new_name");
    const json_t *from = json_object_get(g->source, "names");
    const json_t *to = json_object_get(g->destination, "names");
    if (cutover_check_name(name) < 0)
        note(g, "new-name", "fail",
             "the source's new name has 1 to 15 letters, digits and hyphens: not \"%.40s\"", name);
    else if (has_name(from, name) || has_name(to, name))
        note(g, "new-name", "fail", "the source's new name %s is one of the servers' own already",
             name);
    else
        note(g, "new-name", "pass", "the source will be called %s", name);
    (void)json_object_set_new(g->plan, "old", json_deep_copy(from));
    (void)json_object_set_new(g->plan, "destination_old", json_deep_copy(to));
    (void)json_object_set_new(g->plan, "source_new", new_names(g));
}

/* ── addresses ── */

struct network {
    int family;
    uint8_t bytes[16];
    unsigned prefix;
};

static bool parse_network(const char *s, struct network *ret)
{
    char host[64];
    const char *slash = strchr(s, '/');
    if (!slash || (size_t)(slash - s) >= sizeof host)
        return false;
    memcpy(host, s, (size_t)(slash - s));
    host[slash - s] = '\0';
    char *end = NULL;
    unsigned long n = strtoul(slash + 1, &end, 10);
    *ret = (struct network){.family = strchr(host, ':') ? AF_INET6 : AF_INET};
    if (!isdigit((unsigned char)slash[1]) || *end || n > (ret->family == AF_INET ? 32 : 128))
        return false;
    ret->prefix = (unsigned)n;
    return inet_pton(ret->family, host, ret->bytes) == 1;
}

static bool same_bits(const struct network *a, const struct network *b, unsigned bits)
{
    if (memcmp(a->bytes, b->bytes, bits / 8) != 0)
        return false;
    unsigned rest = bits % 8;
    return rest == 0 || ((a->bytes[bits / 8] ^ b->bytes[bits / 8]) >> (8 - rest)) == 0;
}

bool cutover_same_network(const char *a, const char *b)
{
    struct network x, y;
    return parse_network(a, &x) && parse_network(b, &y) && x.family == y.family &&
           x.prefix == y.prefix && same_bits(&x, &y, x.prefix);
}

static bool is_local(const char *address)
{
    struct network n;
    if (!parse_network(address, &n))
        return true;
    if (n.family == AF_INET)
        return n.bytes[0] == 127 || (n.bytes[0] == 169 && n.bytes[1] == 254);
    static const uint8_t loopback[16] = {[15] = 1};
    return (n.bytes[0] == 0xfe && (n.bytes[1] & 0xc0) == 0x80) ||
           memcmp(n.bytes, loopback, sizeof loopback) == 0;
}

/* The same address, whatever its prefix? */
static bool same_address(const char *a, const char *b)
{
    struct network x, y;
    return parse_network(a, &x) && parse_network(b, &y) && x.family == y.family &&
           memcmp(x.bytes, y.bytes, sizeof x.bytes) == 0;
}

static bool on_interface(const json_t *interface, const char *address)
{
    size_t i;
    const json_t *a;
    json_array_foreach(json_object_get(interface, "addresses"), i, a)
    {
        if (cutover_same_network(text_of(a, "address"), address))
            return true;
    }
    return false;
}

/* "MAC=MAC" of the settings; NULL: none for this one. */
static const char *mapped_mac(const struct planning *g, const char *mac)
{
    size_t i, n = strlen(mac);
    const json_t *one;
    json_array_foreach(json_object_get(g->settings, "map"), i, one)
    {
        const char *s = json_string_value(one);
        if (s && strncasecmp(s, mac, n) == 0 && s[n] == '=')
            return s + n + 1;
    }
    return NULL;
}

/* The destination's interface that takes over the addresses of this one; NULL: none. */
static const json_t *taker(const struct planning *g, const json_t *interface, const char *address)
{
    const char *mac = mapped_mac(g, text_of(interface, "mac"));
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(g->destination, "interfaces"), i, one)
    {
        if (mac ? strcasecmp(text_of(one, "mac"), mac) == 0 : on_interface(one, address))
            return one;
    }
    return NULL;
}

static json_t *move_for(const json_t *moves, const char *from, const char *to)
{
    size_t i;
    json_t *m;
    json_array_foreach(moves, i, m)
    {
        if (strcasecmp(text_of(m, "from_mac"), from) == 0 &&
            strcasecmp(text_of(m, "to_mac"), to) == 0)
            return m;
    }
    return NULL;
}

static void add_move(json_t *moves, const json_t *from, const json_t *to, const json_t *address)
{
    const char *from_mac = text_of(from, "mac"), *to_mac = text_of(to, "mac");
    json_t *m = move_for(moves, from_mac, to_mac);
    if (!m) {
        m = json_pack("{s:s,s:s,s:[],s:[],s:s,s:[]}", "from_mac", from_mac, "to_mac", to_mac,
                      "addresses", "routes", "source_keeps", "", "gives_up");
        (void)json_array_append_new(moves, m);
    }
    (void)json_array_append_new(json_object_get(m, "addresses"), json_deep_copy(address));
}

struct moving {
    json_t *moves;
    unsigned stay; /* addresses that the source has afterwards */
    bool kept;     /* the one that it is to have is there already */
};

/* A lease goes by the card, so the destination has the address for good, and the source, which
 * would get the same again by asking, another one for good, with what had come with the lease. */
static void take_leased(struct planning *g, struct moving *m, const json_t *interface,
                        const json_t *to, const char *address)
{
    json_t *move = move_for(m->moves, text_of(interface, "mac"), text_of(to, "mac"));
    json_t *routes = json_array();
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(interface, "routes"), i, one)
    {
        const char *r = json_string_value(one);
        /* The metric was the lease's. */
        size_t n = r && strstr(r, " metric ") ? (size_t)(strstr(r, " metric ") - r)
                   : r                        ? strlen(r)
                                              : 0;
        if (n > 12 && strncmp(r, "default via ", 12) == 0)
            (void)json_array_append_new(routes, json_stringn(r, n));
    }
    (void)json_object_set_new(move, "source_routes", routes);
    note(
        g, "dhcp", "warn",
        "%s of the source comes by DHCP: the destination has it as its own; its server may give it "
        "away as soon as the source's lease has ended, unless it is kept for the card %s",
        address, text_of(to, "mac"));
}

static void look_at_address(struct planning *g, struct moving *m, const json_t *interface,
                            const json_t *a)
{
    const char *address = text_of(a, "address"), *keep = text_of(g->settings, "source_address");
    if (is_local(address))
        return;
    if (*keep && same_address(address, keep)) {
        m->stay++;
        m->kept = true;
        return;
    }
    if (strchr(address, ':') && json_is_true(json_object_get(a, "dynamic"))) {
        note(g, "own-by-card", "warn",
             "%s of the source's %s was told by a router or by DHCP, for its card: it stays there",
             address, text_of(interface, "name"));
        return;
    }
    const json_t *to = taker(g, interface, address);
    if (!to) {
        m->stay++;
        note(g, "interface", "warn",
             "%s of the source's %s stays there: no interface of the destination is in its network",
             address, text_of(interface, "name"));
    } else {
        add_move(m->moves, interface, to, a);
        if (json_is_true(json_object_get(a, "dynamic")))
            take_leased(g, m, interface, to, address);
    }
}

/* The source's own address is added where an address of its network is taken away. */
static void keep_address(struct planning *g, struct moving *m)
{
    const char *keep = text_of(g->settings, "source_address");
    size_t i;
    json_t *move;
    if (!*keep || m->kept)
        return;
    json_array_foreach(m->moves, i, move)
    {
        if (!on_interface(move, keep))
            continue;
        (void)json_object_set_new(move, "source_keeps", json_string(keep));
        m->stay++;
        return;
    }
    note(g, "source-address", "fail",
         "the source's address %.60s is in none of its networks (write it as 192.0.2.7/24)", keep);
}

/* By name only the destination is found where it is: its own, for who has to ask whether it serves.
 */
static void keep_destination(struct planning *g)
{
    size_t i, k;
    const json_t *interface, *a;
    json_t *list = json_array();
    json_array_foreach(json_object_get(g->destination, "interfaces"), i,
                       interface){json_array_foreach(json_object_get(interface, "addresses"), k, a){
        if (!is_local(text_of(a, "address")))(void)
            json_array_append(list, json_object_get(a, "address"));
}
}
(void)json_object_set_new(g->plan, "destination_addresses", list);
}

static void plan_moves(struct planning *g)
{
    struct moving m = {.moves = json_array()};
    size_t i, k;
    const json_t *interface, *a;
    (void)json_object_set_new(g->plan, "moves", m.moves);
    if (json_is_true(json_object_get(g->settings, "name_only"))) {
        /* In a domain the name server is told; else names stand for where nobody serves. */
        if (!json_is_true(json_object_get(g->plan, "domain")))
            note(g, "name-only", "fail",
                 "by name only users of a workgroup go on asking the source's address: nobody "
                 "here may change what the names stand for");
        note(g, "addresses", "pass", "no address moves: by name only");
        keep_destination(g);
        return;
    }
    json_array_foreach(json_object_get(g->source, "interfaces"), i, interface)
    {
        json_array_foreach(json_object_get(interface, "addresses"), k, a)
            look_at_address(g, &m, interface, a);
    }
    if (json_array_size(m.moves) > 0)
        keep_address(g, &m);
    if (json_array_size(m.moves) == 0)
        note(g, "addresses", "fail",
             "no address of the source is in a network that the destination is in too: map the "
             "interfaces by hand, or cut over by name only");
    else if (m.stay == 0)
        note(g, "source-address", "fail",
             "the source would be left without an address: say which one it is to have");
    else if (!g->failed)
        note(g, "addresses", "pass", "every address finds its interface");
}

/* ── the kind of both servers ── */

/* By its own settings, and no controller says so: it is none of a workgroup for that. */
static bool is_lost(const json_t *capture)
{
    return strstr(text_of(capture, "samba_role"), "DOMAIN_MEMBER") &&
           !json_is_true(json_object_get(json_object_get(capture, "domain"), "joined"));
}

static void check_kind(struct planning *g, const json_t *from, const json_t *to)
{
    bool member = json_is_true(json_object_get(from, "joined"));
    bool lost = is_lost(g->source);
    if (strstr(text_of(g->source, "samba_role"), "DC") ||
        strstr(text_of(g->destination, "samba_role"), "DC"))
        note(g, "role", "fail", "a domain controller cannot be cut over");
    else if (lost || is_lost(g->destination))
        note(g, "controller", "fail",
             "by its smb.conf the %s is a member of %.60s, but no controller knows its account",
             lost ? "source" : "destination", text_of(lost ? from : to, "realm"));
    else if (member != json_is_true(json_object_get(to, "joined")))
        note(g, "domain", "fail", "the %s is a member of a domain, the %s is not",
             member ? "source" : "destination", member ? "destination" : "source");
    else if (member && strcasecmp(text_of(from, "realm"), text_of(to, "realm")) != 0)
        note(g, "domain", "fail", "the source is a member of %.60s, the destination of %.60s",
             text_of(from, "realm"), text_of(to, "realm"));
    else if (member && !json_is_true(json_object_get(from, "trusted")))
        note(g, "secret", "fail",
             "the source's machine password does not hold: wbinfo -t says why");
    else
        note(g, "domain", "pass", "%s",
             member ? "both are members of the domain" : "both are workgroup servers");
    (void)json_object_set_new(g->plan, "domain", json_boolean(member));
}

static void check_idmap(struct planning *g)
{
    const json_t *a = json_object_get(g->source, "idmap");
    const json_t *b = json_object_get(g->destination, "idmap");
    if (json_is_true(json_object_get(g->plan, "domain")) && a && b && !json_equal(a, b))
        note(g, "idmap", "fail",
             "the servers map users to other ids: their \"idmap config\" lines differ");
}

static void check_shares(struct planning *g)
{
    size_t i;
    const json_t *s;
    json_t *list = json_array();
    json_array_foreach(json_object_get(g->source, "shares"), i, s)
    {
        if (json_is_true(json_object_get(s, "missing")))
            note(g, "share", "warn", "the folder of the share %.80s is missing on the source",
                 text_of(s, "name"));
        else
            (void)json_array_append(list, (json_t *)(uintptr_t)s);
    }
    (void)json_object_set_new(g->plan, "shares", list);
}

static bool exports_it(const json_t *host, const char *path, size_t len)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(host, "exports"), i, one)
    {
        const char *line = json_string_value(one);
        if (line && strncmp(line, path, len) == 0 && line[len] == ' ')
            return true;
    }
    return false;
}

/* Clients of NFS mount by path: one that is another there is one that they do not find. */
static void check_exports(struct planning *g)
{
    size_t i, same = 0;
    const json_t *one;
    const json_t *all = json_object_get(g->source, "exports");
    json_array_foreach(all, i, one)
    {
        const char *line = json_string_value(one);
        size_t len = line ? strcspn(line, " ") : 0;
        if (len > 0 && exports_it(g->destination, line, len))
            same++;
        else if (len > 0)
            note(g, "export", "warn",
                 "clients mount %.*s of the source, and the destination exports no such path",
                 len < 80 ? (int)len : 80, line);
    }
    if (same > 0)
        note(g, "exports", "pass",
             "%zu NFS exports with the same path on both: closed on the source during the swap",
             same);
}

static void check_rest(struct planning *g)
{
    const char *s = text_of(g->source, "samba_version");
    const char *d = text_of(g->destination, "samba_version");
    json_int_t open = json_integer_value(json_object_get(g->source, "open_count"));
    if (!*s || !*d)
        note(g, "samba", "fail", "there is no Samba on the %s", *s ? "destination" : "source");
    else
        note(g, "samba", "pass", "Samba %.40s at the source, %.40s at the destination", s, d);
    if (open > 0)
        note(g, "open-files", "warn", "%lld files are open on the source", (long long)open);
    if (strcmp(text_of(g->source, "machine_id"), text_of(g->destination, "machine_id")) == 0)
        note(g, "machine", "fail",
             "both hosts have the same machine id: one is a copy of the other");
}

/* ── the method ── */

/* "4.17.12-Debian" -> {4, 17, 12} */
static int compare_versions(const char *a, const char *b)
{
    for (int i = 0; i < 3; i++) {
        char *x = NULL, *y = NULL;
        unsigned long n = strtoul(a, &x, 10), m = strtoul(b, &y, 10);
        if (n != m)
            return n < m ? -1 : 1;
        a = *x == '.' ? x + 1 : "";
        b = *y == '.' ? y + 1 : "";
    }
    return 0;
}

/* Databases of a newer Samba are not an older one's to read. */
static bool plan_method(struct planning *g)
{
    const char *wish = text_of(g->settings, "method");
    const char *s = text_of(g->source, "samba_version"),
               *d = text_of(g->destination, "samba_version");
    bool older = *s && *d && compare_versions(d, s) < 0;
    bool member = json_is_true(json_object_get(json_object_get(g->source, "domain"), "joined"));
    bool rejoin = *wish ? strcmp(wish, "rejoin") == 0 : older && member;
    if (!rejoin && older)
        note(g, "method", "fail",
             "transplant: Samba %.40s of the destination is older than the source's %.40s", d, s);
    else if (rejoin)
        note(g, "method", "pass", "rejoin: %s",
             *wish ? "as asked for" : "the destination's Samba is older");
    else
        note(g, "method", "pass", "transplant: %s",
             *wish ? "as asked for" : "both are Samba, and the destination's is no older");
    return rejoin;
}

static void copy_settings(struct planning *g)
{
    const json_t *account = json_object_get(g->source, "domain");
    const char *dn = text_of(account, "account_dn"), *comma = strchr(dn, ',');
    bool rejoin = plan_method(g), keys = json_is_true(json_object_get(g->settings, "ssh_keys"));
    (void)json_object_set_new(g->plan, "method", json_integer(rejoin ? 2 : 1));
    (void)json_object_set_new(g->plan, "local_sid", json_string(text_of(g->source, "local_sid")));
    (void)json_object_set_new(g->plan, "account", json_deep_copy(account));
    (void)json_object_set_new(g->plan, "ou", json_string(comma ? comma + 1 : ""));
    (void)json_object_set_new(g->plan, "dc", json_string(text_of(account, "dc")));
    if (json_object_get(g->source, "accounts"))
        (void)json_object_set(g->plan, "accounts", json_object_get(g->source, "accounts"));
    (void)json_object_set_new(g->plan, "probe_user",
                              json_string(text_of(g->settings, "probe_user")));
    (void)json_object_set_new(g->plan, "ssh_keys", json_boolean(keys && !rejoin));
    if (keys && rejoin)
        note(
            g, "ssh-keys", "warn",
            "rejoin takes no secrets along: who comes by SSH to the old name sees other host keys");
}

json_t *cutover_plan(const json_t *source, const json_t *destination, const json_t *settings,
                     json_t *checks, struct fault *reterr)
{
    struct planning g = {.source = source,
                         .destination = destination,
                         .settings = settings,
                         .checks = checks,
                         .plan = json_object(),
                         .reterr = reterr};
    copy_settings(&g);
    check_kind(&g, json_object_get(source, "domain"), json_object_get(destination, "domain"));
    check_rest(&g);
    check_idmap(&g);
    plan_names(&g);
    plan_moves(&g);
    cutover_routes(source, destination, json_object_get(g.plan, "moves"), checks);
    cutover_parity(source, destination, json_object_get(g.plan, "moves"), checks);
    check_shares(&g);
    check_exports(&g);
    if (!g.failed)
        return g.plan;
    json_decref(g.plan);
    return NULL;
}
