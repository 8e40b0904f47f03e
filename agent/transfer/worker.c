/* worker: one lane of the source: walks, sends, reads answers, helps with large files, and ends
 * with a barrier. Its own thread; the first one also finishes the session. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "agent/store/remap.h"
#include "agent/transfer/look.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define WAIT_MS 200

void worker_head(struct buf *b)
{
    static const uint8_t room[LANE_HEADER_BYTES];
    buf_clear(b);
    buf_put(b, room, sizeof room);
}

void worker_failed(struct worker *w, const struct folder *f, const char *name, int err,
                   const char *what)
{
    struct failure x = {f->path, name, f->len, name ? strlen(name) : 0, err, what};
    faillist_add(w->s->failures, &x);
}

void worker_remap(struct worker *w, const struct folder *f, const char *name, const struct meta *m,
                  struct buf *xattrs)
{
    unsigned losses = 0;
    if (!w->s->spec->options.map)
        return;
    remap_attrs(w->s->spec->options.map, m, xattrs, &losses);
    struct failure x = {f->path, name, f->len, name ? strlen(name) : 0, EOPNOTSUPP, "keep NT ACL"};
    if (losses & REMAP_LOSS_NTACL)
        faillist_note(w->s->failures, &x);
    x.what = "keep malformed ACL";
    if (losses & REMAP_LOSS_SHAPE)
        faillist_note(w->s->failures, &x);
}

void folder_unref(struct worker *w, struct folder *f)
{
    if (--f->refs > 0)
        return;
    if (f->fd >= 0)
        (void)fd_close(f->fd);
    buf_done(&f->xattrs);
    free(f->path);
    free(f);
    pathstack_done(w->s->stack);
    sender_ring(w->s);
}

/* ── what the destination says ── */

static int on_want(struct worker *w, struct cursor *c)
{
    struct listing *l = w->first;
    while (l && l->answered)
        l = l->next;
    if (!l || cursor_u32(c) != l->count)
        return -EPROTO;
    for (uint32_t i = 0; i < l->count; i++) {
        l->verdicts[i] = cursor_u8(c);
        if (l->verdicts[i] > VERDICT_NEW)
            return -EPROTO;
        if (l->verdicts[i] == VERDICT_MOVED) {
            int rc = moved_can(w->s) ? moved_take(l, i, c) : -EPROTO;
            if (rc < 0)
                return rc;
        }
        if (l->verdicts[i] != VERDICT_CHECK)
            continue;
        const void *digest = cursor_bytes(c, DIGEST_BYTES);
        if (!digest)
            return -EPROTO;
        memcpy(l->digests + (size_t)i * DIGEST_BYTES, digest, DIGEST_BYTES);
    }
    l->answered = true;
    return c->bad ? -EPROTO : 0;
}

static int on_status(struct sender *s, struct cursor *c)
{
    struct status st;
    int rc = status_get(c, &st);
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&s->lock);
    again_status(&s->again, &st);
    (void)pthread_mutex_unlock(&s->lock);
    return 0;
}

static int on_failed(struct sender *s, struct cursor *c)
{
    struct failed f;
    int rc = failed_get(c, &f);
    if (rc < 0)
        return rc;
    char what[32] = ""; /* its bytes are bounded by the record */
    memcpy(what, f.what.p, f.what.n < sizeof what ? f.what.n : sizeof what - 1);
    faillist_list_only(s->failures, f.path.p, f.path.n, fault_code(f.err, what));
    return 0;
}

static int on_stop(struct sender *s, struct cursor *c)
{
    struct fault f;
    int rc = stop_get(c, &f);
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&s->lock);
    s->fault = f;
    (void)pthread_mutex_unlock(&s->lock);
    return -ESHUTDOWN;
}

static int on_begun(struct worker *w, struct cursor *c)
{
    struct begun b;
    int rc = begun_get(c, &b);
    if (rc == 0)
        large_begun(w, &b);
    return rc;
}

static int on_record(struct worker *w, const struct lane_record *r)
{
    struct cursor c = cursor_of(r->data, r->len);
    uint64_t granted;
    switch (r->type) {
    case REC_GRANT:
        granted = cursor_u64(&c);
        if (c.bad || granted > INT32_MAX)
            return -EPROTO;
        w->credit += (int64_t)granted;
        return 0;
    case REC_WANT:
        return on_want(w, &c);
    case REC_BEGUN:
        return on_begun(w, &c);
    case REC_SUMS:
        return delta_answer(w, &c);
    case REC_STATUS:
        return on_status(w->s, &c);
    case REC_FAILED:
        return on_failed(w->s, &c);
    case REC_STOP:
        return on_stop(w->s, &c);
    case REC_BARRIER_DONE:
        w->barrier_done = true;
        return 0;
    case REC_FINISHED:
        w->finished = true;
        return 0;
    case REC_FOUND:
        return changes_found(w->s, &c);
    default:
        return -EPROTO;
    }
}

