/* session: from hello to the end of the lease. Every message is checked against the key table,
 * since libzmq cannot end a connection. Main thread. */
#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/wire/envelope.h"
#include "common/wire/limits.h"
#include "orchestrator/fleet/fleet_priv.h"
#include "orchestrator/store/store.h"

#define CAN_BITS UINT64_C(0)  /* none are defined yet */
#define RETURN_PER_SECOND 200 /* pace of a whole fleet's return: reconnects a second */
#define RECONNECT_MIN_MS 250
#define CLOCK_STEP_MS 500 /* by so much our clock may go before agents hear of it out of turn */
#define SEEN_MS 60000     /* by so much a killed daemon may forget when it heard of a host */

static void copy_text(char *ret, size_t size, const char *text)
{
    (void)snprintf(ret, size, "%s", text);
}

/* Slower the larger the fleet, so that a restart is not a storm. */
static uint32_t reconnect_max(struct fleet *f)
{
    struct agent **list = NULL;
    return 1000 + (uint32_t)(registry_agents(f->reg, &list) * 1000 / RETURN_PER_SECOND);
}

int session_send(struct agent *a, const Godwit__Envelope *e)
{
    struct session *s = &a->session;
    if (!s->online || !s->gate)
        return -ENOTCONN;
    int rc = gate_send(s->gate->agents, s->route, s->route_len, e);
    if (rc == -ENOTCONN)
        s->heard_mono_ms =
            INT64_MIN / 2; /* the sweep says so: callers are not called back from here */
    return rc;
}

static void send_clock(struct fleet *f, struct agent *a)
{
    Godwit__HeartbeatReply r = GODWIT__HEARTBEAT_REPLY__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    r.heartbeat_ms = (uint32_t)f->conf->heartbeat_ms;
    r.reconnect_min_ms = RECONNECT_MIN_MS;
    r.reconnect_max_ms = reconnect_max(f);
    r.now_ms = clock_wall_ms();
    a->session.clock_told_ms = r.now_ms - clock_mono_ms();
    e.body_case = GODWIT__ENVELOPE__BODY_HEARTBEAT_REPLY;
    e.heartbeat_reply = &r;
    (void)session_send(a, &e);
}

/* An order is dated by our clock: when that was set since the agent heard of it, the order would
 * look long over, so the clock goes ahead of it on the same connection. */
int session_send_order(struct fleet *f, struct agent *a, const Godwit__Envelope *e)
{
    int64_t off = clock_wall_ms() - clock_mono_ms() - a->session.clock_told_ms;
    if (e->deadline_ms != 0 && (off > CLOCK_STEP_MS || off < -CLOCK_STEP_MS))
        send_clock(f, a);
    return session_send(a, e);
}

/* The wall clock of the last message. */
static void note_seen(struct agent *a)
{
    const struct session *s = &a->session;
    int64_t ago = clock_mono_ms() - s->heard_mono_ms;
    a->row.seen_ms = clock_wall_ms() - (s->heard_mono_ms < 0 ? 0 : ago);
    a->dirty = true;
}

void session_note_seen(struct fleet *f, int64_t older_ms)
{
    struct agent **list = NULL;
    int64_t now = clock_wall_ms();
    size_t n = registry_agents(f->reg, &list);
    for (size_t i = 0; i < n; i++) {
        if (list[i]->session.online && now - list[i]->row.seen_ms > older_ms)
            note_seen(list[i]);
    }
}

void session_end(struct fleet *f, struct agent *a, const char *reason)
{
    struct session *s = &a->session;
    if (!s->online)
        return;
    note_seen(a);
    s->online = false;
    s->gate = NULL;
    s->since_ms = clock_wall_ms();
    copy_text(s->reason, sizeof s->reason, reason);
    agent_note(a, LOG_WARNING, "host %s is lost: %s", a->row.host, reason);
    if (f->events.lost)
        f->events.lost(f->events.arg, a->row.host, reason);
}

void session_sweep(struct fleet *f)
{
    struct agent **list = NULL;
    int64_t lease = (int64_t)(LEASE_BEATS * f->conf->heartbeat_ms), now = clock_mono_ms();
    session_note_seen(f, SEEN_MS);
    size_t n = registry_agents(f->reg, &list);
    for (size_t i = 0; i < n; i++) {
        struct session *s = &list[i]->session;
        char text[64];
        if (!s->online || now - s->heard_mono_ms <= lease)
            continue;
        if (s->heard_mono_ms < 0)
            copy_text(text, sizeof text, "its connection closed");
        else
            (void)snprintf(text, sizeof text, "no heartbeat for %lld s",
                           (long long)((now - s->heard_mono_ms) / 1000));
        session_end(f, list[i], text);
    }
}

