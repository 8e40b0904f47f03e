/* save: the stages "save" and "pause", by which a machine stops where it is, and how it goes on
 * from its saved memory. Where that lies is memory.c. Worker threads. */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/redefine.h"
#include "agent/vm/stage.h"
#include "agent/vm/used.h"
#include "common/base/clock.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define QUICK GODWIT__VM_MOVE_TYPE__VM_MOVE_QUICK
#define WARM_QUICK GODWIT__VM_MOVE_TYPE__VM_MOVE_WARM_QUICK
#define LOOK_MS 20
#define GONE_MS 20000

/* ── the source ── */

static int make_folder(struct vm_stage_run *r, const char *memory)
{
    CLEANUP(mem_free)
    char *folder = xasprintf("%.*s", (int)(strrchr(memory, '/') - memory), memory);
    int rc = note_add(r->note, NOTE_FOLDER, folder, NULL, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", folder);
    if (mkdir(folder, 0700) < 0 && errno != EEXIST)
        return vm_stage_failed(r, -errno, "cannot make the folder", folder);
    return 0;
}

static int pause_it(struct vm_stage_run *r, const struct virt_sight *s)
{
    if (s->is == VIRT_PAUSED)
        return 0;
    int rc = note_add(r->note, NOTE_PAUSED, r->plan->uuid, NULL, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", r->plan->name);
    FAULT_POINT("vm.pause.noted");
    return r->virt->ops->suspend(r->virt, r->plan->uuid, r->reterr);
}

/* It stands still, and its disks at the destination are those here. */
static int hold(struct vm_stage_run *r, const struct virt_sight *s)
{
    if (s->is != VIRT_RUNNING && !(s->is == VIRT_PAUSED && !note_is_empty(r->note)))
        return fault_set(r->reterr, FAULT_STOP_JOB, EBUSY, "the machine does not run: %s",
                         s->reason);
    int rc = pause_it(r, s);
    return rc < 0 ? rc : vm_seed_end(r);
}

int vm_pause(struct vm_stage_run *r)
{
    struct virt_sight s;
    int rc = r->virt->ops->sight(r->virt, r->plan->uuid, &s, r->reterr);
    if (rc == 0)
        rc = hold(r, &s);
    return rc < 0 ? rc : 1;
}

int vm_settled(struct vm_stage_run *r, struct virt_sight *ret)
{
    int64_t until = clock_mono_ms() + GONE_MS;
    for (;;) {
        int rc = r->virt->ops->sight(r->virt, r->plan->uuid, ret, r->reterr);
        if (rc < 0 || ret->is != VIRT_PAUSED || !*ret->job || !vm_takes_memory(r))
            return rc;
        if (clock_mono_ms() > until)
            return fault_set(r->reterr, FAULT_RETRY, EBUSY, "the machine is not off yet: %s",
                             ret->job);
        (void)poll(NULL, 0, LOOK_MS);
    }
}

static int save_to(struct vm_stage_run *r, const char *path)
{
    int rc = note_add(r->note, NOTE_SAVED, r->plan->uuid, path, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", path);
    FAULT_POINT("vm.save.noted");
    (void)unlink(path); /* half of one, before a crash */
    return r->virt->ops->save(r->virt, r->plan->uuid, path, r->plan->type == WARM_QUICK, r->reterr);
}

int vm_save(struct vm_stage_run *r)
{
    struct virt_sight s;
    int rc = vm_settled(r, &s);
    if (rc == 0 && (s.is == VIRT_RUNNING || s.is == VIRT_PAUSED))
        rc = vm_memory_room(r);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *path = vm_memory_at(r);
    if (!path)
        return fault_set(r->reterr, FAULT_STOP_JOB, EINVAL,
                         "none of its disks has a place for its memory");
    if (s.is == VIRT_OFF && note_has(r->note, NOTE_SAVED, r->plan->uuid) && access(path, F_OK) == 0)
        return 0; /* before a crash */
    rc = make_folder(r, path);
    if (rc == 0 && r->plan->type == WARM_QUICK)
        rc = hold(r, &s);
    else if (rc == 0 && s.is != VIRT_RUNNING)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EBUSY, "the machine does not run: %s", s.reason);
    if (rc == 0)
        rc = save_to(r, path);
    return rc < 0 ? rc : 1;
}

/* Nothing is taken back of one that is not off yet. */
int vm_save_undo(struct vm_stage_run *r)
{
    struct virt_sight s;
    return note_is_empty(r->note) ? 0 : vm_settled(r, &s);
}

/* ── the destination ── */

int vm_go_on(struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *path = vm_memory_at(r);
    char *was = NULL, *xml = NULL;
    struct virt_sight s;
    if (!path)
        return fault_set(r->reterr, FAULT_STOP_JOB, EINVAL, "there is no saved memory");
    if (used_is(path, false)) /* before a crash of this host */
        return fault_set(r->reterr, FAULT_STOP_JOB, ESTALE,
                         "the machine ran here and fell: its disks are newer than its memory");
    int rc = r->virt->ops->saved(r->virt, path, &was, r->reterr);
    if (rc == 0 && redefine(was, strlen(was), r->plan, &xml) < 0)
        rc = vm_stage_failed(r, -EBADMSG, "cannot change the definition of", r->plan->name);
    if (rc == 0 && (rc = used_mark(path, r->plan)) < 0)
        rc = vm_stage_failed(r, rc, "cannot mark", path);
    FAULT_POINT("vm.start.marked");
    if (rc == 0)
        rc = r->virt->ops->restore(r->virt, path, xml, r->reterr);
    struct fault unused = {.err = 0};
    if (rc < 0 && r->virt->ops->sight(r->virt, r->plan->uuid, &s, &unused) == 0 &&
        (s.is == VIRT_OFF || s.is == VIRT_ABSENT))
        used_unmark(path); /* it never ran here */
    char *secret[] = {was, xml};
    for (size_t i = 0; i < ARRAY_SIZE(secret); i++)
        if (secret[i]) {
            explicit_bzero(secret[i], strlen(secret[i]));
            free(secret[i]);
        }
    return rc;
}

/* It ran here on disks that both hosts see: what it has in memory now goes back with it. */
int vm_start_undo(struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *path = r->plan->type == QUICK ? vm_memory_at(r) : NULL;
    struct virt_sight s;
    struct fault unused = {.err = 0};
    if (!path || !note_has(r->note, NOTE_STARTED, r->plan->uuid))
        return 0;
    int rc = r->virt->ops->sight(r->virt, r->plan->uuid, &s, r->reterr);
    if (rc < 0 || s.is != VIRT_RUNNING)
        return rc;
    (void)unlink(path);
    if (r->virt->ops->save(r->virt, r->plan->uuid, path, false, &unused) == 0)
        used_unmark(path);
    return 0; /* else it starts anew at the source */
}
