/* files_accounts: the stages that bring local users and groups along before the first file, and the
 * ids that became others by that. Between the stages the list of the source is kept in the pair's
 * facts, "accounts"; afterwards what became of it. Main thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/cutover.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/shares.h"
#include "proto/accounts.pb-c.h"

#define ROWS_SHOWN 200
#define BESIDE_MAX 40U

int files_check_accounts(const char *value, struct fault *reterr)
{
    static const char *const values[] = {"none", "rename", "merge", "skip"};
    for (size_t i = 0; i < ARRAY_SIZE(values); i++)
        if (strcmp(value, values[i]) == 0)
            return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                     "options.accounts: must be \"none\", \"rename\", \"merge\" or \"skip\"");
}

/* A proxy's own accounts are not those of the server that it reads. */
int files_check_pairs(const json_t *options, const char *const *sources, unsigned n,
                      struct fault *reterr)
{
    const char *accounts = json_string_value(json_object_get(options, "accounts"));
    for (unsigned i = 0; accounts && strcmp(accounts, "none") != 0 && i < n; i++)
        if (!sources[i])
            return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                             "options.accounts: the source of pair %u is an endpoint, whose "
                             "accounts nobody can read: leave accounts out",
                             i + 1);
    return shares_check_pairs(options, sources, n, reterr);
}

static const char *conflict_of(const struct pair_view *p)
{
    const char *text = json_string_value(json_object_get(p->options, "accounts"));
    return text ? text : "none";
}

bool files_wants_accounts(const struct pair_view *p)
{
    return strcmp(conflict_of(p), "none") != 0;
}

const char *files_map_option(const struct pair_view *p)
{
    const char *map = json_string_value(json_object_get(p->options, "map"));
    return map ? map : "";
}

char *files_map_both(const json_t *facts, const json_t *options)
{
    const json_t *a = json_object_get(facts, "accounts");
    const char *how = json_string_value(json_object_get(options, "accounts"));
    const char *map = json_string_value(json_object_get(options, "map"));
    const char *more =
        how && strcmp(how, "none") != 0 ? json_string_value(json_object_get(a, "map")) : NULL;
    size_t n = map ? strlen(map) : 0;
    return xasprintf("%s%s%s", map ? map : "", n && map[n - 1] != '\n' ? "\n" : "",
                     more ? more : "");
}

/* Accounts' SIDs became those of the destination's machine, for as long as it is that machine: when
 * it takes the source's SID and users along they are themselves again. */
static void keep_sids(char *map, size_t from)
{
    char *to = map + from;
    for (const char *at = to; *at;) {
        size_t n = strcspn(at, "\n");
        n += at[n] == '\n';
        if (strncmp(at, "sid,", 4) != 0) {
            memmove(to, at, n);
            to += n;
        }
        at += n;
    }
    *to = '\0';
}

bool files_maps_sids(const struct pair_view *p)
{
    CLEANUP(mem_free) char *map = files_map_both(p->facts, p->options);
    size_t n = strlen(files_map_option(p));
    const char *own = map + (n < strlen(map) ? n : strlen(map));
    return strncmp(own, "sid,", 4) == 0 || strstr(own, "\nsid,");
}

char *files_map_text(const struct pair_view *p)
{
    char *map = files_map_both(p->facts, p->options);
    if (cutover_takes_sid(p)) {
        size_t n = strlen(files_map_option(p));
        keep_sids(map, n < strlen(map) ? n : strlen(map));
    }
    return map;
}

/* ── reading ── */

int files_plan_accounts(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    (void)p;
    (void)reterr;
    Godwit__AccountsOrder none = GODWIT__ACCOUNTS_ORDER__INIT;
    files_plan_step(&ret[0], SIDE_SOURCE, "accounts.inventory", &none.base);
    return 1;
}

/* Comments in other encodings do not come along. */
static json_t *text_json(const char *s)
{
    json_t *j = json_string(s);
    return j ? j : json_string("");
}

