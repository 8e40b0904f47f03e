/* files_identities: are the users, groups and SIDs of the data the same ones at the destination?
 * The source tells with the inventory who occurs; the destination is asked about those, as the
 * job's map makes them; the check compares, in both directions. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/idmap_ranges.h"
#include "orchestrator/workload/message_json.h"
#include "proto/access.pb-c.h"

#define ROWS_MAX 2000U
#define SHOWN 2U

enum { KIND_UID, KIND_GID, KIND_SID };

static const char *str(const json_t *o, const char *key)
{
    const char *v = json_string_value(json_object_get(o, key));
    return v ? v : "";
}

/* What agents tell is kept printable, with \x5c for a backslash: here it is between domain and
 * user. malloc'd. */
static char *name_of(const json_t *row)
{
    char *text = xstrdup(*str(row, "name") ? str(row, "name") : str(row, "sid"));
    for (char *p = text; (p = strstr(p, "\\x5c")) != NULL; p++)
        memmove(p + 1, p + 4, strlen(p + 4) + 1);
    return text;
}

static uint32_t num(const json_t *o, const char *key)
{
    return (uint32_t)json_integer_value(json_object_get(o, key));
}

static struct idmap *map_of(const json_t *facts, const json_t *options)
{
    CLEANUP(mem_free) char *text = files_map_both(facts, options);
    struct idmap *map = NULL;
    struct idmap_error e;
    return idmap_parse(text, strlen(text), &map, &e) == 0 ? map : NULL;
}

static uint32_t map_id(const struct idmap *map, bool group, uint32_t id)
{
    return group ? idmap_gid(map, id) : idmap_uid(map, id);
}

/* ret: at least SID_TEXT_MAX; what is no SID is "". */
static void map_sid(const struct idmap *map, const char *text, char *ret)
{
    struct sid from, to;
    *ret = '\0';
    if (sid_parse(text, strlen(text), &from) < 0)
        return;
    sid_text(idmap_sid(map, &from, &to) ? &to : &from, ret);
}

static const json_t *list_of(const json_t *facts, const char *key)
{
    return json_object_get(json_object_get(facts, key), "list");
}

/* ── asking the destination ── */

bool files_wants_identities(const struct pair_view *p)
{
    /* Of an endpoint the SIDs go over, whatever ids its proxy has for them. */
    return !p->endpoint && !p->to_endpoint && json_array_size(list_of(p->facts, "identities")) > 0;
}

int files_plan_identities(const struct pair_view *p, struct planned_step ret[2],
                          struct fault *reterr)
{
    (void)reterr;
    const json_t *list = list_of(p->facts, "identities"), *row;
    CLEANUP(idmap_free) struct idmap *map = map_of(p->facts, p->options);
    size_t n = json_array_size(list) < ROWS_MAX ? json_array_size(list) : ROWS_MAX, i;
    CLEANUP(mem_free) Godwit__Identity *rows = xcalloc(n + 1, sizeof *rows);
    CLEANUP(mem_free) Godwit__Identity **at = xcalloc(n + 1, sizeof(Godwit__Identity *));
    CLEANUP(mem_free) char *texts = xcalloc(n + 1, SID_TEXT_MAX);
    Godwit__IdentitiesOrder o = GODWIT__IDENTITIES_ORDER__INIT;
    o.list = at;
    json_array_foreach(list, i, row)
    {
        if (i == n)
            break;
        godwit__identity__init(&rows[i]);
        rows[i].kind = num(row, "kind");
        rows[i].id = map_id(map, rows[i].kind == KIND_GID, num(row, "id"));
        rows[i].sid = texts + i * SID_TEXT_MAX;
        map_sid(map, str(row, "sid"), rows[i].sid);
        at[o.n_list++] = &rows[i];
    }
    files_plan_step(&ret[0], SIDE_DESTINATION, "access.identities", &o.base);
    return 1;
}

/* ── comparing ── */

struct compare {
    const json_t *here, *there; /* what each host said */
    const struct idmap *map;
    bool accounts; /* local ones are brought along */
    bool sids;     /* Samba's own too, and NT ACLs go by what their SIDs become */
    unsigned wrong, odd, same;
    char examples[160];
    json_t *rows; /* NULL: nobody wants them */
};

static void put(char *to, size_t size, const char *text)
{
    size_t len = strlen(to);
    (void)snprintf(to + len, size - len, "%s%s", len ? "; " : "", text);
}

/* Takes text. */
static void note(struct compare *c, bool wrong, const json_t *row, char *text)
{
    unsigned before = wrong ? c->wrong++ : c->odd++;
    if (wrong && before < SHOWN)
        put(c->examples, sizeof c->examples, text);
    if (c->rows) {
        CLEANUP(mem_free) char *name = name_of(row);
        (void)json_array_append_new(
            c->rows, json_pack("{s:s,s:s,s:O?,s:s}", "result", wrong ? "fail" : "warn", "name",
                               name, "entries", json_object_get(row, "count"), "text", text));
    }
    free(text);
}

