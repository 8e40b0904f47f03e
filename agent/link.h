/* link: one CURVE connection to one endpoint of the orchestrator, and what becomes of it. Knows no
 * session. Main thread. */
#pragma once
#include <czmq.h>
#include <stdint.h>

#include "proto/envelope.pb-c.h"

struct curve_key;
struct link;

struct link_target {
    const struct curve_key *key;
    const uint8_t *server; /* 32 bytes */
    const char *endpoint;
    uint32_t reconnect_ms; /* first pause before libzmq tries again; doubles up to the next */
    uint32_t reconnect_max_ms;
};

enum link_event {
    LINK_NOTHING,
    LINK_UP,     /* the handshake is over: messages pass */
    LINK_DOWN,   /* the connection is gone; libzmq tries again by itself */
    LINK_DENIED, /* our key is not allowed here */
    LINK_WRONG,  /* the handshake failed: most often another server key */
};

int link_open(const struct link_target *t, struct link **ret);
struct link *link_close(struct link *l); /* what was sent has half a second to leave */
zsock_t *link_sock(struct link *l);
zsock_t *link_monitor(struct link *l); /* readable: link_event() */
/* -EAGAIN: not connected as far as link_event() told, or the queue is full. */
int link_send(struct link *l, const Godwit__Envelope *e);
/* Call when link_sock() is readable. -EAGAIN: nothing; others: as wire_unpack(). */
int link_recv(struct link *l, Godwit__Envelope **ret);
enum link_event link_event(struct link *l);
