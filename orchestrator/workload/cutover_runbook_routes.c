/* cutover_runbook_routes: the ways out of a runbook: on the wire, and in the files of the managers.
 * Pure. */
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/route.h"
#include "orchestrator/workload/cutover_runbook_priv.h"

/* What a host says is no command. */
static bool is_plain(const struct route *r)
{
    static const char plain[] = "0123456789abcdefABCDEF.:/";
    return strspn(r->via, plain) == strlen(r->via) &&
           (strcmp(r->to, "default") == 0 || strspn(r->to, plain) == strlen(r->to));
}

static bool read_one(const json_t *one, struct route *ret)
{
    return route_read(json_string_value(one), ret) && is_plain(ret);
}

static void keep_networkd(struct page *g, const char *name, const struct route *r)
{
    if (r->whole)
        page_say(g,
                 "F=$(networkctl --no-pager status %s | sed -n 's/^ *Network File: //p'); grep "
                 "-qxF Gateway=%s $F || sed -i '0,/^\\[Network\\]/ s||&\\nGateway=%s|' $F",
                 name, r->via, r->via);
    else
        page_say(g,
                 "F=$(networkctl --no-pager status %s | sed -n 's/^ *Network File: //p'); grep "
                 "-qxF Destination=%s $F || printf '\\n[Route]\\nDestination=%s\\nGateway=%s\\n' "
                 ">>$F",
                 name, r->to, r->to, r->via);
}

static void keep_nm(struct page *g, const char *name, const struct route *r)
{
    char family = r->six ? '6' : '4';
    CLEANUP(mem_free) char *one = xasprintf("%s %s", r->to, r->via);
    page_say(g,
             "nmcli connection modify \"$(nmcli -g GENERAL.CONNECTION device show %s)\" "
             "%sipv%c.%s '%s'",
             name, r->whole ? "" : "+", family, r->whole ? "gateway" : "routes",
             r->whole ? r->via : one);
}

/* Behind the address by which the router is reached. */
static void keep_ifupdown(struct page *g, const char *name, const char *address,
                          const struct route *r)
{
    CLEANUP(mem_free) char *file = runbook_finder(false, name);
    CLEANUP(mem_free) char *at = runbook_pattern(address);
    CLEANUP(mem_free)
    char *line = r->whole ? xasprintf("gateway %s", r->via)
                          : xasprintf("up ip route replace %s via %s dev %s", r->to, r->via, name);
    page_say(
        g,
        "F=$(%s); grep -qF '%s' $F || sed -i -E 's#^[[:space:]]*address[[:space:]]+%s$#&\\n    "
        "%s#' $F",
        file, line, at, line);
}

/* The first that comes, of that family; NULL: none. */
static const char *address_of(const json_t *move, bool six)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(move, "addresses"), i, one)
    {
        const char *a = page_text(one, "address");
        if ((strchr(a, ':') != NULL) == six && strspn(a, "0123456789abcdefABCDEF.:/") == strlen(a))
            return a;
    }
    return NULL;
}

static void keep(struct page *g, const json_t *interface, const json_t *move, const struct route *r)
{
    const char *manager = page_text(interface, "manager"), *address = address_of(move, r->six);
    CLEANUP(mem_free) char *name = runbook_word(page_text(interface, "name"));
    if (strcmp(manager, "networkd") == 0)
        keep_networkd(g, name, r);
    else if (strcmp(manager, "NetworkManager") == 0)
        keep_nm(g, name, r);
    else if (strcmp(manager, "ifupdown") == 0 && runbook_finds_file(interface) && address)
        keep_ifupdown(g, name, address, r);
    else
        page_say(g, "# write into the network file of %s: routes: [{to: %s, via: %s}]", name, r->to,
                 r->via);
}

void page_routes_kept(struct page *g, const json_t *interface, const json_t *move, const char *key)
{
    size_t i;
    const json_t *one;
    struct route r;
    json_array_foreach(json_object_get(move, key), i, one)
    {
        if (read_one(one, &r))
            keep(g, interface, move, &r);
    }
}

void page_routes_live(struct page *g, const json_t *interface, const json_t *move, const char *key)
{
    CLEANUP(mem_free) char *name = runbook_word(page_text(interface, "name"));
    size_t i;
    const json_t *one;
    struct route r;
    json_array_foreach(json_object_get(move, key), i, one)
    {
        if (read_one(one, &r))
            page_say(g, "ip route replace %s via %s dev %s", r.to, r.via, name);
    }
}
