/* test_live: an agent loop against a live ROUTER over loopback: replay, epochs, sessions, restarts.
 */
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/home.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/envelope.h"
#include "tests/unit/agent/fake_orchestrator.h"
#include "tests/unit/test.h"

#define OP "00000000000000a1"

static atomic_int runs;
static int gate = -1; /* "slow" steps wait until this can be read */

static void quick(struct step *s, struct step_result *ret)
{
    (void)s;
    atomic_fetch_add(&runs, 1);
    ret->status = STEP_DONE;
    ret->counters.files = 42;
    ret->body = xmemdup("body", 4);
    ret->body_len = 4;
}

static void slow(struct step *s, struct step_result *ret)
{
    struct pollfd fds[] = {
        {.fd = gate,              .events = POLLIN},
        {.fd = step_cancel_fd(s), .events = POLLIN}
    };
    struct counters c = {.files = 7};
    atomic_fetch_add(&runs, 1);
    step_progress(s, &c, 50, "walking");
    (void)poll(fds, 2, -1);
    ret->status = step_cancelled(s) ? STEP_STOPPED : STEP_DONE;
}

static const struct step_kind kinds[] = {
    {"test.quick", quick},
    {"test.slow",  slow },
    {NULL,         NULL }
};

static int begin(void **state)
{
    struct fake *f = xcalloc(1, sizeof *f);
    atomic_store(&runs, 0);
    gate = eventfd(0, EFD_CLOEXEC);
    fake_new(f, kinds);
    fake_write_home(f);
    fake_agent_start(f);
    *state = f;
    return 0;
}

static int end(void **state)
{
    struct fake *f = *state;
    fake_free(f);
    free(f);
    (void)close(gate);
    return 0;
}

static void open_gate(void)
{
    static const uint64_t one = 1;
    assert_int_equal(write(gate, &one, sizeof one), sizeof one);
}

static void expect(struct fake *f, Godwit__Envelope__BodyCase type, const char *op_id)
{
    Godwit__Envelope *e = fake_await(f, type);
    assert_non_null(e);
    assert_string_equal(e->op_id, op_id);
    wire_free(e);
}

static void expect_refusal(struct fake *f, Godwit__Refusal__Code code)
{
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_REFUSAL);
    assert_non_null(e);
    assert_int_equal(e->refusal->code, code);
    wire_free(e);
}

static void expect_result(struct fake *f, Godwit__Result__Status status)
{
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_RESULT);
    assert_non_null(e);
    assert_string_equal(e->op_id, OP);
    assert_int_equal(e->result->status, status);
    wire_free(e);
}

static void hello_tells_who_comes(void **state)
{
    struct fake *f = *state;
    char z85[CURVE_Z85_LEN + 1];
    curve_z85(f->agent_key.public_key, z85);
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_HELLO);
    assert_non_null(e);
    assert_string_equal(f->user, z85);
    assert_int_equal(e->hello->lane_port, 7410);
    assert_true(e->hello->facts && *e->hello->facts->kernel);
    assert_int_equal(strlen(e->hello->instance), 16);
    wire_free(e);
    fake_welcome(f, NULL);
    e = fake_await(f, GODWIT__ENVELOPE__BODY_HEARTBEAT);
    assert_non_null(e);
    wire_free(e);
}

static void an_order_runs_once_and_a_replay_is_answered(void **state)
{
    struct fake *f = *state;
    fake_greet(f);
    fake_order(f, OP, "test.quick");
    expect(f, GODWIT__ENVELOPE__BODY_ACCEPTED, OP);
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_RESULT);
    assert_non_null(e);
    assert_true(e->result->counters->files == 42);
    assert_int_equal(e->result->body.len, 4);
    wire_free(e);
    fake_order(f, OP, "test.quick");
    expect_result(f, GODWIT__RESULT__STATUS__DONE);
    assert_int_equal(atomic_load(&runs), 1);
}

static void a_running_order_is_accepted_again(void **state)
{
    struct fake *f = *state;
    fake_greet(f);
    fake_order(f, OP, "test.slow");
    expect(f, GODWIT__ENVELOPE__BODY_ACCEPTED, OP);
    expect(f, GODWIT__ENVELOPE__BODY_PROGRESS, OP); /* said once */
    fake_order(f, OP, "test.slow");
    expect(f, GODWIT__ENVELOPE__BODY_ACCEPTED, OP);
    open_gate();
    expect_result(f, GODWIT__RESULT__STATUS__DONE);
    assert_int_equal(atomic_load(&runs), 1);
}

