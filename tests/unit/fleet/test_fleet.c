/* test_fleet: enrolment, sessions, revocation and rotation over real sockets on loopback. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "tests/unit/fleet/world.h"
#include "tests/unit/test.h"
static void an_enrolled_host_says_hello_and_is_online(void **state)
{
    struct world *w = *state;
    struct peer p;
    world_join(w, "fs1", &p);
    const struct fleet_host *h = fleet_find(w->fleet, "fs1");
    assert_non_null(h);
    assert_true(h->online);
    assert_string_equal(h->lane_address, "127.0.0.1");
    assert_int_equal(h->lane_port, 7410);
    assert_int_equal(w->online, 1);
    assert_null(fleet_find(w->fleet, "fs2"));
    Godwit__ResultAck ack = GODWIT__RESULT_ACK__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.body_case = GODWIT__ENVELOPE__BODY_RESULT_ACK;
    e.result_ack = &ack;
    assert_int_equal(fleet_send(w->fleet, "fs1", &e), 0);
    assert_int_equal(fleet_send(w->fleet, "fs2", &e), -ENOTCONN);
    CLEANUP(wire_free) Godwit__Envelope *got = world_hear(w, &p);
    assert_int_equal(got->body_case, GODWIT__ENVELOPE__BODY_RESULT_ACK);
    peer_close(&p);
}

static void silence_ends_the_lease_with_a_reason(void **state)
{
    struct world *w = *state;
    struct peer p;
    world_join(w, "fs1", &p);
    for (int i = 0; i < 10; i++) {
        peer_beat(&p);
        world_pump(w, 150);
    }
    assert_int_equal(w->lost, 0);
    int64_t heard_ms = clock_wall_ms();
    world_pump(w, 2000);
    assert_int_equal(w->lost, 1);
    /* When it was heard, not when the lease ended. */
    int64_t seen_ms = fleet_find(w->fleet, "fs1")->seen_ms;
    assert_in_range(heard_ms - seen_ms + 1000, 0, 2000);
    assert_non_null(strstr(w->last_lost, "no heartbeat"));
    for (Godwit__Envelope *e; (e = peer_hear(&p));)
        wire_free(e); /* replies to the heartbeats */
    peer_beat(&p);
    assert_int_equal(world_hear_refusal(w, &p), GODWIT__REFUSAL__CODE__UNKNOWN_SESSION);
    peer_hello(&p, "fs1");
    world_pump(w, 300);
    assert_int_equal(w->online, 2);
    for (int i = 0; i < 16; i++) {
        peer_beat(&p);
        world_pump(w, 150);
    }
    peer_close(&p);
    heard_ms = clock_wall_ms();
    world_stop(w);
    world_start(w); /* does not forget it */
    seen_ms = fleet_find(w->fleet, "fs1")->seen_ms;
    assert_in_range(heard_ms - seen_ms + 1000, 0, 2000);
}

static void a_token_works_once_for_one_host_in_its_time(void **state)
{
    struct world *w = *state;
    struct token t, bad;
    struct peer first, second, late;
    world_token(w, "fs1", 60000, &t);
    peer_open(&first, t.endpoint, t.server_key, NULL);
    bad = t;
    bad.secret[31] ^= 1;
    assert_int_equal(world_enrol(w, &first, &bad), GODWIT__ENROL_REPLY__STATE__DENIED);
    bad = t;
    memset(bad.id, 'f', 16);
    assert_int_equal(world_enrol(w, &first, &bad), GODWIT__ENROL_REPLY__STATE__DENIED);
    assert_int_equal(world_enrol(w, &first, &t), GODWIT__ENROL_REPLY__STATE__ADMITTED);
    assert_int_equal(world_enrol(w, &first, &t),
                     GODWIT__ENROL_REPLY__STATE__ADMITTED); /* asks again */
    assert_int_equal(fleet_revoke(w->fleet, "fs1", NULL),
                     0); /* the name is free, the token is not */
    peer_open(&second, t.endpoint, t.server_key, NULL);
    assert_int_equal(world_enrol(w, &second, &t), GODWIT__ENROL_REPLY__STATE__DENIED);
    assert_null(fleet_find(w->fleet, "fs1"));
    world_token(w, "fs2", 1000, &t);
    world_pump(w, 1100);
    peer_open(&late, t.endpoint, t.server_key, NULL);
    assert_int_equal(world_enrol(w, &late, &t), GODWIT__ENROL_REPLY__STATE__DENIED);
    assert_null(fleet_find(w->fleet, "fs2"));
    peer_close(&first);
    peer_close(&second);
    peer_close(&late);
}

