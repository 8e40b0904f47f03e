/* virt_libvirt_move: live moves behind virt.h: flags and parameters of libvirt's one call for them,
 * and what may be asked of it while it runs. Worker threads. */
#include <errno.h>
#include <libvirt/libvirt-qemu.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vm/virt_libvirt_priv.h"
#include "common/base/mem.h"

#define NO_LIMIT_MIB 8000 /* of libvirt's: 0 would mean its own default */

/* ── the call ── */

struct params {
    virTypedParameterPtr list;
    int n, max;
    bool bad;
};

static void add_text(struct params *p, const char *name, const char *value)
{
    if (value && virTypedParamsAddString(&p->list, &p->n, &p->max, name, value) < 0)
        p->bad = true;
}

static void fill(struct params *p, const struct virt_migration *m)
{
    add_text(p, VIR_MIGRATE_PARAM_URI, m->memory);
    add_text(p, VIR_MIGRATE_PARAM_DEST_XML, m->live);
    add_text(p, VIR_MIGRATE_PARAM_PERSIST_XML, m->kept);
    for (size_t i = 0; i < m->ntargets; i++)
        add_text(p, VIR_MIGRATE_PARAM_MIGRATE_DISKS, m->targets[i]);
    if (m->ntargets)
        add_text(p, VIR_MIGRATE_PARAM_DISKS_URI, m->disks);
    if (m->mib_s && virTypedParamsAddULLong(&p->list, &p->n, &p->max, VIR_MIGRATE_PARAM_BANDWIDTH,
                                            m->mib_s) < 0)
        p->bad = true;
    if (!m->streams)
        return;
    add_text(p, VIR_MIGRATE_PARAM_COMPRESSION, "zstd");
    if (virTypedParamsAddInt(&p->list, &p->n, &p->max, VIR_MIGRATE_PARAM_PARALLEL_CONNECTIONS,
                             (int)m->streams) < 0)
        p->bad = true;
}

/* OFFLINE is never among them: with UNDEFINE_SOURCE it deletes a TPM's state. */
static unsigned flags_of(const struct virt_migration *m)
{
    unsigned f = VIR_MIGRATE_LIVE | VIR_MIGRATE_PEER2PEER | VIR_MIGRATE_PERSIST_DEST |
                 VIR_MIGRATE_UNDEFINE_SOURCE | VIR_MIGRATE_CHANGE_PROTECTION |
                 VIR_MIGRATE_ABORT_ON_ERROR | VIR_MIGRATE_AUTO_CONVERGE;
    if (m->ntargets)
        f |= m->overlays ? VIR_MIGRATE_NON_SHARED_INC : VIR_MIGRATE_NON_SHARED_DISK;
    if (m->tls)
        f |= VIR_MIGRATE_TLS;
    if (m->streams)
        f |= VIR_MIGRATE_PARALLEL | VIR_MIGRATE_COMPRESSED;
    else if (m->post_copy) /* the two do not go together */
        f |= VIR_MIGRATE_POSTCOPY;
    return f;
}

int real_migrate(struct virt *v, const char *uuid, const struct virt_migration *m,
                 struct fault *reterr)
{
    struct params p = {.list = NULL};
    virDomainPtr d = real_machine(v, uuid);
    int rc = d ? 0 : real_failed(reterr, "the machine is not found");
    if (rc == 0)
        fill(&p, m);
    if (p.bad)
        rc = real_failed(reterr, "the move cannot be asked for");
    if (rc == 0 && virDomainMigrateToURI3(d, m->peer, p.list, (unsigned)p.n, flags_of(m)) < 0)
        rc = real_failed(reterr, "the machine was not moved");
    virTypedParamsFree(p.list, p.n);
    if (d)
        (void)virDomainFree(d);
    return rc;
}

/* ── while it runs ── */

