/* shift: the stage "shift": a machine's storage moves to another place of its host: copied while it
 * runs, which then goes on with the copy; or, when it is off, copied as files are. Taken back the
 * same way: nothing that it wrote meanwhile is lost. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/step.h"
#include "agent/vm/domain_xml.h"
#include "agent/vm/mirror.h"
#include "agent/vm/redefine.h"
#include "agent/vm/stage.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define PIECE (4U << 20)

bool vm_stays(const struct vm_stage_run *r)
{
    return r->plan->type == GODWIT__VM_MOVE_TYPE__VM_MOVE_LIVE_STORAGE ||
           r->plan->type == GODWIT__VM_MOVE_TYPE__VM_MOVE_QUICK_STORAGE;
}

/* ── which way ── */

/* Where its disks go: as the plan says, or back. */
struct way {
    Godwit__VmMovePlan plan;
    Godwit__VmMoveDisk disk[STAGE_DISKS_MAX], *disks[STAGE_DISKS_MAX];
};

static void way_of(const struct vm_stage_run *r, bool back, struct way *ret)
{
    ret->plan = *r->plan;
    ret->plan.disks = ret->disks;
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        ret->disk[i] = *r->plan->disks[i];
        ret->disks[i] = &ret->disk[i];
        if (back && vm_disk_moves(&ret->disk[i])) {
            ret->disk[i].path = r->plan->disks[i]->source;
            ret->disk[i].source = r->plan->disks[i]->path;
        }
    }
}

/* Which disks are where they are to be. -errno with the fault. */
static int arrived(struct vm_stage_run *r, const struct way *w, unsigned which, bool *ret)
{
    CLEANUP(domain_free) Godwit__VmDomain *d = NULL;
    char *xml = NULL;
    int rc = r->virt->ops->definition(r->virt, r->plan->uuid, which, &xml, r->reterr);
    if (rc < 0)
        return rc;
    rc = domain_xml_read(xml, strlen(xml), &d);
    free(xml);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot read the definition of", r->plan->name);
    for (size_t i = 0; i < w->plan.n_disks; i++) {
        ret[i] = false;
        for (size_t k = 0; k < d->n_disks; k++)
            if (strcmp(d->disks[k]->target, w->disk[i].target) == 0)
                ret[i] = strcmp(d->disks[k]->source, w->disk[i].path) == 0;
    }
    return 0;
}

static bool all(const struct way *w, const bool *is)
{
    for (size_t i = 0; i < w->plan.n_disks; i++)
        if (vm_disk_moves(&w->disk[i]) && !is[i])
            return false;
    return true;
}

/* ── running ── */

static char *escaped(const char *text)
{
    static const char *const names[] = {
        ['&'] = "&amp;", ['<'] = "&lt;", ['\''] = "&apos;", ['>'] = "&gt;", ['"'] = "&quot;"};
    char *out = xmalloc(6 * strlen(text) + 1), *to = out;
    for (; *text; text++) {
        const char *name =
            (unsigned char)*text < ARRAY_SIZE(names) ? names[(unsigned char)*text] : NULL;
        size_t n = name ? strlen(name) : 1;
        memcpy(to, name ? name : text, n);
        to += n;
    }
    *to = '\0';
    return out;
}

static int mirror_one(struct vm_stage_run *r, const Godwit__VmMoveDisk *d)
{
    CLEANUP(mem_free) char *path = escaped(d->path);
    CLEANUP(mem_free) char *format = escaped(d->format);
    CLEANUP(mem_free)
    char *xml = xasprintf("<disk type='file'><driver name='qemu' type='%s'/><source file='%s'/>"
                          "</disk>",
                          format, path);
    return r->virt->ops->mirror(r->virt, r->plan->uuid, d->target, xml, mirror_rate(r), r->reterr);
}

static int shift_running(struct vm_stage_run *r, const struct way *w)
{
    bool there[STAGE_DISKS_MAX];
    mirror_drop(r); /* of an attempt before a crash */
    int rc = arrived(r, w, VIRT_XML_NOW, there);
    for (size_t i = 0; rc == 0 && i < w->plan.n_disks; i++)
        if (vm_disk_moves(&w->disk[i]) && !there[i])
            rc = mirror_one(r, &w->disk[i]);
    if (rc == 0)
        rc = mirror_wait(r, there);
    FAULT_POINT("vm.shift.ready");
    if (rc == 0)
        rc = mirror_end(r, there, true);
    if (rc == 0)
        rc = arrived(r, w, VIRT_XML_NOW, there);
    if (rc == 0 && !all(w, there))
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EIO, "the machine did not change to the copies");
    if (rc < 0)
        mirror_drop(r);
    return rc;
}

/* ── off ── */

/* By the kernel where both are on one file system, else through memory. */
static ssize_t copy_some(int from, int to, off_t at, size_t want, void *block)
{
    loff_t in = at, out = at;
    ssize_t n = copy_file_range(from, &in, to, &out, want, 0);
    if (n >= 0 || (errno != EXDEV && errno != EINVAL && errno != EOPNOTSUPP && errno != ENOSYS))
        return n;
    n = pread(from, block, want, at);
    for (ssize_t done = 0; done < n;) {
        ssize_t k = pwrite(to, (char *)block + done, (size_t)(n - done), at + done);
        if (k < 0)
            return -1;
        done += k;
    }
    return n;
}

static int copy_piece(struct vm_stage_run *r, int from, int to, off_t at, off_t end)
{
    CLEANUP(mem_free) char *block = xmalloc(PIECE);
    while (at < end) {
        size_t want = end - at < (off_t)PIECE ? (size_t)(end - at) : PIECE;
        if (step_cancelled(r->step))
            return -ECANCELED;
        ssize_t n = copy_some(from, to, at, want, block);
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        at += n;
        r->result->counters.bytes += (uint64_t)n;
    }
    return 0;
}

