/* memory: where a machine's saved memory lies. On storage that both hosts see it lies beside a
 * disk. That of a warm move lies in this host's memory where there is plenty, for its machine
 * stands still until it is read again; else beside a disk. Worker threads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "agent/store/pairname.h"
#include "agent/vm/domain_xml.h"
#include "agent/vm/memory_priv.h"
#include "agent/vm/state.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define QUICK GODWIT__VM_MOVE_TYPE__VM_MOVE_QUICK
#define WARM_QUICK GODWIT__VM_MOVE_TYPE__VM_MOVE_WARM_QUICK
#define SHARED GODWIT__VM_MOVE_DISK__HOW__SHARED
#define MEMINFO_MAX 16384
#define SPARE (UINT64_C(256) << 20) /* that others may want meanwhile */

const char *vm_memory_home = "/run/godwit-vm";

bool vm_takes_memory(const struct vm_stage_run *r)
{
    return r->plan->type == QUICK || r->plan->type == WARM_QUICK;
}

static const Godwit__VmMoveDisk *bearer(const struct vm_stage_run *r)
{
    for (size_t i = 0; i < r->plan->n_disks; i++) {
        const Godwit__VmMoveDisk *d = r->plan->disks[i];
        if (r->plan->type == QUICK ? d->how == SHARED && !d->read_only : vm_disk_moves(d))
            return d;
    }
    return NULL;
}

static char *folder_in_memory(const struct vm_stage_run *r)
{
    char token[PAIR_TOKEN_LEN + 1];
    pair_token(r->order->move, token);
    return xasprintf("%s/%s.memory", vm_memory_home, token);
}

/* Beside a disk; NULL: none bears it. */
static char *folder_beside(const struct vm_stage_run *r)
{
    const Godwit__VmMoveDisk *d = vm_takes_memory(r) ? bearer(r) : NULL;
    return d ? vm_staging_of(r, vm_stage_is_source(r) ? d->source : d->path) : NULL;
}

char *vm_memory_folder(const struct vm_stage_run *r)
{
    char *quick = r->plan->type == WARM_QUICK ? folder_in_memory(r) : NULL;
    if (quick && access(quick, F_OK) == 0)
        return quick;
    free(quick);
    return folder_beside(r);
}

char *vm_memory_at(const struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *folder = vm_memory_folder(r);
    return folder ? xasprintf("%s/" VM_MEMORY_NAME, folder) : NULL;
}

int vm_memory_drop(struct vm_stage_run *r)
{
    CLEANUP(mem_free) char *beside = folder_beside(r);
    CLEANUP(mem_free) char *quick = r->plan->type == WARM_QUICK ? folder_in_memory(r) : NULL;
    int rc = quick ? note_remove_tree(quick) : 0;
    if (rc == 0 && beside)
        rc = note_remove_tree(beside);
    return rc < 0 ? vm_stage_failed(r, rc, "cannot remove the saved memory of", r->plan->name) : 0;
}

/* ── is there plenty? ── */

static uint64_t free_memory(void)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    if (file_read("/proc/meminfo", MEMINFO_MAX, &text, &len) < 0)
        return 0;
    const char *at = strstr(text, "MemAvailable:");
    return at ? strtoull(at + strlen("MemAvailable:"), NULL, 10) << 10 : 0;
}

/* The machine's memory, by its definition; 0: nobody knows. */
static uint64_t memory_of(struct vm_stage_run *r)
{
    CLEANUP(domain_free) Godwit__VmDomain *d = NULL;
    CLEANUP(vm_state_free) Godwit__VmState *s = NULL;
    struct fault unused = {.err = 0}, *real = r->reterr;
    char *xml = NULL;
    int rc;
    r->reterr = &unused; /* who does not know takes the disk */
    if (vm_stage_is_source(r)) {
        rc = r->virt->ops->definition(r->virt, r->plan->uuid, VIRT_XML_NOW, &xml, &unused);
        if (rc == 0)
            rc = domain_xml_read(xml, strlen(xml), &d);
        free(xml);
    } else {
        rc = vm_state_load(r, &s);
        if (rc == 0)
            rc = domain_xml_read((const char *)s->definition.data, s->definition.len, &d);
    }
    r->reterr = real;
    return rc == 0 ? d->memory_bytes : 0;
}

/* At the source the machine's own goes when it is saved; at the destination it is still to come. */
static bool is_plenty(const struct vm_stage_run *r, uint64_t memory)
{
    struct statvfs fs;
    uint64_t file = memory + memory / 8 + (16U << 20);
    uint64_t all = file + (vm_stage_is_source(r) ? 0 : memory);
    return memory && memory < UINT64_MAX / 4 && statvfs(vm_memory_home, &fs) == 0 &&
           (uint64_t)fs.f_bavail * fs.f_frsize > file + SPARE && free_memory() > all + SPARE;
}

int vm_memory_room(struct vm_stage_run *r)
{
    if (r->plan->type != WARM_QUICK || (mkdir(vm_memory_home, 0711) < 0 && errno != EEXIST))
        return 0;
    CLEANUP(mem_free) char *quick = folder_in_memory(r);
    if (!is_plenty(r, memory_of(r)))
        return 0;
    int rc = note_add(r->note, NOTE_FOLDER, quick, NULL, NULL);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot note", quick);
    if (mkdir(quick, 0700) < 0 && errno != EEXIST)
        return vm_stage_failed(r, -errno, "cannot make the folder", quick);
    return 0;
}
