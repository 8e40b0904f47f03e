/* check: the step "vm.check": may this machine come here? What only this host can tell, one finding
 * a row of the table; what lies at each place where a disk would be. It changes nothing. Worker
 * threads. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/vm/certs.h"
#include "agent/vm/check_priv.h"
#include "agent/vm/device.h"
#include "agent/vm/domain_xml.h"
#include "agent/vm/image.h"
#include "agent/vm/note.h"
#include "agent/vm/tpm.h"
#include "agent/vm/vm.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

#define FINDINGS_MAX 512
#define BASES_MAX 256

void check_say(struct checking *c, const char *check, const char *target,
               Godwit__VmFinding__Result result, const char *fmt, ...)
{
    va_list ap;
    if (c->ret->n_findings >= FINDINGS_MAX)
        return;
    Godwit__VmFinding *f = xcalloc(1, sizeof *f);
    godwit__vm_finding__init(f);
    f->check = xstrdup(check);
    f->target = xstrdup(target);
    f->result = result;
    va_start(ap, fmt);
    f->text = xvasprintf(fmt, ap);
    va_end(ap);
    c->ret->findings[c->ret->n_findings++] = f;
}

static struct virt_kind kind_of(const Godwit__VmDomain *d)
{
    return (struct virt_kind){.emulator = NULL,
                              .arch = *d->arch ? d->arch : NULL,
                              .machine = *d->machine_type ? d->machine_type : NULL,
                              .hypervisor = *d->hypervisor ? d->hypervisor : NULL};
}

/* ── what it needs of the hypervisor ── */

static void check_kind(struct checking *c)
{
    const struct virt_kind k = kind_of(c->d);
    if (c->v->ops->capabilities(c->v, &k, &c->capabilities, &c->why) < 0)
        check_say(c, "machine-type", c->d->machine_type, FAIL, "%s", c->why.text);
    else
        check_say(c, "machine-type", c->d->machine_type, PASS,
                  "%s machines of type %s can be had here", c->d->hypervisor, c->d->machine_type);
    if (*c->d->emulator && access(c->d->emulator, X_OK) != 0)
        check_say(c, "machine-type", "emulator", FAIL, "there is no %s here", c->d->emulator);
}

/* What it would be started with; what it runs with now is another question. */
static void check_kept_cpu(struct checking *c)
{
    const struct virt_kind k = kind_of(c->d);
    struct fault why = {.err = 0};
    const char *mode = c->m->kept_cpu_mode;
    if (!*c->m->kept_cpu || strncmp(mode, "host-", 5) == 0 || strcmp(mode, "maximum") == 0) {
        check_say(c, "cpu-start", "", PASS, "it starts with what its host has");
        return;
    }
    int rc = c->v->ops->compare_cpu(c->v, &k, c->m->kept_cpu, &why);
    check_say(c, "cpu-start", "",
              rc == 1   ? PASS
              : rc == 0 ? FAIL
                        : UNKNOWN,
              "%s", rc == 1 ? "it can be started with its processor here" : why.text);
}

static void check_cpu(struct checking *c)
{
    const struct virt_kind k = kind_of(c->d);
    struct fault why = {.err = 0};
    check_kept_cpu(c);
    if (!*c->m->cpu) {
        check_say(c, "cpu", "", PASS,
                  "it names no processor model: it has the hypervisor's default");
        return;
    }
    if (strcmp(c->d->cpu_mode, "host-passthrough") == 0) {
        check_say(
            c, "cpu", "", WARN,
            "it sees its host's own processor (host-passthrough): it may only run on where the "
            "processors are the same, and nothing tells that for certain");
        return;
    }
    int rc = c->v->ops->compare_cpu(c->v, &k, c->m->cpu, &why);
    if (rc == 1)
        check_say(c, "cpu", "", PASS, "its processor can be had here");
    else if (rc == 0)
        check_say(c, "cpu", "", FAIL, "%s", why.text);
    else
        check_say(c, "cpu", "", UNKNOWN, "%s", why.text);
}

