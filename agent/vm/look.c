/* look: the step "vm.look": a machine with all that planning wants to know, its host, and what this
 * agent can do for it. It changes nothing. Worker threads. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/lane/lane.h"
#include "agent/vm/certs.h"
#include "agent/vm/domain_xml.h"
#include "agent/vm/image.h"
#include "agent/vm/link.h"
#include "agent/vm/measure.h"
#include "agent/vm/note.h"
#include "agent/vm/tpm.h"
#include "agent/vm/vm.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"

#define SAVED_HOME "/var/lib/libvirt/qemu/save"
#define SNAPSHOT_FILES_MAX 64
#define REACHES_MAX 4

void vm_tell_stages(char ***ret, size_t *retn)
{
    size_t n = 0;
    while (vm_stage_name(n))
        n++;
    *ret = xcalloc(n + 1, sizeof **ret);
    for (size_t i = 0; i < n; i++)
        (*ret)[i] = xstrdup(vm_stage_name(i));
    *retn = n;
}

/* ── where it is in its life ── */

int vm_sight(struct virt *v, const char *word, Godwit__VmMoveSight **ret, struct fault *reterr)
{
    static const Godwit__VmMoveSight__Is is[] = {
        [VIRT_ABSENT] = GODWIT__VM_MOVE_SIGHT__IS__ABSENT,
        [VIRT_OFF] = GODWIT__VM_MOVE_SIGHT__IS__OFF,
        [VIRT_RUNNING] = GODWIT__VM_MOVE_SIGHT__IS__RUNNING,
        [VIRT_PAUSED] = GODWIT__VM_MOVE_SIGHT__IS__PAUSED,
        [VIRT_MIGRATED] = GODWIT__VM_MOVE_SIGHT__IS__MIGRATED,
        [VIRT_SAVED] = GODWIT__VM_MOVE_SIGHT__IS__SAVED,
        [VIRT_STUCK] = GODWIT__VM_MOVE_SIGHT__IS__STUCK,
    };
    struct virt_sight s;
    int rc = v->ops->sight(v, word, &s, reterr);
    if (rc < 0)
        return rc;
    Godwit__VmMoveSight *m = xcalloc(1, sizeof *m);
    godwit__vm_move_sight__init(m);
    m->is = is[s.is];
    m->defined = s.defined;
    m->reason = xstrdup(s.reason);
    *ret = m;
    return 0;
}

/* ── the machine ── */

static bool in_pool(const Godwit__VmHost *h, const char *path)
{
    for (size_t i = 0; i < h->n_pools; i++) {
        const Godwit__VmPool *p = h->pools[i];
        size_t n = strlen(p->path);
        if (n > 1 && strncmp(p->path, path, n) == 0 && path[n] == '/')
            return true;
    }
    return false;
}

static bool is_path(const Godwit__VmDisk *k)
{
    return *k->source == '/' && (k->storage == GODWIT__VM_DISK__STORAGE__FILE ||
                                 k->storage == GODWIT__VM_DISK__STORAGE__BLOCK);
}

static void replace(char **text, char *by)
{
    if (*text != protobuf_c_empty_string)
        free(*text);
    *text = by;
}

/* A disk that is named by pool and volume is looked at where that is. */
static void find_volume(struct virt *v, Godwit__VmDisk *k)
{
    char *slash = strchr(k->source, '/'), *path = NULL;
    bool block = false;
    if (k->storage != GODWIT__VM_DISK__STORAGE__VOLUME || !slash || !v->ops->volume_path)
        return;
    CLEANUP(mem_free) char *pool = xasprintf("%.*s", (int)(slash - k->source), k->source);
    if (v->ops->volume_path(v, pool, slash + 1, &path, &block) < 0)
        return;
    replace(&k->source, path);
    k->storage = block ? GODWIT__VM_DISK__STORAGE__BLOCK : GODWIT__VM_DISK__STORAGE__FILE;
}

static Godwit__VmDiskFacts *disk_facts(const Godwit__VmHost *h, const Godwit__VmDisk *k)
{
    Godwit__VmDiskFacts *f = xcalloc(1, sizeof *f);
    godwit__vm_disk_facts__init(f);
    f->target = xstrdup(k->target);
    if (is_path(k))
        image_chain(k->source, k->format, f);
    for (size_t i = 0; i < f->n_images; i++)
        f->images[i]->in_pool = in_pool(h, f->images[i]->path);
    return f;
}