static uint64_t number(virTypedParameterPtr list, int n, const char *name)
{
    unsigned long long value = 0;
    return virTypedParamsGetULLong(list, n, name, &value) > 0 ? value : 0;
}

int real_progress(struct virt *v, const char *uuid, bool ended, struct virt_progress *ret)
{
    virTypedParameterPtr list = NULL;
    int n = 0, type = VIR_DOMAIN_JOB_NONE;
    virDomainPtr d = real_machine(v, uuid);
    unsigned flags =
        ended ? VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED : 0;
    int rc = d && virDomainGetJobStats(d, &type, &list, &n, flags) == 0 ? 0 : -ENODATA;
    if (d)
        (void)virDomainFree(d);
    if (rc < 0)
        return rc;
    *ret = (struct virt_progress){
        .runs = type == VIR_DOMAIN_JOB_BOUNDED || type == VIR_DOMAIN_JOB_UNBOUNDED,
        .memory_left = number(list, n, VIR_DOMAIN_JOB_MEMORY_REMAINING),
        .memory_done = number(list, n, VIR_DOMAIN_JOB_MEMORY_PROCESSED),
        .disk_left = number(list, n, VIR_DOMAIN_JOB_DISK_REMAINING),
        .disk_done = number(list, n, VIR_DOMAIN_JOB_DISK_PROCESSED),
        .dirty_rate = number(list, n, VIR_DOMAIN_JOB_MEMORY_DIRTY_RATE) *
                      number(list, n, VIR_DOMAIN_JOB_MEMORY_PAGE_SIZE),
        .bytes_s = number(list, n, VIR_DOMAIN_JOB_MEMORY_BPS),
        .rounds = number(list, n, VIR_DOMAIN_JOB_MEMORY_ITERATION),
        .downtime_ms = number(list, n, VIR_DOMAIN_JOB_DOWNTIME),
        .elapsed_ms = number(list, n, VIR_DOMAIN_JOB_TIME_ELAPSED),
    };
    virTypedParamsFree(list, n);
    return 0;
}

int real_set_speed(struct virt *v, const char *uuid, uint64_t mib_s)
{
    virDomainPtr d = real_machine(v, uuid);
    unsigned long speed = mib_s ? mib_s : NO_LIMIT_MIB;
    int rc = d && virDomainMigrateSetMaxSpeed(d, speed, 0) == 0 ? 0 : -EIO;
    if (d)
        (void)virDomainFree(d);
    return rc;
}

int real_set_downtime(struct virt *v, const char *uuid, uint64_t ms)
{
    virDomainPtr d = real_machine(v, uuid);
    int rc = d && virDomainMigrateSetMaxDowntime(d, ms, 0) == 0 ? 0 : -EIO;
    if (d)
        (void)virDomainFree(d);
    return rc;
}

int real_post_copy(struct virt *v, const char *uuid)
{
    virDomainPtr d = real_machine(v, uuid);
    int rc = d && virDomainMigrateStartPostCopy(d, 0) == 0 ? 0 : -EIO;
    if (d)
        (void)virDomainFree(d);
    return rc;
}

int real_abort(struct virt *v, const char *uuid)
{
    virDomainPtr d = real_machine(v, uuid);
    int rc = d && virDomainAbortJob(d) == 0 ? 0 : -EIO;
    if (d)
        (void)virDomainFree(d);
    return rc;
}

int real_yank(struct virt *v, const char *uuid, const char *target)
{
    char *said = NULL;
    CLEANUP(mem_free)
    char *command = xasprintf("{\"execute\":\"yank\",\"arguments\":{\"instances\":[{\"type\":"
                              "\"block-node\",\"node-name\":\"migration-%s-storage\"}]}}",
                              target);
    virDomainPtr d = real_machine(v, uuid);
    int rc = d && virDomainQemuMonitorCommand(d, command, &said, 0) == 0 ? 0 : -EIO;
    free(said);
    if (d)
        (void)virDomainFree(d);
    return rc;
}
