/* domain_xml: a machine's definition by XPath, a table of texts and four lists. Any thread. */
#include "agent/vm/domain_xml.h"

#include <errno.h>
#include <libxml/parser.h>
#include <libxml/xpath.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define TEXT_MAX 4096 /* of one value; the rest is cut off */
#define CPU_MAX 65536 /* of one element */

struct reader {
    xmlDoc *doc;
    xmlXPathContext *path;
};

static struct reader *reader_close(struct reader *r)
{
    xmlXPathFreeContext(r->path);
    xmlFreeDoc(r->doc);
    return NULL;
}

static xmlXPathObject *eval(const struct reader *r, xmlNode *from, const char *expr)
{
    r->path->node = from;
    return xmlXPathEval((const xmlChar *)expr, r->path);
}

/* What string(expr) says, printable; "" where there is nothing. malloc'd. */
static char *text_at(const struct reader *r, xmlNode *from, const char *expr)
{
    xmlXPathObject *o = eval(r, from, expr);
    xmlChar *s = o ? xmlXPathCastToString(o) : NULL;
    char *text = s ? text_printable(s, strnlen((const char *)s, TEXT_MAX)) : xstrdup("");
    xmlFree(s);
    xmlXPathFreeObject(o);
    return text;
}

static bool is_there(const struct reader *r, xmlNode *from, const char *expr)
{
    xmlXPathObject *o = eval(r, from, expr);
    bool there = o && xmlXPathCastToBoolean(o);
    xmlXPathFreeObject(o);
    return there;
}

/* Calls take() for each node, at most max times; true: there were more. */
static bool each(const struct reader *r, xmlNode *from, const char *expr, int max,
                 void (*take)(const struct reader *r, xmlNode *n, void *arg), void *arg)
{
    xmlXPathObject *o = eval(r, from, expr);
    int n = o && o->nodesetval ? o->nodesetval->nodeNr : 0;
    for (int i = 0; i < n && i < max; i++)
        take(r, o->nodesetval->nodeTab[i], arg);
    xmlXPathFreeObject(o);
    return n > max;
}

static void *grow(void *list, size_t n)
{
    return xrealloc(list, (n + 1) * sizeof(void *));
}

struct texts {
    char **list;
    size_t n;
};

/* "pci 0000:01:00.0", "usb 046d:c52b", "mdev 4b20d080-…": what tells a device to a person. */
static void take_host_device(const struct reader *r, xmlNode *n, void *arg)
{
    static const char pci[] = "concat(substring-after(source/address/@domain, '0x'), ':', "
                              "substring-after(source/address/@bus, '0x'), ':', "
                              "substring-after(source/address/@slot, '0x'), '.', "
                              "substring-after(source/address/@function, '0x'))";
    static const char usb[] =
        "concat(substring-after(source/vendor/@id, '0x'), ':', substring-after(source/product/@id, "
        "'0x'))";
    struct texts *t = arg;
    CLEANUP(mem_free) char *type = text_at(r, n, "string(@type)");
    const char *expr = strcmp(type, "pci") == 0   ? pci
                       : strcmp(type, "usb") == 0 ? usb
                                                  : "string(source/address/@uuid)";
    CLEANUP(mem_free) char *which = text_at(r, n, expr);
    t->list = grow(t->list, t->n);
    t->list[t->n++] = xasprintf("%s %s", *type ? type : "device", which);
}

static void take_file_system(const struct reader *r, xmlNode *n, void *arg)
{
    struct texts *t = arg;
    CLEANUP(mem_free) char *dir = text_at(r, n, "string(source/@dir)");
    CLEANUP(mem_free) char *target = text_at(r, n, "string(target/@dir)");
    t->list = grow(t->list, t->n);
    t->list[t->n++] = xasprintf("%s as %s", dir, target);
}

/* A source in any of libvirt's forms. */
#define SOURCE                                                                                     \
    "string(source/@file | source/@dev | source/@dir | source[@pool]/@volume | source/@name)"