void session_welcome(struct fleet *f, struct agent *a)
{
    Godwit__ServerKeys keys;
    Godwit__Welcome w = GODWIT__WELCOME__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    server_keys(f, &keys);
    w.agent_id = a->row.agent_id;
    w.host = a->row.host;
    w.heartbeat_ms = (uint32_t)f->conf->heartbeat_ms;
    w.lease_ms = (uint32_t)(LEASE_BEATS * f->conf->heartbeat_ms);
    w.reconnect_min_ms = RECONNECT_MIN_MS;
    w.reconnect_max_ms = reconnect_max(f);
    w.can = CAN_BITS;
    w.keys = &keys;
    w.now_ms = clock_wall_ms();
    a->session.clock_told_ms = w.now_ms - clock_mono_ms();
    e.epoch = store_epoch(f->store);
    e.body_case = GODWIT__ENVELOPE__BODY_WELCOME;
    e.welcome = &w;
    (void)session_send(a, &e);
    server_keys_done(&keys);
}

static bool hello_is_sound(const Godwit__Hello *h)
{
    bool address = strlen(h->lane_address) < 256;
    for (const char *p = h->lane_address; *p; p++)
        address = address && *p > ' ' && *p <= '~';
    return address && *h->instance && (h->lane_pin.len == 0 || h->lane_pin.len == 32) &&
           (h->sign_key.len == 0 || h->sign_key.len == 32) && h->lane_port <= UINT16_MAX;
}

static void learn(struct agent *a, const struct arrival *from, const Godwit__Hello *h)
{
    struct agent_row *r = &a->row;
    r->seen_ms = clock_wall_ms();
    copy_text(r->version, sizeof r->version, h->version);
    if (h->facts) {
        copy_text(r->os, sizeof r->os, h->facts->os);
        copy_text(r->kernel, sizeof r->kernel, h->facts->kernel);
        copy_text(r->machine, sizeof r->machine, h->facts->machine);
        copy_text(r->hostname, sizeof r->hostname, h->facts->hostname);
        r->cpus = h->facts->cpus;
        r->memory_bytes = h->facts->memory_bytes;
    }
    copy_text(r->address, sizeof r->address, *h->lane_address ? h->lane_address : from->address);
    r->lane_port = h->lane_port;
    r->has_lane_pin = h->lane_pin.len == 32;
    if (r->has_lane_pin)
        memcpy(r->lane_pin, h->lane_pin.data, sizeof r->lane_pin);
    a->has_sign_key = h->sign_key.len == 32;
    if (a->has_sign_key)
        memcpy(a->sign_key, h->sign_key.data, sizeof a->sign_key);
    a->dirty = true;
}

static void begin(struct agent *a, const struct agent_key *k, const struct arrival *from,
                  const Godwit__Hello *h)
{
    struct session *s = &a->session, old = *s;
    *s = (struct session){.online = true,
                          .gate = from->gate,
                          .route_len = from->route_len,
                          .heard_mono_ms = clock_mono_ms(),
                          .since_ms = clock_wall_ms(),
                          .epoch_seen = h->epoch_seen};
    memcpy(s->route, from->route, from->route_len);
    memcpy(s->key, k->row.key, sizeof s->key);
    copy_text(s->instance, sizeof s->instance, h->instance);
    if (old.online)
        copy_text(s->before, sizeof s->before,
                  strcmp(old.instance, s->instance) != 0 ? old.instance : old.before);
    copy_text(s->reason, sizeof s->reason, "said hello");
}

