/* virt_libvirt: libvirt behind virt.h, as far as it is asked. It changes nothing. Worker threads; a
 * connection belongs to one of them. */
#include <errno.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/vm/virt_libvirt_priv.h"
#include "common/base/mem.h"
#include "common/base/text.h"

virConnectPtr real_conn(struct virt *v)
{
    return ((struct real *)v)->conn;
}

int real_failed(struct fault *reterr, const char *doing)
{
    static const struct {
        int code, err;
    } codes[] = {
        {VIR_ERR_NO_DOMAIN,         ENOENT      },
        {VIR_ERR_NO_STORAGE_VOL,    ENOENT      },
        {VIR_ERR_NO_STORAGE_POOL,   ENOENT      },
        {VIR_ERR_DOM_EXIST,         EEXIST      },
        {VIR_ERR_CPU_INCOMPATIBLE,  EOPNOTSUPP  },
        {VIR_ERR_OPERATION_ABORTED, ECANCELED   },
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

static char *cpu_of_host(const char *capabilities)
{
    const char *cpu = capabilities ? strstr(capabilities, "<cpu>") : NULL;
    const char *at = cpu ? strstr(cpu, "<model>") : NULL;
    return at ? text_printable(at + 7, strcspn(at + 7, "<")) : xstrdup("");
}

static bool has_type(const Godwit__VmHost *h, const char *type)
{
    for (size_t i = 0; i < h->n_machine_types; i++)
        if (strcmp(h->machine_types[i], type) == 0)
            return true;
    return false;
}

void real_take_types(const char *capabilities, Godwit__VmHost *h)
{
    CLEANUP(mem_free) char *arch = xasprintf("<arch name='%s'>", h->arch);
    const char *at = capabilities ? strstr(capabilities, arch) : NULL;
    const char *end = at ? strstr(at, "</arch>") : NULL;
    h->machine_types = xcalloc(VIRT_TYPES_MAX, sizeof(char *));
    while (end && (at = strstr(at, "<machine")) != NULL && at < end) {
        at += strcspn(at, ">");
        size_t n = *at ? strcspn(++at, "<") : 0;
        char *type = text_printable(at, n < 64 ? n : 64);
        if (!*type || has_type(h, type) || h->n_machine_types == VIRT_TYPES_MAX)
            free(type);
        else
            h->machine_types[h->n_machine_types++] = type;
    }
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
    virConnectPtr c = real_conn(v);
    virNodeInfo node;
    unsigned long version = 0;
    if (virNodeGetInfo(c, &node) < 0)
        return real_failed(reterr, "cannot ask the host what it is");
    char *name = virConnectGetHostname(c), *capabilities = virConnectGetCapabilities(c);
    ret->hostname = printable(name);
    ret->uuid = uuid_of_host(capabilities);
    ret->cpu_model = cpu_of_host(capabilities);
    ret->arch = text_printable(node.model, strnlen(node.model, sizeof node.model));
    real_take_types(capabilities, ret);
    free(name);
    free(capabilities);
    ret->hypervisor = printable(virConnectGetType(c));
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
    (void)real_failed(&why, "its definition cannot be read");
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
    int n = virConnectListAllDomains(real_conn(v), &list, 0), rc = 0;
    if (n < 0)
        return real_failed(reterr, "cannot list the machines");
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
    virDomainPtr p = virDomainLookupByUUIDString(real_conn(v), uuid);
    int rc = p && !real_hangs(p) ? virDomainGetBlockInfo(p, target, &info, 0) : -1;
    if (p)
        (void)virDomainFree(p);
    if (rc < 0)
        return -ENODATA;
    *retvirtual = info.capacity;
    *retreal = info.allocation;
    return 0;
}

/* ── one machine ── */

#define DEAF_MS 2000

bool real_hangs(virDomainPtr p)
{
    virDomainControlInfo c = {.state = VIR_DOMAIN_CONTROL_OK};
    (void)virDomainGetControlInfo(p, &c, 0);
    return c.state == VIR_DOMAIN_CONTROL_JOB ||
           (c.state == VIR_DOMAIN_CONTROL_OCCUPIED && c.stateTime > DEAF_MS);
}

virDomainPtr real_machine(struct virt *v, const char *word)
{
    virDomainPtr p = virDomainLookupByUUIDString(real_conn(v), word);
    return p ? p : virDomainLookupByName(real_conn(v), word);
}

static int real_find(struct virt *v, const char *word, struct virt_domain *ret,
                     struct fault *reterr)
{
    virDomainPtr p = real_machine(v, word);
    if (!p)
        return real_failed(reterr, "the machine is not found");
    look_at(p, ret);
    (void)virDomainFree(p);
    return 0;
}

static bool is_migrated(int state, int reason)
{
    return (state == VIR_DOMAIN_SHUTOFF && reason == VIR_DOMAIN_SHUTOFF_MIGRATED) ||
           (state == VIR_DOMAIN_PAUSED && reason == VIR_DOMAIN_PAUSED_MIGRATION);
}

static enum virt_is is_of(int state, int reason)
{
    if (is_migrated(state, reason))
        return VIRT_MIGRATED;
    if (state == VIR_DOMAIN_PAUSED &&
        (reason == VIR_DOMAIN_PAUSED_POSTCOPY_FAILED || reason == VIR_DOMAIN_PAUSED_IOERROR ||
         reason == VIR_DOMAIN_PAUSED_CRASHED))
        return VIRT_STUCK;
    switch (state) {
    case VIR_DOMAIN_RUNNING:
    case VIR_DOMAIN_BLOCKED:
    case VIR_DOMAIN_SHUTDOWN:
        return VIRT_RUNNING;
    case VIR_DOMAIN_PAUSED:
    case VIR_DOMAIN_PMSUSPENDED:
        return VIRT_PAUSED;
    case VIR_DOMAIN_SHUTOFF:
    case VIR_DOMAIN_CRASHED:
        return VIRT_OFF;
    default:
        return VIRT_STUCK;
    }
}

static const char *reason_of(int state, int reason)
{
    static const struct {
        int state, reason;
        const char *text;
    } known[] = {
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SHUTDOWN,       VIRT_SHUT_DOWN    },
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_DESTROYED,      VIRT_SWITCHED_OFF },
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_MIGRATED,       "migrated"        },
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_SAVED,          "saved"           },
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_FAILED,         "failed"          },
        {VIR_DOMAIN_SHUTOFF, VIR_DOMAIN_SHUTOFF_CRASHED,        "crashed"         },
        {VIR_DOMAIN_PAUSED,  VIR_DOMAIN_PAUSED_MIGRATION,       "migrating"       },
        {VIR_DOMAIN_PAUSED,  VIR_DOMAIN_PAUSED_IOERROR,         "I/O error"       },
        {VIR_DOMAIN_PAUSED,  VIR_DOMAIN_PAUSED_POSTCOPY,        "post-copy"       },
        {VIR_DOMAIN_PAUSED,  VIR_DOMAIN_PAUSED_POSTCOPY_FAILED, "post-copy failed"},
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_MIGRATED,       "migrated"        },
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_POSTCOPY,       "post-copy"       },
        {VIR_DOMAIN_RUNNING, VIR_DOMAIN_RUNNING_RESTORED,       "restored"        },
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++)
        if (known[i].state == state && known[i].reason == reason)
            return known[i].text;
    return "";
}