static void check_firmware(struct checking *c)
{
    const char *const files[] = {c->m->loader, c->m->nvram_template, c->m->kernel, c->m->initrd};
    bool any = false;
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        if (*files[i] != '/')
            continue;
        any = true;
        if (access(files[i], R_OK) != 0)
            check_say(c, "firmware", files[i], FAIL, "there is no %s here", files[i]);
    }
    if (*c->d->nvram && access(c->d->nvram, F_OK) == 0)
        check_say(c, "firmware", c->d->nvram, FAIL,
                  "something lies where its firmware's variables belong: %s", c->d->nvram);
    check_say(c, "firmware", "", PASS,
              any ? "its firmware is here" : "it needs no firmware of its host");
}

static void check_tpm_version(struct checking *c, const char *version, const char *where)
{
    if (!*version)
        check_say(c, "tpm", where, UNKNOWN, "which version swtpm %s has cannot be told", where);
    else
        check_say(c, "tpm", where, tpm_is_too_old(version) ? FAIL : PASS,
                  "swtpm %s is %s, its state lies where both hosts may see it", where, version);
}

static void check_tpm(struct checking *c)
{
    char *path = NULL;
    if (!*c->d->tpm) {
        check_say(c, "tpm", "", PASS, "it has none");
        return;
    }
    if (strcmp(c->d->tpm, "emulator") != 0) {
        check_say(c, "tpm", "", FAIL, "its TPM is a device of its host (%s)", c->d->tpm);
        return;
    }
    if (program_find("swtpm", NULL, &path) < 0) {
        check_say(c, "tpm", "", FAIL, "swtpm is not installed here");
    } else if (c->m->tpm_shared) {
        char here[TPM_VERSION_MAX];
        tpm_version(here);
        check_tpm_version(c, here, "here");
        check_tpm_version(c, c->m->swtpm, "at the source");
    } else {
        check_say(c, "tpm", "", PASS, "swtpm is here");
    }
    free(path);
}

/* ── who is here already ── */

static int compare_other(void *arg, struct virt_domain *other)
{
    struct checking *c = arg;
    Godwit__VmDomain *o = NULL;
    if (strcmp(other->uuid, c->d->uuid) == 0) {
        check_say(c, "absent", other->name, FAIL, "a machine with its UUID is here: %s",
                  other->name);
        return 0;
    }
    if (strcmp(other->name, c->d->name) == 0)
        check_say(c, "absent", other->name, FAIL, "another machine of its name is here");
    size_t len = other->xml ? strlen(other->xml) : 0;
    if (len == 0 || len > VIRT_XML_MAX || domain_xml_read(other->xml, len, &o) < 0)
        return 0;
    for (size_t i = 0; i < o->n_interfaces; i++)
        for (size_t k = 0; k < c->d->n_interfaces; k++)
            if (strcmp(o->interfaces[i]->mac, c->d->interfaces[k]->mac) == 0)
                check_say(c, "absent", o->interfaces[i]->mac, FAIL,
                          "%s has the address %s here too", o->name, o->interfaces[i]->mac);
    (void)domain_free(o);
    return 0;
}

static void check_absent(struct checking *c)
{
    struct fault why = {.err = 0};
    if (c->v->ops->domains(c->v, compare_other, c, &why) < 0)
        check_say(c, "absent", "", UNKNOWN, "%s", why.text);
    else
        check_say(c, "absent", "", PASS, "no other machine of its name, UUID or addresses is here");
}

/* ── where its disks would be ── */

static const Godwit__VmPool *pool_named(const Godwit__VmHost *h, const char *name)
{
    for (size_t i = 0; i < h->n_pools; i++)
        if (strcmp(h->pools[i]->name, name) == 0)
            return h->pools[i];
    return NULL;
}

