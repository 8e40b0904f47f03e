/* virt_libvirt: libvirt behind virt.h. The only file that knows its calls, handles and errors.
 * Worker threads; a connection belongs to one of them. */
#include "agent/vm/virt.h"

#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

struct real {
    struct virt base;
    virConnectPtr conn;
};

static virConnectPtr conn_of(struct virt *v)
{
    return ((struct real *)v)->conn;
}

/* libvirt's last error as a fault. */
static int failed(struct fault *reterr, const char *doing)
{
    static const struct {
        int code, err;
    } codes[] = {
        {VIR_ERR_NO_DOMAIN,         ENOENT      },
        {VIR_ERR_AUTH_FAILED,       EACCES      },
        {VIR_ERR_ACCESS_DENIED,     EACCES      },
        {VIR_ERR_NO_SUPPORT,        EOPNOTSUPP  },
        {VIR_ERR_NO_CONNECT,        ECONNREFUSED},
        {VIR_ERR_OPERATION_TIMEOUT, ETIMEDOUT   },
    };
    const virError *e = virGetLastError();
    int err = EIO;
    for (size_t i = 0; e && i < ARRAY_SIZE(codes); i++)
        if (codes[i].code == e->code)
            err = codes[i].err;
    if (e && err == EIO && e->code == VIR_ERR_SYSTEM_ERROR && e->domain == VIR_FROM_RPC)
        err = ECONNREFUSED;
    const char *said = e && e->message ? e->message : "no reason given";
    CLEANUP(mem_free) char *shown = text_printable(said, strnlen(said, 200));
    return fault_set(reterr, FAULT_STOP_JOB, err, "%s: %s", doing, shown);
}

static void quiet(void *arg, virErrorPtr e) /* errors are in the faults */
{
    (void)arg;
    (void)e;
}

/* ── the host ── */

static char *uuid_of_host(const char *capabilities)
{
    const char *at = capabilities ? strstr(capabilities, "<uuid>") : NULL;
    size_t n = at ? strcspn(at + 6, "<") : 0;
    return n == VIR_UUID_STRING_BUFLEN - 1 ? text_printable(at + 6, n) : xstrdup("");
}

static char *printable(const char *text)
{
    return text_printable(text ? text : "", text ? strnlen(text, 240) : 0);
}

static Godwit__VmPool *pool_of(virStoragePoolPtr p)
{
    Godwit__VmPool *r = xcalloc(1, sizeof *r);
    virStoragePoolInfo info;
    godwit__vm_pool__init(r);
    r->name = printable(virStoragePoolGetName(p));
    r->active = virStoragePoolIsActive(p) == 1;
    if (virStoragePoolGetInfo(p, &info) == 0) {
        r->size = info.capacity;
        r->used = info.allocation;
        r->free = info.available;
    }
    char *xml = virStoragePoolGetXMLDesc(p, 0);
    const char *type = xml ? strstr(xml, "<pool type='") : NULL;
    const char *path = xml ? strstr(xml, "<path>") : NULL;
    r->kind = type ? text_printable(type + 12, strcspn(type + 12, "'")) : xstrdup("");
    r->path = path ? text_printable(path + 6, strcspn(path + 6, "<")) : xstrdup("");
    free(xml);
    return r;
}

static void take_pools(virConnectPtr c, Godwit__VmHost *h)
{
    virStoragePoolPtr *list = NULL;
    int n = virConnectListAllStoragePools(c, &list, 0);
    h->more |= n > VIRT_POOLS_MAX;
    if (n > 0)
        h->pools = xcalloc((size_t)n, sizeof *h->pools);
    for (int i = 0; i < n; i++) {
        if (i < VIRT_POOLS_MAX)
            h->pools[h->n_pools++] = pool_of(list[i]);
        (void)virStoragePoolFree(list[i]);
    }
    free(list);
}

static Godwit__VmNetwork *network_of(virNetworkPtr p)
{
    Godwit__VmNetwork *r = xcalloc(1, sizeof *r);
    godwit__vm_network__init(r);
    r->name = printable(virNetworkGetName(p));
    r->active = virNetworkIsActive(p) == 1;
    char *bridge = virNetworkGetBridgeName(p);
    r->bridge = printable(bridge);
    free(bridge);
    char *xml = virNetworkGetXMLDesc(p, 0);
    const char *mode = xml ? strstr(xml, "<forward mode='") : NULL;
    r->forward = mode ? text_printable(mode + 15, strcspn(mode + 15, "'")) : xstrdup("");
    free(xml);
    return r;
}

static void take_networks(virConnectPtr c, Godwit__VmHost *h)
{
    virNetworkPtr *list = NULL;
    int n = virConnectListAllNetworks(c, &list, 0);
    h->more |= n > VIRT_NETWORKS_MAX;
    if (n > 0)
        h->networks = xcalloc((size_t)n, sizeof *h->networks);
    for (int i = 0; i < n; i++) {
        if (i < VIRT_NETWORKS_MAX)
            h->networks[h->n_networks++] = network_of(list[i]);
        (void)virNetworkFree(list[i]);
    }
    free(list);
}