static json_t *user_json(const Godwit__AccountUser *u)
{
    json_t *j = json_object();
    (void)json_object_set_new(j, "name", text_json(u->name));
    (void)json_object_set_new(j, "uid", json_integer(u->uid));
    (void)json_object_set_new(j, "gid", json_integer(u->gid));
    (void)json_object_set_new(j, "gecos", text_json(u->gecos));
    (void)json_object_set_new(j, "home", text_json(u->home));
    (void)json_object_set_new(j, "shell", text_json(u->shell));
    (void)json_object_set_new(j, "group", text_json(u->group));
    if (*u->sid)
        (void)json_object_set_new(j, "sid", text_json(u->sid));
    return j;
}

static json_t *group_json(const Godwit__AccountGroup *g)
{
    json_t *j = json_object(), *members = json_array();
    for (size_t i = 0; i < g->n_members; i++)
        (void)json_array_append_new(members, text_json(g->members[i]));
    (void)json_object_set_new(j, "name", text_json(g->name));
    (void)json_object_set_new(j, "gid", json_integer(g->gid));
    (void)json_object_set_new(j, "members", members);
    if (*g->sid)
        (void)json_object_set_new(j, "sid", text_json(g->sid));
    return j;
}

static json_t *list_json(const Godwit__AccountsResult *r)
{
    json_t *a = json_object(), *users = json_array(), *groups = json_array();
    for (size_t i = 0; i < r->n_users; i++)
        (void)json_array_append_new(users, user_json(r->users[i]));
    for (size_t i = 0; i < r->n_groups; i++)
        (void)json_array_append_new(groups, group_json(r->groups[i]));
    (void)json_object_set_new(a, "users", users);
    (void)json_object_set_new(a, "groups", groups);
    (void)json_object_set_new(a, "unfit", json_integer(r->unfit));
    json_t *beside = json_array();
    for (size_t i = 0; i < r->n_beside && i < BESIDE_MAX; i++)
        (void)json_array_append_new(beside, text_json(r->beside[i]));
    (void)json_object_set_new(a, "beside", beside);
    return a;
}

/* ── only to be seen ── */

bool files_wants_accounts_seen(const struct pair_view *p)
{
    return !p->endpoint && p->phase && strcmp(p->phase, "inventory") == 0;
}

/* Whoever does not tell costs the inventory nothing but that. */
enum verdict files_judge_accounts_seen(const struct pair_view *p,
                                       const Godwit__Result *const results[2], struct fault *reterr)
{
    struct fault why = {.err = 0};
    enum verdict v = files_verdict(results[0], &why);
    if (v == VERDICT_WAIT || v == VERDICT_AGAIN) {
        *reterr = why;
        return v;
    }
    Godwit__AccountsResult *r =
        v == VERDICT_NEXT
            ? godwit__accounts_result__unpack(NULL, results[0]->body.len, results[0]->body.data)
            : NULL;
    json_t *a = r ? list_json(r) : json_object();
    const char *no = r ? r->no_samba : *why.text ? why.text : "what the agent says is not readable";
    if (*no) {
        CLEANUP(mem_free) char *text = text_printable(no, strnlen(no, 240));
        (void)json_object_set_new(a, r ? "no_sids" : "why", json_string(text));
    }
    if (r)
        (void)json_object_set_new(a, "controller", json_boolean(r->controller));
    (void)json_object_set_new(p->facts, "accounts_seen", a);
    if (r)
        godwit__accounts_result__free_unpacked(r, NULL);
    return VERDICT_NEXT;
}

