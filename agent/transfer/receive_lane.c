/* receive_lane: takes the records of one lane and has each one done; grants bytes and tells the
 * source what is durable. One thread a lane. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/transfer/compress.h"
#include "agent/transfer/look.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/clock.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define TICK_MS 500
#define LEFT_MS 5 /* by then the disk has what it was given */

int receive_lane_reply(struct rlane *l, uint8_t type)
{
    if (l->out.overflow)
        return -EMSGSIZE;
    return lane_send_copy(l->lane, type, 0, l->out.data, l->out.len);
}

static int say_status(struct rlane *l)
{
    (void)pthread_mutex_lock(&l->r->lock);
    struct status now = {l->r->run.instance, l->r->durable.data, l->r->found};
    bool unsaid = l->r->unsaid.len > 0 && l->is_read;
    (void)pthread_mutex_unlock(&l->r->lock);
    int rc = unsaid ? receiver_say_unsaid(l) : 0;
    if (rc < 0)
        return rc;
    if (now.instance == l->told.instance && now.durable_bytes == l->told.durable_bytes &&
        now.found_bytes == l->told.found_bytes)
        return 0;
    l->told = now;
    buf_clear(&l->out);
    status_put(&l->out, &now);
    return receive_lane_reply(l, REC_STATUS);
}

static int say_stop(struct rlane *l)
{
    (void)pthread_mutex_lock(&l->r->lock);
    struct fault f = l->r->fault;
    (void)pthread_mutex_unlock(&l->r->lock);
    if (f.what_next == FAULT_NONE)
        return 0;
    buf_clear(&l->out);
    stop_put(&l->out, &f);
    int rc = receive_lane_reply(l, REC_STOP);
    lane_close(l->lane);
    return rc < 0 ? rc : -ESHUTDOWN;
}

static int grant(struct rlane *l, size_t len)
{
    l->consumed += LANE_HEADER_BYTES + len;
    if (l->consumed < GRANT_EVERY)
        return 0;
    buf_clear(&l->out);
    buf_put_u64(&l->out, l->consumed);
    l->consumed = 0;
    return receive_lane_reply(l, REC_GRANT);
}

static int finish(struct rlane *l)
{
    struct receiver *r = l->r;
    int rc = finish_run(l);
    if (rc < 0)
        return rc;
    FAULT_POINT("all-durable");
    (void)pthread_mutex_lock(&r->lock);
    r->finished = true;
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    rc = say_status(l);
    buf_clear(&l->out);
    return rc < 0 ? rc : receive_lane_reply(l, REC_FINISHED);
}

static int bye(struct rlane *l)
{
    FAULT_POINT("bye");
    (void)pthread_mutex_lock(&l->r->lock);
    l->r->bye = l->r->finished;
    (void)pthread_cond_broadcast(&l->r->changed);
    (void)pthread_mutex_unlock(&l->r->lock);
    lane_close(l->lane);
    return 0;
}

static int record_do(struct rlane *l, uint8_t type, struct cursor *c)
{
    switch (type) {
    case REC_LISTING:
        return compare_listing(l, c);
    case REC_BATCH:
        return place_batch(l, c);
    case REC_BEGIN:
        return incoming_begin(l, c);
    case REC_OFFER:
        return delta_offer(l, c);
    case REC_CHUNK:
        return incoming_chunk(l, c);
    case REC_PIECE_END:
        return incoming_piece_end(l, c);
    case REC_WRITTEN:
        return near_written(l, c);
    case REC_END:
        return incoming_end(l, c);
    case REC_BARRIER:
        buf_clear(&l->out);
        return receive_lane_reply(l, REC_BARRIER_DONE);
    case REC_MOVES:
        return moves_run(l, c);
    case REC_FIND:
        return find_run(l, c);
    case REC_FINISH:
        return finish(l);
    case REC_BYE:
        return bye(l);
    default:
        return -EPROTO;
    }
}

static void merge(struct rlane *l)
{
    struct receiver *r = l->r;
    struct counters *to = &r->counters, *d = &l->delta;
    (void)pthread_mutex_lock(&r->lock);
    to->unchanged_files += d->unchanged_files;
    to->unchanged_bytes += d->unchanged_bytes;
    to->deleted += d->deleted;
    to->skipped_meta += d->skipped_meta;
    to->changed_meta += d->changed_meta;
    to->renamed += d->renamed;
    r->found += l->found;
    (void)pthread_mutex_unlock(&r->lock);
    *d = (struct counters){0};
    l->found = 0;
}

