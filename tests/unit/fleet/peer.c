/* peer: the other end of a gate, for tests. */
#include "tests/unit/fleet/peer.h"

void peer_open(struct peer *p, const char *endpoint, const uint8_t server[32],
               const struct curve_key *key)
{
    if (key)
        p->key = *key;
    else
        curve_key_new(&p->key);
    p->sock = zsock_new(ZMQ_DEALER);
    if (curve_secure_client(p->sock, &p->key, server) < 0 ||
        zmq_connect(zsock_resolve(p->sock), endpoint) != 0)
        abort();
    zsock_set_linger(p->sock, 0);
    zsock_set_rcvtimeo(p->sock, 0);
}

void peer_close(struct peer *p)
{
    zsock_destroy(&p->sock);
}

void peer_say(struct peer *p, const Godwit__Envelope *e)
{
    zframe_t *frame = wire_pack(e);
    (void)zframe_send(&frame, p->sock, ZFRAME_DONTWAIT);
    zframe_destroy(&frame);
}

void peer_hello(struct peer *p, const char *instance)
{
    Godwit__Hello h = GODWIT__HELLO__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    h.instance = wire_text(instance);
    h.lane_port = 7410;
    e.body_case = GODWIT__ENVELOPE__BODY_HELLO;
    e.hello = &h;
    peer_say(p, &e);
}

void peer_beat(struct peer *p)
{
    Godwit__Heartbeat h = GODWIT__HEARTBEAT__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.body_case = GODWIT__ENVELOPE__BODY_HEARTBEAT;
    e.heartbeat = &h;
    peer_say(p, &e);
}

Godwit__Envelope *peer_hear(struct peer *p)
{
    Godwit__Envelope *e = NULL;
    zframe_t *frame = zframe_recv(p->sock);
    if (frame)
        (void)wire_unpack(zframe_data(frame), zframe_size(frame), WIRE_ORCHESTRATOR, &e);
    zframe_destroy(&frame);
    return e;
}
