/* files: stages, plans and verdicts of the files workload. What the steps do is agent/files. Main
 * thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/cutover.h"
#include "orchestrator/workload/files_checks.h"
#include "orchestrator/workload/files_contract.h"
#include "orchestrator/workload/files_facts.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/message_json.h"
#include "orchestrator/workload/shares.h"
#include "orchestrator/workload/shares_parts.h"
#include "orchestrator/workload/workload.h"
#include "proto/files.pb-c.h"

#define TICKET_MS INT64_C(86400000) /* lanes of one attempt may be opened for a day */
#define PROBE_TICKET_MS 60000

#define LOCK_TRIES 3U
#define LOCK_WAIT 60U /* seconds */

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

static uint32_t number_of(const struct pair_view *p, const char *name, uint32_t otherwise)
{
    json_int_t n = json_integer_value(json_object_get(p->options, name));
    return n > 0 ? (uint32_t)n : otherwise;
}

Godwit__SmbSource *files_fill_smb(const struct pair_view *p, Godwit__SmbSource *ret, char *share)
{
    if (!p->endpoint)
        return NULL;
    files_fill_share(p, p->endpoint, p->source, ret, share);
    ret->lock_tries = number_of(p, "lock_tries", LOCK_TRIES);
    ret->lock_wait_ms = number_of(p, "lock_wait", LOCK_WAIT) * 1000;
    if (strcmp(p->source_host, p->destination_host) == 0)
        ret->destination = files_bytes(p->destination, strlen(p->destination));
    return ret;
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
    Godwit__SmbSource smb;
    CLEANUP(mem_free) char *share = xmalloc(strlen(p->source) + 1);
    o.smb = files_fill_smb(p, &smb, share);
    Godwit__SharesInventory *shared = shares_listed(p);
    CLEANUP(mem_free) ProtobufCBinaryData *parts = shared ? shares_parts(shared, &o.n_parts) : NULL;
    o.parts = parts;
    files_plan_step(&ret[0], SIDE_SOURCE, "files.inventory", &o.base);
    if (shared)
        godwit__shares_inventory__free_unpacked(shared, NULL);
    if (p->to_endpoint)
        return 1;
    Godwit__HostOrder h = GODWIT__HOST_ORDER__INIT;
    h.path = files_bytes(p->destination, strlen(p->destination));
    files_plan_step(&ret[1], SIDE_DESTINATION, "host.inventory", &h.base);
    return 2;
}

void files_pair_name(const struct pair_view *p, char ret[32])
{
    (void)snprintf(ret, 32, "%.16s.%u", p->job, p->n);
}

/* What is lost for certain has to be accepted before anything moves; a dry run only tells. */
int files_check_losses(const struct pair_view *p, struct fault *reterr)
{
    char open[120];
    if (files_is_dry(p) || contract_open(p->facts, p->options, open, sizeof open) == 0)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EREMOTEIO,
                     "would be lost: %s; godwit inventory show tells why, godwit job start "
                     "--accept-loss CLASS accepts it",
                     open);
}

static bool has_choice(const struct pair_view *p, const char *option, const char *choice)
{
    const char *v = json_string_value(json_object_get(p->options, option));
    return v && strcmp(v, choice) == 0;
}

/* Where what stood there before the first pass goes; the same name until that is done. */
static char *aside_name(const struct pair_view *p)
{
    if (files_is_dry(p) || !has_choice(p, "pre_existing", "aside") ||
        json_object_get(p->facts, "aside_done"))
        return NULL;
    const char *had = json_string_value(json_object_get(p->facts, "aside"));
    if (had)
        return xstrdup(had);
    char at[24], *name = NULL;
    clock_format(clock_wall_ms(), at);
    for (char *c = at; *c; c++)
        *c = *c == ':' ? '-' : *c;
    name = xasprintf(".pre-existing-%s", at);
    (void)json_object_set_new(p->facts, "aside", json_string(name));
    return name;
}

static int plan_prepare(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    int rc = files_check_losses(p, reterr);
    if (rc == 0)
        rc = files_need_identities(p, reterr);
    if (rc < 0)
        return rc;
    char pair[32];
    CLEANUP(mem_free) char *aside = aside_name(p);
    files_pair_name(p, pair);
    Godwit__PrepareOrder o = GODWIT__PREPARE_ORDER__INIT;
    o.path = files_bytes(p->destination, strlen(p->destination));
    o.pair = pair;
    o.create = !files_is_dry(p);
    if (aside)
        o.aside = aside;
    files_plan_step(&ret[0], SIDE_DESTINATION, "files.prepare", &o.base);
    return 1;
}

