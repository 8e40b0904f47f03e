/* cutover_runbook_net: the addresses of a runbook: on the wire, and in the files of the managers.
 * Pure. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/cutover_runbook_priv.h"

static const json_t *interface_of(const struct page *g, const char *mac)
{
    const json_t *host = json_object_get(g->b->facts, g->source ? "source" : "destination");
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(host, "interfaces"), i, one)
    {
        if (strcasecmp(page_text(one, "mac"), mac) == 0)
            return one;
    }
    return NULL;
}

static bool has_address(const json_t *interface, const char *address)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(interface, "addresses"), i, one)
    {
        if (strcmp(page_text(one, "address"), address) == 0)
            return true;
    }
    return false;
}

bool runbook_finds_file(const json_t *interface)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const char *manager = page_text(interface, "manager"), *name = page_text(interface, "name");
    return (strcmp(manager, "ifupdown") == 0 || strcmp(manager, "netplan") == 0) && *name &&
           strspn(name, plain) == strlen(name);
}

/* So that it is so after a restart too. */
static void keep_one(struct page *g, const json_t *interface, const char *sign, const char *address)
{
    const char *manager = page_text(interface, "manager");
    bool add = *sign == '+';
    CLEANUP(mem_free) char *name = runbook_word(page_text(interface, "name"));
    CLEANUP(mem_free) char *a = runbook_word(address);
    if (strcmp(manager, "networkd") == 0 && add)
        page_say(
            g,
            "F=$(networkctl --no-pager status %s | sed -n 's/^ *Network File: //p'); grep -qxF "
            "Address=%s $F || sed -i '0,/^\\[Network\\]/ s||&\\nAddress='%s'|' $F",
            name, a, a);
    else if (strcmp(manager, "networkd") == 0)
        page_say(g,
                 "sed -i '\\|^Address='%s'$|d' $(networkctl --no-pager status %s | sed -n 's/^ "
                 "*Network File: //p')",
                 a, name);
    else if (strcmp(manager, "NetworkManager") == 0)
        page_say(
            g,
            "nmcli connection modify \"$(nmcli -g GENERAL.CONNECTION device show %s)\" %sipv%c."
            "addresses %s",
            name, sign, strchr(address, ':') ? '6' : '4', a);
    else if (!runbook_finds_file(interface))
        page_say(g, "# %s has %s: %s %s in its own file",
                 *manager ? manager : "nobody that is known", name, add ? "write" : "take away", a);
}

/* ── files in which one address takes another's place ── */

#define SWAP_MAX 64

struct swap {
    const char *in[SWAP_MAX], *out[SWAP_MAX];
    size_t nin, nout;
};

/* w: of each family one. */
static void swap_add(struct swap *w, bool in, const char *address)
{
    bool plain = *address && strspn(address, "0123456789abcdefABCDEF.:/") == strlen(address);
    struct swap *own = &w[strchr(address, ':') != NULL];
    const char **list = in ? own->in : own->out;
    size_t *n = in ? &own->nin : &own->nout;
    if (plain && *n < SWAP_MAX)
        list[(*n)++] = address;
}

char *runbook_pattern(const char *address)
{
    char *all = xmalloc(2 * strlen(address) + 1), *to = all;
    for (const char *c = address; *c; c++) {
        if (*c == '.')
            *to++ = '\\';
        *to++ = *c;
    }
    *to = '\0';
    return all;
}

/* ifupdown's, where the length may stand in a line of its own, and netplan's. */
static void swap_one(struct page *g, const char *file, bool netplan, const char *out,
                     const char *in)
{
    CLEANUP(mem_free) char *bare = xmemdup(out, strcspn(out, "/"));
    CLEANUP(mem_free) char *was = runbook_pattern(netplan ? out : bare);
    if (netplan)
        page_say(g,
                 "F=$(%s); sed -i -E 's#(^|[^0-9.:a-fA-F])%s([^0-9]|$)#\\1%s\\2#' $F && netplan "
                 "generate",
                 file, was, in);
    else
        page_say(g,
                 "F=$(%s); sed -i -E "
                 "'s#^([[:space:]]*address[[:space:]]+)%s(/[0-9]+)?[[:space:]]*$#\\1%s#' $F",
                 file, was, in);
}

