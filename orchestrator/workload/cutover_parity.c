/* cutover_parity: what both hosts say of themselves against each other, where a difference would be
 * felt by users and no stage puts it right. Pure. */
#include "orchestrator/workload/cutover_parity.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

static void add(json_t *checks, const char *id, const char *result, const char *text,
                const char *remedy)
{
    (void)json_array_append_new(checks, json_pack("{s:s,s:s,s:s,s:s}", "id", id, "result", result,
                                                  "text", text, "remedy", remedy));
}

static bool has_line(const json_t *list, const char *line)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && strcasecmp(json_string_value(one), line) == 0)
            return true;
    }
    return false;
}

/* Lines of a that b has not, joined; malloc'd. */
static char *only_in(const json_t *a, const json_t *b, size_t *retn)
{
    size_t i, n = 0;
    const json_t *one;
    char *all = xstrdup("");
    json_array_foreach(a, i, one)
    {
        const char *line = json_string_value(one);
        if (!line || has_line(b, line))
            continue;
        if (n++ < 5) {
            char *more = xasprintf("%s%s%.80s", all, *all ? "; " : "", line);
            free(all);
            all = more;
        }
    }
    *retn = n;
    return all;
}

static bool has_either(const json_t *a, const json_t *b)
{
    return json_array_size(a) > 0 || json_array_size(b) > 0;
}

static void settings(const json_t *a, const json_t *b, json_t *checks)
{
    size_t n = 0, m = 0;
    CLEANUP(mem_free) char *source = only_in(a, b, &n);
    CLEANUP(mem_free) char *destination = only_in(b, a, &m);
    CLEANUP(mem_free)
    char *text = xasprintf("only the source has: %s. Only the destination has: %s",
                           n ? source : "nothing", m ? destination : "nothing");
    if (!has_either(a, b))
        return;
    if (n == 0 && m == 0)
        add(checks, "settings", "pass", "Samba's settings of names, ACLs and security are the same",
            "");
    else
        add(checks, "settings", "warn", text,
            "write the source's value into the destination's smb.conf");
}

static void protection(const json_t *a, const json_t *b, json_t *checks)
{
    size_t n = 0, m = 0;
    CLEANUP(mem_free) char *source = only_in(a, b, &n);
    CLEANUP(mem_free) char *destination = only_in(b, a, &m);
    CLEANUP(mem_free)
    char *text = xasprintf("only the source has: %s. Only the destination has: %s",
                           n ? source : "nothing", m ? destination : "nothing");
    if (n || m)
        add(checks, "firewall", "warn", text,
            "see that users reach port 445 of the destination, and that its smbd may use the "
            "shares");
    else
        add(checks, "firewall", "pass", "both hosts have the same firewalls and confinement", "");
}

static const json_t *card_of(const json_t *host, const json_t *mac)
{
    const char *want = json_string_value(mac);
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(host, "interfaces"), i, one)
    {
        const char *own = json_string_value(json_object_get(one, "mac"));
        if (want && own && strcasecmp(own, want) == 0)
            return one;
    }
    return NULL;
}

/* What a card may send is the network's matter up to that host, which only its people know: where
 * it carries less, a larger MTU would lose what is large, and nothing else. */
static void packets(const json_t *source, const json_t *destination, const json_t *moves,
                    json_t *checks)
{
    size_t i;
    const json_t *m;
    json_array_foreach(moves, i, m)
    {
        const json_t *from = card_of(source, json_object_get(m, "from_mac"));
        const json_t *to = card_of(destination, json_object_get(m, "to_mac"));
        json_int_t a = json_integer_value(json_object_get(from, "mtu"));
        json_int_t b = json_integer_value(json_object_get(to, "mtu"));
        const char *name = json_string_value(json_object_get(to, "name"));
        if (a <= 0 || b <= 0 || a == b) /* an older agent tells nothing */
            continue;
        CLEANUP(mem_free)
        char *text = xasprintf("the source's card has an MTU of %lld, %.40s of the destination one "
                               "of %lld, which stays",
                               (long long)a, name ? name : "that", (long long)b);
        add(checks, "mtu", "warn", text,
            "where the network carries the source's up to the destination (ping -M do -s MTU-28), "
            "write it into the destination's network file first");
    }
}

void cutover_parity(const json_t *source, const json_t *destination, const json_t *moves,
                    json_t *checks)
{
    settings(json_object_get(source, "settings"), json_object_get(destination, "settings"), checks);
    protection(json_object_get(source, "protection"), json_object_get(destination, "protection"),
               checks);
    packets(source, destination, moves, checks);
}
