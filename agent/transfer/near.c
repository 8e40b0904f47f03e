/* near: pieces of a large file where both ends of the lane are this process: the source's worker
 * has the temporary file of the destination and writes what it read; only that it is written, and
 * its digest, go through the lane. Workers of the source, and lane threads of the destination. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "agent/transfer/receiver_priv.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"

/* A smaller one is sent before the destination could have answered. */
#define NEAR_MIN (1U << 20)

/* ── the source ── */

bool near_waits(const struct worker *w, const struct large *g)
{
    return w->s->source && lane_is_piped(w->lane) && g->meta.size > NEAR_MIN;
}

bool near_has(const struct worker *w, const struct large *g)
{
    return g->near >= 0 && lane_is_piped(w->lane);
}

int near_write(struct worker *w, const struct large *g, const void *data, size_t n, uint64_t at,
               int *reterr)
{
    int rc = worker_carried(w, n);
    FAULT_POINT("near-write");
    if (rc == 0 && *reterr == 0)
        *reterr = file_write_at(g->near, data, n, at);
    return rc;
}

int near_piece_end(struct worker *w, const struct piece_end *p, int err)
{
    worker_head(&w->record);
    piece_end_put(&w->record, p);
    buf_put_u32(&w->record, (uint32_t)-err);
    return worker_send(w, REC_WRITTEN, &w->record);
}

/* ── the destination ── */

void near_offer(struct rlane *l, const struct incoming *in)
{
    int fd = lane_is_piped(l->lane) ? fcntl(in->fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (fd >= 0)
        lane_hand(l->lane, in->id, fd);
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
