/* lane_single: one lane for one exchange between two steps that were told of each other: the
 * destination's waits for it, the source's opens it. What goes over it is the steps' own. Worker
 * threads. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "agent/lane/lane.h"
#include "agent/lane/ticket.h"

struct buf;
struct lane_server;

/* What an order says of it; checked, and copied to ret (its enter and arg stay as they are).
 * -EINVAL. The caller wipes ret when it is done. */
struct lane_single_order {
    const char *ticket_id, *pair;
    const void *secret, *pin;
    size_t secret_len, pin_len;
    int64_t not_after_ms;
};
int lane_single_ticket(const struct lane_single_order *o, struct ticket *ret);

/* Waits at most wait_ms; only the first lane is taken, and nobody else comes once this returns.
 * The welcome is the caller's to say. -ETIMEDOUT, -ECANCELED, what the ticket book says. */
int lane_single_await(struct lane_server *server, const struct ticket *t, int cancel_fd,
                      int wait_ms, struct lane **ret);

/* Where the destination may be. */
struct lane_single_way {
    char *const *endpoints;
    size_t nendpoints;
    int cancel_fd;
    int answer_ms; /* the destination may be told a moment later: tried again for that long */
};
/* Says hello and has the welcome. -EACCES: refused, another key, or no ticket. */
int lane_single_open(const struct lane_identity *id, const struct ticket *t,
                     const struct lane_single_way *way, struct lane **ret);

/* What is short enough for memory goes as records of one type, its digest behind it; 0 once the
 * other side said by a record of type kept that it has it. -ETIMEDOUT, -EPROTO, what the lane says.
 */
int lane_single_give(struct lane *l, uint8_t type, uint8_t kept, const void *data, size_t len,
                     int wait_ms);
/* The other side of it, into b, whose limit holds. Who has kept it says so. -EBADMSG: its digest is
 * another, or it is too long. */
int lane_single_take(struct lane *l, uint8_t type, int wait_ms, struct buf *b);
