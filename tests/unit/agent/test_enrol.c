/* test_enrol: what each answer to an enrolment means, and whole enrolments against a live ROUTER.
 */
#include <czmq.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/enrol.h"
#include "agent/home.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/wire/curve.h"
#include "common/wire/envelope.h"
#include "common/wire/token.h"
#include "common/wire/zap.h"
#include "tests/unit/agent/temp_dir.h"
#include "tests/unit/test.h"

static void each_answer_means_one_thing(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        Godwit__EnrolReply__State reply;
        const char *host;
        const char *agent_id;
        enum enrol_verdict want;
    } cases[] = {
        {"admitted",                GODWIT__ENROL_REPLY__STATE__ADMITTED,          "fs1",  "a1", ENROL_IN    },
        {"admitted without a name", GODWIT__ENROL_REPLY__STATE__ADMITTED,          "",     "a1", ENROL_BROKEN},
        {"admitted as a path",      GODWIT__ENROL_REPLY__STATE__ADMITTED,          "../x", "a1", ENROL_BROKEN},
        {"pending",                 GODWIT__ENROL_REPLY__STATE__PENDING,           "",     "",   ENROL_ASK   },
        {"denied",                  GODWIT__ENROL_REPLY__STATE__DENIED,            "",     "",   ENROL_DENIED},
        {"no state",                GODWIT__ENROL_REPLY__STATE__STATE_UNSPECIFIED, "fs1",  "a1", ENROL_BROKEN},
    };
    struct token t = {.endpoint = "tcp://orch.example:7402", .server_key = {9}};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        Godwit__EnrolReply r = GODWIT__ENROL_REPLY__INIT;
        Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
        struct home home = {0};
        char why[256], endpoint[300];
        r.state = cases[i].reply;
        r.host = (char *)(uintptr_t)cases[i].host;
        r.agent_id = (char *)(uintptr_t)cases[i].agent_id;
        e.body_case = GODWIT__ENVELOPE__BODY_ENROL_REPLY;
        e.enrol_reply = &r;
        print_message("%s\n", cases[i].what);
        assert_int_equal(enrol_judge(&e, &t, &home, why, sizeof why), cases[i].want);
        if (cases[i].want != ENROL_IN)
            continue;
        assert_int_equal(home_endpoint(&home, 0, endpoint, sizeof endpoint), 0);
        assert_string_equal(endpoint, "tcp://orch.example:7401"); /* pinned key, usual port */
        assert_memory_equal(home.keys[0].key, t.server_key, 32);
    }
}

static void a_refusal_for_rate_is_no_denial(void **state)
{
    (void)state;
    struct token t = {.endpoint = "tcp://orch.example:7402"};
    struct home home;
    char why[256];
    Godwit__Envelope e;
    Godwit__Refusal body;
    wire_refusal(&e, &body, GODWIT__REFUSAL__CODE__RATE, "slow down");
    assert_int_equal(enrol_judge(&e, &t, &home, why, sizeof why), ENROL_BUSY);
    wire_refusal(&e, &body, GODWIT__REFUSAL__CODE__NOT_ALLOWED, "no");
    assert_int_equal(enrol_judge(&e, &t, &home, why, sizeof why), ENROL_DENIED);
    assert_string_equal(why, "no");
}

struct desk { /* the enrolment socket of an orchestrator, and one who comes to it */
    char *dir;
    struct zap *zap;
    zsock_t *router;
    struct curve_key key;
    struct token token;
    char *line;
    bool again;
    int64_t wait_ms;
    pthread_t thread;
    int code;
    char user[CURVE_Z85_LEN + 1];
};

static int begin(void **state)
{
    struct desk *d = xcalloc(1, sizeof *d);
    zsys_handler_set(NULL);
    d->dir = temp_dir_new();
    assert_int_equal(zap_start(&d->zap), 0);
    zap_open_domain(d->zap, "enrol");
    curve_key_new(&d->key);
    d->router = zsock_new(ZMQ_ROUTER);
    assert_int_equal(curve_secure_server(d->router, &d->key, "enrol"), 0);
    int port = zsock_bind(d->router, "tcp://127.0.0.1:*");
    (void)snprintf(d->token.endpoint, sizeof d->token.endpoint, "tcp://127.0.0.1:%d", port);
    (void)snprintf(d->token.host, sizeof d->token.host, "fs1");
    (void)snprintf(d->token.id, sizeof d->token.id, "0123456789abcdef");
    memset(d->token.secret, 5, sizeof d->token.secret);
    memcpy(d->token.server_key, d->key.public_key, 32);
    d->line = token_format(&d->token);
    d->wait_ms = 60000;
    *state = d;
    return 0;
}

static int end(void **state)
{
    struct desk *d = *state;
    zsock_set_linger(d->router, 0);
    zsock_destroy(&d->router);
    (void)zap_stop(d->zap);
    temp_dir_free(d->dir);
    free(d->line);
    free(d);
    return 0;
}

static void *come(void *arg)
{
    struct desk *d = arg;
    d->code = enrol_run(d->dir, d->line, d->wait_ms, d->again);
    return NULL;
}

static void start(struct desk *d)
{
    assert_int_equal(pthread_create(&d->thread, NULL, come, d), 0);
}

static void expect_code(struct desk *d, int code)
{
    (void)pthread_join(d->thread, NULL);
    assert_int_equal(d->code, code);
}

