/* library: the stage "shelve": what came of a machine that stays where it is becomes an entry of a
 * library folder: LIBRARY/NAME with its images, NAME.xml, snapshots, the firmware's variables and
 * the TPM's state. It appears whole, by one rename. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/redefine.h"
#include "agent/vm/state.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define SHELVED "shelved" /* which folder it was, before it has its name */
#define NVRAM_HOME "/var/lib/libvirt/qemu/nvram/"

bool vm_is_library(const struct vm_stage_run *r)
{
    return r->plan->type == GODWIT__VM_MOVE_TYPE__VM_MOVE_LIBRARY;
}

char *vm_library_entry(const struct vm_stage_run *r)
{
    return xasprintf("%s/%s", r->plan->library, r->plan->name);
}

static int sync_folder(const char *path)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int make_folder(const char *path, mode_t mode)
{
    return mkdir(path, mode) < 0 && errno != EEXIST ? -errno : 0;
}

/* ── what is beside the images ── */

/* Where it is in the entry; malloc'd. NULL: such a file is none of a machine's state. */
static char *place_of(const char *entry, const Godwit__VmStateFile *f)
{
    size_t nvram = strlen(NVRAM_HOME), tpm = strlen(VM_TPM_HOME "/");
    if (!vm_is_state_file(f->path))
        return NULL;
    if (strncmp(f->path, NVRAM_HOME, nvram) == 0)
        return xasprintf("%s/nvram/%s", entry, f->path + nvram);
    return xasprintf("%s/tpm/%s", entry, f->path + tpm);
}

static int put_file(const char *entry, const Godwit__VmStateFile *f)
{
    CLEANUP(mem_free) char *to = place_of(entry, f);
    if (!to)
        return -EACCES;
    CLEANUP(mem_free) char *parent = xasprintf("%.*s", (int)(strrchr(to, '/') - to), to);
    int rc = file_mkdirs(parent, 0700);
    if (rc < 0)
        return rc;
    return f->folder ? file_mkdirs(to, 0700) : file_write(to, 0600, f->data.data, f->data.len);
}

static int put_files(struct vm_stage_run *r, const char *entry, const Godwit__VmState *s)
{
    for (size_t i = 0; i < s->n_files; i++) {
        int rc = put_file(entry, s->files[i]);
        if (rc < 0)
            return vm_stage_failed(r, rc, "cannot write into the library", s->files[i]->path);
    }
    return 0;
}

/* A definition as it would be if its disks were used where they lie. It may hold secrets. */
static int put_xml(struct vm_stage_run *r, const char *path, const ProtobufCBinaryData *definition)
{
    char *xml = NULL;
    int rc = redefine((const char *)definition->data, definition->len, r->plan, &xml);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot read a definition of", r->plan->name);
    rc = file_write(path, 0600, xml, strlen(xml));
    explicit_bzero(xml, strlen(xml));
    free(xml);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot write", path) : 0;
}

static int put_definitions(struct vm_stage_run *r, const char *entry, const Godwit__VmState *s)
{
    CLEANUP(mem_free) char *machine = xasprintf("%s/%s.xml", entry, r->plan->name);
    CLEANUP(mem_free) char *folder = xasprintf("%s/snapshots", entry);
    int rc = put_xml(r, machine, &s->definition);
    if (rc == 0 && s->n_snapshots > 0 && make_folder(folder, 0700) < 0)
        rc = vm_stage_failed(r, -errno, "cannot make the folder", folder);
    for (size_t i = 0; rc == 0 && i < s->n_snapshots; i++) {
        CLEANUP(mem_free)
        char *path = xasprintf("%s/%03zu%s.xml", folder, i + 1,
                               s->current == (int32_t)i + 1 ? "-current" : "");
        rc = put_xml(r, path, &s->snapshots[i]);
    }
    return rc;
}

/* ── the images ── */

static int put_disk(struct vm_stage_run *r, const char *entry, const Godwit__VmMoveDisk *d)
{
    CLEANUP(mem_free) char *staged = vm_staged(r, d->path, d->target);
    CLEANUP(mem_free) char *to = xasprintf("%s%s", entry, strrchr(d->path, '/'));
    if (access(staged, F_OK) < 0 && access(to, F_OK) == 0)
        return 0; /* before a crash */
    int rc = file_rename_new(staged, to);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot put in place", d->path) : 0;
}

static int fill(struct vm_stage_run *r, const char *entry, const Godwit__VmState *s)
{
    int rc = make_folder(entry, 0700);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot make the folder", entry);
    rc = put_definitions(r, entry, s);
    if (rc == 0)
        rc = put_files(r, entry, s);
    for (size_t i = 0; rc == 0 && i < r->plan->n_disks; i++)
        if (vm_disk_moves(r->plan->disks[i]))
            rc = put_disk(r, entry, r->plan->disks[i]);
    /* Who may use the images is for their owners and modes; what is secret has its own. */
    if (rc == 0 && (chmod(entry, 0711) < 0 || sync_folder(entry) < 0))
        rc = vm_stage_failed(r, -errno, "cannot finish", entry);
    return rc;
}

/* ── the entry ── */

static bool is_shelved(const struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *entry = vm_library_entry(r);
    CLEANUP(mem_free) char *is = note_identity(entry);
    const char *was = note_fact(r->note, SHELVED);
    return is && was && strcmp(is, was) == 0;
}

static int name_it(struct vm_stage_run *r, const char *made)
{
    CLEANUP(mem_free) char *entry = vm_library_entry(r);
    CLEANUP(mem_free) char *is = note_identity(made);
    int rc = note_add(r->note, NOTE_FACT, SHELVED, is, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", entry);
    FAULT_POINT("vm.shelve.noted");
    rc = file_rename_new(made, entry);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot put in place", entry);
    rc = sync_folder(r->plan->library);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot finish", entry) : 0;
}

int vm_shelve(struct vm_stage_run *r)
{
    CLEANUP(vm_state_free) Godwit__VmState *s = NULL;
    CLEANUP(mem_free) char *entry = vm_library_entry(r);
    CLEANUP(mem_free) char *made = vm_staged(r, entry, "entry");
    int rc = is_shelved(r) ? 0 : vm_state_load(r, &s);
    if (rc == 0 && s)
        rc = fill(r, made, s);
    if (rc == 0 && s)
        rc = name_it(r, made);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *staging = vm_staging_of(r, entry);
    rc = note_remove_tree(staging);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot remove", staging);
    vm_state_shred(r);
    vm_stage_after(r, xasprintf("it is at %s", entry));
    return s ? 1 : 0;
}

/* Only the entry that we made: another one of that name is somebody else's. */
int vm_shelve_undo(struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *entry = vm_library_entry(r);
    int rc = is_shelved(r) ? note_remove_tree(entry) : 0;
    return rc < 0 ? vm_stage_failed(r, rc, "cannot remove", entry) : 0;
}
