/* files: stages, plans and verdicts of the files workload. What the steps do is agent/files. Main
 * thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/files_facts.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/shares.h"
#include "orchestrator/workload/workload.h"
#include "proto/files.pb-c.h"

#define TICKET_MS INT64_C(86400000) /* lanes of one attempt may be opened for a day */
#define MAX_LANES 64
#define MAX_LATENCY_MS 60000
#define MAX_HOOK_NAME 32
#define PIN_LEN 32
#define AGE_MS_MAX INT64_C(31536000000000) /* a thousand years */

/* ── options ── */

/* What a hook runs is known to its host alone; here it is a name. */
static int check_snapshot(const char *value, struct fault *reterr)
{
    static const char hook[] = "hook:";
    if (strcmp(value, "none") == 0 || strcmp(value, "auto") == 0)
        return 0;
    if (strncmp(value, hook, sizeof hook - 1) == 0 &&
        text_is_name(value + sizeof hook - 1, MAX_HOOK_NAME))
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                     "options.snapshot: must be \"none\", \"auto\" or \"hook:NAME\"");
}

static int check_map(const char *value, struct fault *reterr)
{
    CLEANUP(idmap_free) struct idmap *map = NULL;
    struct idmap_error e;
    if (idmap_parse(value, strlen(value), &map, &e) == 0)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.map: line %zu column %zu: %s", e.line,
                     e.column, e.text);
}

static const struct option_rule {
    const char *name;
    json_type type; /* JSON_TRUE stands for both booleans, JSON_ARRAY for a list of texts */
    const char *choices[3];
    int (*check)(const char *value, struct fault *reterr); /* of a text that has no choices */
    int64_t most; /* of a number; such an option has no default: not there is not wanted */
} option_rules[] = {
    {"delete",             JSON_TRUE,    {NULL},                NULL,               0         },
    {"dry_run",            JSON_TRUE,    {NULL},                NULL,               0         },
    {"one_file_system",    JSON_TRUE,    {NULL},                NULL,               0         },
    {"checksum",           JSON_TRUE,    {NULL},                NULL,               0         },
    {"full_scan",          JSON_TRUE,    {NULL},                NULL,               0         },
    {"lanes",              JSON_INTEGER, {NULL},                NULL,               0         },
    {"max_source_latency", JSON_INTEGER, {NULL},                NULL,               0         },
    {"compress",           JSON_STRING,  {"auto", "on", "off"}, NULL,               0         },
    {"verify",             JSON_STRING,  {"in-flight"},         files_check_verify, 0         },
    {"snapshot",           JSON_STRING,  {"none"},              check_snapshot,     0         },
    {"manifest",           JSON_STRING,  {"off", "sha256"},     NULL,               0         },
    {"shares",             JSON_STRING,  {"list"},              shares_check_want,  0         },
    {"nfs",                JSON_STRING,  {"list"},              shares_check_want,  0         },
    {"exclude",            JSON_ARRAY,   {NULL},                NULL,               0         },
    {"include",            JSON_ARRAY,   {NULL},                NULL,               0         },
    {"min_size",           JSON_INTEGER, {NULL},                NULL,               INT64_MAX },
    {"max_size",           JSON_INTEGER, {NULL},                NULL,               INT64_MAX },
    {"min_age",            JSON_INTEGER, {NULL},                NULL,               AGE_MS_MAX},
    {"max_age",            JSON_INTEGER, {NULL},                NULL,               AGE_MS_MAX},
    {"delete_excluded",    JSON_TRUE,    {NULL},                NULL,               1         },
    {"map",                JSON_STRING,  {""},                  check_map,          0         },
};

static json_t *option_default(const struct option_rule *r)
{
    if (r->type == JSON_TRUE)
        return json_false();
    if (r->type == JSON_STRING)
        return *r->choices[0] ? json_string(r->choices[0]) : NULL; /* "": it is left out */
    return json_integer(0);
}

static int choice_of(const struct option_rule *r, const char *value)
{
    for (int i = 0; i < 3; i++)
        if (r->choices[i] && strcmp(r->choices[i], value) == 0)
            return i;
    return -1;
}

static int64_t most(const struct option_rule *r)
{
    if (r->most)
        return r->most;
    return strcmp(r->name, "max_source_latency") == 0 ? MAX_LATENCY_MS : MAX_LANES;
}

