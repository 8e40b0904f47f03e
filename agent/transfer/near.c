/* near: pieces of a large file where both ends of the lane are this process: the source's worker
 * has the temporary file of the destination and writes what it read; only that it is written, and
 * its digest, go through the lane. Workers of the source, and lane threads of the destination. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/transfer/direct.h"
#include "agent/transfer/receiver_priv.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"

/* A smaller one is sent before the destination could have answered. */
#define NEAR_MIN (1U << 20)

/* By which number the two descriptors of a file are handed over. */
static uint64_t number_of(uint32_t id, bool direct)
{
    return (uint64_t)id << 1 | direct;
}

/* ── the source ── */

bool near_waits(const struct worker *w, const struct large *g)
{
    return w->s->source && lane_is_piped(w->lane) && g->meta.size > NEAR_MIN;
}

void near_take(struct worker *w, uint32_t id, struct near *ret)
{
    *ret = (struct near){.fd = lane_handed(w->lane, number_of(id, false)),
                         .direct_fd = lane_handed(w->lane, number_of(id, true))};
}

void near_close(struct near *n)
{
    if (n->fd >= 0)
        (void)fd_close(n->fd);
    if (n->direct_fd >= 0)
        (void)fd_close(n->direct_fd);
    *n = NEAR_NONE;
}

bool near_begin(struct worker *w, const struct large *g)
{
    direct_drop(&w->direct);
    return g->near.fd >= 0 && lane_is_piped(w->lane);
}

int near_write(struct worker *w, const struct large *g, const void *data, size_t n, uint64_t at,
               int *reterr)
{
    int rc = worker_carried(w, n);
    FAULT_POINT("near-write");
    if (rc == 0 && *reterr == 0)
        *reterr = direct_put(&w->direct, g->near.fd, g->near.direct_fd, data, n, at);
    return rc;
}

int near_piece_end(struct worker *w, const struct large *g, const struct piece_end *p, int err)
{
    if (err == 0)
        err = direct_flush(&w->direct, g->near.fd, g->near.direct_fd);
    direct_drop(&w->direct);
    worker_head(&w->record);
    piece_end_put(&w->record, p);
    buf_put_u32(&w->record, (uint32_t)-err);
    return worker_send(w, REC_WRITTEN, &w->record);
}

/* ── the destination ── */

void near_offer(struct rlane *l, const struct incoming *in)
{
    int fd = lane_is_piped(l->lane) ? fcntl(in->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd < 0)
        return;
    lane_hand(l->lane, number_of(in->id, false), fd);
    int direct = in->direct_fd >= 0 ? fcntl(in->direct_fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (direct >= 0)
        lane_hand(l->lane, number_of(in->id, true), direct);
}

/* Believed because nobody but this process says it. */
int near_written(struct rlane *l, struct cursor *c)
{
    struct piece_end p;
    int rc = lane_is_piped(l->lane) ? piece_end_get(c, &p) : -EPROTO;
    uint32_t err = rc == 0 ? cursor_u32(c) : 0;
    if (rc < 0 || c->bad || err > 4095)
        return rc < 0 ? rc : -EBADMSG;
    struct incoming *in = incoming_ref(l->r, p.id);
    if (!in)
        return 0;
    if (p.piece >= in->npieces)
        rc = -EBADMSG;
    else if (err)
        rc = incoming_fail(l, in, (int)err, "write");
    else
        rc = incoming_piece_done(l, in, p.piece, p.digest, piece_len(in->meta.size, p.piece));
    incoming_unref(l->r, in);
    return rc;
}
