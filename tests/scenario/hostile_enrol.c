/* hostile_enrol: strangers at the doors, and enrolments that must not succeed. */
#include <string.h>

#include "common/base/mem.h"
#include "tests/scenario/hostile_priv.h"

#define ADMITTED GODWIT__ENROL_REPLY__STATE__ADMITTED
#define DENIED GODWIT__ENROL_REPLY__STATE__DENIED
#define HOUR_MS "3600000"

static Godwit__EnrolReply__State enrol_fresh(struct siege *s, const struct token *t)
{
    struct curve_key key;
    curve_key_new(&key);
    return enrol_state(&s->daemon, t, &key);
}

static void assert_refused(struct siege *s, const char *endpoint, const struct curve_key *key)
{
    struct peer p;
    peer_open(&p, endpoint, s->daemon.server_key, key);
    peer_say_type(&p, GODWIT__ENVELOPE__BODY_HELLO);
    assert_int_equal(peer_fate(&p, ANSWER_MS), PEER_REFUSED);
    assert_null(peer_hear(&p, SILENCE_MS));
    peer_close(&p);
}

static void unknown_keys_get_no_handshake(void **state)
{
    struct siege *s = *state;
    assert_refused(s, s->daemon.agents_endpoint, NULL);
    assert_refused(s, s->daemon.console_endpoint, NULL);
    siege_holds(s);
}

/* A key is let in where its role is, and nowhere else. */
static void keys_open_only_their_own_door(void **state)
{
    struct siege *s = *state;
    assert_refused(s, s->daemon.console_endpoint, &s->good.peer.key);
    assert_refused(s, s->daemon.agents_endpoint, &s->daemon.console_key);
    siege_holds(s);
}

/* Without CURVE, or with a mechanism that proves nothing, nothing is heard. */
static void plain_sockets_hear_nothing(void **state)
{
    struct siege *s = *state;
    const char *endpoints[] = {s->daemon.agents_endpoint, s->daemon.enrol_endpoint,
                               s->daemon.console_endpoint};
    for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++) {
        struct peer p = {.sock = zsock_new(ZMQ_DEALER)};
        zsock_set_linger(p.sock, 0);
        if (i == 1) {
            zsock_set_plain_username(p.sock, "root");
            zsock_set_plain_password(p.sock, "root");
        }
        assert_int_equal(zmq_connect(zsock_resolve(p.sock), endpoints[i]), 0);
        peer_say_type(&p, GODWIT__ENVELOPE__BODY_HELLO);
        assert_null(peer_hear(&p, SILENCE_MS));
        peer_close(&p);
    }
    siege_holds(s);
}

/* Two tokens for one name: the second to come is denied, the first does not notice. */
static void a_second_host_under_a_name_is_denied(void **state)
{
    struct siege *s = *state;
    struct token t[2];
    struct good first;
    struct curve_key keys[2];
    siege_name(s, first.host);
    for (size_t i = 0; i < 2; i++) {
        daemon_token(&s->daemon, first.host, HOUR_MS, &t[i]);
        curve_key_new(&keys[i]);
    }
    assert_int_equal(enrol_state(&s->daemon, &t[0], &keys[0]), ADMITTED);
    peer_open(&first.peer, s->daemon.agents_endpoint, s->daemon.server_key, &keys[0]);
    good_hello(&first, "first");

    assert_int_equal(enrol_state(&s->daemon, &t[1], &keys[1]), DENIED);
    assert_refused(s, s->daemon.agents_endpoint, &keys[1]);
    assert_int_equal(enrol_state(&s->daemon, &t[1], &keys[1]), DENIED); /* however often it asks */
    assert_true(good_beat(&first, ANSWER_MS));
    assert_int_equal(enrol_state(&s->daemon, &t[0], &keys[0]), ADMITTED);
    good_leave(&first);
    siege_holds(s);
}

static void nobody_makes_a_token_for_a_name_that_is_taken(void **state)
{
    struct siege *s = *state;
    uint32_t code = 0;
    assert_null(daemon_ask(&s->daemon, &code, "token create", "host", "good", NULL));
    assert_int_equal(code, 5);
    siege_holds(s);
}