static bool is_own(const json_t *host, const char *sid)
{
    const char *machine = str(host, "machine_sid");
    size_t n = strlen(machine);
    return n > 0 && strncmp(sid, machine, n) == 0 && sid[n] == '-';
}

static bool is_domain(const struct compare *c, const char *sid)
{
    return strncmp(sid, "S-1-5-21-", 9) == 0 && !is_own(c->here, sid);
}

static const char *const kinds[] = {"uid", "gid", "SID"};

/* Of the domain: the SID decides. */
static void compare_domain(struct compare *c, const json_t *a, const json_t *b)
{
    static const char *const as_kinds[] = {"nothing", "uid", "gid", "uid and gid"};
    uint32_t kind = num(a, "kind"), as = num(a, "as") & 3, there = num(b, "as") & 3;
    bool group = kind == KIND_GID || (kind == KIND_SID && as == 2);
    uint32_t id = kind == KIND_SID ? num(a, "as_id") : num(a, "id"), to = map_id(c->map, group, id);
    CLEANUP(mem_free) char *name = name_of(a);
    CLEANUP(mem_free) char *other = name_of(b);
    char want[SID_TEXT_MAX];
    map_sid(c->map, str(a, "sid"), want);
    if (as == 0) /* a SID that the source itself gives no id: nobody of this network */
        c->same++;
    else if (there == 0)
        note(c, true, a, xasprintf("%s is %s %u here and nobody there", name, as_kinds[as], id));
    else if (num(b, "as_id") != to)
        note(c, true, a,
             xasprintf("%s is %s %u here%s and %u there", name, as_kinds[as], id,
                       to != id ? ", mapped," : "", num(b, "as_id")));
    else if (strcmp(str(b, "has_sid"), want) != 0)
        note(c, true, a,
             xasprintf("%s %u is %s here and %s there", as_kinds[there], to, name,
                       *str(b, "name") ? other : "nobody"));
    else
        c->same++;
}

/* Of the host alone: the name decides. Whether it was meant is for a person to say. */
static void compare_local(struct compare *c, const json_t *a, const json_t *b)
{
    uint32_t kind = num(a, "kind"), id = num(a, "id");
    const char *here = str(a, "name"), *there = str(b, "name");
    bool goes = c->sids || json_is_true(json_object_get(a, "nobody")); /* orphan-sids tells these */
    if (kind == KIND_SID && !goes && num(b, "as") == 0 &&
        strcmp(str(a, "sid"), str(b, "sid")) == 0 &&
        strcmp(str(c->here, "machine_sid"), str(c->there, "machine_sid")) != 0)
        note(c, false, a,
             xasprintf("%s in NT ACLs is an account of the source alone", str(a, "sid")));
    else if (kind == KIND_SID || c->accounts || strcmp(here, there) == 0)
        c->same++;
    else
        note(c, false, a,
             xasprintf("%s %u is %s here and %s there", kinds[kind & 1],
                       map_id(c->map, kind == KIND_GID, id), *here ? here : "nobody",
                       *there ? there : "nobody"));
}

static void compare_all(struct compare *c)
{
    const json_t *list = json_object_get(c->here, "list"), *a;
    const json_t *other = json_object_get(c->there, "list");
    size_t i;
    json_array_foreach(list, i, a)
    {
        const json_t *b = json_array_get(other, i);
        if (!b || num(a, "kind") > KIND_SID || num(a, "kind") != num(b, "kind"))
            continue;
        if (is_domain(c, str(a, "sid")))
            compare_domain(c, a, b);
        else
            compare_local(c, a, b);
    }
}

/* "LAB: rid 100000-199999"; what is not of the domain's own ids does not matter here. ret: 100 */
static void backends_of(const json_t *host, char *ret)
{
    const json_t *list = json_object_get(host, "backends"), *one;
    size_t i, named = 0;
    *ret = '\0';
    json_array_foreach(list, i, one) named += json_string_value(one)[0] != '*';
    json_array_foreach(list, i, one)
    {
        if (json_string_value(one)[0] != '*' || named == 0)
            put(ret, 100, json_string_value(one));
    }
    if (!*ret)
        put(ret, 100, "none");
}

static void compare_open(struct compare *c, const json_t *facts, const json_t *options,
                         const struct idmap *map)
{
    const char *accounts = json_string_value(json_object_get(options, "accounts"));
    c->here = json_object_get(facts, "identities");
    c->there = json_object_get(facts, "identities_there");
    c->map = map;
    c->accounts = accounts && strcmp(accounts, "none") != 0;
    const char *passwords = json_string_value(json_object_get(options, "passwords"));
    c->sids = c->accounts && (!passwords || strcmp(passwords, "move") == 0);
    compare_all(c);
}

