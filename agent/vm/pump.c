/* pump: one loop over a lane and a socket. The caller's thread. */
#include "agent/vm/pump.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/lane/lane.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define BLOCK_BYTES (256U << 10)

struct pumping {
    struct lane *l;
    int fd;
    uint8_t type;
    uint8_t *block;
    uint8_t *rest; /* of a record that the socket did not take at once */
    bool sent_all, got_all;
};

/* What is there to read goes to the lane. */
static int forth(struct pumping *p)
{
    ssize_t n = read(p->fd, p->block + LANE_HEADER_BYTES, BLOCK_BYTES);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -errno;
    p->sent_all = n == 0;
    return lane_send(p->l, p->type, 0, p->block, (size_t)n);
}

/* What the socket takes now; the rest is moved on. */
static int put(const struct pumping *p, const uint8_t **data, size_t *len)
{
    while (*len > 0) {
        ssize_t n = send(p->fd, *data, *len, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR ? 0 : -errno;
        *data += n;
        *len -= (size_t)n;
    }
    return 0;
}

/* All of a record into the socket; what comes out of it meanwhile is not kept waiting: who reads
 * there may first have to write. */
static int back(struct pumping *p, const uint8_t *data, size_t len)
{
    int rc = put(p, &data, &len);
    if (rc < 0 || len == 0)
        return rc;
    if (!p->rest)
        p->rest = xmalloc(LANE_RECORD_MAX);
    memcpy(p->rest, data, len); /* a lane that sends may move what it lent */
    data = p->rest;
    while (rc == 0 && len > 0) {
        struct pollfd w = {.fd = p->fd, .events = (short)(POLLOUT | (p->sent_all ? 0 : POLLIN))};
        if (poll(&w, 1, -1) < 0 && errno != EINTR)
            return -errno;
        if (w.revents & POLLIN)
            rc = forth(p);
        if (rc == 0 && w.revents & (POLLOUT | POLLERR | POLLHUP))
            rc = put(p, &data, &len);
    }
    return rc;
}

static int take(struct pumping *p, const struct lane_record *r)
{
    if (r->len > 0)
        return back(p, r->data, r->len);
    p->got_all = true;
    return shutdown(p->fd, SHUT_WR) < 0 ? -errno : 0;
}

int pump(struct lane *l, int fd, int from)
{
    CLEANUP(mem_free) uint8_t *block = xmalloc(LANE_HEADER_BYTES + BLOCK_BYTES);
    struct pumping p = {.l = l, .fd = fd, .type = (uint8_t)from, .block = block};
    uint8_t other = from == PUMP_FROM_SOURCE ? PUMP_FROM_DESTINATION : PUMP_FROM_SOURCE;
    int rc = fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0 ? -errno : 0;
    while (rc == 0 && !(p.sent_all && p.got_all)) {
        struct lane_record r;
        int got = lane_receive_or(l, p.sent_all ? -1 : fd, -1, &r);
        if (got < 0)
            rc = got;
        else if (got == 0)
            rc = forth(&p);
        else
            rc = r.type == other ? take(&p, &r) : -EPROTO;
    }
    /* Both are told, whichever was lost. */
    if (rc < 0) {
        lane_abort(l);
        (void)shutdown(fd, SHUT_RDWR);
    }
    free(p.rest);
    return rc;
}