/* Answers one request and keeps who sent it. */
static void serve_one(struct desk *d, Godwit__EnrolReply__State answer)
{
    zmq_pollitem_t item = {.socket = zsock_resolve(d->router), .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, 10000), 1);
    zmsg_t *msg = zmsg_recv(d->router);
    zframe_t *route = zmsg_pop(msg), *body = zmsg_pop(msg);
    (void)snprintf(d->user, sizeof d->user, "%s", zframe_meta(body, "User-Id"));
    Godwit__Envelope *e = NULL;
    assert_int_equal(wire_unpack(zframe_data(body), zframe_size(body), WIRE_ENROLEE, &e), 0);
    assert_string_equal(e->enrol_request->token_id, d->token.id);
    assert_memory_equal(e->enrol_request->secret.data, d->token.secret, 32);
    wire_free(e);
    zframe_destroy(&body);
    zmsg_destroy(&msg);
    Godwit__EnrolReply r = GODWIT__ENROL_REPLY__INIT;
    Godwit__Envelope out = GODWIT__ENVELOPE__INIT;
    r.state = answer;
    r.host = (char *)(uintptr_t) "fs1";
    r.agent_id = (char *)(uintptr_t) "a1";
    r.reason = (char *)(uintptr_t) "said the test";
    out.body_case = GODWIT__ENVELOPE__BODY_ENROL_REPLY;
    out.enrol_reply = &r;
    body = wire_pack(&out);
    assert_int_equal(zframe_send(&route, d->router, ZFRAME_MORE), 0);
    assert_int_equal(zframe_send(&body, d->router, 0), 0);
}

static bool key_of(const struct desk *d, const char *file, char z85[CURVE_Z85_LEN + 1])
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", d->dir, file);
    struct curve_key key;
    if (curve_key_load(path, &key) < 0)
        return false;
    curve_z85(key.public_key, z85);
    return true;
}

static bool enrolled(const struct desk *d)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", d->dir, HOME_FILE);
    struct home home;
    return home_load(path, &home) == 0 && strcmp(home.host, "fs1") == 0;
}

static void pending_is_polled_with_the_same_key_until_admitted(void **state)
{
    struct desk *d = *state;
    char first[CURVE_Z85_LEN + 1], z85[CURVE_Z85_LEN + 1];
    start(d);
    serve_one(d, GODWIT__ENROL_REPLY__STATE__PENDING);
    memcpy(first, d->user, sizeof first);
    assert_false(enrolled(d));
    serve_one(d, GODWIT__ENROL_REPLY__STATE__ADMITTED);
    expect_code(d, 0);
    assert_string_equal(first, d->user);
    assert_true(enrolled(d));
    assert_true(key_of(d, "agent.key", z85));
    assert_string_equal(z85, d->user);
}

static void an_enrolled_host_enrols_again_only_when_told_to(void **state)
{
    struct desk *d = *state;
    char old[CURVE_Z85_LEN + 1], z85[CURVE_Z85_LEN + 1];
    start(d);
    serve_one(d, GODWIT__ENROL_REPLY__STATE__ADMITTED);
    expect_code(d, 0);
    assert_true(key_of(d, "agent.key", old));
    start(d);
    expect_code(d, 5);
    d->again = true;
    start(d);
    serve_one(d, GODWIT__ENROL_REPLY__STATE__DENIED);
    expect_code(d, 4);
    assert_true(key_of(d, "agent.key", z85)); /* a denial leaves the old standing as it was */
    assert_string_equal(z85, old);
    start(d);
    serve_one(d, GODWIT__ENROL_REPLY__STATE__ADMITTED);
    expect_code(d, 0);
    assert_true(key_of(d, "agent.key", z85));
    assert_string_not_equal(z85, old);
    assert_false(key_of(d, "agent.key.enrol", z85));
}

static void a_denied_key_is_not_used_twice(void **state)
{
    struct desk *d = *state;
    char first[CURVE_Z85_LEN + 1];
    start(d);
    serve_one(d, GODWIT__ENROL_REPLY__STATE__DENIED);
    expect_code(d, 4);
    memcpy(first, d->user, sizeof first);
    assert_false(enrolled(d));
    start(d);
    serve_one(d, GODWIT__ENROL_REPLY__STATE__ADMITTED);
    expect_code(d, 0);
    assert_string_not_equal(first, d->user);
}

static void another_orchestrator_is_not_told_the_secret(void **state)
{
    struct desk *d = *state;
    memset(d->token.server_key, 3, 32);
    free(d->line);
    d->line = token_format(&d->token);
    start(d);
    zmq_pollitem_t item = {.socket = zsock_resolve(d->router), .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, 500), 0);
    expect_code(d, 1); /* soon, not after the minute it would wait for an operator */
    assert_false(enrolled(d));
}

static void what_is_no_token_is_a_usage_error(void **state)
{
    struct desk *d = *state;
    static const char *const bad[] = {"", "godwit1.", "godwit1.!!!!", "godwit2.AAAA", "x"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(enrol_run(d->dir, bad[i], 0, false), 2);
}

int main(void)
{
#define LIVE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_answer_means_one_thing),
        cmocka_unit_test(a_refusal_for_rate_is_no_denial),
        LIVE(pending_is_polled_with_the_same_key_until_admitted),
        LIVE(an_enrolled_host_enrols_again_only_when_told_to),
        LIVE(a_denied_key_is_not_used_twice),
        LIVE(another_orchestrator_is_not_told_the_secret),
        LIVE(what_is_no_token_is_a_usage_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