static void swap_rest(struct page *g, const json_t *interface, const char *file, const char *in)
{
    const char *name = page_text(interface, "name");
    if (strcmp(page_text(interface, "manager"), "ifupdown") == 0)
        page_say(
            g,
            "F=$(%s); grep -qE '^[[:space:]]*address[[:space:]]+%s$' $F || printf '\\niface %s "
            "inet%s static\\n    address %s\\n' >>$F",
            file, in, name, strchr(in, ':') ? "6" : "", in);
    else
        page_say(g, "# write %s below addresses: of %s in the file that %s finds; netplan generate",
                 in, name, file);
}

char *runbook_finder(bool netplan, const char *name)
{
    return netplan ? xasprintf("grep -lsE '^[[:space:]]+%s:' /etc/netplan/*.yaml | tail -1", name)
                   : xasprintf("grep -lsE '^[[:space:]]*iface[[:space:]]+%s[[:space:]]' "
                               "/etc/network/interfaces /etc/network/interfaces.d/* | head -1",
                               name);
}

/* The first that goes makes place for the first that comes: so what stands beside it (a gateway,
 * name servers) stays with the interface. */
static void keep_swapped(struct page *g, const json_t *interface, const struct swap *w)
{
    bool netplan = strcmp(page_text(interface, "manager"), "netplan") == 0;
    const char *name = page_text(interface, "name");
    if (!runbook_finds_file(interface))
        return;
    CLEANUP(mem_free) char *file = runbook_finder(netplan, name);
    size_t both = w->nin < w->nout ? w->nin : w->nout;
    for (size_t i = 0; i < both; i++)
        swap_one(g, file, netplan, w->out[i], w->in[i]);
    for (size_t i = both; i < w->nin; i++)
        swap_rest(g, interface, file, w->in[i]);
    for (size_t i = both; i < w->nout; i++)
        page_say(g, "# take %s out of the file that %s finds", w->out[i], file);
}

static void address_add(struct page *g, const json_t *interface, const char *address)
{
    CLEANUP(mem_free) char *name = runbook_word(page_text(interface, "name"));
    CLEANUP(mem_free) char *bare = xmemdup(address, strcspn(address, "/"));
    CLEANUP(mem_free) char *a = runbook_word(address);
    CLEANUP(mem_free) char *b = runbook_word(bare);
    bool four = !strchr(address, ':');
    keep_one(g, interface, "+", address);
    if (four)
        page_say(g, "arping -D -c 2 -w 2 -I %s %s && ip address add %s dev %s", name, b, a, name);
    else
        page_say(g, "ip address add %s dev %s", a, name);
    if (four && !g->source)
        page_say(g, "arping -U -c 2 -w 2 -I %s %s", name, b);
}

/* Where the file has no address that another could stand for. */
static bool asks_by_stanza(const struct page *g, const json_t *interface, const json_t *move)
{
    size_t i;
    const json_t *a;
    if (!g->source || strcmp(page_text(interface, "manager"), "ifupdown") != 0)
        return false;
    json_array_foreach(json_object_get(move, "addresses"), i, a)
    {
        if (json_is_true(json_object_get(a, "dynamic")))
            return true;
    }
    return false;
}

/* The stanza that asks becomes one that says: what the host keeps, and the way out that had come
 * with the lease. */
static void stanza_drop(struct page *g, const char *name, const json_t *move)
{
    static const char plain[] = "0123456789abcdefABCDEF.:/";
    const char *keeps = page_text(move, "source_keeps");
    const char *route =
        json_string_value(json_array_get(json_object_get(move, "source_routes"), 0));
    const char *gate = route && strncmp(route, "default via ", 12) == 0 ? route + 12 : "";
    bool own = *keeps && strspn(keeps, plain) == strlen(keeps);
    CLEANUP(mem_free) char *file = runbook_finder(false, name);
    CLEANUP(mem_free)
    char *way = own && *gate && strspn(gate, plain) == strlen(gate)
                    ? xasprintf("\\n    gateway %s", gate)
                    : xstrdup("");
    CLEANUP(mem_free)
    char *stanza = own ? xasprintf("static\\n    address %s%s", keeps, way) : xstrdup("manual");
    page_say(g,
             "kill $(cat /run/dhclient.%s.pid); F=$(%s); sed -i -E 's#^([[:space:]]*iface"
             "[[:space:]]+%s[[:space:]]+inet[[:space:]]+)dhcp#\\1%s#' $F",
             name, file, name, stanza);
}