enum check_result files_check_identities(const json_t *facts, const json_t *options, char *text,
                                         size_t size)
{
    const json_t *here = json_object_get(facts, "identities");
    CLEANUP(idmap_free) struct idmap *map = map_of(facts, options);
    struct compare c = {.wrong = 0};
    if (!here) {
        (void)snprintf(text, size, "nothing was counted yet: it is checked before the first byte");
        return CHECK_WARN;
    }
    if (json_array_size(json_object_get(here, "list")) == 0) {
        (void)snprintf(text, size, "all belongs to root");
        return CHECK_PASS;
    }
    if (!json_object_get(facts, "identities_there")) {
        (void)snprintf(text, size, "the destination did not say whom it knows");
        return CHECK_UNKNOWN;
    }
    compare_open(&c, facts, options, map);
    if (c.wrong) {
        char from[100], to[100];
        backends_of(c.here, from);
        backends_of(c.there, to);
        (void)snprintf(text, size, "%u of %u differ; idmap here %.60s, there %.60s; %s", c.wrong,
                       c.wrong + c.odd + c.same, from, to, c.examples);
        return CHECK_FAIL;
    }
    char odd[80];
    const char *whose =
        idmap_ranges_odd(json_object_get(c.here, "backends"), odd, sizeof odd)    ? "source"
        : idmap_ranges_odd(json_object_get(c.there, "backends"), odd, sizeof odd) ? "destination"
                                                                                  : NULL;
    if (whose) {
        (void)snprintf(text, size,
                       "the %u ids and SIDs that occur are the same on both hosts, but on the %s "
                       "%s: winbind may give nobody an id",
                       c.same, whose, odd);
        return CHECK_WARN;
    }
    bool more = json_is_true(json_object_get(here, "more"));
    (void)snprintf(text, size,
                   more    ? "the first %u ids and SIDs are the same on both hosts; there are more"
                   : c.odd ? "%u ids and SIDs are the same on both hosts, %u of local accounts "
                             "are not: godwit inventory show -o json names them"
                           : "%u ids and SIDs are the same on both hosts, in both directions",
                   c.same, c.odd);
    return more || c.odd ? CHECK_WARN : CHECK_PASS;
}

/* What differs, row by row. New reference. */
static json_t *compared_json(const json_t *facts, const json_t *options)
{
    CLEANUP(idmap_free) struct idmap *map = map_of(facts, options);
    struct compare c = {.rows = json_array()};
    compare_open(&c, facts, options, map);
    return json_pack("{s:i,s:o,s:O?,s:O?}", "same", (int)c.same, "differ", c.rows, "idmap",
                     json_object_get(c.here, "backends"), "idmap_destination",
                     json_object_get(c.there, "backends"));
}

/* A destination that does not say is unknown, which is no failure of the count. */
enum verdict files_judge_identities(const struct pair_view *p,
                                    const Godwit__Result *const results[2], struct fault *reterr)
{
    struct fault why = {.err = 0};
    enum verdict v = files_verdict(results[0], &why);
    if (v == VERDICT_WAIT || v == VERDICT_AGAIN) {
        *reterr = why;
        return v;
    }
    Godwit__Identities *r =
        v == VERDICT_NEXT
            ? godwit__identities__unpack(NULL, results[0]->body.len, results[0]->body.data)
            : NULL;
    (void)json_object_del(p->facts, "identities_there");
    (void)json_object_del(p->facts, "identities_compared");
    if (r && r->n_list <= ROWS_MAX) {
        (void)json_object_set_new(p->facts, "identities_there", message_json(&r->base));
        (void)json_object_set_new(p->facts, "identities_compared",
                                  compared_json(p->facts, p->options));
    }
    if (r)
        godwit__identities__free_unpacked(r, NULL);
    return VERDICT_NEXT;
}

static bool is_listed(const json_t *list, const char *check)
{
    size_t i;
    const json_t *one;
    json_array_foreach(list, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), check) == 0)
            return true;
    }
    return false;
}

bool files_overrides(const struct pair_view *p, const char *check)
{
    return is_listed(json_object_get(p->options, "override"), check) ||
           is_listed(json_object_get(p->facts, "override"), check);
}

/* Before anything moves: files that belong to others than before are worse than none. */
int files_need_identities(const struct pair_view *p, struct fault *reterr)
{
    char text[120];
    if (files_is_dry(p) || !json_object_get(p->facts, "identities_there") ||
        files_overrides(p, "identity-maps") ||
        files_check_identities(p->facts, p->options, text, sizeof text) != CHECK_FAIL)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EREMOTEIO,
                     "ids mean others there: %.110s; godwit job validate (identity-maps)", text);
}
