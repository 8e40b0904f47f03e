/* copy: the stage "copy": a machine's images go through the transfer engine as any files do:
 * sparse, compressed, checked, resumed where they were. Each pair of folders is one transfer from a
 * folder of links to a folder of ours at the destination. Worker threads. */
#include "agent/vm/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/lane/ticket.h"
#include "agent/step.h"
#include "agent/store/pairname.h"
#include "agent/transfer/receiver.h"
#include "agent/transfer/sender.h"
#include "agent/transfer/spec.h"
#include "agent/transfer/temp.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define ENDPOINTS_MAX 16
#define FLATTEN_MS (24 * 3600 * 1000)

static bool same_folder(const char *a, const char *b)
{
    size_t n = (size_t)(strrchr(a, '/') - a);
    return n == (size_t)(strrchr(b, '/') - b) && memcmp(a, b, n) == 0;
}

static bool is_file(const Godwit__VmMoveDisk *d)
{
    return vm_disk_moves(d) && !d->device;
}

/* Is it the first of the disks that share both its folders? Each such opens a part. */
static bool opens_part(const Godwit__VmMovePlan *p, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (is_file(p->disks[k]) && same_folder(p->disks[k]->source, p->disks[i]->source) &&
            same_folder(p->disks[k]->path, p->disks[i]->path))
            return false;
    return is_file(p->disks[i]);
}

/* ── the source: links to the images, under their targets' names ── */

/* A chain as one image of the same format, beside it. */
static int flatten(struct vm_stage_run *r, const Godwit__VmMoveDisk *d, const char *to)
{
    const char *const argv[] = {"qemu-img", "convert", "-q",      "-f", d->format,
                                "-O",       d->format, d->source, to,   NULL};
    const struct program_call call = {
        .argv = argv, .timeout_ms = FLATTEN_MS, .cancel_fd = step_cancel_fd(r->step)};
    struct program_output out = {.code = 0};
    (void)unlink(to);
    int rc = program_run(&call, &out, r->reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *said = program_words(&out);
    if (out.code != 0)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EIO, "cannot make one image of %.60s: %.80s",
                       d->source, said);
    program_done(&out);
    return rc;
}

static int link_one(struct vm_stage_run *r, const Godwit__VmMoveDisk *d, const char *beside)
{
    CLEANUP(mem_free) char *to = vm_staged(r, beside, d->target);
    struct stat st;
    if (lstat(d->source, &st) < 0)
        return vm_stage_failed(r, -errno, "cannot read", d->source);
    if (!S_ISREG(st.st_mode))
        return vm_stage_failed(r, -EOPNOTSUPP, "is no file, so it cannot be copied so:", d->source);
    if (d->flatten)
        return flatten(r, d, to);
    (void)unlink(to);
    if (link(d->source, to) < 0)
        return vm_stage_failed(r, -errno, "cannot link", d->source);
    return 0;
}

static int stage_part(struct vm_stage_run *r, size_t first)
{
    const Godwit__VmMoveDisk *f = r->plan->disks[first];
    CLEANUP(mem_free) char *folder = vm_staging_of(r, f->source);
    int rc = note_add(r->note, NOTE_FOLDER, folder, NULL, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", folder);
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return vm_stage_failed(r, -errno, "cannot make the folder", folder);
    for (size_t i = first; rc == 0 && i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (is_file(d) && same_folder(d->source, f->source) && same_folder(d->path, f->path))
            rc = link_one(r, d, f->source);
    }
    return rc;
}

/* ── one transfer ── */

static void add(struct counters *to, const struct counters *c)
{
    to->files += c->files;
    to->bytes += c->bytes;
    to->entries += c->entries;
    to->sent_bytes += c->sent_bytes;
    to->wire_bytes += c->wire_bytes;
    to->total_files += c->total_files;
    to->total_bytes += c->total_bytes;
    to->again_bytes += c->again_bytes;
    to->elapsed_ms += c->elapsed_ms;
    to->lanes = c->lanes;
    to->total_known = c->total_known;
}

/* What a part's transfer says as the stage's: one file that did not arrive is all. */
static int outcome(struct vm_stage_run *r, struct step_result *part)
{
    add(&r->result->counters, &part->counters);
    if (part->status == STEP_DONE)
        return 0;
    if (part->status == STEP_STOPPED)
        return -ECANCELED;
    if (part->fault.what_next == FAULT_NONE) {
        const struct failure_group *g = part->ngroups ? &part->groups[0] : NULL;
        return fault_set(r->reterr, FAULT_STOP_JOB, g && g->err ? g->err : EIO,
                         "an image was not copied: %s %s: %s", g ? g->what : "",
                         g && g->nexamples ? g->examples[0] : "", g ? strerror(g->err) : "");
    }
    *r->reterr = part->fault;
    return part->fault.err ? -part->fault.err : -EIO;
}

int vm_copy_folder(struct vm_stage_run *r, const char *folder, unsigned part)
{
    const Godwit__VmMoveOrder *o = r->order;
    bool source = vm_stage_is_source(r);
    struct step_result mine = {.status = STEP_FAILED};
    CLEANUP(mem_free) char *id = xasprintf("%s.%u", o->ticket_id, part);
    CLEANUP(mem_free) char *pair = xasprintf("%s.%u", o->move, part);
    const struct transfer_spec spec = {.path = (char *)(uintptr_t)folder,
                                       .path_len = strlen(folder),
                                       .is_snapshot = true,    /* of links: nobody watches it */
                                       .hurry = r->plan->runs, /* it is held meanwhile */
                                       .ticket_id = id,
                                       .secret = o->ticket_secret.data,
                                       .not_after_ms = o->not_after_ms,
                                       .peer_pin = o->peer_pin.data,
                                       .pair = pair,
                                       .options = {.full_scan = true},
                                       .endpoints = o->peer_endpoints,
                                       .nendpoints = o->n_peer_endpoints};
    if (strlen(id) > TICKET_ID_MAX || !pair_valid(pair))
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order's names are too long");
    if (source)
        sender_run(r->step, &spec, &mine);
    else
        receiver_run(r->step, &spec, &mine);
    int rc = outcome(r, &mine);
    step_result_done(&mine);
    return rc;
}

static int run_part(struct vm_stage_run *r, size_t first, unsigned part)
{
    const Godwit__VmMoveDisk *d = r->plan->disks[first];
    CLEANUP(mem_free)
    char *folder = vm_staging_of(r, vm_stage_is_source(r) ? d->source : d->path);
    return vm_copy_folder(r, folder, part);
}

/* Nobody fences what stays: it must not have been written meanwhile, and it was not if it is as old
 * as before. */
static int64_t written_ns(const char *path)
{
    struct stat st;
    return lstat(path, &st) < 0 ? -1 : st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
}

static int check(struct vm_stage_run *r)
{
    const Godwit__VmMoveOrder *o = r->order;
    bool ok = *o->ticket_id && o->ticket_secret.len == LANE_SECRET_BYTES &&
              o->peer_pin.len == LANE_PIN_BYTES && o->n_peer_endpoints <= ENDPOINTS_MAX &&
              vm_stage_is_source(r) == (o->n_peer_endpoints > 0);
    return ok ? 0 : fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no ticket");
}

/* Only of a machine that is off: an image that is written meanwhile would be of no moment. */
static int is_off(struct vm_stage_run *r)
{
    struct virt_sight s;
    if (vm_is_library(r) && !vm_stage_is_source(r))
        return 0; /* what runs here by that UUID is another matter */
    int rc = r->virt->ops->sight(r->virt, r->plan->uuid, &s, r->reterr);
    if (rc == 0 && s.is != VIRT_OFF && s.is != VIRT_SAVED && s.is != VIRT_ABSENT)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EBUSY, "the machine is not off: %s", s.reason);
    return rc;
}