enum verdict files_judge_accounts(const struct pair_view *p, const Godwit__Result *const results[2],
                                  struct fault *reterr)
{
    enum verdict v = files_verdict(results[0], reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    Godwit__AccountsResult *r =
        godwit__accounts_result__unpack(NULL, results[0]->body.len, results[0]->body.data);
    if (!r) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the list of accounts is not readable");
        return VERDICT_FAIL;
    }
    if (r->controller) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EPERM,
                        "the source is a domain controller: its accounts are the domain's; create "
                        "the job with accounts: none");
        v = VERDICT_FAIL;
    } else {
        (void)json_object_set_new(p->facts, "accounts", list_json(r));
    }
    godwit__accounts_result__free_unpacked(r, NULL);
    return v;
}

/* ── making ── */

static char *text_of(const json_t *j, const char *key)
{
    const char *text = json_string_value(json_object_get(j, key));
    return files_text(text ? text : "");
}

static uint32_t id_of(const json_t *j, const char *key)
{
    return (uint32_t)json_integer_value(json_object_get(j, key));
}

/* A home that comes with the pair's folder is where that comes to. malloc'd, NULL: as it is. */
static char *home_there(const struct pair_view *p, const char *home)
{
    size_t n = strlen(p->source);
    while (n > 1 && p->source[n - 1] == '/')
        n--;
    if (p->endpoint || p->to_endpoint || n <= 1 || strncmp(home, p->source, n) != 0 ||
        (home[n] && home[n] != '/'))
        return NULL;
    size_t to = strlen(p->destination);
    while (to > 1 && p->destination[to - 1] == '/')
        to--;
    return xasprintf("%.*s%s", (int)to, p->destination, home + n);
}

static void fill_users(const struct pair_view *p, const json_t *list, Godwit__AccountsOrder *o)
{
    size_t i = 0;
    const json_t *u = NULL;
    o->users = xcalloc(json_array_size(list) + 1, sizeof *o->users);
    json_array_foreach(list, i, u)
    {
        Godwit__AccountUser *to = xcalloc(1, sizeof *to);
        godwit__account_user__init(to);
        to->name = text_of(u, "name");
        to->uid = id_of(u, "uid");
        to->gid = id_of(u, "gid");
        to->gecos = text_of(u, "gecos");
        char *home = home_there(p, text_of(u, "home"));
        to->home = home ? home : xstrdup(text_of(u, "home"));
        to->shell = text_of(u, "shell");
        to->group = text_of(u, "group");
        o->users[o->n_users++] = to;
    }
}

static void fill_groups(const json_t *list, Godwit__AccountsOrder *o)
{
    size_t i = 0, k = 0;
    const json_t *g = NULL, *m = NULL;
    o->groups = xcalloc(json_array_size(list) + 1, sizeof *o->groups);
    json_array_foreach(list, i, g)
    {
        const json_t *members = json_object_get(g, "members");
        Godwit__AccountGroup *to = xcalloc(1, sizeof *to);
        godwit__account_group__init(to);
        to->name = text_of(g, "name");
        to->gid = id_of(g, "gid");
        to->members = xcalloc(json_array_size(members) + 1, sizeof *to->members);
        json_array_foreach(members, k, m) to->members[to->n_members++] =
            files_text(json_string_value(m));
        o->groups[o->n_groups++] = to;
    }
}

int files_plan_accounts_apply(const struct pair_view *p, struct planned_step ret[2],
                              struct fault *reterr)
{
    char pair[32];
    (void)reterr;
    const json_t *a = json_object_get(p->facts, "accounts");
    const char *map = files_map_option(p);
    Godwit__AccountsOrder o = GODWIT__ACCOUNTS_ORDER__INIT;
    files_pair_name(p, pair);
    o.pair = pair;
    o.source_host = files_text(p->source_host);
    o.conflict = files_text(conflict_of(p));
    o.dry_run = files_is_dry(p);
    o.map = files_bytes(map, strlen(map));
    fill_users(p, json_object_get(a, "users"), &o);
    fill_groups(json_object_get(a, "groups"), &o);
    files_plan_step(&ret[0], SIDE_DESTINATION, "accounts.apply", &o.base);
    for (size_t i = 0; i < o.n_users; i++) {
        free(o.users[i]->home);
        free(o.users[i]);
    }
    for (size_t i = 0; i < o.n_groups; i++) {
        free(o.groups[i]->members);
        free(o.groups[i]);
    }
    free(o.users);
    free(o.groups);
    return 1;
}