static void on_hello(struct fleet *f, struct agent_key *k, const struct arrival *from,
                     const Godwit__Hello *h)
{
    struct agent *a = k->agent;
    if (!hello_is_sound(h)) {
        arrival_refuse(from, GODWIT__REFUSAL__CODE__MALFORMED, "this hello breaks a limit");
        return;
    }
    if (h->must & ~CAN_BITS) {
        arrival_refuse(from, GODWIT__REFUSAL__CODE__MUST_BIT,
                       "you ask for something that this orchestrator does not know");
        return;
    }
    if (a->session.online && strcmp(a->session.before, h->instance) == 0) {
        arrival_refuse(from, GODWIT__REFUSAL__CODE__NOT_ALLOWED,
                       "another process uses your key: was this host cloned?");
        return;
    }
    bool news = !a->session.online;
    begin(a, k, from, h);
    learn(a, from, h);
    if (h->epoch_seen > store_epoch(f->store)) {
        copy_text(a->session.reason, sizeof a->session.reason,
                  "it has obeyed a newer orchestrator: was a backup put back? godwitd --new-epoch");
        agent_note(a, LOG_ERR, "host %s has seen epoch %llu, ours is %llu", a->row.host,
                   (unsigned long long)h->epoch_seen, (unsigned long long)store_epoch(f->store));
    }
    if (news)
        agent_note(a, LOG_INFO, "host %s is online from %s", a->row.host, from->address);
    session_welcome(f, a);
    if (a->rotation_overlap_ms)
        rotate_ask(a);
    if (f->events.online)
        f->events.online(f->events.arg, a->row.host, h);
}

static void on_message(struct fleet *f, struct agent *a, const Godwit__Envelope *e)
{
    if (e->body_case == GODWIT__ENVELOPE__BODY_HEARTBEAT) {
        send_clock(f, a);
    } else if (e->body_case == GODWIT__ENVELOPE__BODY_GOODBYE) {
        session_end(f, a, *e->goodbye->reason ? e->goodbye->reason : "it said goodbye");
    } else if (e->body_case == GODWIT__ENVELOPE__BODY_ROTATE_KEY_REPLY) {
        rotate_reply(f, a, e->rotate_key_reply);
    } else if (e->body_case == GODWIT__ENVELOPE__BODY_REFUSAL && !*e->op_id) {
        agent_note(a, LOG_WARNING, "host %s refuses: %s", a->row.host, e->refusal->text);
    } else if (f->events.message) {
        f->events.message(f->events.arg, a->row.host, e);
    }
}

/* The allow-set of this very moment decides, whatever the handshake said once. */
static struct agent_key *allowed_key(struct fleet *f, const struct arrival *from)
{
    struct agent_key *k = registry_key(f->reg, from->user);
    bool over = k && k->row.not_after_ms && k->row.not_after_ms <= clock_wall_ms();
    if (k && !over && k->agent->row.state == AGENT_APPROVED)
        return k;
    arrival_refuse(from, GODWIT__REFUSAL__CODE__REVOKED, "this key is not valid");
    return NULL;
}

static bool is_session(const struct session *s, const struct arrival *from)
{
    return s->online && s->gate == from->gate && s->route_len == from->route_len &&
           memcmp(s->route, from->route, s->route_len) == 0;
}

void session_arrival(struct fleet *f, const struct arrival *from)
{
    struct agent_key *k = allowed_key(f, from);
    CLEANUP(wire_free) Godwit__Envelope *e = NULL;
    if (!k || from->route_len > sizeof k->agent->session.route)
        return;
    int rc = wire_unpack(from->data, from->len, WIRE_AGENT, &e);
    if (rc < 0) {
        agent_note(k->agent, LOG_WARNING, "message of host %s refused: %s", k->agent->row.host,
                   strerror(-rc));
        arrival_refuse_unpacked(from, rc);
        return;
    }
    if (e->body_case == GODWIT__ENVELOPE__BODY_HELLO) {
        on_hello(f, k, from, e->hello);
        return;
    }
    if (!is_session(&k->agent->session, from)) {
        if (e->body_case != GODWIT__ENVELOPE__BODY_GOODBYE)
            arrival_refuse(from, GODWIT__REFUSAL__CODE__UNKNOWN_SESSION, "say hello first");
        return;
    }
    k->agent->session.heard_mono_ms = clock_mono_ms();
    on_message(f, k->agent, e);
}

void fleet_goodbye(struct fleet *f, const char *reason)
{
    struct agent **list = NULL;
    Godwit__Goodbye body = GODWIT__GOODBYE__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    body.reason = wire_text(reason);
    e.body_case = GODWIT__ENVELOPE__BODY_GOODBYE;
    e.goodbye = &body;
    size_t n = registry_agents(f->reg, &list);
    for (size_t i = 0; i < n; i++)
        (void)session_send(list[i], &e);
}
