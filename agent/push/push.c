/* push: connects, runs the workers for both rounds, and tells what came of it. The step's thread,
 * and the workers' where it says so. */
#include "agent/push/push.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "agent/pull/smbacl.h"
#include "agent/push/push_priv.h"
#include "agent/store/beneath.h"
#include "agent/store/failures.h"
#include "agent/store/pathstack.h"
#include "agent/transfer/temp.h"
#include "common/base/bucket.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define STACK_BYTES (8U << 20)

/* ── for the workers ── */

static void path_of(const struct pusher *k, const char *name, struct buf *b)
{
    buf_put(b, k->path, k->path_len);
    if (name && k->path_len > 0)
        buf_put_u8(b, '/');
    if (name)
        buf_put(b, name, strlen(name));
}

static void tell(struct pusher *k, const char *name, int err, const char *what, bool note)
{
    struct buf b;
    buf_init(&b, PUSH_PATH_MAX + 512);
    path_of(k, name, &b);
    (note ? failures_note : failures_add)(k->p->failures, err, what, (const char *)b.data, b.len);
    buf_done(&b);
}

void push_failed(struct pusher *k, const char *name, int err, const char *what)
{
    tell(k, name, err, what, false);
}

void push_note(struct pusher *k, const char *name, int err, const char *what)
{
    tell(k, name, err, what, true);
}

void push_count(struct pusher *k, size_t off, uint64_t n)
{
    struct push *p = k->p;
    (void)pthread_mutex_lock(&p->lock);
    uint64_t *at = (uint64_t *)((char *)&p->counters + off); /* NOLINT: each counter is one */
    *at += n;
    p->counters.failed = failures_count(p->failures);
    struct counters now = p->counters;
    (void)pthread_mutex_unlock(&p->lock);
    step_progress(p->step, &now, 0, "Copying");
}

int push_pace(struct pusher *k, uint64_t bytes)
{
    struct bucket *b = step_bucket(k->p->step);
    while (bytes > 0 && bucket_is_limited(b)) {
        int64_t wait_ns = 0;
        bytes -= bucket_take(b, bytes, clock_mono_ms() * 1000000, &wait_ns);
        struct pollfd w = {.fd = step_cancel_fd(k->p->step), .events = POLLIN};
        if (bytes > 0 && poll(&w, 1, (int)(wait_ns / 1000000) + 1) > 0)
            return -ECANCELED;
    }
    return 0;
}

char *push_path(const struct pusher *k, const char *name, size_t *retlen)
{
    const struct push_order *o = k->p->order;
    struct buf b;
    buf_init(&b, PUSH_PATH_MAX);
    buf_put(&b, o->base, o->base_len);
    if (b.len > 0 && (k->path_len > 0 || name))
        buf_put_u8(&b, '/');
    path_of(k, name, &b);
    char *path = b.overflow ? NULL : xmemdup(b.len ? (const char *)b.data : "", b.len);
    *retlen = b.len;
    buf_done(&b);
    return path;
}

bool push_is_dry(const struct pusher *k)
{
    return k->p->order->options->dry_run;
}

/* ── a worker ── */

static void broken(struct push *p, int rc)
{
    (void)pthread_mutex_lock(&p->lock);
    if (p->error == 0)
        p->error = rc;
    (void)pthread_mutex_unlock(&p->lock);
    pathstack_abort(p->stack);
}

static void *work(void *arg)
{
    struct pusher *k = arg;
    struct fault why = {0};
    int rc = k->smb ? 0 : smb_connect(&k->smb, &k->p->order->place, &why);
    while (rc == 0) {
        CLEANUP(mem_free) char *path = NULL;
        size_t len = 0;
        uint32_t flags = 0;
        if (pathstack_pop(k->p->stack, true, &path, &len, &flags) != 1)
            break;
        rc = step_cancelled(k->p->step) ? -ECANCELED : push_folder(k, path, len, flags);
        pathstack_done(k->p->stack);
    }
    if (rc < 0)
        broken(k->p, rc);
    return NULL;
}

static int round_of(struct push *p, struct pusher *k, uint32_t flags)
{
    int rc = pathstack_new(&p->stack, step_env(p->step)->state_dir, STACK_BYTES);
    if (rc == 0)
        rc = pathstack_push(p->stack, "", 0, flags);
    if (rc < 0)
        return rc;
    unsigned n = 0;
    while (n < PUSH_WORKERS && pthread_create(&k[n].thread, NULL, work, &k[n]) == 0)
        n++;
    for (unsigned i = 0; i < n; i++)
        (void)pthread_join(k[i].thread, NULL);
    p->stack = pathstack_free(p->stack);
    return n == 0 ? -EAGAIN : p->error;
}

/* ── the step ── */