void files_fill_options(const struct pair_view *p, Godwit__TransferOptions *o)
{
    godwit__transfer_options__init(o);
    o->delete_extras = option_on(p, "delete") || has_choice(p, "pre_existing", "mirror");
    o->dry_run = files_is_dry(p);
    o->one_file_system = option_on(p, "one_file_system");
    o->checksum = option_on(p, "checksum");
    o->delta = option_on(p, "delta");
    o->any_root = files_overrides(p, "source-root");
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
    int choice = compress ? files_choice("compress", compress) : 0;
    o->compress = choice > 0 ? (uint32_t)choice : 0;
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
    o.peer_pin = files_bytes(p->from->lane_pin, LANE_PIN_LEN);
    o.pair = t->pair;
    o.options = &t->options;
    o.peer_host = files_text(p->source_host);
    files_plan_step(ret, SIDE_DESTINATION, "files.receive", &o.base);
}

static void plan_send(const struct pair_view *p, struct transfer *t, struct planned_step *ret)
{
    char endpoint[300];
    char *endpoints[] = {endpoint};
    files_endpoint_of(p->to, endpoint, sizeof endpoint);
    Godwit__SendOrder o = GODWIT__SEND_ORDER__INIT;
    o.path = files_bytes(p->source, strlen(p->source));
    o.ticket = &t->ticket;
    o.peer_pin = files_bytes(p->to->lane_pin, LANE_PIN_LEN);
    o.pair = t->pair;
    CLEANUP(mem_free) char *map = files_map_text(p);
    t->options.map = files_bytes(map, strlen(map));
    o.options = &t->options;
    o.n_peer_endpoints = 1;
    o.peer_endpoints = endpoints;
    o.peer_host = files_text(p->destination_host);
    Godwit__SmbSource smb;
    CLEANUP(mem_free) char *share = xmalloc(strlen(p->source) + 1);
    o.smb = files_fill_smb(p, &smb, share);
    files_plan_step(ret, SIDE_SOURCE, "files.send", &o.base);
}

int files_plan_transfer(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    if (p->to_endpoint)
        return files_plan_push(p, &ret[0], reterr);
    int rc = files_check_ways(p, reterr);
    if (rc == 0)
        rc = files_check_map_known(p, reterr);
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
    files_fill_options(p, &t.options);
    t.options.filter = files_filter(p->options, &t.filter);
    t.options.delete_excluded = option_on(p, "delete_excluded");
    plan_receive(p, &t, &ret[0]);
    plan_send(p, &t, &ret[1]);
    explicit_bzero(t.secret, sizeof t.secret);
    return 2;
}

static void plan_probe_side(const struct pair_view *p, enum step_side side, Godwit__ProbeOrder *o,
                            struct planned_step *ret)
{
    const char *path = side == SIDE_SOURCE ? p->source : p->destination;
    const struct fleet_host *peer = side == SIDE_SOURCE ? p->to : p->from;
    o->path = files_bytes(path, strlen(path));
    if (*o->ticket_id)
        o->peer_pin = files_bytes(peer->lane_pin, LANE_PIN_LEN);
    files_plan_step(ret, side, "host.probe", &o->base);
}

/* Where lanes are not known yet only the places are looked at. */
static int files_probe(const struct pair_view *p, bool way, struct planned_step ret[2])
{
    char pair[32], endpoint[300], back[300];
    char *endpoints[] = {endpoint}, *backs[] = {back};
    uint8_t secret[32];
    Godwit__ProbeOrder o = GODWIT__PROBE_ORDER__INIT;
    files_pair_name(p, pair);
    o.pair = pair;
    text_new_id(ret[0].op_id);
    way = way && files_check_lanes(p->from, false, NULL) == 0 &&
          files_check_lanes(p->to, true, NULL) == 0;
    if (way) {
        (void)text_random(secret, sizeof secret);
        o.ticket_id = ret[0].op_id;
        o.ticket_secret = files_bytes(secret, sizeof secret);
        o.not_after_ms = clock_wall_ms() + PROBE_TICKET_MS;
    }
    if (way && !p->endpoint && files_check_lanes(p->from, true, NULL) == 0) {
        files_endpoint_of(p->from, back, sizeof back);
        o.n_back_endpoints = 1;
        o.back_endpoints = backs;
    }
    plan_probe_side(p, SIDE_DESTINATION, &o, &ret[0]);
    o.n_back_endpoints = 0;
    if (way) {
        files_endpoint_of(p->to, endpoint, sizeof endpoint);
        o.n_peer_endpoints = 1;
        o.peer_endpoints = endpoints;
    }
    Godwit__SmbSource smb;
    CLEANUP(mem_free) char *share = xmalloc(strlen(p->source) + 1);
    o.smb = files_fill_smb(p, &smb, share);
    plan_probe_side(p, SIDE_SOURCE, &o, &ret[1]);
    explicit_bzero(secret, sizeof secret);
    return 2;
}

static json_t *files_probed(const Godwit__Result *r)
{
    Godwit__ProbeResult *body = godwit__probe_result__unpack(NULL, r->body.len, r->body.data);
    json_t *o = body ? message_json(&body->base) : NULL;
    if (body)
        godwit__probe_result__free_unpacked(body, NULL);
    return o;
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
    if (json_object_get(p->facts, "aside") && !files_is_dry(p))
        (void)json_object_set_new(p->facts, "aside_done", json_true());
    v = check_room(p, body, reterr);
    godwit__prepare_result__free_unpacked(body, NULL);
    return v;
}