static void a_second_host_of_a_name_is_denied_and_seen(void **state)
{
    struct world *w = *state;
    struct token t1, t2;
    struct peer owner, thief, sock;
    world_token(w, "fs1", 60000, &t1);
    world_token(w, "fs1", 60000, &t2);
    peer_open(&owner, t1.endpoint, t1.server_key, NULL);
    peer_open(&thief, t2.endpoint, t2.server_key, NULL);
    assert_int_equal(world_enrol(w, &owner, &t1), GODWIT__ENROL_REPLY__STATE__ADMITTED);
    assert_int_equal(world_enrol(w, &thief, &t2), GODWIT__ENROL_REPLY__STATE__DENIED);
    assert_int_equal(world_enrol(w, &thief, &t2), GODWIT__ENROL_REPLY__STATE__DENIED);
    world_connect(w, &sock, &thief.key);
    peer_hello(&sock, "thief");
    world_pump(w, 300);
    assert_null(peer_hear(&sock)); /* not even a handshake */
    assert_int_equal(w->online, 0);
    struct fleet_counts n;
    fleet_count(w->fleet, &n);
    assert_int_equal(n.denied, 1);
    json_t *list = fleet_list(w->fleet);
    assert_int_equal(json_array_size(list), 2);
    const char *id = json_string_value(json_object_get(json_array_get(list, 1), "id"));
    assert_int_equal(fleet_approve(w->fleet, id, NULL), -EEXIST); /* the name is taken */
    json_decref(list);
    const struct fleet_token taken = {"fs1", 60000, 1};
    assert_int_equal(fleet_token_new(w->fleet, &taken, NULL, NULL, NULL), -EEXIST);
    peer_close(&owner);
    peer_close(&thief);
    peer_close(&sock);
}

static void approval_lets_a_pending_host_in(void **state)
{
    struct world *w = *state;
    struct token t;
    struct peer p, sock;
    w->conf.approve = true;
    world_token(w, "fs1", 60000, &t);
    peer_open(&p, t.endpoint, t.server_key, NULL);
    assert_int_equal(world_enrol(w, &p, &t), GODWIT__ENROL_REPLY__STATE__PENDING);
    assert_null(fleet_find(w->fleet, "fs1"));
    assert_int_equal(world_enrol(w, &p, &t), GODWIT__ENROL_REPLY__STATE__PENDING);
    assert_int_equal(fleet_approve(w->fleet, "fs1", NULL), 0);
    assert_int_equal(world_enrol(w, &p, &t), GODWIT__ENROL_REPLY__STATE__ADMITTED);
    world_connect(w, &sock, &p.key);
    peer_hello(&sock, "fs1");
    CLEANUP(wire_free) Godwit__Envelope *e = world_hear(w, &sock);
    assert_int_equal(e->body_case, GODWIT__ENVELOPE__BODY_WELCOME);
    peer_close(&p);
    peer_close(&sock);
}

static void a_revoked_key_is_cut_off_at_its_next_message(void **state)
{
    struct world *w = *state;
    struct peer p, again;
    world_join(w, "fs1", &p);
    assert_int_equal(fleet_revoke(w->fleet, "fs1", NULL), 0);
    assert_int_equal(w->revoked, 1);
    assert_null(fleet_find(w->fleet, "fs1"));
    assert_int_equal(world_hear_refusal(w, &p), GODWIT__REFUSAL__CODE__REVOKED); /* told at once */
    peer_beat(&p);
    assert_int_equal(world_hear_refusal(w, &p), GODWIT__REFUSAL__CODE__REVOKED);
    peer_hello(&p, "fs1");
    assert_int_equal(world_hear_refusal(w, &p), GODWIT__REFUSAL__CODE__REVOKED);
    world_connect(w, &again, &p.key);
    peer_hello(&again, "fs1");
    world_pump(w, 400);
    assert_null(peer_hear(&again));
    assert_int_equal(w->online, 1);
    peer_close(&again);
    peer_close(&p);
    world_join(w, "fs1", &p); /* another machine may have the name now */
    peer_close(&p);
}