static json_t *row_json(const Godwit__AccountRow *r)
{
    json_t *j = json_object();
    (void)json_object_set_new(j, "kind", json_string(r->group ? "group" : "user"));
    (void)json_object_set_new(j, "name", text_json(r->name));
    (void)json_object_set_new(j, "as", text_json(r->as));
    (void)json_object_set_new(j, "id", json_integer(r->id));
    (void)json_object_set_new(j, "to", json_integer(r->to));
    (void)json_object_set_new(j, "fate", text_json(r->fate));
    if (*r->reason)
        (void)json_object_set_new(j, "reason", text_json(r->reason));
    return j;
}

static void add_one(json_t *counts, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(counts, key));
    (void)json_object_set_new(counts, key, json_integer(n + 1));
}

/* The rows that are not as at the source come first into what is shown. */
static json_t *rows_json(const Godwit__AccountsApplied *r)
{
    json_t *rows = json_array();
    for (int plain = 0; plain < 2; plain++)
        for (size_t i = 0; i < r->n_rows && json_array_size(rows) < ROWS_SHOWN; i++) {
            const Godwit__AccountRow *k = r->rows[i];
            bool as_it_was = k->id == k->to && strcmp(k->name, k->as) == 0 && !*k->reason;
            if (as_it_was == (plain == 1))
                (void)json_array_append_new(rows, row_json(k));
        }
    return rows;
}

static void keep_applied(const struct pair_view *p, const Godwit__AccountsApplied *r)
{
    json_t *a = json_object(), *counts = json_object();
    const json_t *beside = json_object_get(json_object_get(p->facts, "accounts"), "beside");
    if (beside)
        (void)json_object_set_new(a, "beside", json_deep_copy(beside));
    for (size_t i = 0; i < r->n_rows; i++)
        add_one(counts, r->rows[i]->fate);
    (void)json_object_set_new(a, "run", json_integer(p->run));
    (void)json_object_set_new(a, "counts", counts);
    (void)json_object_set_new(a, "locks", json_boolean(!files_moves_passwords(p)));
    (void)json_object_set_new(a, "rows", rows_json(r));
    (void)json_object_set_new(a, "map", json_stringn((const char *)r->map.data, r->map.len));
    (void)json_object_set_new(p->facts, "accounts", a);
}

enum verdict files_check_maps(const struct pair_view *p, struct fault *reterr)
{
    CLEANUP(mem_free) char *text = files_map_text(p);
    CLEANUP(idmap_free) struct idmap *map = NULL;
    struct idmap_error e;
    if (idmap_parse(text, strlen(text), &map, &e) == 0)
        return VERDICT_NEXT;
    (void)fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the map together with the accounts' ids: %s",
                    e.text);
    return VERDICT_FAIL;
}

int files_check_map_known(const struct pair_view *p, struct fault *reterr)
{
    CLEANUP(mem_free) char *text = files_map_text(p);
    if (!*text || (p->from->can & WIRE_CAN_MAP))
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EPROTONOSUPPORT,
                     "the agent of host %s is too old to map ids: it would leave all as they are; "
                     "upgrade it",
                     p->from->name);
}

enum verdict files_judge_accounts_apply(const struct pair_view *p,
                                        const Godwit__Result *const results[2],
                                        struct fault *reterr)
{
    enum verdict v = files_verdict(results[0], reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    Godwit__AccountsApplied *r =
        godwit__accounts_applied__unpack(NULL, results[0]->body.len, results[0]->body.data);
    if (!r) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "what became of accounts is not readable");
        return VERDICT_FAIL;
    }
    keep_applied(p, r);
    godwit__accounts_applied__free_unpacked(r, NULL);
    return files_check_maps(p, reterr);
}
