/* peer: raw control messages over CURVE. Test thread. */
#include "tests/scenario/peer.h"

#include <errno.h>
#include <string.h>

#include "common/base/clock.h"
#include "tests/unit/test.h"

#define EVENTS                                                                                     \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |                             \
     ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL |                  \
     ZMQ_EVENT_DISCONNECTED)

static void watch(struct peer *p)
{
    static unsigned serial;
    char endpoint[64];
    (void)snprintf(endpoint, sizeof endpoint, "inproc://peer-monitor-%u", serial++);
    assert_int_equal(zmq_socket_monitor(zsock_resolve(p->sock), endpoint, EVENTS), 0);
    p->monitor = zsock_new(ZMQ_PAIR);
    assert_int_equal(zmq_connect(zsock_resolve(p->monitor), endpoint), 0);
}

void peer_open(struct peer *p, const char *endpoint, const uint8_t server[32],
               const struct curve_key *key)
{
    if (key)
        p->key = *key;
    else
        curve_key_new(&p->key);
    p->sock = zsock_new(ZMQ_DEALER);
    assert_non_null(p->sock);
    watch(p);
    assert_int_equal(curve_secure_client(p->sock, &p->key, server), 0);
    zsock_set_linger(p->sock, 0);
    assert_int_equal(zmq_connect(zsock_resolve(p->sock), endpoint), 0);
}

/* The monitor ends before its reader goes: libzmq writes events with a send that waits, on the I/O
 * thread, and one that nobody reads would stop every socket of the process. */
void peer_close(struct peer *p)
{
    if (p->sock)
        (void)zmq_socket_monitor(zsock_resolve(p->sock), NULL, 0);
    zsock_destroy(&p->sock);
    zsock_destroy(&p->monitor);
}

static bool readable(zsock_t *sock, int ms)
{
    zmq_pollitem_t item = {.socket = zsock_resolve(sock), .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, ms < 0 ? 0 : ms) > 0;
}

enum peer_fate peer_fate(struct peer *p, int ms)
{
    uint16_t event = 0;
    if (!readable(p->monitor, ms))
        return PEER_NOTHING;
    zmsg_t *msg = zmsg_recv(p->monitor);
    assert_non_null(msg);
    memcpy(&event, zframe_data(zmsg_first(msg)), sizeof event);
    zmsg_destroy(&msg);
    return event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED ? PEER_ADMITTED : PEER_REFUSED;
}

bool peer_say_bytes(struct peer *p, const void *data, size_t len, int ms)
{
    zmq_pollitem_t item = {.socket = zsock_resolve(p->sock), .events = ZMQ_POLLOUT};
    if (zmq_poll(&item, 1, ms) <= 0)
        return false;
    return zmq_send(item.socket, data, len, ZMQ_DONTWAIT) >= 0;
}

void peer_say(struct peer *p, const Godwit__Envelope *e)
{
    zframe_t *frame = wire_pack(e);
    assert_true(peer_say_bytes(p, zframe_data(frame), zframe_size(frame), 5000));
    zframe_destroy(&frame);
}

void peer_say_type(struct peer *p, Godwit__Envelope__BodyCase type)
{
    /* "version = 1", then the body's field with no bytes in it */
    const uint8_t bytes[] = {0x08, 1, (uint8_t)(type << 3 | 2) | 0x80, (uint8_t)(type >> 4), 0};
    const uint8_t small[] = {0x08, 1, (uint8_t)(type << 3 | 2), 0};
    bool two = type >= 16;
    assert_true(two ? peer_say_bytes(p, bytes, sizeof bytes, 5000)
                    : peer_say_bytes(p, small, sizeof small, 5000));
}

Godwit__Envelope *peer_hear(struct peer *p, int ms)
{
    if (!readable(p->sock, ms))
        return NULL;
    zframe_t *frame = zframe_recv(p->sock);
    assert_non_null(frame);
    Godwit__Envelope *e = NULL;
    int rc = wire_unpack(zframe_data(frame), zframe_size(frame), WIRE_ORCHESTRATOR, &e);
    if (rc < 0)
        fail_msg("the orchestrator said something it may not say: %s", strerror(-rc));
    assert_false(zframe_more(frame));
    zframe_destroy(&frame);
    return e;
}

Godwit__Envelope *peer_hear_type(struct peer *p, Godwit__Envelope__BodyCase type, int ms)
{
    int64_t end = clock_mono_ms() + ms;
    for (;;) {
        Godwit__Envelope *e = peer_hear(p, (int)(end - clock_mono_ms()));
        if (!e || e->body_case == type)
            return e;
        wire_free(e);
    }
}

Godwit__Refusal__Code peer_hear_refusal(struct peer *p, int ms)
{
    CLEANUP(wire_free)
    Godwit__Envelope *e = peer_hear_type(p, GODWIT__ENVELOPE__BODY_REFUSAL, ms);
    return e ? e->refusal->code : GODWIT__REFUSAL__CODE__CODE_UNSPECIFIED;
}