static void a_token_works_once(void **state)
{
    struct siege *s = *state;
    struct token t;
    struct curve_key key;
    char name[64];
    siege_name(s, name);
    daemon_token(&s->daemon, name, HOUR_MS, &t);
    curve_key_new(&key);
    assert_int_equal(enrol_state(&s->daemon, &t, &key), ADMITTED);
    assert_int_equal(enrol_fresh(s, &t), DENIED);
    assert_int_equal(enrol_state(&s->daemon, &t, &key), ADMITTED); /* its answer was lost, say */
    siege_holds(s);
}

static void a_token_ends(void **state)
{
    struct siege *s = *state;
    struct token t;
    char name[64];
    siege_name(s, name);
    daemon_token(&s->daemon, name, "1000", &t);
    zclock_sleep(1200);
    assert_int_equal(enrol_fresh(s, &t), DENIED);
    siege_holds(s);
}

/* Wrong in one part; the right token is not spoilt by others' guesses. */
static void a_token_is_whole_or_nothing(void **state)
{
    struct siege *s = *state;
    struct token right, other, wrong;
    char name[64], other_name[64];
    siege_name(s, name);
    siege_name(s, other_name);
    daemon_token(&s->daemon, name, HOUR_MS, &right);
    daemon_token(&s->daemon, other_name, HOUR_MS, &other);

    wrong = right;
    wrong.secret[31] ^= 1;
    assert_int_equal(enrol_fresh(s, &wrong), DENIED);
    wrong = right;
    memcpy(wrong.secret, other.secret, sizeof wrong.secret); /* of another host's token */
    assert_int_equal(enrol_fresh(s, &wrong), DENIED);
    wrong = right;
    memset(wrong.secret, 0, sizeof wrong.secret); /* what an unknown id's row would hold */
    assert_int_equal(enrol_fresh(s, &wrong), DENIED);
    (void)snprintf(wrong.id, sizeof wrong.id, "%s", "ffffffffffffffff");
    assert_int_equal(enrol_fresh(s, &wrong), DENIED);
    (void)snprintf(wrong.id, sizeof wrong.id, "%s", "' OR '1'='1");
    assert_int_equal(enrol_fresh(s, &wrong), DENIED);

    assert_int_equal(enrol_fresh(s, &right), ADMITTED);
    siege_holds(s);
}

/* The host's name comes from the token, whatever the machine says of itself. */
static void nobody_chooses_its_own_name(void **state)
{
    struct siege *s = *state;
    struct token t;
    struct curve_key key;
    char name[64];
    siege_name(s, name);
    daemon_token(&s->daemon, name, HOUR_MS, &t);
    (void)snprintf(t.host, sizeof t.host, "%s", "good");
    curve_key_new(&key);
    CLEANUP(wire_free) Godwit__Envelope *e = enrol_try(&s->daemon, &t, &key);
    assert_non_null(e);
    assert_int_equal(e->body_case, GODWIT__ENVELOPE__BODY_ENROL_REPLY);
    assert_string_equal(e->enrol_reply->host, name);
    siege_holds(s);
}

/* A denied or unknown key learns no name, no key and no id. */
static void a_denial_tells_nothing(void **state)
{
    struct siege *s = *state;
    struct token t = {.id = "0123456789abcdef"};
    struct curve_key key;
    curve_key_new(&key);
    CLEANUP(wire_free) Godwit__Envelope *e = enrol_try(&s->daemon, &t, &key);
    assert_non_null(e);
    assert_int_equal(e->enrol_reply->state, DENIED);
    assert_string_equal(e->enrol_reply->host, "");
    assert_string_equal(e->enrol_reply->agent_id, "");
    assert_null(e->enrol_reply->keys);
    siege_holds(s);
}

const struct CMUnitTest hostile_enrol_cases[] = {
    cmocka_unit_test(unknown_keys_get_no_handshake),
    cmocka_unit_test(keys_open_only_their_own_door),
    cmocka_unit_test(plain_sockets_hear_nothing),
    cmocka_unit_test(a_second_host_under_a_name_is_denied),
    cmocka_unit_test(nobody_makes_a_token_for_a_name_that_is_taken),
    cmocka_unit_test(a_token_works_once),
    cmocka_unit_test(a_token_ends),
    cmocka_unit_test(a_token_is_whole_or_nothing),
    cmocka_unit_test(nobody_chooses_its_own_name),
    cmocka_unit_test(a_denial_tells_nothing),
};
const size_t hostile_enrol_count = ARRAY_SIZE(hostile_enrol_cases);