#define VOLUME "concat(source/@pool, substring('/', 1, count(source/@volume)), source/@volume)"
#define BELOW "string(@file | @dev | @dir | @name | @volume)"

static void take_below(const struct reader *r, xmlNode *n, void *arg)
{
    struct texts *t = arg;
    t->list = grow(t->list, t->n);
    t->list[t->n++] = text_at(r, n, BELOW);
}

static Godwit__VmDisk__Device device_of(const char *text)
{
    return strcmp(text, "cdrom") == 0    ? GODWIT__VM_DISK__DEVICE__CDROM
           : strcmp(text, "floppy") == 0 ? GODWIT__VM_DISK__DEVICE__FLOPPY
           : strcmp(text, "lun") == 0    ? GODWIT__VM_DISK__DEVICE__LUN
                                         : GODWIT__VM_DISK__DEVICE__DISK;
}

static Godwit__VmDisk__Storage storage_of(const char *text)
{
    return strcmp(text, "file") == 0      ? GODWIT__VM_DISK__STORAGE__FILE
           : strcmp(text, "block") == 0   ? GODWIT__VM_DISK__STORAGE__BLOCK
           : strcmp(text, "network") == 0 ? GODWIT__VM_DISK__STORAGE__NETWORK
           : strcmp(text, "volume") == 0  ? GODWIT__VM_DISK__STORAGE__VOLUME
                                          : GODWIT__VM_DISK__STORAGE__OTHER;
}

static void take_disk(const struct reader *r, xmlNode *n, void *arg)
{
    Godwit__VmDomain *d = arg;
    Godwit__VmDisk *k = xcalloc(1, sizeof *k);
    struct texts chain = {.n = 0};
    godwit__vm_disk__init(k);
    CLEANUP(mem_free) char *device = text_at(r, n, "string(@device)");
    CLEANUP(mem_free) char *type = text_at(r, n, "string(@type)");
    k->device = device_of(device);
    k->storage = storage_of(type);
    k->target = text_at(r, n, "string(target/@dev)");
    k->source = text_at(r, n, k->storage == GODWIT__VM_DISK__STORAGE__VOLUME ? VOLUME : SOURCE);
    k->format = text_at(r, n, "string(driver/@type)");
    k->cache = text_at(r, n, "string(driver/@cache)");
    k->read_only = is_there(r, n, "readonly");
    k->shareable = is_there(r, n, "shareable");
    k->transient = is_there(r, n, "transient");
    d->more |= each(r, n, ".//backingStore/source", DOMAIN_CHAIN_MAX, take_below, &chain);
    k->chain = chain.list;
    k->n_chain = chain.n;
    d->disks = grow(d->disks, d->n_disks);
    d->disks[d->n_disks++] = k;
}

static void take_interface(const struct reader *r, xmlNode *n, void *arg)
{
    Godwit__VmDomain *d = arg;
    Godwit__VmInterface *i = xcalloc(1, sizeof *i);
    godwit__vm_interface__init(i);
    i->kind = text_at(r, n, "string(@type)");
    i->mac = text_at(r, n, "string(mac/@address)");
    i->source = text_at(r, n, "string(source/@bridge | source/@network | source/@dev)");
    i->model = text_at(r, n, "string(model/@type)");
    CLEANUP(mem_free) char *mtu = text_at(r, n, "string(mtu/@size)");
    unsigned long size = *mtu >= '0' && *mtu <= '9' ? strtoul(mtu, NULL, 10) : 0;
    i->mtu = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
    d->interfaces = grow(d->interfaces, d->n_interfaces);
    d->interfaces[d->n_interfaces++] = i;
}

