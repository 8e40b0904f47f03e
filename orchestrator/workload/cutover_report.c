/* cutover_report: the source before against the destination after, which users take for the same
 * server; and the source before against itself after. Pure. */
#include "orchestrator/workload/cutover_report.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define SHOWN_MAX 600 /* bytes of one value */

struct sheet {
    json_t *lines;
    const char *on;
    const json_t *facts, *plan, *before, *after;
    bool rejoin, domain, committed;
};

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* why: NULL: a difference is one that nobody planned. */
static void line(struct sheet *s, const char *what, const char *before, const char *after,
                 const char *why)
{
    bool same = strcmp(before, after) == 0;
    (void)json_array_append_new(s->lines,
                                json_pack("{s:s,s:s,s:s,s:s,s:s,s:s}", "on", s->on, "what", what,
                                          "before", before, "after", after, "judged",
                                          same  ? "same"
                                          : why ? "expected"
                                                : "changed",
                                          "why", same || !why ? "" : why));
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcasecmp(*x, *y);
}

/* In one order, for no host says a list in one; malloc'd. */
static char *words(const char **list, size_t n)
{
    char *all = xstrdup("");
    if (n)
        qsort(list, n, sizeof *list, by_text);
    for (size_t i = 0; i < n; i++) {
        char *more = strlen(all) < SHOWN_MAX ? xasprintf("%s%s%s", all, *all ? ", " : "", list[i])
                                             : xasprintf("%s and %zu more", all, n - i);
        free(all);
        all = more;
        if (strlen(all) >= SHOWN_MAX && i + 1 < n && strstr(all, " more"))
            break;
    }
    return all;
}

/* key: of the elements, when they are objects. */
static char *list_of(const json_t *o, const char *name, const char *key)
{
    const json_t *list = json_object_get(o, name), *one;
    size_t i, n = 0;
    CLEANUP(mem_free) const char **found = xcalloc(json_array_size(list) + 1, sizeof *found);
    json_array_foreach(list, i, one)
    {
        const char *t = json_string_value(key ? json_object_get(one, key) : one);
        if (t)
            found[n++] = t;
    }
    return words(found, n);
}

static void list_line(struct sheet *s, const char *what, const json_t *before, const json_t *after,
                      const char *name, const char *why)
{
    CLEANUP(mem_free) char *a = list_of(before, name, NULL);
    CLEANUP(mem_free) char *b = list_of(after, name, NULL);
    line(s, what, a, b, why);
}

static void names(struct sheet *s, const char *why)
{
    const json_t *a = json_object_get(s->before, "names"), *b = json_object_get(s->after, "names");
    line(s, "host name", text_of(a, "host"), text_of(b, "host"), why);
    line(s, "NetBIOS name", text_of(a, "netbios"), text_of(b, "netbios"), why);
    list_line(s, "aliases", a, b, "aliases", why);
    list_line(s, "DNS names", a, b, "dns_names", why);
}

/* ── addresses ── */

static char *addresses_of(const json_t *capture)
{
    const char *found[256];
    size_t i, k, n = 0;
    const json_t *interface, *a;
    json_array_foreach(json_object_get(capture, "interfaces"), i, interface)
        json_array_foreach(json_object_get(interface, "addresses"), k, a)
    {
        if (n < sizeof found / sizeof found[0])
            found[n++] = text_of(a, "address");
    }
    return words(found, n);
}

static bool has_address(const json_t *capture, const char *address)
{
    size_t i, k;
    const json_t *interface, *a;
    json_array_foreach(json_object_get(capture, "interfaces"), i, interface)
        json_array_foreach(json_object_get(interface, "addresses"), k, a)
    {
        if (strcmp(text_of(a, "address"), address) == 0)
            return true;
    }
    return false;
}

/* Those that were to move have to be there; what else it has is its own. */
static void moved(struct sheet *s)
{
    size_t i, k;
    const json_t *move, *a;
    json_array_foreach(json_object_get(s->plan, "moves"), i, move)
        json_array_foreach(json_object_get(move, "addresses"), k, a)
    {
        const char *address = text_of(a, "address");
        line(s, "address", address, has_address(s->after, address) ? address : "", NULL);
    }
    if (json_array_size(json_object_get(s->plan, "moves")) > 0)
        return;
    CLEANUP(mem_free) char *before = addresses_of(s->before);
    CLEANUP(mem_free) char *after = addresses_of(s->after);
    line(s, "addresses", before, after, "by name only: no address moves");
}

/* ── the directory ── */

static void key_version(struct sheet *s, const json_t *a, const json_t *b)
{
    char before[24], after[24];
    json_int_t n = json_integer_value(json_object_get(a, "key_version"));
    json_int_t m = json_integer_value(json_object_get(b, "key_version"));
    (void)snprintf(before, sizeof before, "%lld", (long long)n);
    (void)snprintf(after, sizeof after, "%lld", (long long)m);
    const char *why = m <= n         ? NULL
                      : s->rejoin    ? "a join makes a new key"
                      : s->committed ? "commit makes a new key"
                                     : NULL;
    line(s, "key version", before, after, why);
}

static bool has_text(const json_t *list, const char *text)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && strcasecmp(json_string_value(one), text) == 0)
            return true;
    }
    return false;
}

/* "HOST/files.lab.test" of the alias FILES? */
static bool is_of_alias(const struct sheet *s, const char *spn)
{
    const char *slash = strchr(spn, '/');
    CLEANUP(mem_free) char *name = slash ? xmemdup(slash + 1, strcspn(slash + 1, ".:/")) : NULL;
    return name && has_text(json_object_get(json_object_get(s->before, "names"), "aliases"), name);
}