static const Godwit__VmPool *pool_of_path(const Godwit__VmHost *h, const char *path)
{
    for (size_t i = 0; i < h->n_pools; i++) {
        const Godwit__VmPool *p = h->pools[i];
        size_t n = strlen(p->path);
        const char *name =
            n > 1 && strncmp(p->path, path, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
        if (p->active && name && !strchr(name, '/'))
            return p;
    }
    return NULL;
}

/* The same file or device as the source's, as far as that can be seen without a mark. */
static bool looks_same(const Godwit__VmImage *a, const Godwit__VmImage *b)
{
    if (a->block || b->block)
        return a->block && b->block && *a->identity && strcmp(a->identity, b->identity) == 0 &&
               a->real_bytes == b->real_bytes && strcmp(a->head, b->head) == 0;
    return a->inode == b->inode && a->inode != 0 && a->shared == b->shared &&
           strcmp(a->file_system, b->file_system) == 0 && a->virtual_bytes == b->virtual_bytes;
}

static void look_at_folder(const char *path, Godwit__VmArrival *a)
{
    const char *slash = strrchr(path, '/');
    CLEANUP(mem_free)
    char *folder = slash == path ? xstrdup("/") : xasprintf("%.*s", (int)(slash - path), path);
    struct stat st;
    bool shared = false;
    if (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode))
        return;
    uint64_t magic = 0;
    a->free_bytes = image_free_bytes(folder, &magic);
    a->file_system = xstrdup(image_file_system(magic, &shared));
    a->shared = shared;
    a->group = xasprintf("%llu", (unsigned long long)st.st_dev);
    a->sector = device_sector(st.st_dev);
}

/* Of a copy in a library: what counts is whether its folder can be made there. */
static Godwit__VmArrival *arrival_in_library(struct checking *c, const Godwit__VmDiskFacts *f)
{
    const char *slash = strrchr(f->images[0]->path, '/');
    CLEANUP(mem_free) char *entry = xasprintf("%s/%s", c->o->library, c->d->name);
    Godwit__VmArrival *a = xcalloc(1, sizeof *a);
    godwit__vm_arrival__init(a);
    a->target = xstrdup(f->target);
    a->path = xasprintf("%s/%s", entry, slash ? slash + 1 : f->target);
    look_at_folder(entry, a);
    a->exists = access(entry, F_OK) == 0;
    return a;
}

static const char *wish_for(const struct checking *c, const char *target)
{
    for (size_t i = 0; i < c->o->n_devices; i++)
        if (strcmp(c->o->devices[i]->target, target) == 0)
            return c->o->devices[i]->path;
    return NULL;
}

/* On a device of its own, which has to be blank: what lies there is never written over. */
static Godwit__VmArrival *arrival_on_device(struct checking *c, const Godwit__VmDiskFacts *f,
                                            const char *path)
{
    Godwit__VmArrival *a = xcalloc(1, sizeof *a);
    struct fault why = {.err = 0};
    struct stat st;
    godwit__vm_arrival__init(a);
    a->target = xstrdup(f->target);
    a->path = xstrdup(path);
    a->file_system = xstrdup("device");
    a->group = xstrdup(path);
    a->device = a->block = a->exists = true;
    if (stat(path, &st) == 0 && S_ISBLK(st.st_mode))
        a->sector = device_sector(st.st_rdev);
    if (device_blank(path, &a->free_bytes, &why) < 0)
        check_say(c, "disk-absent", f->target, FAIL, "%s", why.text);
    if (f->n_images > 1)
        check_say(c, "folder", f->target, FAIL, "%s stands on other images, which a device cannot",
                  f->target);
    if (strcmp(f->images[0]->format, "raw") != 0)
        check_say(c, "folder", f->target, FAIL, "%s is %s: a device takes raw disks alone",
                  f->target, f->images[0]->format);
    return a;
}

static Godwit__VmArrival *arrival(struct checking *c, const Godwit__VmDiskFacts *f)
{
    const Godwit__VmImage *own = f->images[0];
    const char *wish = wish_for(c, f->target);
    if (*c->o->library)
        return arrival_in_library(c, f);
    if (wish && strcmp(wish, own->path) != 0)
        return arrival_on_device(c, f, wish);
    const Godwit__VmPool *p = *c->o->pool ? pool_named(c->ret->host, c->o->pool) : NULL;
    const char *slash = strrchr(own->path, '/');
    Godwit__VmArrival *a = xcalloc(1, sizeof *a);
    godwit__vm_arrival__init(a);
    a->target = xstrdup(f->target);
    a->path = p ? xasprintf("%s/%s", p->path, slash ? slash + 1 : own->path) : xstrdup(own->path);
    if (!p)
        p = pool_of_path(c->ret->host, a->path);
    a->pool = xstrdup(p ? p->name : "");
    look_at_folder(a->path, a);
    if (access(a->path, F_OK) != 0)
        return a;
    CLEANUP(image_free) Godwit__VmImage *here = image_look(a->path, own->format);
    a->exists = true;
    a->block = here->block;
    a->identity = xstrdup(here->identity);
    a->sector = here->sector;
    a->seen = looks_same(own, here);
    return a;
}

