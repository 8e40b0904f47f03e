/* fake_orchestrator: a ROUTER that a test moves by hand. */
#include "tests/unit/agent/fake_orchestrator.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/home.h"
#include "agent/loop.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/wire/envelope.h"
#include "tests/unit/agent/temp_dir.h"
#include "tests/unit/test.h"

void fake_bind(struct fake *f)
{
    f->router = zsock_new(ZMQ_ROUTER);
    assert_int_equal(curve_secure_server(f->router, &f->key, "agents"), 0);
    int port = -1;
    for (int i = 0; i < 100 && port < 0; i++) {
        /* Below the range from which others are given theirs: it is still free for us later. */
        int want = f->port ? f->port : 20000 + (int)randof(12000);
        port = zsock_bind(f->router, "tcp://127.0.0.1:%d", want);
        if (port < 0)
            zclock_sleep(20); /* the old socket may still be closing */
    }
    assert_true(port > 0);
    f->port = port;
}

void fake_unbind(struct fake *f)
{
    zframe_destroy(&f->peer);
    zsock_set_linger(f->router, 0);
    zsock_destroy(&f->router);
}

void fake_write_home(struct fake *f)
{
    struct home h = {.agent_id = "a1", .host = "fs1", .address = "127.0.0.1", .nkeys = 1};
    memcpy(h.keys[0].key, f->key.public_key, 32);
    (void)snprintf(h.keys[0].endpoint, sizeof h.keys[0].endpoint, "tcp://*:%d", f->port);
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", f->dir, HOME_FILE);
    assert_int_equal(home_save(&h, path), 0);
}

void fake_new(struct fake *f, const struct step_kind *kinds)
{
    zsys_handler_set(NULL);
    srandom((unsigned)getpid());
    *f = (struct fake){.epoch = 5, .heartbeat_ms = 2000, .kinds = kinds, .stop_fd = -1};
    f->dir = temp_dir_new();
    assert_int_equal(zap_start(&f->zap), 0);
    curve_key_new(&f->key);
    fake_bind(f);
    CLEANUP(mem_free) char *path = xasprintf("%s/agent.key", f->dir);
    assert_int_equal(curve_key_load_or_new(path, &f->agent_key), 0);
    zap_allow(f->zap, "agents", f->agent_key.public_key);
}

void fake_free(struct fake *f)
{
    if (f->stop_fd >= 0)
        fake_agent_stop(f);
    if (f->router)
        fake_unbind(f);
    (void)zap_stop(f->zap);
    temp_dir_free(f->dir);
}

static void *run_agent(void *arg)
{
    struct fake *f = arg;
    const struct step_kind *tables[] = {f->kinds, NULL};
    struct agent_env env = {.state_dir = f->dir};
    struct loop_setup setup = {.state_dir = f->dir,
                               .workers = 2,
                               .env = &env,
                               .tables = tables,
                               .lane_port = 7410,
                               .stop_fd = f->stop_fd};
    f->rc = loop_run(&setup);
    return NULL;
}

void fake_agent_start(struct fake *f)
{
    f->stop_fd = eventfd(0, EFD_CLOEXEC);
    assert_int_equal(pthread_create(&f->thread, NULL, run_agent, f), 0);
}

void fake_agent_stop(struct fake *f)
{
    static const uint64_t one = 1;
    assert_int_equal(write(f->stop_fd, &one, sizeof one), sizeof one);
    (void)pthread_join(f->thread, NULL);
    (void)close(f->stop_fd);
    f->stop_fd = -1;
    assert_int_equal(f->rc, 0);
}

static Godwit__Envelope *receive(struct fake *f)
{
    zmsg_t *msg = zmsg_recv(f->router);
    assert_non_null(msg);
    zframe_destroy(&f->peer);
    f->peer = zmsg_pop(msg);
    zframe_t *body = zmsg_pop(msg);
    assert_non_null(body);
    const char *user = zframe_meta(body, "User-Id");
    (void)snprintf(f->user, sizeof f->user, "%s", user ? user : "");
    Godwit__Envelope *e = NULL;
    int rc = wire_unpack(zframe_data(body), zframe_size(body), WIRE_AGENT, &e);
    zframe_destroy(&body);
    zmsg_destroy(&msg);
    assert_int_equal(rc, 0);
    return e;
}

