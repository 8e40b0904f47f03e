/* talk: what a session says and hears: hello, heartbeats, keys. Decides no state: that is
 * session_handle(). Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/facts.h"
#include "agent/rotate.h"
#include "agent/session_priv.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/wire/envelope.h"

#define CAN_BITS (WIRE_CAN_RATE | WIRE_CAN_MAP | WIRE_CAN_PASSWORDS)
#define RECEIVE_AT_ONCE 100   /* then timers get their turn */
#define CLOCK_OFF_MS 60000    /* a difference that people should know of */
#define ROTATE_SETTLE_MS 1000 /* between the reply with our new key and using it */

int session_say(struct session *s, const Godwit__Envelope *e)
{
    return s->state == SESSION_LIVE && s->link ? link_send(s->link, e) : -ENOTCONN;
}

void session_say_hello(struct session *s)
{
    s->hello_ms = clock_mono_ms();
    if (!s->link)
        return;
    Godwit__Hello body = GODWIT__HELLO__INIT;
    body.instance = s->instance;
    body.can = CAN_BITS;
    body.version = (char *)(uintptr_t)GODWIT_VERSION; /* packing only reads */
    s->setup.fill_hello(s->setup.arg, &body);
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.body_case = GODWIT__ENVELOPE__BODY_HELLO;
    e.hello = &body;
    (void)link_send(s->link, &e); /* not connected: repeated when it is */
}

void session_beat(struct session *s, int64_t now_ms)
{
    s->beat_ms = now_ms + s->heartbeat_ms;
    Godwit__Heartbeat body = GODWIT__HEARTBEAT__INIT;
    body.running = s->setup.running(s->setup.arg);
    body.load_percent = facts_load_percent();
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.body_case = GODWIT__ENVELOPE__BODY_HEARTBEAT;
    e.heartbeat = &body;
    (void)session_say(s, &e);
}

void session_goodbye(struct session *s, const char *reason)
{
    Godwit__Goodbye body = GODWIT__GOODBYE__INIT;
    body.reason = (char *)(uintptr_t)reason;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.body_case = GODWIT__ENVELOPE__BODY_GOODBYE;
    e.goodbye = &body;
    (void)session_say(s, &e);
}

/* A changed list is kept before it is used. Moves away from a key that is not the current one any
 * more, once for each change, at a time drawn so that a fleet does not move at once. */
static void take_keys(struct session *s, const Godwit__ServerKeys *keys)
{
    struct home_key used = s->home.keys[s->at_key];
    int rc = home_take_keys(&s->home, keys);
    if (rc < 0)
        log_warning("the orchestrator's list of its keys is malformed; the old one stays");
    if (rc != 1)
        return;
    session_save_home(s);
    log_info("the orchestrator's keys are %zu now", s->home.nkeys);
    s->at_key = 0;
    if (memcmp(used.key, s->home.keys[0].key, sizeof used.key) != 0 ||
        strcmp(used.endpoint, s->home.keys[0].endpoint) != 0)
        s->move_ms = clock_mono_ms() + session_draw(s->reconnect_min_ms, s->reconnect_max_ms);
}

/* Deadlines are dated by the orchestrator's clock: this host's may be wrong, and be put right while
 * steps run. */
static void take_clock(struct session *s, int64_t now_ms)
{
    if (now_ms <= 0)
        return; /* one that does not tell */
    int64_t off = clock_wall_ms() - now_ms;
    bool wrong = off > CLOCK_OFF_MS || off < -CLOCK_OFF_MS;
    clock_fleet_set(now_ms);
    if (wrong && !s->clock_wrong)
        log_warning("this host's clock is %lld s %s the orchestrator's",
                    (long long)llabs(off) / 1000, off > 0 ? "ahead of" : "behind");
    s->clock_wrong = wrong;
}

static void on_welcome(struct session *s, const Godwit__Welcome *w)
{
    if (w->must & ~CAN_BITS) {
        session_handle(s, SESSION_EV_REFUSED, "the orchestrator needs a newer agent (must bits)");
        return;
    }
    take_clock(s, w->now_ms);
    session_set_pace(s, w->heartbeat_ms, w->reconnect_min_ms, w->reconnect_max_ms);
    bool renamed =
        *w->host && strlen(w->host) < sizeof s->home.host && strcmp(w->host, s->home.host) != 0;
    if (renamed) {
        (void)snprintf(s->home.host, sizeof s->home.host, "%s", w->host);
        session_save_home(s);
    }
    session_handle(s, SESSION_EV_WELCOME, s->endpoint);
    if (w->keys && w->keys->n_keys)
        take_keys(s, w->keys);
}

