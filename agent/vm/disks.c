/* disks: where a machine's images are: room for them at the destination, out of reach at the
 * source, put in place. Nothing that is there is ever replaced. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/pairname.h"
#include "agent/vm/bases.h"
#include "agent/vm/device.h"
#include "agent/vm/image.h"
#include "agent/vm/image_new.h"
#include "agent/vm/stage.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

bool vm_disk_moves(const Godwit__VmMoveDisk *d)
{
    return d->how == GODWIT__VM_MOVE_DISK__HOW__COPY || d->how == GODWIT__VM_MOVE_DISK__HOW__SEEDED;
}

/* The hypervisor writes its storage where it is to be. */
static bool is_live(const struct vm_stage_run *r)
{
    return r->plan->type == GODWIT__VM_MOVE_TYPE__VM_MOVE_LIVE_VSM ||
           r->plan->type == GODWIT__VM_MOVE_TYPE__VM_MOVE_LIVE_STORAGE;
}

/* ── reserve ── */

static int make_staging(struct vm_stage_run *r, const char *path)
{
    CLEANUP(mem_free) char *folder = vm_staging_of(r, path);
    int rc = note_add(r->note, NOTE_FOLDER, folder, NULL, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", folder);
    FAULT_POINT("vm.reserve.noted");
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return vm_stage_failed(r, -errno, "cannot make the folder", folder);
    return 0;
}

int vm_place_file(struct vm_stage_run *r, const char *staged, const char *path)
{
    CLEANUP(mem_free) char *is = note_identity(staged);
    CLEANUP(mem_free) char *there = note_identity(path);
    if (!is && there && note_has(r->note, NOTE_PLACED, path))
        return 0; /* before a crash */
    if (!is)
        return vm_stage_failed(r, -ENOENT, "did not arrive:", path);
    int rc = note_add(r->note, NOTE_PLACED, path, is, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", path);
    FAULT_POINT("vm.place.noted");
    rc = file_rename_new(staged, path);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot put in place", path);
    return 1;
}

/* A running machine's storage is written by the hypervisor into an image that is there, empty. */
static int reserve_live(struct vm_stage_run *r, const Godwit__VmMoveDisk *d)
{
    CLEANUP(mem_free) char *staged = vm_staged(r, d->path, d->target);
    if (note_has(r->note, NOTE_PLACED, d->path) && access(d->path, F_OK) == 0)
        return 0;
    const Godwit__VmMoveBase *base = vm_first_base(r, d);
    const struct image_below below = {base ? base->path : "", base ? base->format : ""};
    (void)unlink(staged);
    int rc = image_new(staged, d->format, d->virtual_bytes, base ? &below : NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot make the image", staged);
    return is_live(r) ? vm_place_file(r, staged, d->path) : 0;
}

/* In a library the whole entry is new. */
static int is_free(struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *entry = vm_is_library(r) ? vm_library_entry(r) : NULL;
    return entry && access(entry, F_OK) == 0
               ? vm_stage_failed(r, -EEXIST, "something is there already:", entry)
               : 0;
}

/* A device that is still blank, or that a try before a crash began to write. */
static int reserve_device(struct vm_stage_run *r, const Godwit__VmMoveDisk *d)
{
    uint64_t bytes = 0;
    if (note_has(r->note, NOTE_BLANK, d->path))
        return 0;
    int rc = device_blank(d->path, &bytes, r->reterr);
    if (rc < 0)
        return rc;
    if (bytes < d->virtual_bytes)
        return vm_stage_failed(r, -ENOSPC, "is smaller than the disk:", d->path);
    CLEANUP(mem_free) char *now = device_now(d->path);
    rc = note_add(r->note, NOTE_BLANK, d->path, now, NULL);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot note", d->path) : 1;
}

int vm_reserve(struct vm_stage_run *r)
{
    int rc = is_free(r);
    for (size_t i = 0; rc >= 0 && i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!vm_disk_moves(d))
            continue;
        if (d->to_device) {
            rc = reserve_device(r, d);
            continue;
        }
        if (access(d->path, F_OK) == 0 && !note_has(r->note, NOTE_PLACED, d->path))
            return vm_stage_failed(r, -EEXIST, "something is there already:", d->path);
        rc = make_staging(r, d->path);
        if (rc >= 0 && (is_live(r) || vm_is_warm(r) || d->device))
            rc = reserve_live(r, d);
    }
    if (rc >= 0 && is_live(r))
        vm_refresh_pools(r);
    return rc < 0 ? rc : 1;
}

/* libvirt's list of what a pool holds is as old as the last look. */
void vm_refresh_pools(struct vm_stage_run *r)
{
    for (size_t i = 0; i < r->plan->n_disks; i++)
        if (vm_disk_moves(r->plan->disks[i]) && *r->plan->disks[i]->pool)
            (void)r->virt->ops->refresh(r->virt, r->plan->disks[i]->pool);
}

/* Its header names the path that the image below it has at the source. */
static int rebase(struct vm_stage_run *r, const Godwit__VmMoveDisk *d, const char *path)
{
    const Godwit__VmMoveBase *b = vm_first_base(r, d);
    const char *const argv[] = {"qemu-img", "rebase",  "-u", "-q",    "-f", d->format,
                                "-F",       b->format, "-b", b->path, path, NULL};
    const struct program_call call = {.argv = argv, .cancel_fd = -1};
    struct program_output out = {.code = 0};
    int rc = program_run(&call, &out, r->reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *said = program_words(&out);
    if (out.code != 0)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EIO, "cannot set %.80s on %.60s: %.60s", path,
                       b->path, said);
    program_done(&out);
    return rc;
}

/* A copied overlay stands on the same images as before, by the paths that they have here. */
static int set_chain(struct vm_stage_run *r, const Godwit__VmMoveDisk *d)
{
    if (!vm_has_bases(r, d) || vm_chain_verify(r, d, d->path) == 0)
        return 0;
    int rc = rebase(r, d, d->path);
    if (rc == 0 && vm_chain_verify(r, d, d->path) < 0)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG,
                       "%.120s does not stand on what it should stand on", d->path);
    return rc;
}

int vm_place_disks(struct vm_stage_run *r)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!vm_disk_moves(d) || is_live(r) || d->to_device)
            continue;
        CLEANUP(mem_free) char *staged = vm_staged(r, d->path, d->target);
        rc = vm_place_file(r, staged, d->path);
        if (rc >= 0)
            rc = set_chain(r, d);
    }
    if (rc >= 0)
        vm_refresh_pools(r);
    return rc;
}