/* The folder below the share with its parents. 1: it was made by this call. */
static int make_base(struct push *p, struct smb *smb)
{
    const struct push_order *o = p->order;
    int made = 0;
    for (size_t at = 0; at < o->base_len;) {
        const char *slash = memchr(o->base + at, '/', o->base_len - at);
        size_t len = slash ? (size_t)(slash - o->base) : o->base_len;
        CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(smb);
        int rc = smb_put_make(c, o->base, len, SMB_MAKE_FOLDER);
        if (rc == 0)
            rc = smb_put_close(c, NULL);
        rc = smb_ask(c, rc);
        if (rc == 0)
            rc = smb_get_done(c, 0);
        if (rc < 0 && rc != -EEXIST)
            return rc;
        made = rc == 0;
        at = len + 1;
    }
    return made;
}

static int begin(struct push *p, struct pusher *first, struct fault *reterr)
{
    const struct push_order *o = p->order;
    struct meta m;
    p->root = beneath_root(o->path, o->path_len, false);
    int rc = p->root < 0 ? p->root : meta_stat(p->root, "", &m);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the source folder '%.*s': %s",
                         (int)o->path_len, o->path, strerror(-rc));
    p->root_dev = m.dev;
    rc = push_origin_begin(p, reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *path = xmemdup(o->path, o->path_len);
    CLEANUP(mem_free)
    char *scratch = temp_state_path(step_env(p->step)->state_dir, o->pair, "ntacl");
    rc = smbacl_new(&p->smbacl, scratch, path, reterr);
    int opened = rc == 0 ? push_depot_open(p) : 0;
    if (opened < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -opened, "the share's depot of streams: %s",
                         strerror(-opened));
    if (rc == 0)
        rc = smb_connect(&first->smb, &o->place, reterr);
    if (rc < 0 || o->options->dry_run)
        return rc;
    rc = make_base(p, first->smb);
    if (rc < 0)
        return fault_set(reterr, rc == -ECANCELED ? FAULT_RETRY : FAULT_STOP_JOB, -rc,
                         "%.60s may not make '/%.*s' in the share %.60s of %s: %s",
                         o->place.login.user, (int)o->base_len, o->base, o->place.share,
                         o->place.address, strerror(-rc));
    return rc;
}

static void explain(const struct push *p, int rc, struct step_result *ret)
{
    const struct smb_place *at = &p->order->place;
    if (rc == -ECANCELED) {
        ret->status = STEP_STOPPED;
        return;
    }
    bool full = rc == -ENOSPC || rc == -EDQUOT || rc == -EROFS;
    if (ret->fault.what_next == FAULT_NONE)
        (void)fault_set(&ret->fault, full ? FAULT_STOP_JOB : FAULT_RETRY, -rc,
                        "the share %.60s of %.80s: %s", at->share, at->address, strerror(-rc));
}

static void done(struct push *p, struct pusher *k)
{
    for (unsigned i = 0; i < PUSH_WORKERS; i++) {
        push_forget(&k[i]);
        push_depot_leave(&k[i]);
        (void)smb_close(k[i].smb);
        buf_done(&k[i].xattrs);
        buf_done(&k[i].mapped);
        free(k[i].room);
        free(k[i].there);
    }
    (void)smbacl_free(p->smbacl);
    (void)failures_free(p->failures);
    if (p->root >= 0)
        (void)fd_close(p->root);
    if (p->depot >= 0)
        (void)fd_close(p->depot);
    (void)pthread_mutex_destroy(&p->lock);
    free(k);
}

void push_run(struct step *step, struct push_order *o, struct step_result *ret)
{
    struct push p = {.step = step, .order = o, .root = -1, .depot = -1, .failures = failures_new()};
    struct pusher *k = xcalloc(PUSH_WORKERS, sizeof *k);
    int64_t began = clock_mono_ms();
    (void)pthread_mutex_init(&p.lock, NULL);
    text_new_id(p.token);
    o->place.cancel_fd = step_cancel_fd(step);
    for (unsigned i = 0; i < PUSH_WORKERS; i++) {
        k[i].p = &p;
        k[i].fd = k[i].streams = -1;
        k[i].room = xmalloc(SMB_READ_MAX);
        buf_init(&k[i].xattrs, XATTRS_MAX + 1);
        buf_init(&k[i].mapped, SMB_DESCRIPTOR_MAX);
    }
    ret->status = STEP_FAILED;
    int rc = begin(&p, &k[0], &ret->fault);
    if (rc >= 0) {
        rc = round_of(&p, k, 0);
        p.folders_only = true;
        if (rc == 0 && !o->options->dry_run)
            rc = round_of(&p, k, 0);
        if (rc == 0)
            rc = push_origin_note(&p);
    }
    p.counters.failed = failures_count(p.failures);
    p.counters.elapsed_ms = (uint64_t)(clock_mono_ms() - began);
    ret->counters = p.counters;
    failures_take(p.failures, ret);
    if (rc < 0)
        explain(&p, rc, ret);
    else
        ret->status = p.counters.failed ? STEP_PARTIAL : STEP_DONE;
    done(&p, k);
}
