/* inventory: the step "vm.inventory": the host's machines, its pools and networks, as libvirt tells
 * them. It changes nothing. Worker threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vm/domain_xml.h"
#include "agent/vm/image.h"
#include "agent/vm/vm.h"
#include "common/base/mem.h"
#include "common/base/text.h"

struct looking {
    struct virt *v;
    Godwit__VmInventory *i;
    size_t bytes;
};

static void replace(char **text, char *by)
{
    if (*text != protobuf_c_empty_string)
        free(*text);
    *text = by;
}

/* A machine of which no more is known than that it exists. */
static Godwit__VmDomain *bare(const struct virt_domain *d, const char *why)
{
    Godwit__VmDomain *m = xcalloc(1, sizeof *m);
    godwit__vm_domain__init(m);
    m->name = text_printable(d->name, strnlen(d->name, 240));
    m->uuid = xstrdup(d->uuid);
    m->trouble = xstrdup(why);
    return m;
}

static Godwit__VmDomain *read_one(const struct virt_domain *d)
{
    Godwit__VmDomain *m = NULL;
    size_t len = d->xml ? strlen(d->xml) : 0;
    if (!d->xml)
        return bare(d, d->trouble ? d->trouble : "its definition cannot be read");
    if (len > VIRT_XML_MAX)
        return bare(d, "its definition is larger than 1 MiB");
    if (domain_xml_read(d->xml, len, &m) < 0)
        return bare(d, "its definition is malformed");
    return m;
}

Godwit__VmDomain *vm_domain_of(struct virt *v, const struct virt_domain *d)
{
    Godwit__VmDomain *m = read_one(d);
    m->state = (Godwit__VmDomain__State)d->state;
    m->autostart = d->autostart;
    m->persistent = d->persistent;
    m->managed_save = d->managed_save;
    m->snapshots = d->snapshots;
    m->checkpoints = d->checkpoints;
    if (d->trouble && !*m->trouble)
        replace(&m->trouble, xstrdup(d->trouble));
    for (size_t k = 0; k < m->n_disks; k++) {
        Godwit__VmDisk *disk = m->disks[k];
        if (*disk->source)
            (void)v->ops->disk_size(v, d->uuid, disk->target, &disk->virtual_bytes,
                                    &disk->real_bytes);
    }
    return m;
}

/* On what it lies, and on which images it stands: of a machine that is off the hypervisor does not
 * tell. */
static void look_where(Godwit__VmDisk *disk)
{
    Godwit__VmDiskFacts f = GODWIT__VM_DISK_FACTS__INIT;
    if (*disk->source != '/' || disk->device != GODWIT__VM_DISK__DEVICE__DISK)
        return;
    image_chain(disk->source, disk->format, &f);
    const Godwit__VmImage *own = f.images[0];
    bool tell = disk->n_chain == 0 && f.n_images > 1;
    if (own->block)
        replace(&disk->place, xstrdup("device"));
    else if (*own->file_system)
        replace(&disk->place,
                xasprintf("%s %s", own->shared ? "shared" : "local", own->file_system));
    if (tell)
        disk->chain = xcalloc(f.n_images, sizeof(char *));
    for (size_t i = 1; tell && i < f.n_images; i++)
        disk->chain[disk->n_chain++] = xstrdup(f.images[i]->path);
    for (size_t i = 0; i < f.n_images; i++)
        (void)image_free(f.images[i]);
    free(f.images);
}

static int take(void *arg, struct virt_domain *d)
{
    struct looking *l = arg;
    Godwit__VmInventory *i = l->i;
    CLEANUP(domain_free) Godwit__VmDomain *m = vm_domain_of(l->v, d);
    for (size_t k = 0; k < m->n_disks; k++)
        look_where(m->disks[k]);
    size_t bytes = godwit__vm_domain__get_packed_size(m) + 8;
    if (l->bytes + bytes > VM_ANSWER_MAX || i->n_domains >= VM_DOMAINS_MAX) {
        i->more = true;
        return 0;
    }
    l->bytes += bytes;
    i->domains = xrealloc(i->domains, (i->n_domains + 1) * sizeof(void *));
    i->domains[i->n_domains++] = m;
    m = NULL;
    return 0;
}

int vm_look(struct virt *v, Godwit__VmInventory **ret, struct fault *reterr)
{
    CLEANUP(vm_inventory_free) Godwit__VmInventory *i = xcalloc(1, sizeof *i);
    godwit__vm_inventory__init(i);
    i->host = xcalloc(1, sizeof *i->host);
    godwit__vm_host__init(i->host);
    int rc = v->ops->host(v, i->host, reterr);
    struct looking l = {.v = v, .i = i, .bytes = godwit__vm_host__get_packed_size(i->host) + 16};
    if (rc == 0)
        rc = v->ops->domains(v, take, &l, reterr);
    if (rc < 0)
        return rc;
    *ret = i;
    i = NULL;
    return 0;
}

Godwit__VmInventory *vm_inventory_free(Godwit__VmInventory *i)
{
    if (i)
        godwit__vm_inventory__free_unpacked(i, NULL);
    return NULL;
}
