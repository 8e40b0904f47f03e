/* virt_libvirt_store: a machine's memory in files and copies of its disks while it runs, behind
 * virt.h. Worker threads. */
#include <errno.h>
#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vm/virt_libvirt_priv.h"
#include "common/base/mem.h"

/* ── memory ── */

int real_saved(struct virt *v, const char *path, char **ret, struct fault *reterr)
{
    char *xml = virDomainSaveImageGetXMLDesc(real_conn(v), path, VIR_DOMAIN_SAVE_IMAGE_XML_SECURE);
    if (!xml)
        return real_failed(reterr, "the saved memory cannot be read");
    *ret = xml;
    return 0;
}

int real_restore(struct virt *v, const char *path, const char *xml, struct fault *reterr)
{
    virTypedParameterPtr list = NULL;
    int n = 0, max = 0;
    bool ok =
        virTypedParamsAddString(&list, &n, &max, VIR_DOMAIN_SAVE_PARAM_FILE, path) == 0 &&
        (!xml || virTypedParamsAddString(&list, &n, &max, VIR_DOMAIN_SAVE_PARAM_DXML, xml) == 0);
    /* Without the flag one that was paused when it was saved would stay so. */
    int rc = ok && virDomainRestoreParams(real_conn(v), list, n, VIR_DOMAIN_SAVE_RUNNING) == 0
                 ? 0
                 : real_failed(reterr, "the machine cannot go on from its saved memory");
    virTypedParamsFree(list, n);
    return rc;
}

/* ── disks ── */

/* Not persistent: a copy that a crash cuts off is made anew. */
int real_mirror(struct virt *v, const char *uuid, const char *target, const char *disk,
                uint64_t bytes_s, struct fault *reterr)
{
    virTypedParameterPtr list = NULL;
    int n = 0, max = 0;
    virDomainPtr d = real_machine(v, uuid);
    bool ok =
        d && (!bytes_s || virTypedParamsAddULLong(&list, &n, &max, VIR_DOMAIN_BLOCK_COPY_BANDWIDTH,
                                                  bytes_s) == 0);
    unsigned flags = VIR_DOMAIN_BLOCK_COPY_TRANSIENT_JOB | VIR_DOMAIN_BLOCK_COPY_REUSE_EXT;
    int rc = ok && virDomainBlockCopy(d, target, disk, list, n, flags) == 0
                 ? 0
                 : real_failed(reterr, "a disk cannot be copied while the machine runs");
    virTypedParamsFree(list, n);
    if (d)
        (void)virDomainFree(d);
    return rc;
}

/* Numbers that are equal may be so before all is there, and those of a busy disk never are: what
 * libvirt says of the disk's mirror decides. Its element stands before the disk's <target>. */
static bool is_ready(virDomainPtr d, const char *target)
{
    char *xml = virDomainGetXMLDesc(d, 0);
    CLEANUP(mem_free) char *mine = xasprintf("<target dev='%s'", target);
    const char *end = xml ? strstr(xml, mine) : NULL, *disk = NULL;
    for (const char *at = xml; end && (at = strstr(at, "<disk ")) != NULL && at < end; at++)
        disk = at;
    const char *mirror = disk ? strstr(disk, "<mirror ") : NULL;
    const char *ready = mirror && mirror < end ? strstr(mirror, "ready='yes'") : NULL;
    bool is = ready && ready < end;
    free(xml);
    return is;
}

int real_mirrored(struct virt *v, const char *uuid, const char *target, struct virt_mirror *ret)
{
    virDomainBlockJobInfo info;
    virDomainPtr d = real_machine(v, uuid);
    int is =
        d ? virDomainGetBlockJobInfo(d, target, &info, VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES)
          : -1;
    *ret = (struct virt_mirror){.runs = false};
    if (is > 0 && info.type == VIR_DOMAIN_BLOCK_JOB_TYPE_COPY)
        *ret = (struct virt_mirror){
            .runs = true, .ready = is_ready(d, target), .done = info.cur, .total = info.end};
    if (d)
        (void)virDomainFree(d);
    return is < 0 ? -ENODATA : 0;
}

int real_mirror_speed(struct virt *v, const char *uuid, const char *target, uint64_t bytes_s)
{
    virDomainPtr d = real_machine(v, uuid);
    int rc = d && virDomainBlockJobSetSpeed(d, target, bytes_s,
                                            VIR_DOMAIN_BLOCK_JOB_SPEED_BANDWIDTH_BYTES) == 0
                 ? 0
                 : -EIO;
    if (d)
        (void)virDomainFree(d);
    return rc;
}

int real_mirror_end(struct virt *v, const char *uuid, const char *target, bool pivot,
                    struct fault *reterr)
{
    virDomainPtr d = real_machine(v, uuid);
    unsigned flags = pivot ? VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT : 0;
    int rc = d && virDomainBlockJobAbort(d, target, flags) == 0
                 ? 0
                 : real_failed(reterr, pivot ? "the machine cannot change to the copy of a disk"
                                             : "the copy of a disk cannot be ended");
    if (d)
        (void)virDomainFree(d);
    return rc;
}