int worker_pump(struct worker *w, int timeout_ms)
{
    struct lane_record r;
    if (atomic_load(&w->s->broken))
        return -ECANCELED;
    int rc = lane_receive_or(w->lane, w->wake, timeout_ms, &r);
    if (rc == 1)
        return on_record(w, &r);
    eventfd_t rung;
    if (rc == 0 && timeout_ms != 0)
        (void)eventfd_read(w->wake, &rung);
    return rc;
}

/* Takes all that is there without waiting. */
static int pump_all(struct worker *w)
{
    struct lane_record r;
    int rc;
    while ((rc = lane_receive(w->lane, 0, &r)) == 1) {
        rc = on_record(w, &r);
        if (rc < 0)
            return rc;
    }
    return atomic_load(&w->s->broken) ? -ECANCELED : rc;
}

/* While the source is to be spared. The destination's answers are taken meanwhile. */
static int rest(struct worker *w)
{
    int64_t now = clock_mono_us();
    int64_t until = now + hold_rest_us(&w->s->hold, now - w->rested_us);
    if (until == now)
        return 0; /* what is not worth a rest counts towards the next one */
    for (int rc = 0; now < until; now = clock_mono_us()) {
        rc = worker_pump(w, (int)((until - now + 999) / 1000));
        if (rc < 0)
            return rc;
    }
    w->rested_us = now;
    return 0;
}

int worker_carried(struct worker *w, size_t n)
{
    int rc = w->s->hold.max_us ? rest(w) : 0;
    return rc < 0 ? rc : lane_carried(w->lane, n);
}

int worker_send(struct worker *w, uint8_t type, struct buf *b)
{
    if (b->overflow)
        return -EMSGSIZE;
    if (w->s->hold.max_us) {
        int rc = rest(w);
        if (rc < 0)
            return rc;
    }
    uint8_t flags = 0;
    struct buf *out = b;
    size_t body = b->len - LANE_HEADER_BYTES;
    if (compress_record(&w->compress, b->data + LANE_HEADER_BYTES, body, &w->packed)) {
        out = &w->packed;
        flags = REC_COMPRESSED;
    }
    while (w->credit < (int64_t)out->len) {
        int rc = worker_pump(w, WAIT_MS);
        if (rc < 0)
            return rc;
    }
    FAULT_POINT("record-out");
    w->credit -= (int64_t)out->len;
    return lane_send(w->lane, type, flags, out->data, out->len - LANE_HEADER_BYTES);
}

static bool all_drained(struct sender *s, unsigned but)
{
    (void)pthread_mutex_lock(&s->lock);
    bool all = s->ndrained + but >= s->nworkers;
    (void)pthread_mutex_unlock(&s->lock);
    return all;
}

/* ── the loop ── */

/* rings: as it was before the caller looked and found nothing to do. A ring since then found this
 * worker not yet idle. */
static int wait_idle(struct worker *w, unsigned rings)
{
    atomic_store(&w->idle, true);
    atomic_fetch_add(&w->s->nidle, 1);
    int rc = worker_pump(w, atomic_load(&w->s->rings) == rings ? WAIT_MS : 0);
    atomic_fetch_sub(&w->s->nidle, 1);
    atomic_store(&w->idle, false);
    return rc;
}

static int wait_drained(struct worker *w, unsigned but)
{
    struct sender *s = w->s;
    int rc = 0;
    for (unsigned rings = atomic_load(&s->rings); rc == 0 && !all_drained(s, but);
         rings = atomic_load(&s->rings))
        rc = wait_idle(w, rings);
    return rc;
}

int worker_all_placed(struct worker *w)
{
    int rc = batch_flush(w);
    return rc == 0 ? wait_drained(w, 1) : rc;
}

static int answer_first(struct worker *w)
{
    struct listing *l = w->first;
    w->first = l->next;
    if (!w->first)
        w->last = &w->first;
    w->nlistings--;
    return w->s->source ? w->s->source->answer(w, l) : walk_answer(w, l);
}