/* A join writes those of smb.conf's aliases, which the source had perhaps got later. */
static bool adds_aliases(const struct sheet *s, const json_t *before, const json_t *after)
{
    size_t i;
    const json_t *one;
    bool only = s->rejoin;
    json_array_foreach(before, i, one)
    {
        only = only && json_is_string(one) && has_text(after, json_string_value(one));
    }
    json_array_foreach(after, i, one)
    {
        const char *spn = json_string_value(one);
        only = only && spn && (has_text(before, spn) || is_of_alias(s, spn));
    }
    return only;
}

static void account(struct sheet *s)
{
    const json_t *a = json_object_get(s->before, "domain"),
                 *b = json_object_get(s->after, "domain");
    line(s, "domain", text_of(a, "realm"), text_of(b, "realm"), NULL);
    line(s, "account", text_of(a, "account_dn"), text_of(b, "account_dn"), NULL);
    line(s, "account's SID", text_of(a, "account_sid"), text_of(b, "account_sid"), NULL);
    bool more = adds_aliases(s, json_object_get(a, "spns"), json_object_get(b, "spns"));
    list_line(s, "service names", a, b, "spns", more ? "a join adds those of the aliases" : NULL);
    list_line(s, "groups", a, b, "groups", NULL);
    line(s, "rules on the object", text_of(a, "acl_digest"), text_of(b, "acl_digest"), NULL);
    key_version(s, a, b);
    line(s, "trusted", json_is_true(json_object_get(a, "trusted")) ? "yes" : "no",
         json_is_true(json_object_get(b, "trusted")) ? "yes" : "no", NULL);
}

/* ── shares ── */

static const json_t *share_of(const json_t *capture, const char *name)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(capture, "shares"), i, one)
    {
        if (strcasecmp(text_of(one, "name"), name) == 0)
            return one;
    }
    return NULL;
}

static void shares(struct sheet *s)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(s->plan, "shares"), i, one)
    {
        const json_t *now = share_of(s->after, text_of(one, "name"));
        bool missing = json_is_true(json_object_get(now, "missing"));
        CLEANUP(mem_free) char *what = xasprintf("share %s", text_of(one, "name"));
        line(s, what, text_of(one, "path"),
             !now      ? "not shared"
             : missing ? "its folder is missing"
                       : text_of(now, "path"),
             now && !missing ? "the pair's own folder" : NULL);
    }
}

/* ── the two halves ── */

static void server(struct sheet *s)
{
    bool keys = json_is_true(json_object_get(s->plan, "ssh_keys"));
    bool moves = json_array_size(json_object_get(s->plan, "moves")) > 0;
    names(s, NULL);
    moved(s);
    const char *own = text_of(s->after, "local_sid");
    bool meant = s->rejoin && *own && strcmp(own, text_of(s->plan, "local_sid")) == 0;
    line(s, "machine's SID", text_of(s->before, "local_sid"), own,
         meant ? "the data name accounts of the destination, by its own" : NULL);
    if (s->domain)
        account(s);
    shares(s);
    list_line(s, "users of its own", s->before, s->after, "users", NULL);
    list_line(s, "id maps", s->before, s->after, "idmap", NULL);
    list_line(s, "DNS records", s->before, s->after, "dns",
              moves ? NULL : "the names stand for the destination's addresses");
    list_line(s, "SSH host keys", s->before, s->after, "ssh_keys",
              keys ? NULL : "they were not to move (--ssh-keys)");
    list_line(s, "services", s->before, s->after, "services",
              "what ran on the destination runs there again");
    line(s, "Samba", text_of(s->before, "samba_version"), text_of(s->after, "samba_version"),
         "another host");
}

static void source(struct sheet *s)
{
    CLEANUP(mem_free) char *before = addresses_of(s->before);
    CLEANUP(mem_free) char *after = addresses_of(s->after);
    const json_t *a = json_object_get(s->before, "domain"),
                 *b = json_object_get(s->after, "domain");
    names(s, "its new name");
    line(s, "addresses", before, after, "what it keeps for its administrators");
    if (s->domain)
        line(s, "account's SID", text_of(a, "account_sid"), text_of(b, "account_sid"),
             *text_of(b, "account_sid") ? "an account of its own" : "outside of the domain");
    list_line(s, "services", s->before, s->after, "services", "it serves no users any more");
}

json_t *cutover_compare(const json_t *facts)
{
    const json_t *plan = json_object_get(facts, "plan");
    const json_t *after = json_object_get(facts, "after");
    struct sheet s = {
        .lines = json_array(),
        .facts = facts,
        .plan = plan,
        .before = json_object_get(facts, "source"),
        .on = "server",
        .rejoin = json_integer_value(json_object_get(plan, "method")) == 2,
        .domain = json_is_true(json_object_get(plan, "domain")),
        .committed = json_object_get(after, "committed") != NULL,
    };
    s.after = json_object_get(after, s.committed ? "committed" : "destination");
    if (!s.before || !s.after)
        return s.lines;
    server(&s);
    s.on = "source";
    s.after = json_object_get(after, "source");
    if (s.after)
        source(&s);
    return s.lines;
}

unsigned cutover_changed(const json_t *lines)
{
    size_t i;
    unsigned n = 0;
    const json_t *one;
    json_array_foreach(lines, i, one) n += strcmp(text_of(one, "judged"), "changed") == 0;
    return n;
}