/* Of a job that would be in the way of another; "" for none. */
static const char *job_of(virDomainPtr p)
{
    virDomainJobInfo info;
    if (real_hangs(p))
        return "a job that does not answer";
    if (virDomainGetJobInfo(p, &info) < 0 || info.type == VIR_DOMAIN_JOB_NONE)
        return "";
    return info.fileTotal > 0 ? "a job with disks" : "a job";
}

static int real_sight(struct virt *v, const char *uuid, struct virt_sight *ret,
                      struct fault *reterr)
{
    int state = 0, reason = 0, rc = 0;
    *ret = (struct virt_sight){.is = VIRT_ABSENT};
    virDomainPtr p = real_machine(v, uuid);
    if (!p) {
        rc = real_failed(reterr, "the machine is not found");
        return rc == -ENOENT ? 0 : rc;
    }
    if (virDomainGetState(p, &state, &reason, 0) < 0) {
        rc = real_failed(reterr, "the machine's state is not told");
    } else {
        ret->is = is_of(state, reason);
        if (ret->is == VIRT_OFF && virDomainHasManagedSaveImage(p, 0) == 1)
            ret->is = VIRT_SAVED;
        ret->defined = virDomainIsPersistent(p) == 1;
        (void)snprintf(ret->reason, sizeof ret->reason, "%s", reason_of(state, reason));
        (void)snprintf(ret->job, sizeof ret->job, "%s", job_of(p));
    }
    (void)virDomainFree(p);
    return rc;
}

static int real_definition(struct virt *v, const char *uuid, unsigned flags, char **ret,
                           struct fault *reterr)
{
    unsigned how = flags & VIRT_XML_KEPT ? VIR_DOMAIN_XML_INACTIVE : VIR_DOMAIN_XML_MIGRATABLE;
    if (flags & VIRT_XML_WITH_SECRETS)
        how |= VIR_DOMAIN_XML_SECURE;
    virDomainPtr p = real_machine(v, uuid);
    char *xml = p ? virDomainGetXMLDesc(p, how) : NULL;
    int rc = xml ? 0 : real_failed(reterr, "its definition cannot be read");
    if (p)
        (void)virDomainFree(p);
    if (xml)
        *ret = xml;
    return rc;
}

