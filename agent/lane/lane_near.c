/* lane_near: a lane whose peer is this very process: its records go through a pipe in memory, and
 * descriptors too. The lane's thread. */
#include <errno.h>
#include <poll.h>

#include "agent/lane/lane_inside.h"
#include "agent/lane/lane_priv.h"
#include "common/base/bucket.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

void lane_set_near(struct lane *l, bool near)
{
    l->near = near;
}

bool lane_is_near(const struct lane *l)
{
    return l->near;
}

bool lane_is_piped(const struct lane *l)
{
    return l->pipe != NULL;
}

int lane_pipe_begin(struct lane *l, struct lane_pipe *p, enum pipe_end end)
{
    if (!p || !l->near || SSL_has_pending(l->ssl) || l->inbox || l->seal_out) {
        (void)lane_pipe_drop(p, end);
        return -EBADMSG;
    }
    l->pipe = p;
    l->end = end;
    return 0;
}

void lane_near_done(struct lane *l)
{
    if (l->pipe)
        lane_pipe_back(l->pipe, l->lent_piped);
    (void)lane_pipe_drop(l->pipe, l->end);
}

/* ── records ── */

enum { PIPE_CUT = 2 };

/* 0: time is over or wake_fd; 1: something came, or there is room. PIPE_CUT: the connection ended.
 */
static int pipe_wait(struct lane *l, int room_fd, int wake_fd, int timeout_ms)
{
    struct pollfd p[5] = {
        {.fd = l->fd,                .events = POLLIN},
        {.fd = l->cancel_fd,         .events = POLLIN},
        {.fd = wake_fd,              .events = POLLIN},
        {.fd = lane_pipe_fd(l->pipe, l->end),          .events = POLLIN},
        {.fd = room_fd,                          .events = POLLIN                             }
    };
    int n = poll(p, 5, timeout_ms);
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    if (n > 0 && p[1].revents)
        return -ECANCELED;
    for (size_t i = 3; n > 0 && i < 5; i++)
        if (p[i].revents)
            lane_pipe_calm(p[i].fd);
    if (n > 0 && p[0].revents)
        return PIPE_CUT;
    return n > 0 && (p[3].revents || p[4].revents) ? 1 : 0;
}

static int pipe_pace(struct lane *l, size_t n)
{
    while (n > 0 && l->bucket && bucket_is_limited(l->bucket)) {
        int64_t wait_ns = 0;
        size_t may = bucket_take(l->bucket, n, clock_mono_us() * 1000, &wait_ns);
        n -= may;
        int rc = may ? 0 : pipe_wait(l, -1, -1, (int)((wait_ns + 999999) / 1000000));
        if (rc < 0 || rc == PIPE_CUT)
            return rc < 0 ? rc : -ECONNRESET;
    }
    return 0;
}

int lane_near_send(struct lane *l, const uint8_t *head, size_t all)
{
    int rc = pipe_pace(l, all);
    while (rc >= 0 && !lane_pipe_put(l->pipe, l->end, head, all - LANE_HEADER_BYTES)) {
        rc = pipe_wait(l, lane_pipe_room_fd(l->pipe), -1, -1);
        if (rc == PIPE_CUT)
            rc = -ECONNRESET;
    }
    return rc < 0 ? rc : 0;
}

int lane_near_receive(struct lane *l, int wake_fd, int timeout_ms, struct lane_record *ret)
{
    int64_t until = clock_mono_ms() + timeout_ms;
    lane_pipe_back(l->pipe, l->lent_piped);
    l->lent_piped = NULL;
    for (int woken = 0;;) {
        int rc = lane_pipe_get(l->pipe, l->end, &l->lent_piped);
        if (rc == 1) {
            const struct pipe_item *i = l->lent_piped;
            *ret =
                (struct lane_record){i->data[4], i->data[5], i->data + LANE_HEADER_BYTES, i->len};
            return 1;
        }
        if (rc < 0 || woken == PIPE_CUT)
            return rc < 0 ? rc : -ECONNRESET;
        int64_t left = timeout_ms < 0 ? -1 : until - clock_mono_ms();
        woken = pipe_wait(l, -1, wake_fd, timeout_ms >= 0 && left < 0 ? 0 : (int)left);
        if (woken <= 0)
            return woken;
    }
}

/* ── what goes beside them ── */

void lane_hand(struct lane *l, uint64_t number, int fd)
{
    if (l->pipe)
        lane_pipe_hand(l->pipe, number, fd);
    else
        (void)fd_close(fd);
}

int lane_handed(struct lane *l, uint64_t number)
{
    return l->pipe ? lane_pipe_handed(l->pipe, number) : -1;
}

int lane_carried(struct lane *l, size_t n)
{
    int rc = l->pipe ? pipe_pace(l, n) : -EBADMSG;
    if (rc == 0)
        (void)atomic_fetch_add(&l->wire_bytes, n);
    return rc;
}