/* Names and the way out had come with the lease, and stay. */
static void lease_networkd(struct page *g, const json_t *interface, const json_t *move,
                           const char *name)
{
    page_say(g,
             "F=$(networkctl --no-pager status %s | sed -n 's/^ *Network File: //p'); sed -i "
             "'s/^DHCP=.*/DHCP=no/' $F; grep -q ^DNS= $F || sed -n 's/^DNS=/&/p; "
             "s/^DOMAINNAME=/Domains=/p' /run/systemd/netif/leases/$(cat /sys/class/net/%s/ifindex)"
             " | sed -i '/^\\[Network\\]/r /dev/stdin' $F",
             name, name);
    if (*page_text(move, "source_keeps"))
        page_routes_kept(g, interface, move, "source_routes");
    page_say(g, "networkctl reload");
}

/* What came by DHCP comes again, to the same card, until its client is told not to ask. */
static void lease_drop(struct page *g, const json_t *interface, const json_t *move)
{
    CLEANUP(mem_free) char *name = runbook_word(page_text(interface, "name"));
    const char *manager = page_text(interface, "manager");
    if (strcmp(manager, "networkd") == 0) {
        lease_networkd(g, interface, move, name);
        return;
    }
    if (strcmp(manager, "ifupdown") == 0 && runbook_finds_file(interface))
        stanza_drop(g, page_text(interface, "name"), move);
    else
        page_say(g, "# %s has %s: it is not to ask by DHCP any more",
                 *manager ? manager : "nobody that is known", name);
    if (*page_text(move, "source_keeps")) /* without an address they lead nowhere */
        page_routes_live(g, interface, move, "source_routes");
}

static void address_drop(struct page *g, const json_t *interface, const char *address)
{
    CLEANUP(mem_free) char *name = runbook_word(page_text(interface, "name"));
    CLEANUP(mem_free) char *a = runbook_word(address);
    keep_one(g, interface, "-", address);
    page_say(g, "ip address del %s dev %s", a, name);
}

static void one_move(struct page *g, const json_t *move)
{
    const json_t *i = interface_of(g, page_text(move, g->source ? "from_mac" : "to_mac")), *a;
    const char *keeps = page_text(move, "source_keeps");
    size_t n;
    if (!i) {
        page_say(g, "# this host has no interface %s",
                 page_text(move, g->source ? "from_mac" : "to_mac"));
        return;
    }
    CLEANUP(mem_free) char *name = runbook_word(page_text(i, "name"));
    struct swap w[2] = {{.nin = 0}, {.nin = 0}};
    const char *const lists[] = {"addresses", "gives_up"};
    bool stanza = asks_by_stanza(g, i, move);
    if (g->source) {
        page_say(g, "sysctl -qw net.ipv4.conf.%s.promote_secondaries=1", name);
        if (*keeps && !has_address(i, keeps)) {
            if (!stanza)
                swap_add(w, true, keeps);
            address_add(g, i, keeps);
        }
    }
    for (size_t k = 0; k < (g->source ? 1 : 2); k++)
        json_array_foreach(json_object_get(move, lists[k]), n, a)
        {
            const char *address = page_text(a, "address");
            bool comes = !g->source && k == 0;
            if (!stanza || !json_is_true(json_object_get(a, "dynamic")))
                swap_add(w, comes, address);
            if (comes)
                address_add(g, i, address);
            else
                address_drop(g, i, address);
            if (!comes && json_is_true(json_object_get(a, "dynamic")))
                lease_drop(g, i, move);
        }
    for (size_t k = 0; k < 2; k++)
        keep_swapped(g, i, &w[k]);
    if (g->source)
        return;
    page_routes_kept(g, i, move, "routes");
    page_routes_live(g, i, move, "routes");
}

void page_addresses(struct page *g)
{
    size_t i;
    const json_t *move;
    json_array_foreach(json_object_get(g->plan, "moves"), i, move) one_move(g, move);
    if (json_array_size(json_object_get(g->plan, "moves")) == 0)
        page_say(g, "# no address moves: by name only");
    else
        page_say(g, "ip -br address");
}