static void hosts_and_denials_outlive_a_restart(void **state)
{
    struct world *w = *state;
    struct peer kept, gone, sock;
    world_join(w, "fs1", &kept);
    world_join(w, "fs2", &gone);
    assert_int_equal(fleet_revoke(w->fleet, "fs2", NULL), 0);
    peer_close(&kept);
    peer_close(&gone);
    world_stop(w);
    world_start(w);
    assert_non_null(fleet_find(w->fleet, "fs1"));
    assert_false(fleet_find(w->fleet, "fs1")->online);
    assert_null(fleet_find(w->fleet, "fs2"));
    world_connect(w, &sock, &kept.key);
    peer_beat(&sock);
    assert_int_equal(world_hear_refusal(w, &sock), GODWIT__REFUSAL__CODE__UNKNOWN_SESSION);
    peer_hello(&sock, "fs1");
    CLEANUP(wire_free) Godwit__Envelope *e = world_hear(w, &sock);
    assert_int_equal(e->body_case, GODWIT__ENVELOPE__BODY_WELCOME);
    peer_close(&sock);
}

static void an_enrolee_may_only_enrol(void **state)
{
    struct world *w = *state;
    struct token t;
    struct peer p;
    world_token(w, "fs1", 60000, &t);
    peer_open(&p, t.endpoint, t.server_key, NULL);
    peer_hello(&p, "fs1");
    assert_int_equal(world_hear_refusal(w, &p), GODWIT__REFUSAL__CODE__NOT_ALLOWED);
    peer_beat(&p);
    assert_int_equal(world_hear_refusal(w, &p), GODWIT__REFUSAL__CODE__NOT_ALLOWED);
    assert_int_equal(w->online + w->messages, 0);
    peer_close(&p);
}

static void a_flood_of_enrolments_is_slowed(void **state)
{
    struct world *w = *state;
    struct token t;
    struct peer p;
    unsigned refused = 0;
    w->conf.enrol_rate = 2;
    world_token(w, "fs1", 60000, &t);
    peer_open(&p, t.endpoint, t.server_key, NULL);
    for (int i = 0; i < 20; i++)
        peer_beat(&p);
    for (int i = 0; i < 20; i++)
        refused += world_hear_refusal(w, &p) == GODWIT__REFUSAL__CODE__RATE;
    assert_in_range(refused, 14, 16);
    peer_close(&p);
}

static void a_cloned_key_does_not_take_turns(void **state)
{
    struct world *w = *state;
    struct peer a, b;
    world_join(w, "fs1", &a);
    world_connect(w, &b, &a.key);
    peer_hello(&b, "clone");
    CLEANUP(wire_free) Godwit__Envelope *e = world_hear(w, &b);
    assert_int_equal(e->body_case, GODWIT__ENVELOPE__BODY_WELCOME); /* it may be a restart */
    peer_hello(&a, "fs1");
    assert_int_equal(world_hear_refusal(w, &a), GODWIT__REFUSAL__CODE__NOT_ALLOWED);
    peer_close(&a);
    peer_close(&b);
}