/* Its disks are there already; the saved memory lies alone in a folder. */
static int copy_rest(struct vm_stage_run *r)
{
    int rc = vm_seed_done(r);
    if (rc == 0 && !vm_stage_is_source(r))
        rc = vm_memory_room(r);
    CLEANUP(mem_free) char *folder = rc == 0 ? vm_memory_folder(r) : NULL;
    return folder ? vm_copy_folder(r, folder, 0) : rc;
}

static int copy_all(struct vm_stage_run *r)
{
    unsigned part = 0;
    int rc = is_off(r);
    for (size_t i = 0; rc == 0 && i < r->plan->n_disks; i++) {
        if (!opens_part(r->plan, i))
            continue;
        rc = vm_stage_is_source(r) ? stage_part(r, i) : 0;
        if (rc == 0)
            rc = run_part(r, i, part++);
    }
    return rc == 0 ? vm_copy_blocks(r) : rc;
}

static int copy_unwritten(struct vm_stage_run *r)
{
    int64_t before[STAGE_DISKS_MAX];
    bool source = vm_stage_is_source(r);
    for (size_t i = 0; source && i < r->plan->n_disks; i++)
        before[i] = written_ns(r->plan->disks[i]->source);
    int rc = copy_all(r);
    if (rc == 0)
        rc = is_off(r);
    for (size_t i = 0; rc == 0 && source && i < r->plan->n_disks; i++)
        if (is_file(r->plan->disks[i]) && written_ns(r->plan->disks[i]->source) != before[i])
            rc = fault_set(r->reterr, FAULT_STOP_JOB, EBUSY,
                           "%.120s was written while it was copied", r->plan->disks[i]->source);
    return rc;
}

int vm_copy(struct vm_stage_run *r)
{
    int rc = check(r);
    if (rc == 0)
        rc = vm_is_warm(r) ? copy_rest(r) : copy_unwritten(r);
    return rc < 0 ? rc : 1;
}

/* What transfers keep of a pair beside the images. */
static void forget_part(const struct vm_stage_run *r, unsigned part)
{
    static const char *const kept[] = {"failed", "sent", "seen"};
    CLEANUP(mem_free) char *pair = xasprintf("%s.%u", r->order->move, part);
    CLEANUP(mem_free) char *db = pair_catalogue_path(r->state_dir, pair);
    CLEANUP(mem_free) char *wal = xasprintf("%s-wal", db);
    CLEANUP(mem_free) char *shm = xasprintf("%s-shm", db);
    (void)unlink(db);
    (void)unlink(wal);
    (void)unlink(shm);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        CLEANUP(mem_free) char *path = temp_state_path(r->state_dir, pair, kept[i]);
        (void)unlink(path);
    }
}

void vm_copy_forget(struct vm_stage_run *r)
{
    for (unsigned part = 0; part < STAGE_DISKS_MAX; part++)
        forget_part(r, part);
    for (unsigned i = 0; i < r->plan->n_bases; i++)
        forget_part(r, VM_BASE_PARTS + i);
}
