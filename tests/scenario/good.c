/* good: enrols, says hello, beats, leaves. Test thread. */
#include "tests/scenario/good.h"

#include <string.h>

#include "common/base/clock.h"
#include "tests/unit/test.h"

#define ANSWER_MS 20000
#define HOUR_MS "3600000"

static Godwit__Envelope *request(struct peer *p, const struct token *t)
{
    Godwit__HostFacts facts = GODWIT__HOST_FACTS__INIT;
    Godwit__EnrolRequest req = GODWIT__ENROL_REQUEST__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    char os[] = "Debian 12";
    facts.os = os;
    req.version = 1;
    req.token_id = (char *)(uintptr_t)t->id;
    req.secret.data = (uint8_t *)(uintptr_t)t->secret;
    req.secret.len = sizeof t->secret;
    req.facts = &facts;
    e.body_case = GODWIT__ENVELOPE__BODY_ENROL_REQUEST;
    e.enrol_request = &req;
    peer_say(p, &e);
    return peer_hear(p, ANSWER_MS);
}

/* Told to come back later, it does. */
Godwit__Envelope *enrol_try(struct daemon *d, const struct token *t, const struct curve_key *key)
{
    struct peer p;
    peer_open(&p, d->enrol_endpoint, d->server_key, key);
    int64_t end = clock_mono_ms() + ANSWER_MS;
    Godwit__Envelope *e = request(&p, t);
    while (e && e->body_case == GODWIT__ENVELOPE__BODY_REFUSAL &&
           e->refusal->code == GODWIT__REFUSAL__CODE__RATE && clock_mono_ms() < end) {
        wire_free(e);
        zclock_sleep(200);
        e = request(&p, t);
    }
    peer_close(&p);
    return e;
}

Godwit__EnrolReply__State enrol_state(struct daemon *d, const struct token *t,
                                      const struct curve_key *key)
{
    CLEANUP(wire_free) Godwit__Envelope *e = enrol_try(d, t, key);
    if (!e || e->body_case != GODWIT__ENVELOPE__BODY_ENROL_REPLY) {
        daemon_show_log(d);
        fail_msg("no answer to an enrolment, but %s", e ? wire_type_name(e->body_case) : "silence");
        return GODWIT__ENROL_REPLY__STATE__STATE_UNSPECIFIED;
    }
    bool in = e->enrol_reply->state == GODWIT__ENROL_REPLY__STATE__ADMITTED;
    assert_true(in == (e->enrol_reply->keys != NULL)); /* keys only for those let in */
    if (!in)
        assert_true(*e->enrol_reply->reason);
    return e->enrol_reply->state;
}

void good_hello(struct good *g, const char *instance)
{
    uint8_t pin[32];
    Godwit__Hello hello = GODWIT__HELLO__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    memset(pin, 7, sizeof pin);
    hello.instance = (char *)(uintptr_t)instance;
    hello.lane_port = 7410;
    hello.lane_pin.data = pin;
    hello.lane_pin.len = sizeof pin;
    e.body_case = GODWIT__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    peer_say(&g->peer, &e);
    CLEANUP(wire_free)
    Godwit__Envelope *w = peer_hear_type(&g->peer, GODWIT__ENVELOPE__BODY_WELCOME, ANSWER_MS);
    if (!w) {
        daemon_show_log(g->daemon);
        fail_msg("%s was not welcomed", g->host);
    } else {
        assert_string_equal(w->welcome->host, g->host);
    }
}

void good_join(struct daemon *d, struct good *g, const char *host)
{
    struct token t;
    struct curve_key key;
    (void)snprintf(g->host, sizeof g->host, "%s", host);
    g->daemon = d;
    daemon_token(d, host, HOUR_MS, &t);
    curve_key_new(&key);
    assert_int_equal(enrol_state(d, &t, &key), GODWIT__ENROL_REPLY__STATE__ADMITTED);
    peer_open(&g->peer, d->agents_endpoint, d->server_key, &key);
    good_hello(g, "first");
}

bool good_beat(struct good *g, int ms)
{
    peer_say_type(&g->peer, GODWIT__ENVELOPE__BODY_HEARTBEAT);
    CLEANUP(wire_free)
    Godwit__Envelope *e = peer_hear_type(&g->peer, GODWIT__ENVELOPE__BODY_HEARTBEAT_REPLY, ms);
    return e != NULL;
}

void good_leave(struct good *g)
{
    peer_close(&g->peer);
}