static void a_lower_epoch_is_refused_also_after_a_restart(void **state)
{
    struct fake *f = *state;
    fake_greet(f);
    fake_order(f, OP, "test.quick");
    expect_result(f, GODWIT__RESULT__STATUS__DONE);
    f->epoch = 4;
    fake_order(f, "00000000000000a2", "test.quick");
    expect_refusal(f, GODWIT__REFUSAL__CODE__STALE_EPOCH);
    fake_agent_stop(f);
    fake_agent_start(f);
    fake_greet(f);
    fake_order(f, "00000000000000a2", "test.quick");
    expect_refusal(f, GODWIT__REFUSAL__CODE__STALE_EPOCH);
    assert_int_equal(atomic_load(&runs), 1);
}

static void an_unknown_session_says_hello_again(void **state)
{
    struct fake *f = *state;
    fake_greet(f);
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_HEARTBEAT);
    assert_non_null(e);
    wire_free(e);
    fake_refuse(f, GODWIT__REFUSAL__CODE__UNKNOWN_SESSION);
    fake_greet(f);
    fake_order(f, OP, "test.quick");
    expect_result(f, GODWIT__RESULT__STATUS__DONE);
}

static void a_result_made_while_the_orchestrator_is_away_comes_later(void **state)
{
    struct fake *f = *state;
    fake_greet(f);
    fake_order(f, OP, "test.slow");
    expect(f, GODWIT__ENVELOPE__BODY_ACCEPTED, OP);
    fake_unbind(f);
    zclock_sleep(200);
    open_gate();
    zclock_sleep(200);
    fake_bind(f);
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_HELLO);
    assert_non_null(e);
    assert_int_equal(e->hello->n_running, 0);
    assert_int_equal(e->hello->n_finished, 1);
    assert_string_equal(e->hello->finished[0], OP);
    wire_free(e);
    fake_welcome(f, NULL);
    expect_result(f, GODWIT__RESULT__STATUS__DONE);
    assert_int_equal(atomic_load(&runs), 1);
}

static void a_running_step_is_listed_and_goes_on_over_a_restart(void **state)
{
    struct fake *f = *state;
    fake_greet(f);
    fake_order(f, OP, "test.slow");
    expect(f, GODWIT__ENVELOPE__BODY_ACCEPTED, OP);
    fake_unbind(f);
    fake_bind(f);
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_HELLO);
    assert_non_null(e);
    assert_int_equal(e->hello->n_running, 1);
    wire_free(e);
    fake_welcome(f, NULL);
    open_gate();
    expect_result(f, GODWIT__RESULT__STATUS__DONE);
}

static void a_result_is_sent_again_until_acknowledged(void **state)
{
    struct fake *f = *state;
    fake_greet(f);
    fake_order(f, OP, "test.quick");
    expect_result(f, GODWIT__RESULT__STATUS__DONE);
    for (int i = 0; i < 2; i++) { /* each new session asks for it, in one and in another process */
        if (i == 0) {
            fake_refuse(f, GODWIT__REFUSAL__CODE__UNKNOWN_SESSION);
        } else {
            fake_agent_stop(f);
            fake_agent_start(f);
        }
        fake_greet(f);
        expect_result(f, GODWIT__RESULT__STATUS__DONE);
    }
    fake_ack(f, OP);
    fake_refuse(f, GODWIT__REFUSAL__CODE__UNKNOWN_SESSION);
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_HELLO);
    assert_non_null(e);
    assert_int_equal(e->hello->n_finished, 0);
    wire_free(e);
    fake_welcome(f, NULL);
    assert_null(fake_await_for(f, GODWIT__ENVELOPE__BODY_RESULT, 500));
}