/* 1: did something. 0: nothing to do now. 2: the walk is over. */
static int turn(struct worker *w)
{
    char *path = NULL;
    size_t len = 0;
    uint32_t flags = 0;
    int rc = pump_all(w);
    if (rc < 0)
        return rc;
    if (w->first && w->first->answered) {
        rc = answer_first(w);
        return rc < 0 ? rc : 1;
    }
    if (w->nlistings >= LISTINGS_MAX)
        return large_help(w);
    if (w->again) {
        rc = moved_again(w);
        return rc < 0 ? rc : 1;
    }
    if (w->s->source) {
        rc = w->s->source->later(w);
        if (rc != 0)
            return rc;
    }
    rc = pathstack_pop(w->s->stack, false, &path, &len, &flags);
    if (rc == 1) {
        rc = w->s->source ? w->s->source->folder(w, path, len, flags)
                          : walk_folder(w, path, len, flags);
        return rc < 0 ? rc : 1;
    }
    if (rc == 0)
        return 2;
    /* Helping with a file of another's comes last: two that write to one file hold each other up.
     */
    return rc == -EAGAIN ? large_help(w) : rc;
}

static int walk(struct worker *w)
{
    for (;;) {
        unsigned rings = atomic_load(&w->s->rings);
        int rc = turn(w);
        if (rc == 0 && w->batch_of) /* nothing more for now: what is packed goes */
            rc = batch_flush(w);
        if (rc == 0)
            rc = wait_idle(w, rings);
        if (rc == 2) {
            rc = changes_close(w);
            if (rc == 0)
                rc = reflink_close(w);
            if (rc != 1)
                return rc;
        }
        if (rc < 0)
            return rc;
    }
}

static int barrier(struct worker *w)
{
    FAULT_POINT("walk-over");
    worker_head(&w->record);
    int rc = worker_send(w, REC_BARRIER, &w->record);
    while (rc == 0 && !w->barrier_done)
        rc = worker_pump(w, WAIT_MS);
    if (rc < 0)
        return rc;
    struct sender *s = w->s;
    (void)pthread_mutex_lock(&s->lock);
    s->walk_over = true;
    s->ndrained++;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    sender_ring(s);
    return 0;
}

static int finish(struct worker *w)
{
    struct sender *s = w->s;
    int rc = wait_drained(w, 0);
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&s->lock);
    s->finish_sent = true;
    (void)pthread_mutex_unlock(&s->lock);
    FAULT_POINT("drained");
    worker_head(&w->record);
    rc = worker_send(w, REC_FINISH, &w->record);
    while (rc == 0 && !w->finished)
        rc = worker_pump(w, WAIT_MS);
    if (rc >= 0 && s->source)
        rc = s->source->finish(w);
    if (rc < 0)
        return rc;
    (void)pthread_mutex_lock(&s->lock);
    s->finished = true;
    FAULT_POINT("finished");
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    worker_head(&w->record);
    return worker_send(w, REC_BYE, &w->record);
}

static void worker_done(struct worker *w)
{
    struct sender *s = w->s;
    while (w->first) {
        struct listing *l = w->first;
        w->first = l->next;
        listing_free(w, l);
    }
    moved_done(w);
    if (s->source)
        s->source->end(w);
    buf_done(&w->out);
    buf_done(&w->record);
    buf_done(&w->packed);
    buf_done(&w->xattrs);
    (void)XXH3_freeState(w->hash);
    delta_free(w);
    direct_done(&w->direct);
    (void)pthread_mutex_lock(&s->lock);
    s->counters.wire_bytes += lane_wire_bytes(w->lane) - w->wire_told;
    w->wire_told = lane_wire_bytes(w->lane);
    w->lane = lane_free(w->lane);
    w->ended = true;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
}

void *worker_run(void *arg)
{
    struct worker *w = arg;
    buf_init(&w->out, LANE_RECORD_MAX);
    buf_init(&w->record, LANE_RECORD_MAX);
    buf_init(&w->packed, LANE_RECORD_MAX + (LANE_RECORD_MAX / 128));
    buf_init(&w->xattrs, XATTRS_MAX + 1);
    w->hash = XXH3_createState();
    if (step_env(w->s->step)->state_dir[0] == '/') /* spools are made by their paths */
        (void)look_detach();
    int rc = w->s->source ? w->s->source->begin(w) : 0;
    if (rc == 0)
        rc = walk(w);
    if (rc == 0)
        rc = batch_flush(w);
    if (rc == 0)
        rc = barrier(w);
    if (rc == 0 && w->index == 0)
        rc = finish(w);
    if (rc < 0 && step_cancelled(w->s->step))
        lane_forsake(w->lane);
    if (rc < 0)
        sender_broken(w->s, rc);
    else
        lane_close(w->lane);
    worker_done(w);
    return NULL;
}