/* libvirt gives memory in any unit that it takes itself; dumps say KiB. */
static uint64_t bytes_at(const struct reader *r, xmlNode *from, const char *value, const char *unit)
{
    static const struct {
        const char *name;
        unsigned shift;
    } units[] = {
        {"b",   0 },
        {"KiB", 10},
        {"k",   10},
        {"MiB", 20},
        {"M",   20},
        {"GiB", 30},
        {"G",   30},
    };
    CLEANUP(mem_free) char *text = text_at(r, from, value);
    CLEANUP(mem_free) char *named = text_at(r, from, unit);
    unsigned shift = 10;
    for (size_t i = 0; i < ARRAY_SIZE(units); i++)
        if (strcmp(units[i].name, named) == 0)
            shift = units[i].shift;
    uint64_t n = *text >= '0' && *text <= '9' ? strtoull(text, NULL, 10) : 0;
    return n > UINT64_MAX >> shift ? UINT64_MAX : n << shift;
}

static void read_texts(const struct reader *r, xmlNode *top, Godwit__VmDomain *d)
{
    const struct {
        char **to;
        const char *expr;
    } texts[] = {
        {&d->name,         "string(name)"                     },
        {&d->uuid,         "string(uuid)"                     },
        {&d->title,        "string(title)"                    },
        {&d->hypervisor,   "string(@type)"                    },
        {&d->arch,         "string(os/type/@arch)"            },
        {&d->machine_type, "string(os/type/@machine)"         },
        {&d->emulator,     "string(devices/emulator)"         },
        {&d->cpu_mode,     "string(cpu/@mode)"                },
        {&d->cpu_model,    "string(cpu/model)"                },
        {&d->nvram,        "string(os/nvram)"                 },
        {&d->tpm,          "string(devices/tpm/backend/@type)"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        *texts[i].to = text_at(r, top, texts[i].expr);
    bool uefi = is_there(r, top, "os[@firmware = 'efi'] | os/loader[@type = 'pflash'] | os/nvram");
    d->firmware = xstrdup(uefi ? "uefi" : "bios");
    CLEANUP(mem_free) char *cpus = text_at(r, top, "string(vcpu)");
    d->cpus = (uint32_t)strtoul(cpus, NULL, 10);
    d->memory_bytes = bytes_at(r, top, "string(memory)", "string(memory/@unit)");
    d->memory_now_bytes = bytes_at(r, top, "string(currentMemory)", "string(currentMemory/@unit)");
    d->huge_pages = is_there(r, top, "memoryBacking/hugepages");
    d->pinned = is_there(r, top, "vcpu[@cpuset] | cputune/vcpupin | numatune/memory");
}

static void read_lists(const struct reader *r, xmlNode *top, Godwit__VmDomain *d)
{
    struct texts host = {.n = 0}, fs = {.n = 0};
    d->more |= each(r, top, "devices/disk", DOMAIN_DISKS_MAX, take_disk, d);
    d->more |= each(r, top, "devices/interface", DOMAIN_INTERFACES_MAX, take_interface, d);
    d->more |= each(r, top, "devices/hostdev | devices/interface[@type = 'hostdev']",
                    DOMAIN_DEVICES_MAX, take_host_device, &host);
    d->more |= each(r, top, "devices/filesystem", DOMAIN_DEVICES_MAX, take_file_system, &fs);
    d->host_devices = host.list;
    d->n_host_devices = host.n;
    d->file_systems = fs.list;
    d->n_file_systems = fs.n;
}

static xmlNode *reader_open(struct reader *r, const char *xml, size_t len, const char *root)
{
    *r = (struct reader){.doc = NULL};
    if (len <= INT32_MAX)
        r->doc = xmlReadMemory(xml, (int)len, "domain.xml", NULL,
                               XML_PARSE_NONET | XML_PARSE_NOERROR | XML_PARSE_NOWARNING);
    xmlNode *top = r->doc ? xmlDocGetRootElement(r->doc) : NULL;
    bool good = top && !r->doc->intSubset && strcmp((const char *)top->name, root) == 0;
    r->path = good ? xmlXPathNewContext(r->doc) : NULL;
    if (r->path)
        return top;
    (void)reader_close(r);
    return NULL;
}

int domain_xml_read(const char *xml, size_t len, Godwit__VmDomain **ret)
{
    struct reader r;
    xmlNode *top = reader_open(&r, xml, len, "domain");
    if (!top)
        return -EBADMSG;
    CLEANUP(domain_free) Godwit__VmDomain *d = xcalloc(1, sizeof *d);
    godwit__vm_domain__init(d);
    read_texts(&r, top, d);
    read_lists(&r, top, d);
    (void)reader_close(&r);
    if (!*d->name || !*d->uuid)
        return -EBADMSG;
    *ret = d;
    d = NULL;
    return 0;
}

/* One element as text; "" where there is none. malloc'd. */
static char *element_at(const struct reader *r, xmlNode *from, const char *expr)
{
    xmlXPathObject *o = eval(r, from, expr);
    xmlNode *n = o && o->nodesetval && o->nodesetval->nodeNr > 0 ? o->nodesetval->nodeTab[0] : NULL;
    xmlBuffer *b = n ? xmlBufferCreate() : NULL;
    char *text = NULL;
    if (b && xmlNodeDump(b, r->doc, n, 0, 0) >= 0 && xmlBufferLength(b) <= CPU_MAX)
        text = text_printable(xmlBufferContent(b), (size_t)xmlBufferLength(b));
    if (b)
        xmlBufferFree(b);
    xmlXPathFreeObject(o);
    return text ? text : xstrdup("");
}

int domain_xml_facts(const char *xml, size_t len, Godwit__VmMachine *m)
{
    struct reader r;
    xmlNode *top = reader_open(&r, xml, len, "domain");
    if (!top)
        return -EBADMSG;
    m->cpu = element_at(&r, top, "cpu");
    m->loader = text_at(&r, top, "string(os/loader)");
    m->kernel = text_at(&r, top, "string(os/kernel)");
    m->initrd = text_at(&r, top, "string(os/initrd)");
    m->nvram_template = text_at(&r, top, "string(os/nvram/@template)");
    m->lock_lease = is_there(&r, top, "devices/lease");
    m->secrets = is_there(&r, top, "devices//secret | devices//encryption[@secret]");
    m->teamed = is_there(&r, top, "devices/interface/teaming[@type = 'transient']") &&
                !is_there(&r, top, "devices/hostdev[not(teaming)]") &&
                !is_there(&r, top, "devices/interface[@type = 'hostdev' and not(teaming)]");
    (void)reader_close(&r);
    return 0;
}

int domain_xml_kept(const char *xml, size_t len, Godwit__VmMachine *m)
{
    struct reader r;
    xmlNode *top = reader_open(&r, xml, len, "domain");
    if (!top)
        return -EBADMSG;
    m->kept_cpu = element_at(&r, top, "cpu");
    m->kept_cpu_mode = text_at(&r, top, "string(cpu/@mode)");
    (void)reader_close(&r);
    return 0;
}

char *domain_xml_snapshot_memory(const char *xml, size_t len)
{
    struct reader r;
    xmlNode *top = reader_open(&r, xml, len, "domainsnapshot");
    if (!top)
        return NULL;
    char *file = text_at(&r, top, "string(memory[@snapshot = 'external']/@file)");
    (void)reader_close(&r);
    if (*file)
        return file;
    free(file);
    return NULL;
}

char *domain_xml_tpm_place(const char *xml, size_t len)
{
    struct reader r;
    xmlNode *top = reader_open(&r, xml, len, "domain");
    if (!top)
        return xstrdup("");
    char *path = text_at(&r, top, "string(devices/tpm/backend[@type = 'emulator']/source/@path)");
    (void)reader_close(&r);
    return path;
}

Godwit__VmDomain *domain_free(Godwit__VmDomain *d)
{
    if (d)
        godwit__vm_domain__free_unpacked(d, NULL);
    return NULL;
}