/* With its holes. */
static int copy_file(struct vm_stage_run *r, const char *source, const char *path)
{
    struct stat st;
    CLEANUP(fd_close) int from = open(source, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    CLEANUP(fd_close)
    int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (from < 0 || to < 0 || fstat(from, &st) < 0 || ftruncate(to, st.st_size) < 0)
        return -errno;
    int rc = 0;
    for (off_t at = 0; rc == 0 && (at = lseek(from, at, SEEK_DATA)) >= 0;) {
        off_t end = lseek(from, at, SEEK_HOLE);
        rc = end < 0 ? -errno : copy_piece(r, from, to, at, end);
        at = end;
    }
    if (rc == 0 && (fchown(to, st.st_uid, st.st_gid) < 0 || fchmod(to, st.st_mode & 07777) < 0 ||
                    fsync(to) < 0))
        rc = -errno;
    return rc;
}

static int copy_all(struct vm_stage_run *r)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!vm_disk_moves(d) ||
            (note_has(r->note, NOTE_PLACED, d->path) && access(d->path, F_OK) == 0))
            continue;
        CLEANUP(mem_free) char *staged = vm_staged(r, d->path, d->target);
        rc = copy_file(r, d->source, staged);
        if (rc < 0)
            return vm_stage_failed(r, rc, "cannot copy", d->source);
    }
    return rc < 0 ? rc : vm_place_disks(r);
}

/* ── both ── */

/* Its next start has the disks where they are now, whatever the hypervisor did of its own. */
static int redefine_kept(struct vm_stage_run *r, const struct way *w)
{
    char *was = NULL, *xml = NULL;
    int rc = r->virt->ops->definition(r->virt, r->plan->uuid, VIRT_XML_KEPT | VIRT_XML_WITH_SECRETS,
                                      &was, r->reterr);
    if (rc < 0)
        return rc;
    rc = redefine(was, strlen(was), &w->plan, &xml);
    if (rc < 0)
        rc = vm_stage_failed(r, rc, "cannot change the definition of", r->plan->name);
    else
        rc = r->virt->ops->define(r->virt, xml, r->reterr);
    explicit_bzero(was, strlen(was));
    free(was);
    if (xml)
        explicit_bzero(xml, strlen(xml));
    free(xml);
    return rc;
}

static void tidy(struct vm_stage_run *r)
{
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        if (!vm_disk_moves(r->plan->disks[i]))
            continue;
        CLEANUP(mem_free) char *folder = vm_staging_of(r, r->plan->disks[i]->path);
        (void)rmdir(folder); /* empty: all is in place */
    }
}

/* Once it was shifted only what comes after is done again. */
static int move(struct vm_stage_run *r, const struct way *w, const struct virt_sight *s)
{
    if (note_fact(r->note, "shifted"))
        return 0;
    int rc = vm_reserve(r);
    if (rc >= 0)
        rc = s->is == VIRT_RUNNING ? shift_running(r, w) : copy_all(r);
    if (rc >= 0)
        rc = redefine_kept(r, w);
    if (rc >= 0 && note_add(r->note, NOTE_FACT, "shifted", r->plan->uuid, NULL) < 0)
        rc = vm_stage_failed(r, -EIO, "cannot note", r->plan->name);
    return rc;
}

int vm_shift(struct vm_stage_run *r)
{
    struct virt_sight s;
    struct way w;
    bool runs = r->plan->type == GODWIT__VM_MOVE_TYPE__VM_MOVE_LIVE_STORAGE;
    int rc = r->virt->ops->sight(r->virt, r->plan->uuid, &s, r->reterr);
    if (rc == 0 && s.is != (runs ? VIRT_RUNNING : VIRT_OFF))
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EBUSY, "the machine is not %s: %s",
                       runs ? "running" : "off", s.reason);
    if (rc < 0)
        return rc;
    way_of(r, false, &w);
    rc = move(r, &w, &s);
    if (rc >= 0)
        rc = vm_fence_images(r);
    if (rc >= 0)
        tidy(r);
    return rc < 0 ? rc : 1;
}

/* It is off, and its next start would be from the copies: it may have written to them, before its
 * host had no power. They stay until all is back. */
static int copy_back(struct vm_stage_run *r)
{
    bool there[STAGE_DISKS_MAX];
    struct way forth;
    way_of(r, false, &forth);
    int rc = arrived(r, &forth, VIRT_XML_KEPT, there);
    for (size_t i = 0; rc == 0 && i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (!vm_disk_moves(d) || !there[i] || access(d->path, F_OK) < 0)
            continue;
        rc = copy_file(r, d->path, d->source);
        if (rc < 0)
            rc = vm_stage_failed(r, rc, "cannot copy back", d->path);
    }
    return rc;
}

/* What it wrote since is in the copies: they go back before they go away. */
int vm_shift_undo(struct vm_stage_run *r)
{
    struct virt_sight s;
    struct way w;
    if (note_is_empty(r->note))
        return 0;
    int rc = r->virt->ops->sight(r->virt, r->plan->uuid, &s, r->reterr);
    if (rc == 0)
        rc = vm_unfence_images(r);
    if (rc < 0)
        return rc;
    way_of(r, true, &w);
    if (s.is == VIRT_RUNNING || s.is == VIRT_PAUSED)
        rc = shift_running(r, &w);
    else
        rc = copy_back(r);
    return rc < 0 ? rc : redefine_kept(r, &w);
}