static int real_compare_cpu(struct virt *v, const struct virt_kind *k, const char *cpu,
                            struct fault *reterr)
{
    int rc = virConnectCompareHypervisorCPU(real_conn(v), k->emulator, k->arch, k->machine,
                                            k->hypervisor, cpu,
                                            VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
    if (rc == VIR_CPU_COMPARE_IDENTICAL || rc == VIR_CPU_COMPARE_SUPERSET)
        return 1;
    rc = real_failed(reterr, "the processor cannot be had here");
    return rc == -EOPNOTSUPP && virGetLastErrorCode() == VIR_ERR_CPU_INCOMPATIBLE ? 0 : rc;
}

static int real_capabilities(struct virt *v, const struct virt_kind *k, char **ret,
                             struct fault *reterr)
{
    char *xml = virConnectGetDomainCapabilities(real_conn(v), k->emulator, k->arch, k->machine,
                                                k->hypervisor, 0);
    if (!xml)
        return real_failed(reterr, "such a machine cannot be had here");
    *ret = xml;
    return 0;
}

#define DIRTY_SECONDS 1
#define DIRTY_TRIES 40

/* Bytes a second, once the measurement is over; -EAGAIN before. */
static int dirty_told(virDomainPtr p, uint64_t *ret)
{
    virDomainPtr one[] = {p, NULL};
    virDomainStatsRecordPtr *stats = NULL;
    long long rate = 0;
    int status = VIR_DOMAIN_DIRTYRATE_MEASURING, rc = -EAGAIN;
    if (virDomainListGetStats(one, VIR_DOMAIN_STATS_DIRTYRATE, &stats, 0) != 1)
        return -ENODATA;
    (void)virTypedParamsGetInt(stats[0]->params, stats[0]->nparams, "dirtyrate.calc_status",
                               &status);
    if (status == VIR_DOMAIN_DIRTYRATE_MEASURED) {
        rc = virTypedParamsGetLLong(stats[0]->params, stats[0]->nparams,
                                    "dirtyrate.megabytes_per_second", &rate) == 1
                 ? 0
                 : -ENODATA;
        *ret = rate > 0 ? (uint64_t)rate << 20 : 0;
    }
    virDomainStatsRecordListFree(stats);
    return rc;
}

static int real_dirty_rate(struct virt *v, const char *uuid, uint64_t *ret, struct fault *reterr)
{
    virDomainPtr p = real_machine(v, uuid);
    if (!p || real_hangs(p) || virDomainStartDirtyRateCalc(p, DIRTY_SECONDS, 0) < 0) {
        if (p)
            (void)virDomainFree(p);
        return real_failed(reterr, "how fast it writes to its memory cannot be measured");
    }
    int rc = -EAGAIN;
    for (int i = 0; rc == -EAGAIN && i < DIRTY_TRIES; i++) {
        (void)usleep(100000);
        rc = dirty_told(p, ret);
    }
    (void)virDomainFree(p);
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, ENODATA, "its dirty rate was not told") : 0;
}

static void real_close(struct virt *v)
{
    (void)virConnectClose(real_conn(v));
    free(v);
}

static const struct virt_ops real_ops = {
    .host = real_host,
    .domains = real_domains,
    .disk_size = real_disk_size,
    .volume_path = real_volume_path,
    .disk_errors = real_disk_errors,
    .sight = real_sight,
    .find = real_find,
    .definition = real_definition,
    .compare_cpu = real_compare_cpu,
    .capabilities = real_capabilities,
    .dirty_rate = real_dirty_rate,
    .define = real_define,
    .undefine = real_undefine,
    .start = real_start,
    .shutdown = real_shutdown,
    .destroy = real_destroy,
    .suspend = real_suspend,
    .resume = real_resume,
    .autostart = real_autostart,
    .snapshots = real_snapshots,
    .put_snapshot = real_put_snapshot,
    .refresh = real_refresh,
    .migrate = real_migrate,
    .progress = real_progress,
    .set_speed = real_set_speed,
    .set_downtime = real_set_downtime,
    .post_copy = real_post_copy,
    .abort = real_abort,
    .yank = real_yank,
    .save = real_save,
    .saved = real_saved,
    .restore = real_restore,
    .mirror = real_mirror,
    .mirrored = real_mirrored,
    .mirror_speed = real_mirror_speed,
    .mirror_end = real_mirror_end,
    .close = real_close,
};

int virt_open(struct virt **ret, const char *uri, bool act, struct fault *reterr)
{
    virSetErrorFunc(NULL, quiet);
    virConnectPtr c = act ? virConnectOpen(uri) : virConnectOpenReadOnly(uri);
    if (!c)
        return real_failed(reterr, "libvirt does not answer");
    struct real *r = xcalloc(1, sizeof *r);
    r->base.ops = &real_ops;
    r->conn = c;
    *ret = &r->base;
    return 0;
}