/* The worse of both sides, in this order: a terminal failure says why the other side was lost too.
 */
enum verdict files_worse_of(const Godwit__Result *const results[2], struct fault *reterr)
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

/* Why the last pass took its time: whoever looks at the job sees it. */
static void keep_scan(const struct pair_view *p, const Godwit__Result *source)
{
    if (!source || !source->scan || !*source->scan)
        return;
    CLEANUP(mem_free) char *text = text_printable(source->scan, strnlen(source->scan, 120));
    (void)json_object_set_new(p->facts, "scan", json_string(text));
}

enum verdict files_judge_transfer(const struct pair_view *p, const Godwit__Result *const results[2],
                                  struct fault *reterr)
{
    if (p->to_endpoint)
        return files_verdict(results[0], reterr);
    enum verdict v = files_worse_of(results, reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    const Godwit__Result *source = results[1]; /* as plan_transfer() has them */
    keep_scan(p, source);
    files_keep_seen(p, source, v == VERDICT_PARTIAL);
    return v;
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

static bool to_host(const struct pair_view *p)
{
    return !p->to_endpoint; /* an endpoint is looked at by who writes there */
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

static const struct stage own_stages[] = {
    STAGE(5, "inventory", "Reading shares", shares_plan_list, shares_judge_list,
          WHEN(shares_wants_list)),
    STAGE(10, "inventory", "Counting files", plan_inventory, files_judge_inventory, ALWAYS),
    STAGE(12, "inventory", "Comparing identities", files_plan_identities, files_judge_identities,
          WHEN(files_wants_identities)),
    STAGE(15, "inventory", "Reading accounts", files_plan_accounts, files_judge_accounts_seen,
          WHEN(files_wants_accounts_seen)),
    STAGE(20, "transfer", "Checking the destination", plan_prepare, judge_prepare, WHEN(to_host)),
    STAGE(21, "transfer", "Reading accounts", files_plan_accounts, files_judge_accounts,
          ASIDE(files_wants_accounts)),
    STAGE(22, "transfer", "Creating accounts", files_plan_accounts_apply,
          files_judge_accounts_apply, ASIDE(files_wants_accounts)),
    STAGE(23, "transfer", "Moving passwords", files_plan_passwords, files_judge_passwords,
          .lanes = true, ASIDE(files_wants_passwords)),
    STAGE(24, "transfer", "Reading shares", shares_plan_list, shares_judge_list,
          WHEN(shares_wants_again)),
    STAGE(27, "transfer", "Checking shares", shares_plan_check, shares_judge_check,
          WHEN(shares_wants_check)),
    STAGE(30, "transfer", "Copying", files_plan_transfer, files_judge_transfer, RESUMES),
    STAGE(90, "transfer", "Verifying", files_plan_verify, files_judge_verify,
          ASIDE(files_wants_look)),
    STAGE(98, "transfer", "Signing at the source", files_plan_sign, files_judge_sign,
          ASIDE(files_wants_manifest)),
    STAGE(99, "transfer", "Signing", files_plan_seal, files_judge_seal,
          ASIDE(files_wants_manifest)),
    STAGE(99, "transfer", "Moving quotas", files_plan_quotas, files_judge_quotas,
          ASIDE(files_wants_quotas)),
    STAGE(99, "transfer", "Moving shares", shares_plan_apply, shares_judge_apply,
          ASIDE(shares_wants_apply)),
};

static struct stage stages[ARRAY_SIZE(own_stages) + CUTOVER_STAGES];

/* Those of a cutover are the rows of its table, in several orders. */
__attribute__((constructor)) static void lay_out(void)
{
    memcpy(stages, own_stages, sizeof own_stages);
    cutover_lay_out(stages + ARRAY_SIZE(own_stages), ARRAY_SIZE(own_stages));
}

const struct workload workload_files = {
    .name = "files",
    .stages = stages,
    .nstages = ARRAY_SIZE(stages),
    .check_options = files_check_options,
    .check_pairs = files_check_pairs,
    .check_to_endpoint = files_check_to_endpoint,
    .inventory = files_shown_inventory,
    .host = files_shown_host,
    .contract = contract_json,
    .check_info = files_check_info,
    .check = files_check,
    .probe = files_probe,
    .probed = files_probed,
    .map_page = files_map_page,
    .mapped = files_mapped,
    .access = files_access,
    .accessed = files_accessed,
    .access_compare = files_access_compare,
    .clean = files_clean,
    .failures = files_plan_failures,
    .failures_json = files_failures_json,
    .commands = "godwit cutover",
    .whole_hosts = true,
    .admit = cutover_admit,
    .back = cutover_back,
    .ready = cutover_ready,
    .witness = cutover_witness,
    .wave = cutover_wave,
    .due = cutover_due,
    .leaves = cutover_leaves,
    .passed = cutover_passed,
    .outline = cutover_outline,
};
