/* shares: plans and verdicts. What was read goes to the destination as it came, from the pair's
 * facts. Main thread. */
#include "orchestrator/workload/shares.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/shares_facts.h"
#include "proto/shares.pb-c.h"

#define BODY_MAX (256U << 10)

enum want { WANT_OFF, WANT_LIST, WANT_PAIR, WANT_ALL }; /* as SharesOrder has them */

static const char *const wants[] = {"off", "list", "pair", "all"};

static int want_of(const char *value)
{
    for (size_t i = 0; value && i < ARRAY_SIZE(wants); i++)
        if (strcmp(wants[i], value) == 0)
            return (int)i;
    return -1;
}

int shares_check_want(const char *value, struct fault *reterr)
{
    if (want_of(value) >= 0)
        return 0;
    return fault_set(
        reterr, FAULT_STOP_JOB, EINVAL,
        "options.shares and options.nfs: must be \"off\", \"list\", \"pair\" (what lies "
        "in the pair's folder) or \"all\"");
}

static int check_twice(const char *option, const char *const *sources, unsigned n,
                       struct fault *reterr)
{
    for (unsigned i = 1; i < n; i++)
        for (unsigned k = 0; sources[i] && k < i; k++)
            if (sources[k] && strcmp(sources[i], sources[k]) == 0)
                return fault_set(
                    reterr, FAULT_STOP_JOB, EINVAL,
                    "options.%s: all of %.63s cannot move with two pairs of it (%u and "
                    "%u): say \"pair\", and with each moves what lies in its folder",
                    option, sources[i], k + 1, i + 1);
    return 0;
}

int shares_check_pairs(const json_t *options, const char *const *sources, unsigned n,
                       struct fault *reterr)
{
    static const char *const names[] = {"shares", "nfs"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(names); i++)
        if (want_of(json_string_value(json_object_get(options, names[i]))) == WANT_ALL)
            rc = check_twice(names[i], sources, n, reterr);
    return rc;
}

static uint32_t want(const struct pair_view *p, const char *option)
{
    int w = want_of(json_string_value(json_object_get(p->options, option)));
    return w > 0 ? (uint32_t)w : WANT_OFF;
}

static bool moves(const struct pair_view *p)
{
    return !p->endpoint && !p->to_endpoint &&
           (want(p, "shares") >= WANT_PAIR || want(p, "nfs") >= WANT_PAIR);
}

/* A job that only lists them asks when somebody asked for the inventory. */
bool shares_wants_list(const struct pair_view *p)
{
    if (p->endpoint || p->to_endpoint)
        return false; /* its proxy's own shares are not the source's */
    bool lists = want(p, "shares") == WANT_LIST || want(p, "nfs") == WANT_LIST;
    return moves(p) || (lists && p->phase && strcmp(p->phase, "inventory") == 0);
}

static const json_t *facts(const struct pair_view *p)
{
    return json_object_get(p->facts, "shares");
}

static bool read_in_this_run(const struct pair_view *p)
{
    return json_integer_value(json_object_get(facts(p), "run")) == (json_int_t)p->run;
}

bool shares_wants_again(const struct pair_view *p)
{
    return moves(p) && !read_in_this_run(p);
}

bool shares_wants_check(const struct pair_view *p)
{
    return moves(p);
}

bool shares_wants_apply(const struct pair_view *p)
{
    return moves(p) && !files_is_dry(p);
}

/* ── reading ── */

int shares_plan_list(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    (void)reterr;
    Godwit__SharesOrder o = GODWIT__SHARES_ORDER__INIT;
    o.path = files_text(p->source);
    o.smb = want(p, "shares");
    o.nfs = want(p, "nfs");
    files_plan_step(&ret[0], SIDE_SOURCE, "shares.inventory", &o.base);
    return 1;
}

static enum verdict unreadable(struct fault *reterr)
{
    (void)fault_set(reterr, FAULT_STOP_JOB, EBADMSG,
                    "what the agent says of shares is not readable");
    return VERDICT_FAIL;
}

