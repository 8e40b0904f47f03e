/* lane_hello: the first record in each direction: who the lane says it is, and the answer. */
#pragma once
#include "agent/lane/lane.h"
#include "agent/lane/ticket.h"

#define LANE_VERSION 1
#define LANE_HELLO_MAX 1024

enum { LANE_REC_HELLO = 1, LANE_REC_WELCOME = 2 }; /* transfer's own types begin at 16 */

/* What the source's side understands (DELTA, MOVE), in LaneHello, and the destination's (SHARE: its
 * files can share blocks), in LaneWelcome. An older peer sets none. */
enum lane_can { LANE_CAN_DELTA = 1, LANE_CAN_MOVE = 2, LANE_CAN_SHARE = 4 };

struct lane_hello {
    char id[TICKET_ID_MAX + 1];
    uint8_t secret[LANE_SECRET_BYTES];
    char pair[TICKET_PAIR_MAX + 1];
    struct lane_entry entry;
    bool near; /* sent: by a pipe, please, if you are this very process. Parsed: we are */
};

struct lane_welcome {
    uint64_t credit; /* bytes that may be sent before the first grant */
    uint64_t can;    /* LANE_CAN_SHARE */
    bool fresh;      /* the destination was empty when this session began */
    uint64_t last;   /* session that it finished last; 0: none */
};

/* Hostile bytes: 0, -EBADMSG, -EPROTONOSUPPORT (version or a must bit). */
int lane_hello_parse(const void *data, size_t len, struct lane_hello *ret);
int lane_hello_send(struct lane *l, const struct lane_hello *h);
int lane_welcome_send(struct lane *l, const struct lane_welcome *w);
int lane_refuse(struct lane *l, const struct fault *why); /* a welcome with a fault */
/* -EACCES: refused, *reterr says why. -EBADMSG, -EPROTONOSUPPORT or what receiving returned. */
int lane_welcome_receive(struct lane *l, int timeout_ms, struct lane_welcome *ret,
                         struct fault *reterr);