/* ── images below disks, and saved memory ── */

static bool has_base(const Godwit__VmCheck *k, const char *source)
{
    for (size_t i = 0; i < k->n_bases; i++)
        if (strcmp(k->bases[i]->source, source) == 0)
            return true;
    return false;
}

static Godwit__VmArrival *arrival_at(const char *target, char *path)
{
    Godwit__VmArrival *a = xcalloc(1, sizeof *a);
    godwit__vm_arrival__init(a);
    a->target = xstrdup(target);
    a->path = path;
    look_at_folder(path, a);
    a->exists = access(path, F_OK) == 0;
    return a;
}

static void add_base(struct checking *c, const char *target, const Godwit__VmImage *own)
{
    const Godwit__VmPool *p = *c->o->pool ? pool_named(c->ret->host, c->o->pool) : NULL;
    const char *slash = strrchr(own->path, '/');
    if (!slash || c->ret->n_bases == BASES_MAX || has_base(c->ret, own->path))
        return;
    Godwit__VmArrival *a =
        arrival_at(target, p ? xasprintf("%s%s", p->path, slash) : xstrdup(own->path));
    a->source = xstrdup(own->path);
    if (a->exists) {
        CLEANUP(image_free) Godwit__VmImage *here = image_look(a->path, own->format);
        a->seen = !*here->trouble && here->virtual_bytes == own->virtual_bytes &&
                  strcmp(here->format, own->format) == 0;
    }
    c->ret->bases = xrealloc(c->ret->bases, (c->ret->n_bases + 1) * sizeof(void *));
    c->ret->bases[c->ret->n_bases++] = a;
}

static void check_bases(struct checking *c, const Godwit__VmDiskFacts *f)
{
    for (size_t i = 1; i < f->n_images; i++)
        add_base(c, f->target, f->images[i]);
}

static void check_saved(struct checking *c)
{
    if (*c->m->saved != '/' || *c->o->library)
        return;
    Godwit__VmArrival *a = arrival_at("saved", xstrdup(c->m->saved));
    c->ret->arrivals[c->ret->n_arrivals++] = a;
    if (a->exists)
        check_say(c, "disk-absent", "saved", FAIL,
                  "memory of a machine of that name is saved here: %s", a->path);
    if (!*a->file_system)
        check_say(c, "folder", "saved", FAIL, "there is no folder for %s here", a->path);
}

static void check_place(struct checking *c, const Godwit__VmImage *own, const Godwit__VmArrival *a)
{
    if (a->device)
        return;
    if (own->block && !a->seen && strcmp(a->path, own->path) == 0)
        check_say(
            c, "folder", a->target, FAIL,
            "it is a device at the source (%s), which is not the same here: where it is to be was "
            "not said",
            own->path);
    else if (a->exists && !a->seen)
        check_say(c, "disk-absent", a->target, FAIL, "something else lies at %s", a->path);
    if (!*a->file_system)
        check_say(c, "folder", a->target, FAIL, "there is no folder for %s here", a->path);
}

/* A file in the folder of a pool of another kind would lie in /dev, in memory. */
static bool is_folder(const Godwit__VmPool *p)
{
    static const char *const kinds[] = {"dir", "fs", "netfs", "gluster", ""};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (strcmp(p->kind, kinds[i]) == 0)
            return true;
    return false;
}

static void check_pool(struct checking *c)
{
    const Godwit__VmPool *p = *c->o->pool ? pool_named(c->ret->host, c->o->pool) : NULL;
    if (*c->o->pool && (!p || !p->active || *p->path != '/'))
        check_say(c, "pool", c->o->pool, FAIL,
                  "there is no pool %s here that is active and has a folder", c->o->pool);
    else if (p && !is_folder(p))
        check_say(c, "pool", c->o->pool, FAIL, "pool %s is no folder but %s: images are files",
                  c->o->pool, p->kind);
    else
        check_say(c, "pool", c->o->pool, PASS,
                  p ? "the pool is active" : "no other place was asked for");
}

static bool is_medium(const Godwit__VmDisk *k)
{
    return k->device == GODWIT__VM_DISK__DEVICE__CDROM ||
           k->device == GODWIT__VM_DISK__DEVICE__FLOPPY;
}