static int refuse_choice(const struct option_rule *r, struct fault *reterr)
{
    bool three = r->choices[2] != NULL;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: must be \"%s\"%s%s%s or \"%s\"",
                     r->name, r->choices[0], three ? ", \"" : "", three ? r->choices[1] : "",
                     three ? "\"" : "", r->choices[three ? 2 : 1]);
}

static bool is_list(const json_t *v)
{
    size_t i;
    const json_t *one;
    json_array_foreach(v, i, one)
    {
        if (!json_is_string(one))
            return false;
    }
    return json_is_array(v);
}

static int check_option(const struct option_rule *r, const json_t *v, struct fault *reterr)
{
    if (r->type == JSON_TRUE && !json_is_boolean(v))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: must be true or false",
                         r->name);
    if (r->type == JSON_INTEGER &&
        (!json_is_integer(v) || json_integer_value(v) < 0 || json_integer_value(v) > most(r)))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: must be a number, 0 to %lld",
                         r->name, (long long)most(r));
    if (r->type == JSON_ARRAY && !is_list(v))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: must be a list of texts",
                         r->name);
    if (r->type == JSON_STRING && r->check)
        return r->check(json_is_string(v) ? json_string_value(v) : "", reterr);
    if (r->type == JSON_STRING && (!json_is_string(v) || choice_of(r, json_string_value(v)) < 0))
        return refuse_choice(r, reterr);
    return 0;
}

static const struct option_rule *find_rule(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(option_rules); i++)
        if (strcmp(option_rules[i].name, name) == 0)
            return &option_rules[i];
    return NULL;
}

static int files_check_options(json_t *options, struct fault *reterr)
{
    const char *key;
    json_t *value;
    json_object_foreach(options, key, value)
    {
        const struct option_rule *r = find_rule(key);
        if (!r) {
            CLEANUP(mem_free) char *shown = text_printable(key, strnlen(key, 64));
            return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "options.%s: unknown key", shown);
        }
        int rc = check_option(r, value, reterr);
        if (rc < 0)
            return rc;
    }
    for (size_t i = 0; i < ARRAY_SIZE(option_rules); i++)
        if (!json_object_get(options, option_rules[i].name) && option_rules[i].type != JSON_ARRAY &&
            !option_rules[i].most)
            (void)json_object_set_new(options, option_rules[i].name,
                                      option_default(&option_rules[i]));
    return files_check_filter(options, reterr);
}

static bool option_on(const struct pair_view *p, const char *name)
{
    return json_is_true(json_object_get(p->options, name));
}

bool files_is_dry(const struct pair_view *p)
{
    return p->dry_run || option_on(p, "dry_run");
}

/* ── plans ── */

ProtobufCBinaryData files_bytes(const void *p, size_t n)
{
    ProtobufCBinaryData b = {.len = n};
    memcpy(&b.data, &p, sizeof p);
    return b;
}

char *files_text(const char *s)
{
    char *p;
    memcpy(&p, &s, sizeof p);
    return p;
}

void files_plan_step(struct planned_step *s, enum step_side side, const char *kind,
                     const ProtobufCMessage *args)
{
    s->side = side;
    s->kind = kind;
    if (!s->op_id[0])
        text_new_id(s->op_id);
    s->args_len = protobuf_c_message_get_packed_size(args);
    s->args = xmalloc(s->args_len);
    (void)protobuf_c_message_pack(args, s->args);
}

static int plan_inventory(const struct pair_view *p, struct planned_step ret[2],
                          struct fault *reterr)
{
    (void)reterr;
    Godwit__InventoryOrder o = GODWIT__INVENTORY_ORDER__INIT;
    o.path = files_bytes(p->source, strlen(p->source));
    o.one_file_system = option_on(p, "one_file_system");
    struct files_filter filter;
    o.filter = files_filter(p->options, &filter);
    files_plan_step(&ret[0], SIDE_SOURCE, "files.inventory", &o.base);
    return 1;
}

void files_pair_name(const struct pair_view *p, char ret[32])
{
    (void)snprintf(ret, 32, "%.16s.%u", p->job, p->n);
}

static int plan_prepare(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    (void)reterr;
    char pair[32];
    files_pair_name(p, pair);
    Godwit__PrepareOrder o = GODWIT__PREPARE_ORDER__INIT;
    o.path = files_bytes(p->destination, strlen(p->destination));
    o.pair = pair;
    o.create = !files_is_dry(p);
    files_plan_step(&ret[0], SIDE_DESTINATION, "files.prepare", &o.base);
    return 1;
}

