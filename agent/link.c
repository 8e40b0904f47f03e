/* link: one CURVE connection to the orchestrator. Main thread. */
#include "agent/link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/curve.h"
#include "common/wire/envelope.h"

#define LINGER_MS 500
#define EVENTS                                                                                     \
    (ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |    \
     ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL)

struct link {
    zsock_t *sock;
    zsock_t *monitor;
    bool up;
};
DEFINE_CLEANUP(link_close, struct link *)

static int open_monitor(struct link *l)
{
    char id[TEXT_ID_LEN + 1], name[64];
    text_new_id(id);
    (void)snprintf(name, sizeof name, "inproc://godwit-link-%s", id);
    if (zmq_socket_monitor(zsock_resolve(l->sock), name, EVENTS) < 0)
        return -zmq_errno();
    l->monitor = zsock_new(ZMQ_PAIR);
    if (l->monitor)
        zsock_set_rcvtimeo(l->monitor, 0);
    return l->monitor && zsock_connect(l->monitor, "%s", name) == 0 ? 0 : -EIO;
}

int link_open(const struct link_target *t, struct link **ret)
{
    CLEANUP(link_close) struct link *l = xcalloc(1, sizeof *l);
    l->sock = zsock_new(ZMQ_DEALER);
    if (!l->sock)
        return -ENOMEM;
    /* Nothing waits inside for a peer that is away: what is sent is sent to somebody who is there.
     */
    zsock_set_immediate(l->sock, 1);
    int rc = curve_secure_client(l->sock, t->key, t->server);
    if (rc == 0)
        rc = open_monitor(l);
    if (rc < 0)
        return rc;
    zsock_set_reconnect_ivl(l->sock, (int)t->reconnect_ms);
    zsock_set_reconnect_ivl_max(l->sock, (int)t->reconnect_max_ms);
    zsock_set_linger(l->sock, LINGER_MS);
    zsock_set_sndtimeo(l->sock, 0);
    if (zsock_connect(l->sock, "%s", t->endpoint) < 0)
        return -EINVAL;
    *ret = l;
    l = NULL;
    return 0;
}

struct link *link_close(struct link *l)
{
    if (!l)
        return NULL;
    if (l->monitor)
        (void)zmq_socket_monitor(zsock_resolve(l->sock), NULL, 0);
    zsock_destroy(&l->monitor);
    zsock_destroy(&l->sock);
    free(l);
    return NULL;
}

zsock_t *link_sock(struct link *l)
{
    return l->sock;
}

zsock_t *link_monitor(struct link *l)
{
    return l->monitor;
}

int link_send(struct link *l, const Godwit__Envelope *e)
{
    if (!l->up)
        return -EAGAIN;
    zframe_t *frame = wire_pack(e);
    if (zframe_send(&frame, l->sock, ZFRAME_DONTWAIT) == 0)
        return 0;
    zframe_destroy(&frame);
    return -EAGAIN;
}

int link_recv(struct link *l, Godwit__Envelope **ret)
{
    zmq_msg_t part;
    (void)zmq_msg_init(&part);
    if (zmq_msg_recv(&part, zsock_resolve(l->sock), ZMQ_DONTWAIT) < 0) {
        (void)zmq_msg_close(&part);
        return -EAGAIN;
    }
    bool single = !zmq_msg_more(&part);
    int rc = single ? wire_unpack(zmq_msg_data(&part), zmq_msg_size(&part), WIRE_ORCHESTRATOR, ret)
                    : -EBADMSG;
    while (zmq_msg_more(&part)) /* the rest of a message that is none of ours */
        if (zmq_msg_recv(&part, zsock_resolve(l->sock), ZMQ_DONTWAIT) < 0)
            break;
    (void)zmq_msg_close(&part);
    return rc;
}

enum link_event link_event(struct link *l)
{
    zmsg_t *msg = zmsg_recv(l->monitor);
    zframe_t *head = msg ? zmsg_first(msg) : NULL;
    uint16_t event = 0;
    if (head && zframe_size(head) >= sizeof event)
        memcpy(&event, zframe_data(head), sizeof event);
    zmsg_destroy(&msg);
    switch (event) {
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        l->up = true;
        return LINK_UP;
    case ZMQ_EVENT_DISCONNECTED:
        l->up = false;
        return LINK_DOWN;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return LINK_DENIED;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return LINK_WRONG;
    default:
        return LINK_NOTHING;
    }
}