static int real_host(struct virt *v, Godwit__VmHost *ret, struct fault *reterr)
{
    virConnectPtr c = conn_of(v);
    virNodeInfo node;
    unsigned long version = 0;
    if (virNodeGetInfo(c, &node) < 0)
        return failed(reterr, "cannot ask the host what it is");
    char *name = virConnectGetHostname(c), *capabilities = virConnectGetCapabilities(c);
    ret->hostname = printable(name);
    ret->uuid = uuid_of_host(capabilities);
    free(name);
    free(capabilities);
    ret->hypervisor = printable(virConnectGetType(c));
    ret->arch = text_printable(node.model, strnlen(node.model, sizeof node.model));
    ret->cpu_model = xstrdup("");
    ret->cpus = node.cpus;
    ret->memory_bytes = (uint64_t)node.memory << 10;
    ret->memory_free_bytes = virNodeGetFreeMemory(c);
    if (virConnectGetVersion(c, &version) == 0)
        ret->hypervisor_version = version;
    if (virConnectGetLibVersion(c, &version) == 0)
        ret->libvirt_version = version;
    take_pools(c, ret);
    take_networks(c, ret);
    return 0;
}

/* ── machines ── */

static unsigned state_of(virDomainPtr p)
{
    static const unsigned states[] = {
        [VIR_DOMAIN_NOSTATE] = GODWIT__VM_DOMAIN__STATE__STATE_UNSPECIFIED,
        [VIR_DOMAIN_RUNNING] = GODWIT__VM_DOMAIN__STATE__RUNNING,
        [VIR_DOMAIN_BLOCKED] = GODWIT__VM_DOMAIN__STATE__BLOCKED,
        [VIR_DOMAIN_PAUSED] = GODWIT__VM_DOMAIN__STATE__PAUSED,
        [VIR_DOMAIN_SHUTDOWN] = GODWIT__VM_DOMAIN__STATE__STOPPING,
        [VIR_DOMAIN_SHUTOFF] = GODWIT__VM_DOMAIN__STATE__OFF,
        [VIR_DOMAIN_CRASHED] = GODWIT__VM_DOMAIN__STATE__CRASHED,
        [VIR_DOMAIN_PMSUSPENDED] = GODWIT__VM_DOMAIN__STATE__SUSPENDED,
    };
    int state = 0;
    if (virDomainGetState(p, &state, NULL, 0) < 0 || state < 0 ||
        (size_t)state >= ARRAY_SIZE(states))
        return GODWIT__VM_DOMAIN__STATE__STATE_UNSPECIFIED;
    return states[state];
}

static unsigned count_or_none(int n)
{
    return n > 0 ? (unsigned)n : 0;
}

static void look_at(virDomainPtr p, struct virt_domain *ret)
{
    char uuid[VIR_UUID_STRING_BUFLEN] = "";
    struct fault why;
    int on = 0;
    (void)virDomainGetUUIDString(p, uuid);
    ret->name = xstrdup(virDomainGetName(p));
    ret->uuid = xstrdup(uuid);
    ret->state = state_of(p);
    ret->autostart = virDomainGetAutostart(p, &on) == 0 && on;
    ret->persistent = virDomainIsPersistent(p) == 1;
    ret->managed_save = virDomainHasManagedSaveImage(p, 0) == 1;
    ret->snapshots = count_or_none(virDomainSnapshotNum(p, 0));
    ret->checkpoints = count_or_none(virDomainListAllCheckpoints(p, NULL, 0));
    ret->xml = virDomainGetXMLDesc(p, 0);
    if (ret->xml)
        return;
    (void)failed(&why, "its definition cannot be read");
    ret->trouble = xstrdup(why.text);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(virDomainGetName(*(const virDomainPtr *)a),
                  virDomainGetName(*(const virDomainPtr *)b));
}

static int real_domains(struct virt *v, int (*take)(void *arg, struct virt_domain *d), void *arg,
                        struct fault *reterr)
{
    virDomainPtr *list = NULL;
    int n = virConnectListAllDomains(conn_of(v), &list, 0), rc = 0;
    if (n < 0)
        return failed(reterr, "cannot list the machines");
    if (n > 0)
        qsort(list, (size_t)n, sizeof *list, by_name);
    for (int i = 0; i < n; i++) {
        struct virt_domain d = {.name = NULL};
        if (rc >= 0) {
            look_at(list[i], &d);
            rc = take(arg, &d);
            virt_domain_done(&d);
        }
        (void)virDomainFree(list[i]);
    }
    free(list);
    return rc < 0 ? rc : 0;
}

static int real_disk_size(struct virt *v, const char *uuid, const char *target,
                          uint64_t *retvirtual, uint64_t *retreal)
{
    virDomainBlockInfo info;
    virDomainPtr p = virDomainLookupByUUIDString(conn_of(v), uuid);
    int rc = p ? virDomainGetBlockInfo(p, target, &info, 0) : -1;
    if (p)
        (void)virDomainFree(p);
    if (rc < 0)
        return -ENODATA;
    *retvirtual = info.capacity;
    *retreal = info.allocation;
    return 0;
}

static void real_close(struct virt *v)
{
    (void)virConnectClose(conn_of(v));
    free(v);
}

static const struct virt_ops real_ops = {
    .host = real_host,
    .domains = real_domains,
    .disk_size = real_disk_size,
    .close = real_close,
};

int virt_open(struct virt **ret, const char *uri, struct fault *reterr)
{
    virSetErrorFunc(NULL, quiet);
    virConnectPtr c = virConnectOpenReadOnly(uri);
    if (!c)
        return failed(reterr, "libvirt does not answer");
    struct real *r = xcalloc(1, sizeof *r);
    r->base.ops = &real_ops;
    r->conn = c;
    *ret = &r->base;
    return 0;
}