static void fill_options(const struct pair_view *p, Godwit__TransferOptions *o)
{
    godwit__transfer_options__init(o);
    o->delete_extras = option_on(p, "delete");
    o->dry_run = files_is_dry(p);
    o->one_file_system = option_on(p, "one_file_system");
    o->checksum = option_on(p, "checksum");
    o->full_scan = option_on(p, "full_scan") || files_wants_full_scan(p);
    o->snapshot = files_text(json_string_value(json_object_get(p->options, "snapshot")));
    if (!o->snapshot)
        o->snapshot = files_text("");
    o->evidence = files_wants_evidence(p);
    /* What differs at the destination is not in the source's list of what failed. */
    o->only_failed = p->only_failed && !files_found_differing(p);
    if (o->only_failed && p->only_cause)
        o->only_cause = files_text(p->only_cause);
    o->max_source_latency_ms =
        (uint32_t)json_integer_value(json_object_get(p->options, "max_source_latency"));
    o->lanes = (uint32_t)json_integer_value(json_object_get(p->options, "lanes"));
    const char *compress = json_string_value(json_object_get(p->options, "compress"));
    int choice = compress ? choice_of(find_rule("compress"), compress) : 0;
    o->compress = choice > 0 ? (uint32_t)choice : 0;
}

static int check_lanes(const struct fleet_host *h, bool accepts, struct fault *reterr)
{
    if (!h->lane_pin)
        return fault_set(reterr, FAULT_RETRY, ENOTCONN, "host %s has not told its lane key yet",
                         h->name);
    if (accepts && (h->lane_port == 0 || !h->lane_address || !h->lane_address[0]))
        return fault_set(reterr, FAULT_RETRY, EADDRNOTAVAIL,
                         "host %s has not told where its lanes are reached", h->name);
    return 0;
}

static void endpoint_of(const struct fleet_host *h, char *ret, size_t size)
{
    bool v6 = strchr(h->lane_address, ':') != NULL && h->lane_address[0] != '[';
    (void)snprintf(ret, size, v6 ? "[%s]:%u" : "%s:%u", h->lane_address, h->lane_port);
}

/* What both sides of a transfer are told alike. */
struct transfer {
    uint8_t secret[32];
    char pair[32];
    Godwit__Ticket ticket;
    Godwit__TransferOptions options;
    struct files_filter filter;
};

static void plan_receive(const struct pair_view *p, struct transfer *t, struct planned_step *ret)
{
    Godwit__ReceiveOrder o = GODWIT__RECEIVE_ORDER__INIT;
    o.path = files_bytes(p->destination, strlen(p->destination));
    o.ticket = &t->ticket;
    o.peer_pin = files_bytes(p->from->lane_pin, PIN_LEN);
    o.pair = t->pair;
    o.options = &t->options;
    o.peer_host = files_text(p->source_host);
    files_plan_step(ret, SIDE_DESTINATION, "files.receive", &o.base);
}

static void plan_send(const struct pair_view *p, struct transfer *t, struct planned_step *ret)
{
    char endpoint[300];
    char *endpoints[] = {endpoint};
    endpoint_of(p->to, endpoint, sizeof endpoint);
    Godwit__SendOrder o = GODWIT__SEND_ORDER__INIT;
    o.path = files_bytes(p->source, strlen(p->source));
    o.ticket = &t->ticket;
    o.peer_pin = files_bytes(p->to->lane_pin, PIN_LEN);
    o.pair = t->pair;
    const char *map = json_string_value(json_object_get(p->options, "map"));
    t->options.map = files_bytes(map, map ? strlen(map) : 0);
    o.options = &t->options;
    o.n_peer_endpoints = 1;
    o.peer_endpoints = endpoints;
    o.peer_host = files_text(p->destination_host);
    files_plan_step(ret, SIDE_SOURCE, "files.send", &o.base);
}