static void a_clock_that_was_set_goes_ahead_of_the_next_order(void **state)
{
    struct world *w = *state;
    struct peer p;
    char op[] = "1";
    Godwit__Order o = GODWIT__ORDER__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    world_join(w, "fs1", &p);
    e.op_id = op;
    e.deadline_ms = clock_wall_ms() + 60000;
    e.body_case = GODWIT__ENVELOPE__BODY_ORDER;
    e.order = &o;
    assert_int_equal(fleet_send(w->fleet, "fs1", &e), 0);
    CLEANUP(wire_free) Godwit__Envelope *first = world_hear(w, &p);
    assert_int_equal(first->body_case, GODWIT__ENVELOPE__BODY_ORDER);

    registry_live(w->fleet->reg, "fs1")->session.clock_told_ms += 3600000; /* set back since */
    assert_int_equal(fleet_send(w->fleet, "fs1", &e), 0);
    CLEANUP(wire_free) Godwit__Envelope *told = world_hear(w, &p);
    assert_int_equal(told->body_case, GODWIT__ENVELOPE__BODY_HEARTBEAT_REPLY);
    assert_in_range(told->heartbeat_reply->now_ms, clock_wall_ms() - 60000, clock_wall_ms());
    CLEANUP(wire_free) Godwit__Envelope *then = world_hear(w, &p);
    assert_int_equal(then->body_case, GODWIT__ENVELOPE__BODY_ORDER);
    peer_close(&p);
}

static void a_new_agent_key_and_the_old_one_overlap(void **state)
{
    struct world *w = *state;
    struct peer p, q;
    struct curve_key next;
    Godwit__RotateKeyReply r = GODWIT__ROTATE_KEY_REPLY__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    curve_key_new(&next);
    r.public_key.data = next.public_key;
    r.public_key.len = 32;
    e.body_case = GODWIT__ENVELOPE__BODY_ROTATE_KEY_REPLY;
    e.rotate_key_reply = &r;
    world_join(w, "fs1", &p);
    peer_say(&p, &e); /* nobody asked */
    world_pump(w, 200);
    struct agent_key **keys = NULL;
    assert_int_equal(registry_keys(w->fleet->reg, &keys), 1);
    assert_int_equal(fleet_rotate_agent(w->fleet, "fs1", 1500, NULL), 0);
    CLEANUP(wire_free) Godwit__Envelope *ask = world_hear(w, &p);
    assert_int_equal(ask->body_case, GODWIT__ENVELOPE__BODY_ROTATE_KEY);
    peer_say(&p, &e);
    world_pump(w, 200);
    world_connect(w, &q, &next);
    peer_hello(&q, "fs1");
    CLEANUP(wire_free) Godwit__Envelope *welcome = world_hear(w, &q);
    assert_int_equal(welcome->body_case, GODWIT__ENVELOPE__BODY_WELCOME);
    peer_beat(&p); /* the old key still speaks, but has no session */
    assert_int_equal(world_hear_refusal(w, &p), GODWIT__REFUSAL__CODE__UNKNOWN_SESSION);
    world_pump(w, 2200);
    peer_beat(&p);
    assert_int_equal(world_hear_refusal(w, &p), GODWIT__REFUSAL__CODE__REVOKED);
    assert_int_equal(registry_keys(w->fleet->reg, &keys), 1);
    peer_close(&p);
    peer_close(&q);
}

static void a_new_server_key_and_the_old_one_overlap(void **state)
{
    struct world *w = *state;
    struct peer p, q;
    world_join(w, "fs1", &p);
    uint8_t old[32];
    memcpy(old, w->fleet->gates[0]->key.public_key, sizeof old);
    assert_int_equal(fleet_rotate_server(w->fleet, 60000, NULL), 0);
    assert_int_equal(fleet_rotate_server(w->fleet, 60000, NULL), -EALREADY);
    CLEANUP(wire_free) Godwit__Envelope *keys = world_hear(w, &p);
    assert_int_equal(keys->body_case, GODWIT__ENVELOPE__BODY_SERVER_KEYS);
    assert_int_equal(keys->server_keys->n_keys, 2);
    assert_memory_equal(keys->server_keys->keys[1]->public_key.data, old, 32);
    world_connect(w, &q, &p.key);
    peer_hello(&q, "fs1");
    CLEANUP(wire_free) Godwit__Envelope *e = world_hear(w, &q);
    assert_int_equal(e->body_case, GODWIT__ENVELOPE__BODY_WELCOME);
    peer_close(&q);
    world_stop(w); /* both gates come back */
    world_start(w);
    assert_non_null(w->fleet->gates[1]);
    assert_memory_equal(w->fleet->gates[1]->key.public_key, old, 32);
    assert_int_equal(fleet_retire_server(w->fleet, NULL), 0);
    world_pump(w, 1200);
    assert_null(w->fleet->gates[1]);
    world_stop(w);
    world_start(w);
    assert_int_equal(w->fleet->gates[0]->slot, 'b');
    assert_null(w->fleet->gates[1]);
    assert_int_equal(fleet_retire_server(w->fleet, NULL), -ENOENT);
    peer_close(&p);
}

