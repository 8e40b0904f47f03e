/* virt_libvirt_disks: what libvirt says of disks and volumes, behind virt.h. Worker threads. */
#include <errno.h>
#include <libvirt/libvirt.h>
#include <stdlib.h>
#include <string.h>

#include "agent/vm/virt_libvirt_priv.h"
#include "common/base/mem.h"

#define DISKS_MAX 64

int real_volume_path(struct virt *v, const char *pool, const char *volume, char **ret,
                     bool *retblock)
{
    virStoragePoolPtr p = virStoragePoolLookupByName(real_conn(v), pool);
    virStorageVolPtr w = p ? virStorageVolLookupByName(p, volume) : NULL;
    virStorageVolInfo info = {.type = VIR_STORAGE_VOL_FILE};
    char *path = w ? virStorageVolGetPath(w) : NULL;
    bool good = path && virStorageVolGetInfo(w, &info) == 0 &&
                (info.type == VIR_STORAGE_VOL_FILE || info.type == VIR_STORAGE_VOL_BLOCK);
    if (good) {
        *ret = xstrdup(path);
        *retblock = info.type == VIR_STORAGE_VOL_BLOCK;
    }
    free(path);
    if (w)
        (void)virStorageVolFree(w);
    if (p)
        (void)virStoragePoolFree(p);
    return good ? 0 : -ENOENT;
}

int real_disk_errors(struct virt *v, const char *uuid,
                     void (*take)(void *arg, const char *target, const char *error), void *arg)
{
    static const char *const words[] = {[VIR_DOMAIN_DISK_ERROR_UNSPEC] = "input or output failed",
                                        [VIR_DOMAIN_DISK_ERROR_NO_SPACE] = "no space"};
    virDomainDiskError list[DISKS_MAX];
    virDomainPtr d = real_machine(v, uuid);
    int n = d && !real_hangs(d) ? virDomainGetDiskErrors(d, list, DISKS_MAX, 0) : -1;
    for (int i = 0; i < n; i++) {
        if (list[i].error == VIR_DOMAIN_DISK_ERROR_UNSPEC ||
            list[i].error == VIR_DOMAIN_DISK_ERROR_NO_SPACE)
            take(arg, list[i].disk, words[list[i].error]);
        free(list[i].disk);
    }
    if (d)
        (void)virDomainFree(d);
    return n < 0 ? -ENODATA : 0;
}
