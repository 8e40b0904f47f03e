/* lane_inside: one lane's insides, of lane.c and lane_near.c alone. */
#pragma once
#include <openssl/ssl.h>
#include <stdatomic.h>

#include "agent/lane/lane.h"
#include "agent/lane/lane_out.h"
#include "agent/lane/lane_pipe.h"

struct inbox_item {
    struct inbox_item *next;
    size_t len;
    uint8_t type, flags;
    uint8_t data[];
};

struct lane {
    SSL *ssl;
    int fd, cancel_fd;
    uint8_t pin[LANE_PIN_BYTES];
    struct lane_seal *seal_out, *seal_in; /* NULL: TLS still */
    struct lane_out out;                  /* what the socket has not taken yet */
    uint8_t *fill; /* the record being received: header and body, and what came behind it */
    size_t filled;
    uint8_t *lent; /* the record that the caller looks at */
    struct inbox_item *inbox, **inbox_tail, *lent_item;
    size_t inbox_bytes;
    atomic_uint_fast64_t blocked_us, wire_bytes; /* others look at them */
    struct bucket *bucket;
    bool broken;
    bool waits;             /* with a full inbox for the peer, which reads whatever it sends */
    bool near;              /* the peer may be this very process */
    struct lane_pipe *pipe; /* it is: in the connection's place */
    enum pipe_end end;
    struct pipe_item *lent_piped;
};

/* lane_near.c: records between two ends in this process. */
int lane_near_send(struct lane *l, const uint8_t *head, size_t all);
int lane_near_receive(struct lane *l, int wake_fd, int timeout_ms, struct lane_record *ret);
void lane_near_done(struct lane *l);