/* ── fence ── */

char *vm_fenced_name(const struct vm_stage_run *r, const char *path)
{
    char token[PAIR_TOKEN_LEN + 1];
    const char *slash = strrchr(path, '/');
    pair_token(r->order->move, token);
    return xasprintf("%.*s/.godwit-fenced-%s-%s", (int)(slash - path), path, token, slash + 1);
}

static int fence_device(struct vm_stage_run *r, const char *path)
{
    if (!device_is(path))
        return 0;
    CLEANUP(mem_free) char *now = device_now(path);
    int rc = note_add(r->note, NOTE_LOCKED, path, now, NULL);
    if (rc == 0)
        rc = device_lock(path, now, true);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot make read-only", path) : 1;
}

static int fence_one(struct vm_stage_run *r, const char *path)
{
    CLEANUP(mem_free) char *to = vm_fenced_name(r, path);
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT && access(to, F_OK) == 0
                   ? 0
                   : vm_stage_failed(r, -errno, "cannot fence", path);
    if (S_ISBLK(st.st_mode) || S_ISLNK(st.st_mode))
        return fence_device(r, path); /* it keeps its name: whoever starts it cannot write */
    if (!S_ISREG(st.st_mode))
        return 0;
    char mode[16];
    (void)snprintf(mode, sizeof mode, "%o", (unsigned)(st.st_mode & 07777));
    int rc = note_add(r->note, NOTE_MOVED, path, to, mode);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", path);
    FAULT_POINT("vm.fence.noted");
    rc = file_rename_new(path, to);
    if (rc == 0 && chmod(to, 0400) < 0)
        rc = -errno;
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot fence", path);
    return 1;
}

int vm_fence_images(struct vm_stage_run *r)
{
    int rc = 0;
    for (size_t i = 0; i < r->plan->n_disks && rc >= 0; i++)
        if (vm_disk_moves(r->plan->disks[i]) && !r->plan->disks[i]->read_only)
            rc = fence_one(r, r->plan->disks[i]->source);
    return rc;
}

int vm_unfence_images(struct vm_stage_run *r)
{
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        CLEANUP(mem_free) char *to = vm_disk_moves(d) ? vm_fenced_name(r, d->source) : NULL;
        if (!to || access(to, F_OK) != 0)
            continue;
        int rc = chmod(to, 0600) < 0 ? -errno : file_rename_new(to, d->source);
        if (rc < 0)
            return vm_stage_failed(r, rc, "cannot take back", d->source);
    }
    return 0;
}

/* A machine that runs here has its images open: they are not taken from under it. One that a warm
 * move holds has them open too, but it writes nothing: taken back, it goes on as if nothing was. */
int vm_fence(struct vm_stage_run *r)
{
    struct virt_sight s;
    int rc = vm_settled(r, &s);
    if (rc < 0)
        return rc;
    if (s.is == VIRT_RUNNING || (s.is == VIRT_PAUSED && !vm_holds(r)))
        return fault_set(r->reterr, FAULT_STOP_JOB, EBUSY,
                         "the machine runs on the source: its images are not fenced");
    rc = vm_fence_images(r);
    if (rc >= 0)
        vm_stage_after(r, xstrdup("the source's images have other names and are read-only"));
    return rc < 0 ? rc : 1;
}

int vm_fence_probe(struct vm_stage_run *r)
{
    bool some = false;
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!vm_disk_moves(d) || d->read_only)
            continue;
        CLEANUP(mem_free) char *to = vm_fenced_name(r, d->source);
        if (d->device && device_is(d->source)) {
            if (!device_is_locked(d->source))
                return 0;
        } else if (access(to, F_OK) < 0 || access(d->source, F_OK) == 0)
            return 0;
        some = true;
    }
    return some;
}

int vm_drop_fenced(struct vm_stage_run *r)
{
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        CLEANUP(mem_free) char *to = vm_disk_moves(d) ? vm_fenced_name(r, d->source) : NULL;
        if (to && unlink(to) < 0 && errno != ENOENT)
            return vm_stage_failed(r, -errno, "cannot remove", to);
    }
    return 1;
}

void vm_unlock_devices(struct vm_stage_run *r)
{
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        CLEANUP(mem_free) char *now = d->device ? device_now(d->source) : NULL;
        if (now && vm_disk_moves(d) && device_is(d->source))
            (void)device_lock(d->source, now, false);
    }
}

int vm_note_fenced(struct vm_stage_run *r, struct note *n)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        CLEANUP(mem_free) char *to = vm_disk_moves(d) ? vm_fenced_name(r, d->source) : NULL;
        CLEANUP(mem_free) char *is = to ? note_identity(to) : NULL;
        if (is)
            rc = note_add(n, NOTE_PLACED, to, is, NULL);
    }
    return rc;
}
