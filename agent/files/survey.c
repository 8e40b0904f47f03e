/* survey: the step "host.inventory": what this host is, and what the place of a pair on it can
 * hold. Leaves no trace: what has to be tried is tried on a file without a name. Worker thread. */
#include "agent/files/survey.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "agent/host/host.h"
#include "agent/pull/smbacl.h"
#include "agent/step.h"
#include "agent/store/beneath.h"
#include "agent/store/extents.h"
#include "agent/store/quota.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "proto/host.pb-c.h"

/* Nothing with this attribute is ever left anywhere: the file has no name. */
static bool takes_xattr(int fd, const char *name)
{
    return fsetxattr(fd, name, "1", 1, 0) == 0;
}

static bool takes_flags(int fd)
{
    int flags = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return false;
    flags |= FS_NODUMP_FL;
    return ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
}

static bool takes_project(int fd)
{
    struct fsxattr x;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0)
        return false;
    x.fsx_projid = 1;
    return ioctl(fd, FS_IOC_FSSETXATTR, &x) == 0;
}

static bool knows_xattr(int fd, const char *name)
{
    char value[1];
    return fgetxattr(fd, name, value, sizeof value) >= 0 || errno == ENODATA || errno == ERANGE;
}

/* Where no nameless file can be made (an old kernel, no right to write) only questions are asked.
 */
static void try_out(int folder, Godwit__PlaceProbe *p)
{
    CLEANUP(fd_close)
    int fd = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    int flags = 0;
    p->has_nfs4_acl = knows_xattr(folder, "system.nfs4_acl");
    if (fd < 0) {
        p->has_flags = ioctl(folder, FS_IOC_GETFLAGS, &flags) == 0;
        p->has_trusted = p->privileged && p->has_xattr;
        return;
    }
    p->has_xattr = p->has_xattr && takes_xattr(fd, "user.godwit.probe");
    p->has_trusted = takes_xattr(fd, "trusted.godwit.probe");
    p->has_flags = takes_flags(fd);
    p->has_reflinks = extents_can_share(folder);
    p->has_projects = takes_project(fd);
}

void survey_place(struct step *s, int fd, bool exists, Godwit__PlaceProbe *p, struct place *place)
{
    struct statvfs v;
    if (place_of(fd, place) < 0)
        return;
    p->exists = exists;
    p->empty = !exists || beneath_is_empty(fd, ".") == 1;
    p->privileged = step_env(s)->privileged;
    p->file_system = place->file_system;
    p->size = place->size;
    p->free = place->free;
    p->inodes_free = place->inodes_free;
    p->has_xattr = place->has_xattr;
    p->has_acl = place->has_acl;
    p->writable = faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
    if (fstatvfs(fd, &v) == 0) {
        p->inodes = v.f_files;
        p->read_only = v.f_flag & ST_RDONLY;
        p->name_max = (uint32_t)v.f_namemax;
    }
    unsigned enforced = 0, counted = quota_kinds(fd, &enforced);
    p->has_user_quotas = counted & 1U << QUOTA_USER;
    p->has_group_quotas = counted & 1U << QUOTA_GROUP;
    p->has_project_quotas = counted & 1U << QUOTA_PROJECT;
    try_out(fd, p);
}

static void survey(struct step *s, const Godwit__HostOrder *o, struct step_result *ret)
{
    Godwit__HostResult r = GODWIT__HOST_RESULT__INIT;
    Godwit__PlaceProbe p = GODWIT__PLACE_PROBE__INIT;
    struct place place = {.size = 0};
    bool exists = false;
    CLEANUP(host_free) Godwit__HostInventory *host = host_look("");
    r.host = host;
    if (o->path.len > 0) {
        CLEANUP(fd_close)
        int fd = place_open_nearest((const char *)o->path.data, o->path.len, &exists);
        if (fd >= 0) {
            CLEANUP(mem_free) char *path = xmemdup(o->path.data, o->path.len);
            survey_place(s, fd, exists, &p, &place);
            p.has_depot = smbacl_has_depot(path);
            r.place = &p;
        }
    }
    ret->body_len = godwit__host_result__get_packed_size(&r);
    ret->body = xmalloc(ret->body_len);
    (void)godwit__host_result__pack(&r, ret->body);
    ret->status = STEP_DONE;
}

void host_inventory(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__HostOrder *o = godwit__host_order__unpack(NULL, len, args);
    if (!o) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
        return;
    }
    survey(s, o, ret);
    godwit__host_order__free_unpacked(o, NULL);
}