static void send_frames(struct peer *p, size_t n, int flags)
{
    static const uint8_t frame[16000];
    for (size_t i = 0; i < n; i++)
        assert_int_equal(zmq_send(zsock_resolve(p->sock), frame, sizeof frame, flags),
                         sizeof frame);
}

/* libzmq would keep all of it until the last frame, which need not come. */
static void a_message_without_end_is_cut_off(void **state)
{
    struct world *w = *state;
    struct token t;
    struct peer stranger, host;
    world_token(w, "fs2", 60000, &t);
    world_join(w, "fs1", &host);
    peer_open(&stranger, t.endpoint, t.server_key, NULL);
    send_frames(&stranger, 5000, ZMQ_SNDMORE);
    send_frames(&stranger, 1, 0); /* libzmq's own clients send nothing before the end is there */
    world_pump(w, 1000);
    assert_true(w->fleet->cut >= 1);
    assert_true(w->fleet->dropped == 0); /* it never came to be a message */
    peer_hello(&host, "fs1");            /* the lease may have ended on a slow machine */
    CLEANUP(wire_free) Godwit__Envelope *e = world_hear(w, &host);
    assert_int_equal(e->body_case, GODWIT__ENVELOPE__BODY_WELCOME);
    peer_close(&stranger);
    peer_close(&host);
}

static void much_in_whole_messages_is_served(void **state)
{
    struct world *w = *state;
    struct peer host;
    Godwit__Result r = GODWIT__RESULT__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    static char op[] = "0123456789abcdef";
    static uint8_t body[500000];
    r.body.data = body;
    r.body.len = sizeof body;
    e.op_id = op;
    e.body_case = GODWIT__ENVELOPE__BODY_RESULT;
    e.result = &r;
    world_join(w, "fs1", &host);
    for (unsigned i = 0; i < 100; i++) { /* three times the budget between two messages */
        peer_say(&host, &e);
        world_pump(w, 5);
    }
    for (unsigned i = 0; i < 100 && w->messages < 100; i++)
        world_pump(w, 20);
    assert_int_equal(w->messages, 100);
    assert_true(w->fleet->cut == 0);
    peer_close(&host);
}

/* Answers "now" at once; anything else when the world says so, or a second later. */
struct oracle {
    bool happened;
    unsigned asked;
};

#define FLOOD_MOST 96 /* of a megabyte each: 64 in the daemon, and what is on the way */

/* An enrolled host floods a daemon that is busy with something else. */
static void what_waits_for_a_busy_daemon_is_bounded(void **state)
{
    struct world *w = *state;
    struct peer p;
    CLEANUP(mem_free) uint8_t *bulk = xcalloc(1, LIMIT_CONTROL_BYTES);
    size_t sent = 0;
    world_join(w, "fs1", &p);
    zsock_destroy(&p.sock);
    p.sock = zsock_new(ZMQ_DEALER);
    assert_int_equal(curve_secure_client(p.sock, &p.key, w->fleet->gates[0]->key.public_key), 0);
    zsock_set_linger(p.sock, 0);
    zsock_set_sndhwm(p.sock, 1); /* nothing waits at its own end */
    assert_int_equal(zsock_connect(p.sock, "tcp://127.0.0.1:%u", w->fleet->gates[0]->agents_port),
                     0);
    zmq_pollitem_t item = {.socket = zsock_resolve(p.sock), .events = ZMQ_POLLOUT};
    while (sent < 2 * FLOOD_MOST && zmq_poll(&item, 1, sent ? 2000 : 20000) > 0)
        sent += zmq_send(item.socket, bulk, LIMIT_CONTROL_BYTES, ZMQ_DONTWAIT) > 0;
    print_message("taken %zu\n", sent);
    if (sent > FLOOD_MOST)
        fail_msg("%zu messages were taken", sent);
    peer_close(&p);
}

