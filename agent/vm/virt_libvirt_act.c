/* virt_libvirt_act: what changes a machine, behind virt.h: libvirt's calls one by one. When they
 * are made, and what undoes them, the stages know. Worker threads. */
#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vm/virt_libvirt_priv.h"
#include "common/base/mem.h"

int real_define(struct virt *v, const char *xml, struct fault *reterr)
{
    virDomainPtr p = virDomainDefineXMLFlags(real_conn(v), xml, 0);
    if (!p)
        return real_failed(reterr, "the machine cannot be defined here");
    (void)virDomainFree(p);
    return 0;
}

/* One call on one machine. */
static int call(struct virt *v, const char *uuid, int (*fn)(virDomainPtr p), const char *doing,
                struct fault *reterr)
{
    virDomainPtr p = real_machine(v, uuid);
    int rc = p && fn(p) == 0 ? 0 : real_failed(reterr, doing);
    if (p)
        (void)virDomainFree(p);
    return rc;
}

/* Never without the two KEEP flags: libvirt deletes a TPM's state unasked, and variables of the
 * firmware are as much the machine's as its disks. */
static int undefine(virDomainPtr p)
{
    return virDomainUndefineFlags(p, VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | VIR_DOMAIN_UNDEFINE_KEEP_TPM |
                                         VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA |
                                         VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA);
}

int real_undefine(struct virt *v, const char *uuid, struct fault *reterr)
{
    return call(v, uuid, undefine, "its definition cannot be removed", reterr);
}

int real_start(struct virt *v, const char *uuid, struct fault *reterr)
{
    return call(v, uuid, virDomainCreate, "the machine cannot be started", reterr);
}

int real_shutdown(struct virt *v, const char *uuid, struct fault *reterr)
{
    return call(v, uuid, virDomainShutdown, "the machine cannot be asked to shut down", reterr);
}

int real_destroy(struct virt *v, const char *uuid, struct fault *reterr)
{
    return call(v, uuid, virDomainDestroy, "the machine cannot be switched off", reterr);
}

int real_suspend(struct virt *v, const char *uuid, struct fault *reterr)
{
    return call(v, uuid, virDomainSuspend, "the machine cannot be paused", reterr);
}

int real_resume(struct virt *v, const char *uuid, struct fault *reterr)
{
    return call(v, uuid, virDomainResume, "the machine cannot go on", reterr);
}

static int autostart_on(virDomainPtr p)
{
    return virDomainSetAutostart(p, 1);
}

static int autostart_off(virDomainPtr p)
{
    return virDomainSetAutostart(p, 0);
}

int real_autostart(struct virt *v, const char *uuid, bool on, struct fault *reterr)
{
    return call(v, uuid, on ? autostart_on : autostart_off,
                "whether it starts with its host cannot be set", reterr);
}

/* ── snapshots ── */

static int tell_one(virDomainSnapshotPtr s, int (*take)(void *arg, const char *xml, bool current),
                    void *arg, struct fault *reterr)
{
    char *xml = virDomainSnapshotGetXMLDesc(s, VIR_DOMAIN_SNAPSHOT_XML_SECURE);
    if (!xml)
        return real_failed(reterr, "a snapshot's definition cannot be read");
    int rc = take(arg, xml, virDomainSnapshotIsCurrent(s, 0) == 1);
    explicit_bzero(xml, strlen(xml));
    free(xml);
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, -rc, "it has too many snapshots") : 0;
}

int real_snapshots(struct virt *v, const char *uuid,
                   int (*take)(void *arg, const char *xml, bool current), void *arg,
                   struct fault *reterr)
{
    virDomainSnapshotPtr *list = NULL;
    virDomainPtr p = real_machine(v, uuid);
    int n = p ? virDomainListAllSnapshots(p, &list, VIR_DOMAIN_SNAPSHOT_LIST_TOPOLOGICAL) : -1;
    int rc = n < 0 ? real_failed(reterr, "its snapshots cannot be listed") : 0;
    for (int i = 0; i < n; i++) {
        if (rc == 0)
            rc = tell_one(list[i], take, arg, reterr);
        (void)virDomainSnapshotFree(list[i]);
    }
    free(list);
    if (p)
        (void)virDomainFree(p);
    return rc;
}

int real_put_snapshot(struct virt *v, const char *uuid, const char *xml, bool current,
                      struct fault *reterr)
{
    unsigned flags = VIR_DOMAIN_SNAPSHOT_CREATE_REDEFINE |
                     (current ? (unsigned)VIR_DOMAIN_SNAPSHOT_CREATE_CURRENT : 0);
    virDomainPtr p = real_machine(v, uuid);
    virDomainSnapshotPtr s = p ? virDomainSnapshotCreateXML(p, xml, flags) : NULL;
    int rc = s ? 0 : real_failed(reterr, "a snapshot cannot be made known here");
    if (s)
        (void)virDomainSnapshotFree(s);
    if (p)
        (void)virDomainFree(p);
    return rc;
}

int real_refresh(struct virt *v, const char *pool)
{
    virStoragePoolPtr p = virStoragePoolLookupByName(real_conn(v), pool);
    int rc = p && virStoragePoolRefresh(p, 0) == 0 ? 0 : -EIO;
    if (p)
        (void)virStoragePoolFree(p);
    return rc;
}
