/* define: the stage "define": the machine is made known at the destination, off and not starting by
 * itself: images in place, the firmware's variables and the TPM's state, definition, snapshots; and
 * "adopt", by which it becomes this host's own. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/redefine.h"
#include "agent/vm/state.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"

static char *parent_of(const char *path)
{
    return xasprintf("%.*s", (int)(strrchr(path, '/') - path), path);
}

static int own(const char *path, const Godwit__VmStateFile *f)
{
    if (chown(path, f->uid, f->gid) < 0 || chmod(path, (mode_t)(f->mode & 07777)) < 0)
        return -errno;
    return 0;
}

static int place_folder(struct vm_stage_run *r, const Godwit__VmStateFile *f)
{
    struct stat st;
    if (lstat(f->path, &st) == 0)
        return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
    CLEANUP(mem_free) char *parent = parent_of(f->path);
    int rc = note_add(r->note, NOTE_FOLDER, f->path, NULL, NULL);
    if (rc == 0)
        rc = file_mkdirs(parent, 0711);
    if (rc == 0 && mkdir(f->path, 0700) < 0 && errno != EEXIST)
        rc = -errno;
    return rc == 0 ? own(f->path, f) : rc;
}

static int place_content(struct vm_stage_run *r, const Godwit__VmStateFile *f)
{
    CLEANUP(mem_free) char *parent = parent_of(f->path);
    CLEANUP(mem_free) char *staged = vm_staging_of(r, f->path); /* a file here, of that name */
    if (note_has(r->note, NOTE_PLACED, f->path) && access(f->path, F_OK) == 0)
        return 0;
    int rc = file_mkdirs(parent, 0755);
    if (rc == 0)
        rc = note_add(r->note, NOTE_FOLDER, staged, NULL, NULL);
    if (rc == 0)
        rc = file_write(staged, 0600, f->data.data, f->data.len);
    if (rc == 0)
        rc = own(staged, f);
    return rc < 0 ? rc : vm_place_file(r, staged, f->path);
}

/* Who sent them is an agent, and they land as root's files: only where such things are. */
bool vm_is_state_file(const char *path)
{
    static const char *const homes[] = {"/var/lib/libvirt/qemu/nvram/", VM_TPM_HOME "/"};
    if (!note_path_ok(path))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(homes); i++)
        if (strncmp(path, homes[i], strlen(homes[i])) == 0)
            return true;
    return false;
}

static int place_files(struct vm_stage_run *r, const Godwit__VmState *s)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < s->n_files; i++) {
        const Godwit__VmStateFile *f = s->files[i];
        r->reterr->text[0] = '\0';
        if (!vm_is_state_file(f->path))
            return vm_stage_failed(r, -EACCES, "is not where such files are kept:", f->path);
        rc = f->folder ? place_folder(r, f) : place_content(r, f);
        if (rc < 0 && !r->reterr->text[0])
            rc = vm_stage_failed(r, rc, "cannot put in place", f->path);
    }
    return rc;
}

static int put_snapshots(struct vm_stage_run *r, const Godwit__VmState *s)
{
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < s->n_snapshots; i++) {
        char *xml = NULL;
        rc = redefine((const char *)s->snapshots[i].data, s->snapshots[i].len, r->plan, &xml);
        if (rc < 0)
            return vm_stage_failed(r, rc, "cannot read a snapshot of", r->plan->name);
        rc = r->virt->ops->put_snapshot(r->virt, r->plan->uuid, xml, s->current == (int32_t)i + 1,
                                        r->reterr);
        explicit_bzero(xml, strlen(xml));
        free(xml);
    }
    return rc;
}

/* Another machine of that UUID, which this move did not make, is left alone. */
static int is_free(struct vm_stage_run *r)
{
    struct virt_sight s;
    int rc = r->virt->ops->sight(r->virt, r->plan->uuid, &s, r->reterr);
    if (rc == 0 && s.is != VIRT_ABSENT && !note_has(r->note, NOTE_DEFINED, r->plan->uuid))
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EEXIST,
                       "this host has a machine of that UUID already");
    return rc;
}

static int put_definition(struct vm_stage_run *r, const Godwit__VmState *s)
{
    char *xml = NULL;
    int rc = redefine((const char *)s->definition.data, s->definition.len, r->plan, &xml);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot change the definition of", r->plan->name);
    rc = note_add(r->note, NOTE_DEFINED, r->plan->uuid, NULL, NULL);
    FAULT_POINT("vm.define.noted");
    if (rc < 0)
        (void)vm_stage_failed(r, rc, "cannot note", r->plan->uuid);
    else
        rc = r->virt->ops->define(r->virt, xml, r->reterr);
    explicit_bzero(xml, strlen(xml));
    free(xml);
    return rc;
}

int vm_define(struct vm_stage_run *r)
{
    CLEANUP(vm_state_free) Godwit__VmState *s = NULL;
    int rc = is_free(r);
    if (rc == 0)
        rc = vm_state_load(r, &s);
    if (rc == 0)
        rc = vm_place_disks(r);
    if (rc >= 0)
        rc = place_files(r, s);
    if (rc >= 0)
        rc = put_definition(r, s);
    if (rc >= 0)
        rc = put_snapshots(r, s);
    return rc < 0 ? rc : 1;
}

/* It is, when all that DO does was done: the definition and the snapshots come last. */
int vm_define_probe(struct vm_stage_run *r)
{
    (void)r;
    return 0;
}

int vm_adopt(struct vm_stage_run *r)
{
    CLEANUP(vm_state_free) Godwit__VmState *s = NULL;
    int rc = vm_state_load(r, &s);
    if (rc == 0 && s->autostart)
        rc = r->virt->ops->autostart(r->virt, r->plan->uuid, true, r->reterr);
    if (rc == 0 && vm_is_warm(r))
        rc = vm_memory_drop(r);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        if (!vm_disk_moves(r->plan->disks[i]))
            continue;
        CLEANUP(mem_free) char *folder = vm_staging_of(r, r->plan->disks[i]->path);
        (void)rmdir(folder); /* empty: all is in place */
    }
    vm_state_shred(r);
    return 1;
}