static int plan_transfer(const struct pair_view *p, struct planned_step ret[2],
                         struct fault *reterr)
{
    int rc = check_lanes(p->from, false, reterr);
    if (rc == 0)
        rc = check_lanes(p->to, true, reterr);
    if (rc < 0)
        return rc;
    struct transfer t;
    text_new_id(ret[0].op_id);
    files_pair_name(p, t.pair);
    (void)text_random(t.secret, sizeof t.secret);
    godwit__ticket__init(&t.ticket);
    t.ticket.id = ret[0].op_id;
    t.ticket.secret = files_bytes(t.secret, sizeof t.secret);
    t.ticket.not_after_ms = clock_wall_ms() + TICKET_MS;
    fill_options(p, &t.options);
    t.options.filter = files_filter(p->options, &t.filter);
    t.options.delete_excluded = option_on(p, "delete_excluded");
    plan_receive(p, &t, &ret[0]);
    plan_send(p, &t, &ret[1]);
    explicit_bzero(t.secret, sizeof t.secret);
    return 2;
}

/* ── verdicts ── */

static enum verdict failed(const Godwit__Result *r, struct fault *reterr)
{
    if (!r->fault) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EPROTO, "the agent gave no cause");
        return VERDICT_FAIL;
    }
    enum fault_class next = r->fault->what_next == FAULT_RETRY ? FAULT_RETRY : FAULT_STOP_JOB;
    int err = r->fault->err < 4096 ? (int)r->fault->err : 0;
    (void)fault_set(reterr, next, err, "%s", r->fault->text);
    return next == FAULT_RETRY ? VERDICT_AGAIN : VERDICT_FAIL;
}

enum verdict files_verdict(const Godwit__Result *r, struct fault *reterr)
{
    if (!r)
        return VERDICT_WAIT;
    if (r->status == GODWIT__RESULT__STATUS__DONE)
        return VERDICT_NEXT;
    if (r->status == GODWIT__RESULT__STATUS__PARTIAL)
        return VERDICT_PARTIAL;
    if (r->status == GODWIT__RESULT__STATUS__STOPPED) {
        (void)fault_set(reterr, FAULT_RETRY, ECANCELED, "the agent stopped the step");
        return VERDICT_AGAIN;
    }
    return failed(r, reterr);
}

static enum verdict judge_inventory(const struct pair_view *p,
                                    const Godwit__Result *const results[2], struct fault *reterr)
{
    enum verdict v = files_verdict(results[0], reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    Godwit__InventoryResult *body =
        godwit__inventory_result__unpack(NULL, results[0]->body.len, results[0]->body.data);
    if (!body) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the inventory's result is not readable");
        return VERDICT_FAIL;
    }
    (void)json_object_set_new(p->facts, "inventory", files_inventory_json(body));
    godwit__inventory_result__free_unpacked(body, NULL);
    return v;
}

/* An empty destination that cannot hold the source is refused before a byte is sent. Holes need no
 * room. */
static enum verdict check_room(const struct pair_view *p, const Godwit__PrepareResult *r,
                               struct fault *reterr)
{
    const json_t *inventory = json_object_get(p->facts, "inventory");
    json_int_t bytes = json_integer_value(json_object_get(inventory, "bytes"));
    json_int_t used = json_integer_value(json_object_get(inventory, "allocated_bytes"));
    json_int_t need = used < bytes ? used : bytes;
    if (!r->empty || files_is_dry(p) || need <= 0 || (uint64_t)need <= r->fs_free)
        return VERDICT_NEXT;
    char want[16], have[16];
    text_bytes((uint64_t)need, want);
    text_bytes(r->fs_free, have);
    (void)fault_set(reterr, FAULT_STOP_JOB, ENOSPC,
                    "the source holds %s, the destination has %s free", want, have);
    return VERDICT_FAIL;
}

static enum verdict judge_prepare(const struct pair_view *p, const Godwit__Result *const results[2],
                                  struct fault *reterr)
{
    enum verdict v = files_verdict(results[0], reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    Godwit__PrepareResult *body =
        godwit__prepare_result__unpack(NULL, results[0]->body.len, results[0]->body.data);
    if (!body) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the check's result is not readable");
        return VERDICT_FAIL;
    }
    (void)json_object_set_new(p->facts, "prepare", files_prepare_json(body));
    v = check_room(p, body, reterr);
    godwit__prepare_result__free_unpacked(body, NULL);
    return v;
}

/* The worse of both sides, in this order: a terminal failure says why the other side was lost too.
 */
