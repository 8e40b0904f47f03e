/* fake: made-up agents. */
#include "tests/unit/engine/fake.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "orchestrator/fleet/fleet.h"
#include "proto/files.pb-c.h"
#include "proto/identity.pb-c.h"
#include "proto/vm_look.pb-c.h"

static struct fleet_events events;

struct fleet *fake_fleet(void)
{
    void *p =
        mmap(NULL, sizeof(struct fleet), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort();
    return p;
}

void fake_fleet_free(struct fleet *f)
{
    (void)munmap(f, sizeof *f);
}

struct fake_host *fake_host_named(struct fleet *f, const char *name)
{
    for (size_t i = 0; i < f->nhosts; i++)
        if (strcmp(f->hosts[i].name, name) == 0)
            return &f->hosts[i];
    if (f->nhosts == FAKE_HOSTS)
        abort();
    struct fake_host *h = &f->hosts[f->nhosts++];
    (void)snprintf(h->name, sizeof h->name, "%s", name);
    return h;
}

/* ── fleet.h ── */

const struct fleet_host *fleet_find(struct fleet *f, const char *host)
{
    static struct fleet_host answer;
    static uint8_t pin[32];
    const struct fake_host *h = fake_host_named(f, host);
    if (h->unknown)
        return NULL;
    memset(pin, 1 + h->lane_key, sizeof pin);
    answer = (struct fleet_host){.name = h->name,
                                 .agent_id = "a",
                                 .online = h->online,
                                 .lane_address = "192.0.2.7",
                                 .lane_port = h->lane_port ? h->lane_port : 7410,
                                 .lane_pin = pin,
                                 .seen_ms = h->seen_ms};
    return &answer;
}

static struct fake_op *find_op(struct fleet *f, const char *op_id)
{
    for (size_t i = f->nops; i-- > 0;)
        if (strcmp(f->ops[i].op_id, op_id) == 0)
            return &f->ops[i];
    return NULL;
}

static bool is_only_failed(const Godwit__Order *o, char cause[32])
{
    if (strcmp(o->kind, "files.send") != 0)
        return false;
    Godwit__SendOrder *s = godwit__send_order__unpack(NULL, o->args.len, o->args.data);
    bool only = s && s->options && s->options->only_failed;
    if (only)
        (void)snprintf(cause, 32, "%s", s->options->only_cause);
    if (s)
        godwit__send_order__free_unpacked(s, NULL);
    return only;
}

static void take_identity(struct fake_op *op, const Godwit__Order *o)
{
    if (strcmp(o->kind, "identity.stage") != 0)
        return;
    Godwit__IdentityOrder *i = godwit__identity_order__unpack(NULL, o->args.len, o->args.data);
    if (!i)
        abort();
    (void)snprintf(op->stage, sizeof op->stage, "%s", i->stage);
    for (size_t k = 0; k < i->n_then; k++) {
        size_t n = strlen(op->stage);
        (void)snprintf(op->stage + n, sizeof op->stage - n, "+%s", i->then[k]);
    }
    op->action = (int)i->action;
    op->source = i->role == GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE;
    op->silence_s = i->silence_s;
    op->planned = i->plan && i->plan->n_moves > 0;
    godwit__identity_order__free_unpacked(i, NULL);
}

static void take_move(struct fake_op *op, const Godwit__Order *o)
{
    if (strcmp(o->kind, "vm.stage") == 0) {
        Godwit__VmMoveOrder *m = godwit__vm_move_order__unpack(NULL, o->args.len, o->args.data);
        if (!m)
            abort();
        (void)snprintf(op->stage, sizeof op->stage, "%s", m->stage);
        op->action = (int)m->action;
        op->source = m->role == GODWIT__VM_MOVE_ROLE__VM_MOVE_SOURCE;
        op->planned = m->plan && m->plan->n_disks > 0;
        godwit__vm_move_order__free_unpacked(m, NULL);
    } else if (strcmp(o->kind, "vm.look") == 0) {
        Godwit__VmLookOrder *m = godwit__vm_look_order__unpack(NULL, o->args.len, o->args.data);
        op->sight_only = m && m->sight_only;
        godwit__vm_look_order__free_unpacked(m, NULL);
    } else if (strcmp(o->kind, "vm.mark") == 0) {
        Godwit__VmMarkOrder *m = godwit__vm_mark_order__unpack(NULL, o->args.len, o->args.data);
        (void)snprintf(op->stage, sizeof op->stage, "%s", m && m->undo ? "unmark" : "mark");
        godwit__vm_mark_order__free_unpacked(m, NULL);
    }
}

static void take_rate(struct fake_op *op, const Godwit__Rate *r)
{
    if (!op || !r)
        return;
    op->rates++;
    op->limited = r->limited;
    op->rate = r->bytes_per_s;
    op->nwindows = r->n_next;
    for (size_t i = 0; i < r->n_next && i < ARRAY_SIZE(op->window); i++) {
        op->window[i].from_ms = r->next[i]->from_ms;
        op->window[i].limited = r->next[i]->limited;
        op->window[i].rate = r->next[i]->bytes_per_s;
    }
}

static void take_order(struct fleet *f, const char *host, const Godwit__Envelope *e)
{
    struct fake_op *op = find_op(f, e->op_id);
    if (!op) {
        if (f->nops == FAKE_OPS)
            abort();
        op = &f->ops[f->nops++];
        (void)snprintf(op->op_id, sizeof op->op_id, "%s", e->op_id);
        (void)snprintf(op->host, sizeof op->host, "%s", host);
        (void)snprintf(op->kind, sizeof op->kind, "%s", e->order->kind);
        op->only_failed = is_only_failed(e->order, op->only_cause);
        take_identity(op, e->order);
        take_move(op, e->order);
    }
    op->orders++;
    take_rate(op, e->order->rate);
}

int fleet_send(struct fleet *f, const char *host, const Godwit__Envelope *e)
{
    if (!fake_host_named(f, host)->online)
        return -ENOTCONN;
    if (f->full)
        return -EAGAIN;
    struct fake_op *op = find_op(f, e->op_id);
    if (e->body_case == GODWIT__ENVELOPE__BODY_ORDER)
        take_order(f, host, e);
    if (e->body_case == GODWIT__ENVELOPE__BODY_RATE)
        take_rate(op, e->rate);
    if (op && e->body_case == GODWIT__ENVELOPE__BODY_RESULT_ACK)
        op->acknowledged = true;
    if (op && e->body_case == GODWIT__ENVELOPE__BODY_CANCEL) {
        op->cancelled = true;
        op->why = (int)e->cancel->why;
    }
    return 0;
}

void fleet_set_events(struct fleet *f, const struct fleet_events *e)
{
    (void)f;
    events = *e;
}

/* ── agents ── */

void fake_online(struct fleet *f, const char *host)
{
    static char *running[FAKE_OPS];
    Godwit__Hello hello = GODWIT__HELLO__INIT;
    hello.running = running;
    hello.can = fake_host_named(f, host)->old ? 0 : WIRE_CAN_RATE;
    for (size_t i = 0; i < f->nops; i++)
        if (strcmp(f->ops[i].host, host) == 0 && f->ops[i].accepted && !f->ops[i].over)
            running[hello.n_running++] = f->ops[i].op_id;
    fake_host_named(f, host)->online = true;
    if (events.online)
        events.online(events.arg, host, &hello);
}

void fake_lost(struct fleet *f, const char *host)
{
    fake_host_named(f, host)->online = false;
    if (events.lost)
        events.lost(events.arg, host, "lease ran out");
}

void fake_revoke(struct fleet *f, const char *host)
{
    fake_host_named(f, host)->online = false;
    fake_host_named(f, host)->unknown = true;
    if (events.revoked)
        events.revoked(events.arg, host);
}

static void say(const struct fake_op *op, Godwit__Envelope *m)
{
    static char id[17];
    char host[64];
    memcpy(id, op->op_id, sizeof id);
    memcpy(host, op->host, sizeof host);
    m->op_id = id;
    if (events.message)
        events.message(events.arg, host, m);
}

void fake_accept(struct fleet *f, struct fake_op *op)
{
    Godwit__Envelope m = GODWIT__ENVELOPE__INIT;
    Godwit__Accepted a = GODWIT__ACCEPTED__INIT;
    (void)f;
    op->accepted = true;
    m.body_case = GODWIT__ENVELOPE__BODY_ACCEPTED;
    m.accepted = &a;
    say(op, &m);
}

void fake_progress(struct fleet *f, struct fake_op *op, const Godwit__Counters *c)
{
    Godwit__Envelope m = GODWIT__ENVELOPE__INIT;
    Godwit__Progress p = GODWIT__PROGRESS__INIT;
    Godwit__Counters copy = *c;
    char doing[] = "walking";
    (void)f;
    p.counters = &copy;
    p.doing = doing;
    p.source_latency_us = op->latency_us;
    p.source_pace = op->pace;
    m.body_case = GODWIT__ENVELOPE__BODY_PROGRESS;
    m.progress = &p;
    say(op, &m);
}

bool fake_member;

/* A workgroup server, or a member of a domain, with one interface, and one more address of its own
 * on the destination. */
static size_t identity_of(const struct fake_op *op, uint8_t *ret)
{
    char host[] = "FS1", peer[] = "NEW1", mac[] = "52:54:00:00:00:01", role[] = "ROLE_STANDALONE";
    char version[] = "4.17.12", address[] = "192.0.2.7/24", id[] = "a1", before[] = "as it was";
    char share[] = "data", realm[] = "LAB.TEST", dc[] = "dc1.lab.test";
    char dn[] = "CN=FS1,CN=Computers,DC=lab,DC=test";
    Godwit__IdentityResult r = GODWIT__IDENTITY_RESULT__INIT;
    Godwit__IdentityCapture c = GODWIT__IDENTITY_CAPTURE__INIT;
    Godwit__IdentityNames names = GODWIT__IDENTITY_NAMES__INIT;
    Godwit__IdentityDomain domain = GODWIT__IDENTITY_DOMAIN__INIT;
    Godwit__IdentityInterface in = GODWIT__IDENTITY_INTERFACE__INIT, *ins[] = {&in};
    Godwit__IdentityAddress a = GODWIT__IDENTITY_ADDRESS__INIT, *as[] = {&a};
    Godwit__IdentityShare s = GODWIT__IDENTITY_SHARE__INIT, *ss[] = {&s};
    names.host = names.netbios = op->source ? host : peer;
    mac[16] = op->source ? '1' : '2';
    id[1] = op->source ? '1' : '2';
    address[8] = op->source ? '7' : '8';
    a.address = address;
    in.mac = mac;
    in.n_addresses = 1;
    in.addresses = as;
    s.name = share;
    if (fake_member) {
        domain.joined = domain.trusted = true;
        domain.realm = realm;
        domain.dc = dc;
        domain.account_dn = dn;
    }
    c.machine_id = id;
    c.names = &names;
    c.domain = &domain;
    c.n_interfaces = 1;
    c.interfaces = ins;
    c.n_shares = 1;
    c.shares = ss;
    c.samba_version = version;
    c.samba_role = role;
    r.is = r.acted = true;
    r.before = before;
    if (strcmp(op->stage, "connect") == 0 || strcmp(op->stage, "collect") == 0)
        r.capture = &c;
    return godwit__identity_result__pack(&r, ret);
}

size_t (*fake_body)(const struct fake_op *op, uint8_t ret[FAKE_BODY]);

static size_t body_of(const struct fake_op *op, uint8_t *ret)
{
    size_t n = fake_body ? fake_body(op, ret) : 0;
    if (n)
        return n;
    if (strcmp(op->kind, "identity.stage") == 0)
        return identity_of(op, ret);
    if (strcmp(op->kind, "files.inventory") == 0) {
        Godwit__InventoryResult r = GODWIT__INVENTORY_RESULT__INIT;
        r.files = 10;
        r.bytes = 1000;
        return godwit__inventory_result__pack(&r, ret);
    }
    if (strcmp(op->kind, "files.prepare") == 0) {
        Godwit__PrepareResult r = GODWIT__PREPARE_RESULT__INIT;
        r.fs_free = 1 << 30;
        r.empty = true;
        return godwit__prepare_result__pack(&r, ret);
    }
    return 0;
}

void fake_finish(struct fleet *f, struct fake_op *op, struct fake_answer a)
{
    uint8_t body[FAKE_BODY];
    char text[128], what[] = "open", example[] = "/srv/x";
    char *examples[] = {example};
    Godwit__Envelope m = GODWIT__ENVELOPE__INIT;
    Godwit__Result r = GODWIT__RESULT__INIT;
    Godwit__FaultInfo fault = GODWIT__FAULT_INFO__INIT;
    Godwit__Counters c = GODWIT__COUNTERS__INIT;
    Godwit__FailureGroup g = GODWIT__FAILURE_GROUP__INIT;
    Godwit__FailureGroup *groups[] = {&g};
    (void)f;
    (void)snprintf(text, sizeof text, "%s", a.text ? a.text : "");
    op->accepted = op->over = true;
    r.status = a.status ? a.status : GODWIT__RESULT__STATUS__DONE;
    if (r.status == GODWIT__RESULT__STATUS__FAILED) {
        fault.what_next = a.next;
        fault.err = (uint32_t)a.err;
        fault.text = text;
        r.fault = &fault;
    }
    if (a.failed) {
        g.err = EACCES;
        g.what = what;
        g.count = a.failed;
        g.n_examples = 1;
        g.examples = examples;
        r.n_failures = 1;
        r.failures = groups;
        c.failed = a.failed;
    }
    c.files = 10;
    c.bytes = 1000;
    c.sent_bytes = 1000;
    r.counters = &c;
    r.body.len = body_of(op, body);
    r.body.data = body;
    m.body_case = GODWIT__ENVELOPE__BODY_RESULT;
    m.result = &r;
    say(op, &m);
}

static unsigned nth_of_kind(const struct fleet *f, const struct fake_op *op)
{
    unsigned n = 0;
    for (const struct fake_op *o = f->ops; o <= op; o++)
        n += strcmp(o->kind, op->kind) == 0;
    return n;
}

size_t fake_pump(struct fleet *f, fake_script script)
{
    size_t answered = 0;
    for (size_t i = 0; i < f->nops; i++) {
        struct fake_op *op = &f->ops[i];
        if (op->acknowledged || !fake_host_named(f, op->host)->online)
            continue;
        struct fake_answer a = {.silent = false};
        if (script)
            a = script(op, nth_of_kind(f, op));
        if (op->cancelled)
            a = (struct fake_answer){.status = GODWIT__RESULT__STATUS__STOPPED};
        if (!op->accepted)
            fake_accept(f, op);
        if (a.silent)
            continue;
        fake_finish(f, op, a);
        answered++;
    }
    return answered;
}

struct fake_op *fake_last(struct fleet *f, const char *kind)
{
    for (size_t i = f->nops; i-- > 0;)
        if (strcmp(f->ops[i].kind, kind) == 0)
            return &f->ops[i];
    return NULL;
}

size_t fake_count(struct fleet *f, const char *kind)
{
    size_t n = 0;
    for (size_t i = 0; i < f->nops; i++)
        n += strcmp(f->ops[i].kind, kind) == 0;
    return n;
}