/* What the lane has placed may become durable, unless it is in a folder that it fills still. */
static int hand_over(struct rlane *l, bool leave)
{
    if (l->at.fresh && (leave || place_fresh_over(l)))
        place_leave(l);
    return l->at.fresh || placed_is_empty(&l->placed) ? 0 : durable_note(l);
}

/* What is left, too, before anything but content: a barrier says that all is handed over. */
static int settle_before(struct rlane *l, uint8_t type)
{
    bool content = type == REC_CHUNK || type == REC_PIECE_END, offer = type == REC_OFFER;
    if (content || (!l->left.of && (offer || !delta_leaves(l))))
        return 0;
    int rc = incoming_settle(l);
    if (rc == 0 && !offer)
        rc = delta_settle(l, true);
    return rc < 0 ? rc : hand_over(l, false);
}

static int record_in(struct rlane *l, const struct lane_record *rec)
{
    struct cursor c = cursor_of(rec->data, rec->len);
    size_t len = rec->len;
    if (rec->flags & REC_COMPRESSED) {
        int rc = compress_open(rec->data, rec->len, l->raw, LANE_RECORD_MAX, &len);
        if (rc < 0)
            return rc;
        c = cursor_of(l->raw, len);
    }
    FAULT_POINT("record-in");
    l->is_read = rec->type != REC_BARRIER;
    int rc = l->at.fresh && rec->type != REC_BATCH ? hand_over(l, true) : 0;
    if (rc == 0)
        rc = settle_before(l, rec->type);
    if (placed_is_empty(&l->placed))
        l->held_ms = clock_mono_ms();
    if (rc == 0)
        rc = record_do(l, rec->type, &c);
    merge(l);
    int rc2 = hand_over(l, false);
    rc = rc < 0 ? rc : rc2;
    return rc < 0 ? rc : grant(l, rec->len);
}

/* Nothing comes at the moment. */
static int nothing_in(struct rlane *l)
{
    int rc = incoming_settle(l);
    if (rc == 0)
        rc = delta_settle(l, false);
    return rc < 0 ? rc : hand_over(l, true);
}

static int lane_loop(struct rlane *l)
{
    struct lane_welcome w = {.can = l->r->can_share ? LANE_CAN_SHARE : 0,
                             .credit = RECEIVE_CREDIT,
                             .fresh = l->r->fresh,
                             .last = l->r->last_session};
    int rc = lane_welcome_send(l->lane, &w);
    while (rc >= 0) {
        struct lane_record rec;
        rc = say_status(l);
        if (rc >= 0)
            rc = say_stop(l);
        if (rc >= 0)
            rc = lane_receive(l->lane, l->left.of || delta_leaves(l) ? LEFT_MS : TICK_MS, &rec);
        if (rc == 1)
            rc = record_in(l, &rec);
        else if (rc == 0)
            rc = nothing_in(l);
    }
    return rc;
}

/* A umask of the thread's own that takes nothing away: a file of our own user gets its mode as it
 * is made. Where a sandbox forbids it, modes are set one by one. */
static unsigned umask_free(unsigned now)
{
    if (!look_detach())
        return now;
    (void)umask(0);
    return 0;
}

void *receive_lane_run(void *arg)
{
    struct rlane *l = arg;
    struct receiver *r = l->r;
    l->umask = step_env(r->step)->state_dir[0] == '/' ? umask_free(r->umask) : r->umask;
    buf_init(&l->out, LANE_RECORD_MAX);
    buf_init(&l->placed.rows, LANE_RECORD_MAX * 4);
    l->at.fd = -1;
    l->raw = xmalloc(LANE_RECORD_MAX);
    l->whole = xmalloc(BATCH_FILE_MAX);
    l->piece_hash = XXH3_createState();
    (void)lane_loop(l);
    (void)incoming_settle(l);
    (void)delta_settle(l, true);
    (void)hand_over(l, true);
    (void)say_stop(l);
    merge(l);
    lane_abort(l->lane);

    incoming_drop_piece(l);
    direct_done(&l->direct);
    delta_done(l);
    place_leave(l);
    compare_done(&l->compare);
    rows_done(&l->firsts);
    rows_done(&l->laters);
    rows_done(&l->bases);
    buf_done(&l->out);
    buf_done(&l->placed.rows);
    free(l->raw);
    free(l->whole);
    (void)XXH3_freeState(l->piece_hash);
    (void)pthread_mutex_lock(&r->lock);
    for (struct rlane **at = &r->lanes; *at; at = &(*at)->next) {
        if (*at != l)
            continue;
        *at = l->next;
        break;
    }
    (void)lane_free(l->lane);
    free(l);
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
    return NULL;
}