static enum verdict worse_of(const Godwit__Result *const results[2], struct fault *reterr)
{
    static const enum verdict worst_first[] = {VERDICT_FAIL, VERDICT_AGAIN, VERDICT_WAIT,
                                               VERDICT_PARTIAL};
    struct fault why[2] = {{.err = 0}, {.err = 0}};
    enum verdict v[2] = {files_verdict(results[0], &why[0]), files_verdict(results[1], &why[1])};
    for (size_t i = 0; i < ARRAY_SIZE(worst_first); i++) {
        for (int side = 0; side < 2; side++) {
            if (v[side] != worst_first[i])
                continue;
            /* "It was stopped" is what the engine did to the one side when the other failed. */
            if (v[side] == VERDICT_AGAIN && why[side].err == ECANCELED && v[!side] == v[side])
                side = !side;
            *reterr = why[side];
            return v[side];
        }
    }
    return VERDICT_NEXT;
}

static enum verdict judge_transfer(const struct pair_view *p,
                                   const Godwit__Result *const results[2], struct fault *reterr)
{
    enum verdict v = worse_of(results, reterr);
    if (v == VERDICT_NEXT || v == VERDICT_PARTIAL)
        files_keep_seen(p, results[1],
                        v == VERDICT_PARTIAL); /* as plan_transfer() has them: the source's */
    return v;
}

static json_t *files_inventory(const json_t *facts)
{
    json_t *inventory = json_object_get(facts, "inventory");
    json_t *shares = json_object_get(facts, "shares");
    json_t *all = inventory ? json_copy(inventory) : json_null();
    if (inventory && shares)
        (void)json_object_set(all, "shares", shares);
    return all;
}

/* Where nothing was prepared nothing was received. What ended well left no temporary files, so its
 * tree is not walked for them. */
static int files_clean(const struct pair_view *p, bool whole, struct planned_step ret[2])
{
    char pair[32];
    if (!json_object_get(p->facts, "prepare"))
        return 0;
    files_pair_name(p, pair);
    Godwit__CleanOrder o = GODWIT__CLEAN_ORDER__INIT;
    o.pair = pair;
    files_plan_step(&ret[0], SIDE_SOURCE, "files.clean", &o.base);
    if (!whole)
        o.path = files_bytes(p->destination, strlen(p->destination));
    files_plan_step(&ret[1], SIDE_DESTINATION, "files.clean", &o.base);
    return 2;
}

#define STAGE(percent_, phase_, name_, plan_, judge_, ...)                                         \
    {                                                                                              \
        .percent = (percent_), .phase = (phase_), .name = (name_), .plan = (plan_),                \
        .judge = (judge_), __VA_ARGS__                                                             \
    }
#define ALWAYS .wanted = NULL
#define WHEN(when) .wanted = (when)
#define RESUMES .resumes = true, .lanes = true
#define ASIDE(when) .aside = true, .wanted = (when)

static const struct stage stages[] = {
    STAGE(10, "inventory", "Counting files", plan_inventory, judge_inventory, ALWAYS),
    STAGE(15, "inventory", "Reading shares", shares_plan_list, shares_judge_list,
          WHEN(shares_wants_list)),
    STAGE(20, "transfer", "Checking the destination", plan_prepare, judge_prepare, ALWAYS),
    STAGE(24, "transfer", "Reading shares", shares_plan_list, shares_judge_list,
          WHEN(shares_wants_again)),
    STAGE(27, "transfer", "Checking shares", shares_plan_check, shares_judge_check,
          WHEN(shares_wants_check)),
    STAGE(30, "transfer", "Copying", plan_transfer, judge_transfer, RESUMES),
    STAGE(90, "transfer", "Verifying", files_plan_verify, files_judge_verify,
          ASIDE(files_wants_look)),
    STAGE(98, "transfer", "Signing at the source", files_plan_sign, files_judge_sign,
          ASIDE(files_wants_manifest)),
    STAGE(99, "transfer", "Signing", files_plan_seal, files_judge_seal,
          ASIDE(files_wants_manifest)),
    STAGE(99, "transfer", "Moving shares", shares_plan_apply, shares_judge_apply,
          ASIDE(shares_wants_apply)),
};

const struct workload workload_files = {
    .name = "files",
    .stages = stages,
    .nstages = ARRAY_SIZE(stages),
    .check_options = files_check_options,
    .inventory = files_inventory,
    .clean = files_clean,
};
