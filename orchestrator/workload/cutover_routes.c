/* cutover_routes: users behind a router are answered by the way that the server has to them. Where
 * the destination has none the source's moves along with the address by which the router is
 * reached; where it has another it is told. Pure. */
#include "orchestrator/workload/cutover_routes.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/route.h"
#include "orchestrator/workload/cutover_plan.h"

#define ROUTES_MAX 64 /* of one move */

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* Only those that lead over another machine: the others are a network's own. */
static bool parse(const char *text, struct route *ret)
{
    return text && strspn(text, "0123456789abcdef.:/ viametrcul") == strlen(text) &&
           route_read(text, ret);
}

/* The destination's to the same place, whatever its interface. */
static bool find(const json_t *destination, const struct route *want, struct route *ret)
{
    size_t i, k;
    const json_t *interface, *one;
    json_array_foreach(json_object_get(destination, "interfaces"), i, interface)
    {
        json_array_foreach(json_object_get(interface, "routes"), k, one)
        {
            if (parse(json_string_value(one), ret) && ret->six == want->six &&
                strcmp(ret->to, want->to) == 0)
                return true;
        }
    }
    return false;
}

static json_t *move_from(const json_t *moves, const char *mac)
{
    size_t i;
    json_t *m;
    json_array_foreach(moves, i, m)
    {
        if (strcasecmp(text_of(m, "from_mac"), mac) == 0)
            return m;
    }
    return NULL;
}

/* Is the router in a network whose address moves? Then the destination reaches it too. */
static bool is_reached(const json_t *move, const struct route *r)
{
    size_t i;
    const json_t *a;
    json_array_foreach(json_object_get(move, "addresses"), i, a)
    {
        const char *address = text_of(a, "address"), *slash = strchr(address, '/');
        CLEANUP(mem_free) char *router = xasprintf("%s%s", r->via, slash ? slash : "");
        if (cutover_same_network(router, address))
            return true;
    }
    return false;
}

static void add(json_t *checks, const char *result, const char *text, const char *remedy)
{
    (void)json_array_append_new(checks, json_pack("{s:s,s:s,s:s,s:s}", "id", "routes", "result",
                                                  result, "text", text, "remedy", remedy));
}

static void look(const json_t *destination, json_t *move, const struct route *r, json_t *checks)
{
    struct route own;
    bool has = find(destination, r, &own);
    CLEANUP(mem_free) char *text = NULL;
    if (has && strcmp(own.via, r->via) == 0)
        return;
    json_t *routes = json_object_get(move, "routes");
    if (!has && is_reached(move, r) && json_array_size(routes) < ROUTES_MAX) {
        CLEANUP(mem_free) char *line = xasprintf("%s via %s", r->to, r->via);
        (void)json_array_append_new(routes, json_string(line));
        text = xasprintf("the destination has no way to %s: that by %s moves along",
                         r->whole ? "other networks" : r->to, r->via);
        add(checks, "pass", text, "");
        return;
    }
    text = has ? xasprintf("the source reaches %s by %s, the destination by %s", r->to, r->via,
                           own.via)
               : xasprintf("the source reaches %s by %s, the destination by nothing of its own",
                           r->to, r->via);
    add(checks, "warn", text,
        "where users stand behind that router: write the route into the destination's network file "
        "first");
}

void cutover_routes(const json_t *source, const json_t *destination, json_t *moves, json_t *checks)
{
    size_t i, k;
    const json_t *interface, *one;
    json_array_foreach(json_object_get(source, "interfaces"), i, interface)
    {
        json_t *move = move_from(moves, text_of(interface, "mac"));
        struct route r;
        json_array_foreach(json_object_get(interface, "routes"), k, one)
        {
            if (move && parse(json_string_value(one), &r))
                look(destination, move, &r, checks);
        }
    }
}