static void check_medium(struct checking *c, const Godwit__VmDisk *k)
{
    if (*k->source != '/')
        return;
    bool there = access(k->source, R_OK) == 0;
    check_say(c, "media", k->target, there ? PASS : WARN, "%s is %shere%s", k->source,
              there ? "" : "not ", there ? "" : ": the drive will be empty");
}

/* Disks from several folders that come into one. */
static void check_names(struct checking *c)
{
    for (size_t i = 0; i < c->ret->n_arrivals; i++)
        for (size_t k = 0; k < i; k++)
            if (strcmp(c->ret->arrivals[i]->path, c->ret->arrivals[k]->path) == 0)
                check_say(c, "disk-absent", c->ret->arrivals[i]->target, FAIL,
                          "%s and %s would both be %s", c->ret->arrivals[k]->target,
                          c->ret->arrivals[i]->target, c->ret->arrivals[i]->path);
}

static void check_disks(struct checking *c)
{
    size_t n = c->m->n_disks < c->d->n_disks ? c->m->n_disks : c->d->n_disks;
    c->ret->arrivals = xcalloc(n + 2, sizeof(void *));
    check_pool(c);
    check_say(c, "disk-absent", "", PASS, "nothing else lies where its disks would be");
    check_say(c, "folder", "", PASS, "there is a folder for each of its disks");
    check_say(c, "media", "", PASS, "no drive has a medium that is not here");
    for (size_t i = 0; i < n; i++) {
        if (is_medium(c->d->disks[i])) {
            check_medium(c, c->d->disks[i]);
        } else if (c->m->disks[i]->n_images > 0) {
            Godwit__VmArrival *a = arrival(c, c->m->disks[i]);
            c->ret->arrivals[c->ret->n_arrivals++] = a;
            check_place(c, c->m->disks[i]->images[0], a);
            check_bases(c, c->m->disks[i]);
        }
    }
    check_names(c);
    check_saved(c);
}

/* ── memory that is set apart ── */

static uint64_t number_in(const char *path)
{
    char *text = NULL;
    size_t n = 0;
    uint64_t v = file_read(path, 64, &text, &n) == 0 ? strtoull(text, NULL, 10) : 0;
    free(text);
    return v;
}

static void check_memory(struct checking *c)
{
    uint64_t had =
        2048 * 1024 * number_in("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages") +
        (number_in("/sys/kernel/mm/hugepages/hugepages-1048576kB/free_hugepages") << 30);
    char want[16], have[16];
    text_bytes(c->d->memory_bytes, want);
    text_bytes(had, have);
    if (c->d->huge_pages)
        check_say(c, "pages", "", had >= c->d->memory_bytes ? PASS : FAIL,
                  "it wants %s in huge pages, %s are free here", want, have);
    else
        check_say(c, "pages", "", PASS, "it wants no huge pages");
    if (c->d->pinned)
        check_say(c, "pages", "pinned", WARN,
                  "it is pinned to processors or memory by number: those of this host are others");
}

int vm_check(struct virt *v, const Godwit__VmCheckOrder *o, Godwit__VmCheck *ret,
             struct fault *reterr)
{
    struct checking c = {.v = v, .o = o, .m = o->machine, .ret = ret};
    if (!o->machine || !o->machine->domain)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the order has no machine");
    c.d = o->machine->domain;
    ret->host = xcalloc(1, sizeof *ret->host);
    godwit__vm_host__init(ret->host);
    ret->findings = xcalloc(FINDINGS_MAX, sizeof(void *));
    vm_tell_stages(&ret->stages, &ret->n_stages);
    int rc = v->ops->host(v, ret->host, reterr);
    if (rc == 0)
        rc = vm_sight(v, c.d->uuid, &ret->sight, reterr);
    if (rc < 0)
        return rc;
    if (*o->library && !note_path_ok(o->library))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "the library is no folder's path");
    if (*o->library) { /* nothing is to run here */
        check_disks(&c);
        return 0;
    }
    check_kind(&c);
    check_cpu(&c);
    check_firmware(&c);
    check_tpm(&c);
    check_networks(&c);
    check_absent(&c);
    check_disks(&c);
    check_memory(&c);
    certs_look("", true, &ret->certificates, &ret->n_certificates);
    free(c.capabilities);
    return 0;
}