static int try_send(struct fake *f, Godwit__Envelope *e)
{
    e->epoch = e->epoch ? e->epoch : f->epoch;
    zframe_t *id = zframe_dup(f->peer);
    zframe_t *body = wire_pack(e);
    int rc = zframe_send(&id, f->router, ZFRAME_MORE);
    if (rc == 0)
        rc = zframe_send(&body, f->router, 0);
    zframe_destroy(&id);
    zframe_destroy(&body);
    return rc;
}

Godwit__Envelope *fake_await_for(struct fake *f, Godwit__Envelope__BodyCase type, int64_t ms)
{
    int64_t end = clock_mono_ms() + ms;
    for (;;) {
        int64_t left = end - clock_mono_ms();
        zmq_pollitem_t item = {.socket = zsock_resolve(f->router), .events = ZMQ_POLLIN};
        if (left <= 0 || zmq_poll(&item, 1, (long)left) <= 0)
            return NULL;
        Godwit__Envelope *e = receive(f);
        if (e->body_case == type)
            return e;
        if (e->body_case == GODWIT__ENVELOPE__BODY_HEARTBEAT) {
            Godwit__Envelope reply = GODWIT__ENVELOPE__INIT;
            Godwit__HeartbeatReply body = GODWIT__HEARTBEAT_REPLY__INIT;
            reply.body_case = GODWIT__ENVELOPE__BODY_HEARTBEAT_REPLY;
            reply.heartbeat_reply = &body;
            (void)try_send(f, &reply); /* its sender may have gone */
        }
        wire_free(e);
    }
}

Godwit__Envelope *fake_await(struct fake *f, Godwit__Envelope__BodyCase type)
{
    return fake_await_for(f, type, 5000);
}

void fake_send(struct fake *f, Godwit__Envelope *e)
{
    assert_int_equal(try_send(f, e), 0);
}

void fake_welcome(struct fake *f, Godwit__ServerKeys *keys)
{
    Godwit__Welcome body = GODWIT__WELCOME__INIT;
    body.agent_id = (char *)(uintptr_t) "a1";
    body.host = (char *)(uintptr_t) "fs1";
    body.heartbeat_ms = f->heartbeat_ms;
    body.lease_ms = 4 * f->heartbeat_ms;
    body.reconnect_min_ms = 50;
    body.reconnect_max_ms = 150;
    body.keys = keys;
    body.now_ms = clock_wall_ms() + f->clock_ahead_ms;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.body_case = GODWIT__ENVELOPE__BODY_WELCOME;
    e.welcome = &body;
    fake_send(f, &e);
}

void fake_greet(struct fake *f)
{
    Godwit__Envelope *hello = fake_await(f, GODWIT__ENVELOPE__BODY_HELLO);
    assert_non_null(hello);
    wire_free(hello);
    fake_welcome(f, NULL);
}

void fake_order(struct fake *f, const char *op_id, const char *kind)
{
    Godwit__Order body = GODWIT__ORDER__INIT;
    body.kind = (char *)(uintptr_t)kind;
    body.job = (char *)(uintptr_t) "wave1";
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.op_id = (char *)(uintptr_t)op_id;
    e.deadline_ms = f->deadline_ms;
    e.body_case = GODWIT__ENVELOPE__BODY_ORDER;
    e.order = &body;
    fake_send(f, &e);
}

void fake_ack(struct fake *f, const char *op_id)
{
    Godwit__ResultAck body = GODWIT__RESULT_ACK__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.op_id = (char *)(uintptr_t)op_id;
    e.body_case = GODWIT__ENVELOPE__BODY_RESULT_ACK;
    e.result_ack = &body;
    fake_send(f, &e);
}

void fake_refuse(struct fake *f, Godwit__Refusal__Code code)
{
    Godwit__Envelope e;
    Godwit__Refusal body;
    wire_refusal(&e, &body, code, "said the test");
    fake_send(f, &e);
}