static void a_stopped_agent_runs_its_order_again_when_asked(void **state)
{
    struct fake *f = *state;
    fake_greet(f);
    fake_order(f, OP, "test.slow");
    expect(f, GODWIT__ENVELOPE__BODY_ACCEPTED, OP);
    fake_agent_stop(f);
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_GOODBYE);
    assert_non_null(e);
    wire_free(e);
    fake_agent_start(f);
    e = fake_await(f, GODWIT__ENVELOPE__BODY_HELLO);
    assert_non_null(e);
    assert_int_equal(e->hello->n_running + e->hello->n_finished, 0);
    wire_free(e);
    fake_welcome(f, NULL);
    open_gate();
    fake_order(f, OP, "test.slow");
    expect_result(f, GODWIT__RESULT__STATUS__DONE);
    assert_int_equal(atomic_load(&runs), 2);
}

static void cancel_stops_a_step(void **state)
{
    struct fake *f = *state;
    Godwit__Cancel body = GODWIT__CANCEL__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    body.why = GODWIT__CANCEL__WHY__PAUSE;
    e.op_id = (char *)(uintptr_t)OP;
    e.body_case = GODWIT__ENVELOPE__BODY_CANCEL;
    e.cancel = &body;
    fake_greet(f);
    fake_order(f, OP, "test.slow");
    expect(f, GODWIT__ENVELOPE__BODY_ACCEPTED, OP);
    fake_send(f, &e);
    expect_result(f, GODWIT__RESULT__STATUS__STOPPED);
}

static void revoked_stops_every_step_at_once(void **state)
{
    struct fake *f = *state;
    fake_greet(f);
    fake_order(f, OP, "test.slow");
    expect(f, GODWIT__ENVELOPE__BODY_PROGRESS, OP);
    fake_refuse(f, GODWIT__REFUSAL__CODE__REVOKED);
    assert_null(
        fake_await_for(f, GODWIT__ENVELOPE__BODY_HELLO, 1500)); /* comes back, but not soon */
    fake_agent_stop(f);
    fake_agent_start(f);
    fake_greet(f);
    expect_result(f, GODWIT__RESULT__STATUS__FAILED); /* and says why, should it be let in again */
}

static void silence_makes_a_new_connection(void **state)
{
    struct fake *f = *state;
    f->heartbeat_ms = 100;
    fake_greet(f);
    zclock_sleep(700); /* nothing is answered */
    int hellos = 0;
    Godwit__Envelope *e = NULL;
    while ((e = fake_await_for(f, GODWIT__ENVELOPE__BODY_HELLO, 300)) != NULL) {
        hellos++;
        wire_free(e);
    }
    assert_true(hellos >= 1);
}

static void a_new_server_key_is_kept_and_used(void **state)
{
    struct fake *f = *state;
    struct fake b = {.epoch = 5, .heartbeat_ms = 2000, .stop_fd = -1}; /* the second gate */
    curve_key_new(&b.key);
    fake_bind(&b);
    char ep[2][64];
    Godwit__ServerKey k[2] = {GODWIT__SERVER_KEY__INIT, GODWIT__SERVER_KEY__INIT};
    Godwit__ServerKey *list[] = {&k[0], &k[1]};
    Godwit__ServerKeys keys = GODWIT__SERVER_KEYS__INIT;
    (void)snprintf(ep[0], sizeof ep[0], "tcp://*:%d", b.port);
    (void)snprintf(ep[1], sizeof ep[1], "tcp://*:%d", f->port);
    k[0].public_key = (ProtobufCBinaryData){.len = 32, .data = b.key.public_key};
    k[1].public_key = (ProtobufCBinaryData){.len = 32, .data = f->key.public_key};
    k[0].endpoint = ep[0];
    k[1].endpoint = ep[1];
    keys.n_keys = 2;
    keys.keys = list;
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_HELLO);
    assert_non_null(e);
    wire_free(e);
    fake_welcome(f, &keys);
    fake_greet(&b); /* it moves to the current key by itself */
    fake_unbind(f); /* the overlap ends */
    fake_order(&b, OP, "test.quick");
    expect_result(&b, GODWIT__RESULT__STATUS__DONE);
    fake_agent_stop(f);
    fake_agent_start(f);
    fake_greet(&b); /* a new process knows it too */
    fake_unbind(&b);
}

