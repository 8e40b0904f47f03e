/* mirror: copies of disks of a machine that runs, followed until they are what the disks are.
 * Worker threads. */
#include "agent/vm/mirror.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>

#include "agent/step.h"
#include "common/base/bucket.h"
#include "common/base/clock.h"

#define LOOK_MS 100
#define STALL_MS 15000 /* no byte for so long: nobody is there any more */

uint64_t mirror_rate(struct vm_stage_run *r)
{
    const struct bucket *b = step_bucket(r->step);
    uint64_t rate = bucket_is_limited(b) ? atomic_load(&b->rate) : 0;
    return bucket_is_limited(b) && rate < MIRROR_LEAST ? MIRROR_LEAST : rate;
}

/* Sums over all disks that move. -EIO: one of them is not copied any more. -ENODATA: not told. */
static int look(struct vm_stage_run *r, const bool *skip, struct virt_mirror *ret)
{
    *ret = (struct virt_mirror){.runs = true, .ready = true};
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        struct virt_mirror m;
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!vm_disk_moves(d) || (skip && skip[i]))
            continue;
        if (r->virt->ops->mirrored(r->virt, r->plan->uuid, d->target, &m) < 0)
            return fault_set(r->reterr, FAULT_RETRY, ENODATA,
                             "the hypervisor does not say how the copy of %s goes", d->target);
        if (!m.runs)
            return fault_set(r->reterr, FAULT_RETRY, EIO, "the copy of %s ended before its time",
                             d->target);
        ret->ready &= m.ready;
        ret->done += m.done;
        ret->total += m.total;
    }
    return 0;
}

static void set_rate(struct vm_stage_run *r, uint64_t rate)
{
    for (size_t i = 0; i < r->plan->n_disks; i++)
        if (vm_disk_moves(r->plan->disks[i]))
            (void)r->virt->ops->mirror_speed(r->virt, r->plan->uuid, r->plan->disks[i]->target,
                                             rate);
}

static void tell(struct vm_stage_run *r, const struct virt_mirror *m)
{
    struct counters c = r->result->counters;
    c.bytes = m->done;
    c.total_bytes = m->total;
    c.total_known = true;
    r->result->counters.bytes = m->done;
    step_progress(r->step, &c, (unsigned)(m->done * 100 / (m->total + 1)),
                  "copying its storage while it runs");
}

int mirror_wait(struct vm_stage_run *r, const bool *skip)
{
    uint64_t seen = 0, rate = mirror_rate(r);
    int64_t seen_ms = clock_mono_ms();
    for (;;) {
        struct virt_mirror m;
        int rc = look(r, skip, &m);
        if (rc < 0 || m.ready)
            return rc;
        tell(r, &m);
        if (m.done != seen) {
            seen = m.done;
            seen_ms = clock_mono_ms();
        }
        if (clock_mono_ms() - seen_ms > STALL_MS)
            return fault_set(r->reterr, FAULT_RETRY, ETIMEDOUT,
                             "nothing of its storage was copied for %d s", STALL_MS / 1000);
        if (mirror_rate(r) != rate)
            set_rate(r, rate = mirror_rate(r));
        struct pollfd p = {.fd = step_cancel_fd(r->step), .events = POLLIN};
        if (poll(&p, 1, LOOK_MS) > 0)
            return fault_set(r->reterr, FAULT_RETRY, ECANCELED, "it was asked to stop");
    }
}

/* What its end leaves is whole: the hypervisor copies what is left before it ends one that was
 * ready. */
int mirror_settle(struct vm_stage_run *r)
{
    int64_t began = clock_mono_ms();
    for (;;) {
        struct virt_mirror m;
        int rc = look(r, NULL, &m);
        if (rc < 0 || m.ready)
            return rc;
        if (clock_mono_ms() - began > STALL_MS)
            return fault_set(r->reterr, FAULT_RETRY, ETIMEDOUT,
                             "the rest of its storage was not copied within %d s", STALL_MS / 1000);
        (void)poll(NULL, 0, LOOK_MS / 5);
    }
}

int mirror_end(struct vm_stage_run *r, const bool *skip, bool pivot)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->plan->n_disks; i++)
        if (vm_disk_moves(r->plan->disks[i]) && !(skip && skip[i]))
            rc = r->virt->ops->mirror_end(r->virt, r->plan->uuid, r->plan->disks[i]->target, pivot,
                                          r->reterr);
    return rc;
}

void mirror_drop(struct vm_stage_run *r)
{
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        struct virt_mirror m = {.runs = false};
        struct fault unused = {.err = 0};
        if (vm_disk_moves(d) &&
            r->virt->ops->mirrored(r->virt, r->plan->uuid, d->target, &m) == 0 && m.runs)
            (void)r->virt->ops->mirror_end(r->virt, r->plan->uuid, d->target, false, &unused);
    }
}
