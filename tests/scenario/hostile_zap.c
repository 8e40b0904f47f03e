/* hostile_zap: who enters by an unknown key, in every setting of libzmq's authentication. In
 * process, without a daemon: most of these settings cannot be made by ours. */
#include <errno.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/zap.h"
#include "tests/scenario/hostile_priv.h"

#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

#define DOMAIN "agents"

static const struct setting {
    bool handler, domain, enforce; /* enforce: option 93 */
    enum peer_fate unknown;
} settings[] = {
    {false, false, false, PEER_ADMITTED},
    {false, false, true,  PEER_ADMITTED},
    {false, true,  false, PEER_ADMITTED},
    {false, true,  true,  PEER_REFUSED }, /* ours, when its handler has died */
    {true,  false, false, PEER_REFUSED },
    {true,  false, true,  PEER_ADMITTED}, /* the domain is what makes 93 ask */
    {true,  true,  false, PEER_REFUSED },
    {true,  true,  true,  PEER_REFUSED }, /* ours */
};

struct server {
    zsock_t *sock;
    struct curve_key key;
    char endpoint[128];
};

static void server_bind(struct server *s)
{
    size_t len = sizeof s->endpoint;
    assert_int_equal(zmq_bind(zsock_resolve(s->sock), "tcp://127.0.0.1:*"), 0);
    assert_int_equal(zmq_getsockopt(zsock_resolve(s->sock), ZMQ_LAST_ENDPOINT, s->endpoint, &len),
                     0);
}

/* What curve_secure_server() refuses to make, made by hand. */
static void server_by_hand(struct server *s, const struct setting *how)
{
    int on = 1;
    curve_key_new(&s->key);
    s->sock = zsock_new(ZMQ_ROUTER);
    void *h = zsock_resolve(s->sock);
    assert_int_equal(zmq_setsockopt(h, ZMQ_CURVE_SERVER, &on, sizeof on), 0);
    assert_int_equal(zmq_setsockopt(h, ZMQ_CURVE_SECRETKEY, s->key.secret_key, 32), 0);
    if (how->enforce)
        assert_int_equal(zmq_setsockopt(h, ZMQ_ZAP_ENFORCE_DOMAIN, &on, sizeof on), 0);
    if (how->domain)
        assert_int_equal(zmq_setsockopt(h, ZMQ_ZAP_DOMAIN, DOMAIN, strlen(DOMAIN)), 0);
    server_bind(s);
}

static void server_by_us(struct server *s, const char *domain)
{
    curve_key_new(&s->key);
    s->sock = zsock_new(ZMQ_ROUTER);
    assert_int_equal(curve_secure_server(s->sock, &s->key, domain), 0);
    server_bind(s);
}

static enum peer_fate fate_of(const struct server *s, const struct curve_key *key)
{
    struct peer p;
    peer_open(&p, s->endpoint, s->key.public_key, key);
    enum peer_fate fate = peer_fate(&p, ANSWER_MS);
    peer_close(&p);
    return fate;
}

/* The second wall: what a stranger says who was let in carries no name. */
static void assert_nameless(struct server *s, struct peer *p)
{
    peer_say_type(p, GODWIT__ENVELOPE__BODY_HEARTBEAT);
    zmsg_t *msg = zmsg_recv(s->sock);
    assert_non_null(msg);
    assert_null(curve_user(zmsg_last(msg)));
    zmsg_destroy(&msg);
}

static void an_unknown_key_in_every_setting(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
        const struct setting *how = &settings[i];
        struct zap *zap = NULL;
        struct server s;
        struct peer p;
        if (how->handler)
            assert_int_equal(zap_start(&zap), 0);
        server_by_hand(&s, how);
        peer_open(&p, s.endpoint, s.key.public_key, NULL);
        enum peer_fate fate = peer_fate(&p, ANSWER_MS);
        if (fate != how->unknown)
            fail_msg("handler %d, domain %d, option 93 %d: %s", how->handler, how->domain,
                     how->enforce, fate == PEER_ADMITTED ? "admitted" : "refused or silent");
        if (fate == PEER_ADMITTED)
            assert_nameless(&s, &p);
        peer_close(&p);
        zsock_destroy(&s.sock);
        (void)zap_stop(zap);
    }
}

/* Our one way to secure a socket always sets domain and option 93 together, so that of the settings
 * that let strangers in none can be made with it. */