static void take_links(const Godwit__VmHost *h, Godwit__VmDomain *d)
{
    for (size_t i = 0; i < d->n_interfaces; i++)
        d->interfaces[i]->link_mtu = link_mtu(link_of(h, d->interfaces[i]));
}

static void take_error(void *arg, const char *target, const char *error)
{
    Godwit__VmMachine *m = arg;
    for (size_t i = 0; i < m->n_disks; i++)
        if (strcmp(m->disks[i]->target, target) == 0)
            replace(&m->disks[i]->error, xstrdup(error));
}

static void take_disks(struct virt *v, const Godwit__VmHost *h, Godwit__VmMachine *m)
{
    m->disks = xcalloc(m->domain->n_disks + 1, sizeof(void *));
    for (size_t i = 0; i < m->domain->n_disks; i++) {
        find_volume(v, m->domain->disks[i]);
        m->disks[m->n_disks++] = disk_facts(h, m->domain->disks[i]);
    }
    if (m->domain->state == GODWIT__VM_DOMAIN__STATE__RUNNING && v->ops->disk_errors)
        (void)v->ops->disk_errors(v, m->domain->uuid, take_error, m);
}

/* ── what it keeps beside its disks ── */

static int take_snapshot(void *arg, const char *xml, bool current)
{
    Godwit__VmMachine *m = arg;
    char *file = domain_xml_snapshot_memory(xml, strlen(xml));
    (void)current;
    if (!file)
        return 0;
    m->snapshot_files = xrealloc(m->snapshot_files, (m->n_snapshot_files + 1) * sizeof(char *));
    m->snapshot_files[m->n_snapshot_files++] = file;
    return m->n_snapshot_files < SNAPSHOT_FILES_MAX ? 0 : -E2BIG;
}

/* libvirt tells that it is there, not where: its own place for it. */
static void take_kept(struct virt *v, Godwit__VmMachine *m)
{
    struct fault ignored;
    struct stat st;
    if (m->domain->snapshots > 0 && v->ops->snapshots)
        (void)v->ops->snapshots(v, m->domain->uuid, take_snapshot, m, &ignored);
    if (!m->domain->managed_save)
        return;
    char *path = xasprintf(SAVED_HOME "/%s.save", m->domain->name);
    if (!note_path_ok(path) || stat(path, &st) < 0) {
        free(path);
        return;
    }
    replace(&m->saved, path);
    m->saved_bytes = (uint64_t)st.st_size;
}

static void take_tpm(const char *xml, Godwit__VmMachine *m)
{
    char version[TPM_VERSION_MAX];
    CLEANUP(mem_free) char *place = domain_xml_tpm_place(xml, strlen(xml));
    m->tpm_shared = strcmp(m->domain->tpm, "emulator") == 0 && tpm_is_shared(place);
    if (!m->tpm_shared)
        return;
    tpm_version(version);
    replace(&m->swtpm, xstrdup(version));
}