static void on_console(void *arg, const Godwit__ConsoleRequest *req, int64_t waited_ms,
                       struct fleet_answer *ret)
{
    struct oracle *o = arg;
    o->asked++;
    ret->later =
        strcmp(req->command, "now") != 0 && !o->happened && waited_ms >= 0 && waited_ms < 1000;
    ret->code = 0;
    ret->json = ret->later ? NULL : xstrdup(o->happened ? "\"yes\"" : "\"no\"");
}

static void console_say(struct peer *p, const char *command)
{
    Godwit__ConsoleRequest r = GODWIT__CONSOLE_REQUEST__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    r.command = wire_text(command);
    e.body_case = GODWIT__ENVELOPE__BODY_CONSOLE_REQUEST;
    e.console_request = &r;
    peer_say(p, &e);
}

static void console_hears(struct world *w, struct peer *p, const char *want)
{
    CLEANUP(wire_free) Godwit__Envelope *e = world_hear(w, p);
    assert_non_null(e);
    assert_int_equal(e->body_case, GODWIT__ENVELOPE__BODY_CONSOLE_REPLY);
    assert_int_equal(e->console_reply->json.len, strlen(want));
    assert_memory_equal(e->console_reply->json.data, want, strlen(want));
}

static void a_console_is_answered_when_it_has_happened(void **state)
{
    struct world *w = *state;
    struct peer a, b;
    struct oracle o = {.asked = 0};
    const struct gate *g = w->fleet->gates[0];
    fleet_set_console(w->fleet, on_console, &o);
    peer_open(&a, g->console_endpoint, g->key.public_key, &w->fleet->console_key);
    peer_open(&b, g->console_endpoint, g->key.public_key, &w->fleet->console_key);
    console_say(&a, "later");
    for (unsigned i = 0; i < 100 && o.asked == 0; i++)
        world_pump(w, 10);
    assert_null(peer_hear(&a));
    console_say(&b, "now"); /* nobody stands in another's way */
    console_hears(w, &b, "\"no\"");
    assert_null(peer_hear(&a));
    o.happened = true;
    console_hears(w, &a, "\"yes\"");
    o.happened = false;
    console_say(&a, "later"); /* and when its time is up */
    console_hears(w, &a, "\"no\"");
    assert_int_equal(w->fleet->nheld, 0);
    for (unsigned i = 0; i < 100; i++)
        console_say(&b, "later"); /* those beyond the bound are answered now */
    console_hears(w, &b, "\"no\"");
    assert_true(w->fleet->nheld <= 64);
    peer_close(&a);
    peer_close(&b);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(an_enrolled_host_says_hello_and_is_online),
        CASE(silence_ends_the_lease_with_a_reason),
        CASE(a_token_works_once_for_one_host_in_its_time),
        CASE(a_second_host_of_a_name_is_denied_and_seen),
        CASE(approval_lets_a_pending_host_in),
        CASE(a_revoked_key_is_cut_off_at_its_next_message),
        CASE(hosts_and_denials_outlive_a_restart),
        CASE(an_enrolee_may_only_enrol),
        CASE(a_flood_of_enrolments_is_slowed),
        CASE(a_cloned_key_does_not_take_turns),
        CASE(a_message_without_end_is_cut_off),
        CASE(much_in_whole_messages_is_served),
        CASE(what_waits_for_a_busy_daemon_is_bounded),
        CASE(a_console_is_answered_when_it_has_happened),
        CASE(a_clock_that_was_set_goes_ahead_of_the_next_order),
        CASE(a_new_agent_key_and_the_old_one_overlap),
        CASE(a_new_server_key_and_the_old_one_overlap),
    };
    log_init("test", LOG_ERR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