static void ours_is_never_a_setting_that_admits(void **state)
{
    (void)state;
    struct curve_key key;
    struct zap *zap = NULL;
    curve_key_new(&key);
    zsock_t *sock = zsock_new(ZMQ_ROUTER);
    assert_int_equal(curve_secure_server(sock, &key, DOMAIN), -ENOTCONN);
    assert_int_equal(zap_start(&zap), 0);
    assert_int_equal(curve_secure_server(sock, &key, NULL), -EINVAL);
    assert_int_equal(curve_secure_server(sock, &key, ""), -EINVAL);
    assert_int_equal(curve_secure_server(sock, &key, DOMAIN), 0);
    int on = 0;
    size_t len = sizeof on;
    char domain[32];
    assert_int_equal(zmq_getsockopt(zsock_resolve(sock), ZMQ_ZAP_ENFORCE_DOMAIN, &on, &len), 0);
    assert_int_equal(on, 1);
    len = sizeof domain;
    assert_int_equal(zmq_getsockopt(zsock_resolve(sock), ZMQ_ZAP_DOMAIN, domain, &len), 0);
    assert_string_equal(domain, DOMAIN);
    zsock_destroy(&sock);
    (void)zap_stop(zap);
}

static void only_allowed_keys_enter_and_only_their_domain(void **state)
{
    (void)state;
    struct zap *zap = NULL;
    struct server agents, console;
    struct curve_key known;
    curve_key_new(&known);
    assert_int_equal(zap_start(&zap), 0);
    zap_allow(zap, DOMAIN, known.public_key);
    server_by_us(&agents, DOMAIN);
    server_by_us(&console, "console");
    assert_int_equal(fate_of(&agents, NULL), PEER_REFUSED);
    assert_int_equal(fate_of(&agents, &known), PEER_ADMITTED);
    assert_int_equal(fate_of(&console, &known), PEER_REFUSED);
    zap_deny(zap, DOMAIN, known.public_key);
    assert_int_equal(fate_of(&agents, &known), PEER_REFUSED);
    zsock_destroy(&agents.sock);
    zsock_destroy(&console.sock);
    (void)zap_stop(zap);
}

static void who_enters_is_named_by_its_key(void **state)
{
    (void)state;
    struct zap *zap = NULL;
    struct server s;
    struct peer p;
    char z85[CURVE_Z85_LEN + 1];
    assert_int_equal(zap_start(&zap), 0);
    zap_open_domain(zap, DOMAIN);
    server_by_us(&s, DOMAIN);
    peer_open(&p, s.endpoint, s.key.public_key, NULL);
    curve_z85(p.key.public_key, z85);
    peer_say_type(&p, GODWIT__ENVELOPE__BODY_HEARTBEAT);
    zmsg_t *msg = zmsg_recv(s.sock);
    assert_non_null(msg);
    assert_string_equal(curve_user(zmsg_last(msg)), z85);
    zmsg_destroy(&msg);
    peer_close(&p);
    zsock_destroy(&s.sock);
    (void)zap_stop(zap);
}

static void a_dead_handler_lets_nobody_in(void **state)
{
    (void)state;
    struct zap *zap = NULL;
    struct server s;
    struct curve_key known;
    curve_key_new(&known);
    assert_int_equal(zap_start(&zap), 0);
    zap_allow(zap, DOMAIN, known.public_key);
    server_by_us(&s, DOMAIN);
    assert_int_equal(fate_of(&s, &known), PEER_ADMITTED);
    (void)zap_stop(zap);
    assert_false(zap_running());
    assert_int_equal(fate_of(&s, &known), PEER_REFUSED);
    assert_int_equal(fate_of(&s, NULL), PEER_REFUSED);
    zsock_destroy(&s.sock);
}

/* A client that has the wrong idea of the server's key never speaks to it. */
static void a_false_server_is_not_spoken_to(void **state)
{
    (void)state;
    struct zap *zap = NULL;
    struct server s;
    struct curve_key other;
    struct peer p;
    curve_key_new(&other);
    assert_int_equal(zap_start(&zap), 0);
    zap_open_domain(zap, DOMAIN);
    server_by_us(&s, DOMAIN);
    peer_open(&p, s.endpoint, other.public_key, NULL);
    assert_int_not_equal(peer_fate(&p, SILENCE_MS), PEER_ADMITTED);
    peer_close(&p);
    zsock_destroy(&s.sock);
    (void)zap_stop(zap);
}

const struct CMUnitTest hostile_zap_cases[] = {
    cmocka_unit_test(an_unknown_key_in_every_setting),
    cmocka_unit_test(ours_is_never_a_setting_that_admits),
    cmocka_unit_test(only_allowed_keys_enter_and_only_their_domain),
    cmocka_unit_test(who_enters_is_named_by_its_key),
    cmocka_unit_test(a_dead_handler_lets_nobody_in),
    cmocka_unit_test(a_false_server_is_not_spoken_to),
};
const size_t hostile_zap_count = ARRAY_SIZE(hostile_zap_cases);