/* Who only wants to see them is told why there is nothing to see: the inventory goes on. */
static enum verdict only_listed(const struct pair_view *p, const struct fault *why)
{
    CLEANUP(mem_free) char *text = text_printable(why->text, strlen(why->text));
    json_t *j = json_pack("{s:[], s:[], s:[s], s:I}", "list", "exports", "warnings", text, "run",
                          (json_int_t)p->run);
    if (j)
        (void)json_object_set_new(p->facts, "shares", j);
    return VERDICT_NEXT;
}

enum verdict shares_judge_list(const struct pair_view *p, const Godwit__Result *const results[2],
                               struct fault *reterr)
{
    enum verdict v = files_verdict(results[0], reterr);
    if (v == VERDICT_FAIL && !moves(p))
        return only_listed(p, reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    const ProtobufCBinaryData *body = &results[0]->body;
    Godwit__SharesInventory *inv =
        body->len <= BODY_MAX ? godwit__shares_inventory__unpack(NULL, body->len, body->data)
                              : NULL;
    if (!inv)
        return unreadable(reterr);
    CLEANUP(mem_free) char *hex = xmalloc(2 * body->len + 1);
    text_hex(body->data, body->len, hex);
    json_t *j = shares_inventory_json(inv);
    (void)json_object_set_new(j, "run", json_integer((json_int_t)p->run));
    (void)json_object_set_new(p->facts, "shares", j);
    (void)json_object_set_new(p->facts, "shares_body", json_string(hex));
    godwit__shares_inventory__free_unpacked(inv, NULL);
    return v;
}

/* ── applying ── */

static Godwit__SharesInventory *inventory_of(const struct pair_view *p)
{
    const char *hex = json_string_value(json_object_get(p->facts, "shares_body"));
    size_t n = hex ? strlen(hex) / 2 : 0;
    CLEANUP(mem_free) uint8_t *body = xmalloc(n + 1);
    if (!hex || n > BODY_MAX || text_unhex(hex, body, n) < 0)
        return NULL;
    return godwit__shares_inventory__unpack(NULL, n, body);
}

Godwit__SharesInventory *shares_listed(const struct pair_view *p)
{
    return p->endpoint ? NULL : inventory_of(p);
}

static int plan_at_destination(const struct pair_view *p, const char *kind,
                               struct planned_step ret[2], struct fault *reterr)
{
    char pair[32];
    Godwit__SharesInventory *inv = inventory_of(p);
    if (!inv)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "the source's shares were not read");
    files_pair_name(p, pair);
    Godwit__ShareApplyOrder o = GODWIT__SHARE_APPLY_ORDER__INIT;
    o.pair = pair;
    o.source = files_text(p->source);
    o.destination = files_text(p->destination);
    o.source_host = files_text(p->source_host);
    o.smb = want(p, "shares");
    o.nfs = want(p, "nfs");
    o.from = inv;
    CLEANUP(mem_free) char *map = files_map_text(p);
    o.map = files_bytes(map, strlen(map));
    files_plan_step(&ret[0], SIDE_DESTINATION, kind, &o.base);
    godwit__shares_inventory__free_unpacked(inv, NULL);
    return 1;
}

int shares_plan_check(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    return plan_at_destination(p, "shares.check", ret, reterr);
}

int shares_plan_apply(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    return plan_at_destination(p, "shares.apply", ret, reterr);
}

static enum verdict judge(const struct pair_view *p, const Godwit__Result *r, bool applied,
                          struct fault *reterr)
{
    enum verdict v = files_verdict(r, reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    Godwit__ShareApplyResult *body =
        r->body.len <= BODY_MAX
            ? godwit__share_apply_result__unpack(NULL, r->body.len, r->body.data)
            : NULL;
    if (!body)
        return unreadable(reterr);
    json_t *j = shares_applied_json(body);
    (void)json_object_set_new(j, "run", json_integer((json_int_t)p->run));
    (void)json_object_set_new(j, "applied", json_boolean(applied));
    (void)json_object_set_new(p->facts, "shares_moved", j);
    godwit__share_apply_result__free_unpacked(body, NULL);
    return v;
}

enum verdict shares_judge_check(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr)
{
    return judge(p, results[0], false, reterr);
}

enum verdict shares_judge_apply(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr)
{
    return judge(p, results[0], true, reterr);
}