static int take_definitions(struct virt *v, const char *uuid, Godwit__VmMachine *m,
                            struct fault *reterr)
{
    CLEANUP(mem_free) char *now = NULL;
    CLEANUP(mem_free) char *kept = NULL;
    uint8_t digest[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    int rc = v->ops->definition(v, uuid, VIRT_XML_KEPT, &kept, reterr);
    if (rc == 0)
        rc = v->ops->definition(v, uuid, VIRT_XML_NOW, &now, reterr);
    if (rc < 0)
        return rc;
    if (strlen(now) > VIRT_XML_MAX || domain_xml_facts(now, strlen(now), m) < 0 ||
        strlen(kept) > VIRT_XML_MAX || domain_xml_kept(kept, strlen(kept), m) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "its definition is malformed");
    sha256_of(kept, strlen(kept), digest);
    text_hex(digest, sizeof digest, hex);
    m->digest = xstrdup(hex);
    take_tpm(now, m);
    return 0;
}

static void take_rest(struct virt *v, const char *uuid, bool measure, Godwit__VmMachine *m)
{
    struct virt_sight s = {.job = ""};
    struct fault ignored;
    if (v->ops->sight(v, uuid, &s, &ignored) == 0) {
        m->job = xstrdup(s.job);
        m->reason = xstrdup(s.reason);
    }
    if (measure && s.is == VIRT_RUNNING && v->ops->dirty_rate)
        m->dirty_known = measure_dirty_rate(v, uuid, &m->dirty_rate, &ignored) == 0;
    m->nvram_is_there = *m->domain->nvram && access(m->domain->nvram, R_OK) == 0;
}

static int look_at_machine(struct virt *v, const Godwit__VmLookOrder *o, Godwit__VmLook *ret,
                           struct fault *reterr)
{
    struct virt_domain d = {.name = NULL};
    int rc = v->ops->find(v, o->machine, &d, reterr);
    if (rc < 0)
        return rc == -ENOENT ? 0 : rc;
    Godwit__VmMachine *m = ret->machine = xcalloc(1, sizeof *m);
    godwit__vm_machine__init(m);
    m->domain = vm_domain_of(v, &d);
    rc = take_definitions(v, d.uuid, m, reterr);
    if (rc == 0) {
        take_disks(v, ret->host, m);
        take_links(ret->host, m->domain);
        take_kept(v, m);
        take_rest(v, d.uuid, o->measure, m);
    }
    virt_domain_done(&d);
    return rc;
}

int vm_look_at(struct virt *v, const Godwit__VmLookOrder *o, Godwit__VmLook *ret,
               struct fault *reterr)
{
    ret->host = xcalloc(1, sizeof *ret->host);
    godwit__vm_host__init(ret->host);
    vm_tell_stages(&ret->stages, &ret->n_stages);
    int rc = v->ops->host(v, ret->host, reterr);
    if (rc == 0 && *o->machine)
        rc = vm_sight(v, o->machine, &ret->sight, reterr);
    if (rc == 0 && *o->machine && !o->sight_only)
        rc = look_at_machine(v, o, ret, reterr);
    if (rc == 0 && ret->machine)
        certs_look("", false, &ret->certificates, &ret->n_certificates);
    return rc;
}

/* ── other hosts ── */

/* One that is off neither takes a connection nor refuses one. */
static Godwit__VmReach *reach_one(const char *endpoint, bool probe, int cancel_fd)
{
    static const Godwit__VmReach__Path paths[] = {
        [LANE_PATH_WHOLE] = GODWIT__VM_REACH__PATH__WHOLE,
        [LANE_PATH_SWALLOWED] = GODWIT__VM_REACH__PATH__SWALLOWED,
        [LANE_PATH_SILENT] = GODWIT__VM_REACH__PATH__SILENT,
    };
    enum lane_path path = LANE_PATH_SILENT;
    Godwit__VmReach *m = xcalloc(1, sizeof *m);
    godwit__vm_reach__init(m);
    int rc = probe ? lane_probe(endpoint, cancel_fd, &m->packet, &path)
                   : lane_reach(endpoint, cancel_fd);
    if (m->packet)
        m->path = paths[path];
    m->endpoint = text_printable(endpoint, strnlen(endpoint, 300));
    m->on = rc == 0 || rc == -ECONNREFUSED;
    m->why = xstrdup(rc < 0 ? strerror(-rc) : "");
    return m;
}

void vm_reach(const Godwit__VmLookOrder *o, int cancel_fd, Godwit__VmLook *ret)
{
    ret->reaches = xcalloc(REACHES_MAX, sizeof(void *));
    while (ret->n_reaches < o->n_reach && ret->n_reaches < REACHES_MAX) {
        ret->reaches[ret->n_reaches] =
            reach_one(o->reach[ret->n_reaches], !o->sight_only, cancel_fd);
        ret->n_reaches++;
    }
}

/* ── moves that were not brought to their end ── */

char *vm_open_move(const char *state_dir, const char *uuid)
{
    CLEANUP(mem_free) char *folder = xasprintf("%s/vm", state_dir);
    DIR *d = opendir(folder);
    char *found = NULL;
    for (const struct dirent *e; d && !found && (e = readdir(d)) != NULL;) {
        CLEANUP(note_free) struct note *n = NULL;
        if (e->d_name[0] != '.' && note_open(state_dir, e->d_name, VM_NOTE_MACHINE, &n) == 0 &&
            note_fact(n, uuid))
            found = text_printable(e->d_name, strlen(e->d_name));
    }
    if (d)
        (void)closedir(d);
    return found ? found : xstrdup("");
}