static void rotate(struct fake *f, uint8_t ret[32])
{
    Godwit__RotateKey body = GODWIT__ROTATE_KEY__INIT;
    Godwit__Envelope out = GODWIT__ENVELOPE__INIT;
    out.body_case = GODWIT__ENVELOPE__BODY_ROTATE_KEY;
    out.rotate_key = &body;
    fake_send(f, &out);
    Godwit__Envelope *e = fake_await(f, GODWIT__ENVELOPE__BODY_ROTATE_KEY_REPLY);
    assert_non_null(e);
    assert_int_equal(e->rotate_key_reply->public_key.len, 32);
    memcpy(ret, e->rotate_key_reply->public_key.data, 32);
    wire_free(e);
}

static void the_agents_key_rotates(void **state)
{
    struct fake *f = *state;
    uint8_t next[32];
    char z85[CURVE_Z85_LEN + 1];
    fake_greet(f);
    rotate(f, next);
    assert_memory_not_equal(next, f->agent_key.public_key, 32);
    zap_allow(f->zap, "agents", next);
    fake_greet(f);
    curve_z85(next, z85);
    assert_string_equal(f->user, z85);
    zap_deny(f->zap, "agents", f->agent_key.public_key);
    fake_order(f, OP, "test.quick");
    expect_result(f, GODWIT__RESULT__STATUS__DONE);
    fake_agent_stop(f);
    fake_agent_start(f);
    fake_greet(f); /* the new key is the key now */
    assert_string_equal(f->user, z85);
}

static void a_new_key_that_is_refused_falls_back_to_the_old(void **state)
{
    struct fake *f = *state;
    uint8_t next[32];
    char z85[CURVE_Z85_LEN + 1];
    curve_z85(f->agent_key.public_key, z85);
    fake_greet(f);
    rotate(f, next);       /* and is not allowed */
    fake_welcome(f, NULL); /* on the old connection: no word about the next key */
    Godwit__Envelope *e = fake_await_for(f, GODWIT__ENVELOPE__BODY_HELLO, 20000);
    assert_non_null(e);
    wire_free(e);
    assert_string_equal(f->user, z85);
}

static void deadlines_go_by_the_orchestrators_clock(void **state)
{
    struct fake *f = *state;
    f->clock_ahead_ms = -7200000; /* the agent's is two hours ahead of it */
    fake_greet(f);
    f->deadline_ms = clock_wall_ms() + f->clock_ahead_ms + 60000;
    fake_order(f, OP, "test.quick");
    expect_result(f, GODWIT__RESULT__STATUS__DONE);
    f->clock_ahead_ms = 7200000;
    fake_refuse(f, GODWIT__REFUSAL__CODE__UNKNOWN_SESSION);
    fake_greet(f);
    f->deadline_ms = clock_wall_ms() + 60000;
    fake_order(f, "00000000000000a2", "test.quick");
    expect_refusal(f, GODWIT__REFUSAL__CODE__EXPIRED);
}

static void an_unenrolled_agent_waits_and_joins_once_enrolled(void **state)
{
    (void)state;
    struct fake f;
    fake_new(&f, kinds);
    fake_agent_start(&f);
    assert_null(fake_await_for(&f, GODWIT__ENVELOPE__BODY_HELLO, 500));
    fake_write_home(&f);
    fake_greet(&f);
    fake_free(&f);
}

int main(void)
{
#define LIVE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        LIVE(hello_tells_who_comes),
        LIVE(an_order_runs_once_and_a_replay_is_answered),
        LIVE(a_running_order_is_accepted_again),
        LIVE(a_lower_epoch_is_refused_also_after_a_restart),
        LIVE(an_unknown_session_says_hello_again),
        LIVE(a_result_made_while_the_orchestrator_is_away_comes_later),
        LIVE(a_running_step_is_listed_and_goes_on_over_a_restart),
        LIVE(a_result_is_sent_again_until_acknowledged),
        LIVE(a_stopped_agent_runs_its_order_again_when_asked),
        LIVE(cancel_stops_a_step),
        LIVE(revoked_stops_every_step_at_once),
        LIVE(silence_makes_a_new_connection),
        LIVE(a_new_server_key_is_kept_and_used),
        LIVE(the_agents_key_rotates),
        LIVE(a_new_key_that_is_refused_falls_back_to_the_old),
        LIVE(deadlines_go_by_the_orchestrators_clock),
        cmocka_unit_test(an_unenrolled_agent_waits_and_joins_once_enrolled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