static void on_refusal(struct session *s, const Godwit__Refusal *r)
{
    char why[160];
    switch (r->code) {
    case GODWIT__REFUSAL__CODE__UNKNOWN_SESSION:
        session_handle(s, SESSION_EV_UNKNOWN, "the orchestrator asks for hello again");
        break;
    case GODWIT__REFUSAL__CODE__REVOKED:
        s->setup.revoked(s->setup.arg);
        session_handle(s, SESSION_EV_REFUSED, "the orchestrator revoked this host's key");
        break;
    case GODWIT__REFUSAL__CODE__VERSION:
    case GODWIT__REFUSAL__CODE__MUST_BIT:
    case GODWIT__REFUSAL__CODE__PENDING:
        (void)snprintf(why, sizeof why, "refused: %.120s", r->text);
        session_handle(s, SESSION_EV_REFUSED, why);
        break;
    case GODWIT__REFUSAL__CODE__RATE: /* hello is repeated by itself */
    case GODWIT__REFUSAL__CODE__NOT_ALLOWED:
    case GODWIT__REFUSAL__CODE__STALE_EPOCH:
    case GODWIT__REFUSAL__CODE__EXPIRED:
    case GODWIT__REFUSAL__CODE__MALFORMED:
    case GODWIT__REFUSAL__CODE__CODE_UNSPECIFIED:
    default:
        log_warning("the orchestrator refused a message (%d): %.120s", (int)r->code, r->text);
        break;
    }
}

static void on_rotate(struct session *s)
{
    uint8_t key[32];
    int rc = keyring_rotate(s->keys, key);
    if (rc < 0) {
        log_error("cannot make a new key: %s", strerror(-rc));
        return;
    }
    Godwit__RotateKeyReply body = GODWIT__ROTATE_KEY_REPLY__INIT;
    body.public_key = (ProtobufCBinaryData){.len = sizeof key, .data = key};
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.body_case = GODWIT__ENVELOPE__BODY_ROTATE_KEY_REPLY;
    e.rotate_key_reply = &body;
    if (session_say(s, &e) == 0)
        s->move_ms = clock_mono_ms() + ROTATE_SETTLE_MS;
    else
        keyring_refused(
            s->keys); /* the orchestrator does not know the new key: it will ask again */
}

/* What only a session may hear. */
static void on_live(struct session *s, const Godwit__Envelope *e)
{
    switch ((int)e->body_case) {
    case GODWIT__ENVELOPE__BODY_HEARTBEAT_REPLY:
        take_clock(s, e->heartbeat_reply->now_ms);
        session_set_pace(s, e->heartbeat_reply->heartbeat_ms, e->heartbeat_reply->reconnect_min_ms,
                         e->heartbeat_reply->reconnect_max_ms);
        break;
    case GODWIT__ENVELOPE__BODY_SERVER_KEYS:
        take_keys(s, e->server_keys);
        break;
    case GODWIT__ENVELOPE__BODY_ROTATE_KEY:
        on_rotate(s);
        break;
    default: /* order, cancel, result_ack, rate */
        s->setup.message(s->setup.arg, e);
        break;
    }
}

static void on_message(struct session *s, const Godwit__Envelope *e)
{
    s->heard_ms = clock_mono_ms();
    if (e->body_case == GODWIT__ENVELOPE__BODY_WELCOME)
        on_welcome(s, e->welcome);
    else if (e->body_case == GODWIT__ENVELOPE__BODY_REFUSAL)
        on_refusal(s, e->refusal);
    else if (e->body_case == GODWIT__ENVELOPE__BODY_GOODBYE)
        session_handle(s, SESSION_EV_GOODBYE, "the orchestrator said goodbye");
    else if (s->state == SESSION_LIVE)
        on_live(s, e);
    else
        log_debug("%s before welcome is ignored", wire_type_name(e->body_case));
}

void session_receive(struct session *s)
{
    for (int i = 0; i < RECEIVE_AT_ONCE && s->link; i++) {
        Godwit__Envelope *e = NULL;
        const struct link *was = s->link;
        int rc = link_recv(s->link, &e);
        if (rc == -EAGAIN)
            return;
        if (rc < 0) {
            log_warning("a message of the orchestrator is refused: %s", strerror(-rc));
            continue;
        }
        on_message(s, e);
        wire_free(e);
        if (s->link != was)
            return; /* the reader of the new link is called by the loop */
    }
}
