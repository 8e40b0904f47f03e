/* receive_failed: what fails at the destination: counted and told to the source, or the end of all.
 * Any thread of the receiver's. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/receiver_priv.h"
#include "common/base/text.h"

void receiver_stop(struct receiver *r, const struct fault *f)
{
    (void)pthread_mutex_lock(&r->lock);
    if (r->fault.what_next == FAULT_NONE)
        r->fault = *f;
    (void)pthread_cond_broadcast(&r->changed);
    (void)pthread_mutex_unlock(&r->lock);
}

static bool concerns_all(int err)
{
    return err == ENOSPC || err == EDQUOT || err == EROFS || err == EIO;
}

static void failed_pack(struct buf *b, const struct failure *x)
{
    struct buf path;
    buf_init(&path, PATH_BYTES_MAX + NAME_BYTES_MAX + 1);
    buf_put(&path, x->folder, x->folder_len);
    if (x->folder_len && x->name_len)
        buf_put_u8(&path, '/');
    buf_put(&path, x->name, x->name_len);
    struct failed f = {
        .path = {(const char *)path.data, path.len       },
        .err = x->err,
        .what = {x->what,                 strlen(x->what)}
    };
    failed_put(b, &f);
    buf_done(&path);
}

static int tell_failed(struct rlane *l, const struct failure *x)
{
    struct buf out = l->out; /* a reply may be half made in it */
    buf_init(&l->out, LANE_RECORD_MAX);
    failed_pack(&l->out, x);
    int rc = receive_lane_reply(l, REC_FAILED);
    buf_done(&l->out);
    l->out = out;
    return rc;
}

/* Stops all when it concerns all. */
static int failed_note(struct receiver *r, const struct failure *x)
{
    if (concerns_all(x->err)) {
        struct fault f;
        char *name =
            text_quote(x->name ? x->name : x->folder, x->name ? x->name_len : x->folder_len);
        (void)fault_set(&f, FAULT_STOP_JOB, x->err, "destination: cannot %s %.100s: %s", x->what,
                        name, strerror(x->err));
        free(name);
        receiver_stop(r, &f);
        return -x->err;
    }
    faillist_add(r->failures, x);
    return 0;
}

int receiver_failed(struct rlane *l, const struct failure *x)
{
    int rc = failed_note(l->r, x);
    return rc < 0 ? rc : tell_failed(l, x);
}

void receiver_failed_later(struct receiver *r, const struct failure *x)
{
    struct buf b;
    if (failed_note(r, x) < 0)
        return;
    buf_init(&b, LANE_RECORD_MAX);
    failed_pack(&b, x);
    (void)pthread_mutex_lock(&r->lock);
    buf_put_blob(&r->unsaid, b.data, b.len);
    bool lost = r->unsaid.overflow;
    (void)pthread_mutex_unlock(&r->lock);
    buf_done(&b);
    if (lost) { /* the source must know each, or it would think that they are there */
        struct fault f;
        (void)fault_set(&f, FAULT_RETRY, x->err, "destination: too many files cannot be renamed");
        receiver_stop(r, &f);
    }
}

int receiver_say_unsaid(struct rlane *l)
{
    struct receiver *r = l->r;
    (void)pthread_mutex_lock(&r->lock);
    struct buf all = r->unsaid;
    buf_init(&r->unsaid, UNSAID_MAX);
    (void)pthread_mutex_unlock(&r->lock);
    struct cursor c = cursor_of(all.data, all.len);
    int rc = 0;
    while (rc == 0 && cursor_left(&c) > 0) {
        size_t n = 0;
        const void *one = cursor_blob(&c, LANE_RECORD_MAX, &n);
        rc = lane_send_copy(l->lane, REC_FAILED, 0, one, n);
    }
    buf_done(&all);
    return rc;
}
