/* rootid: asks the file system for its own name. st_dev and XFS' f_fsid are numbers of a device,
 * which the next start may give to another. Any thread. */
#include "agent/store/rootid.h"

#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "common/base/buf.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#define ZFS_SUPER_MAGIC 0x2fc12fc1
#define UUID_BYTES 16U
#define VERSION 1U

/* Linux 6.9: ext4, XFS, tmpfs, overlay. */
struct fs_uuid {
    uint8_t len;
    uint8_t uuid[UUID_BYTES];
};
#define GET_FS_UUID _IOR(0x15, 0, struct fs_uuid)

/* XFS_IOC_FSGEOMETRY_V1 of xfsctl(3), which every XFS answers. */
#define XFS_GEOMETRY_BYTES 112
#define XFS_GEOMETRY_UUID 64
struct xfs_geometry {
    uint8_t bytes[XFS_GEOMETRY_BYTES];
} __attribute__((aligned(8)));
#define XFS_GEOMETRY _IOR('X', 100, struct xfs_geometry)

static void uuid_of(int fd, uint32_t type, uint8_t ret[UUID_BYTES])
{
    struct fs_uuid u = {.len = 0};
    struct xfs_geometry g;
    struct btrfs_ioctl_fs_info_args b = {.max_id = 0};
    if (type == BTRFS_SUPER_MAGIC && ioctl(fd, BTRFS_IOC_FS_INFO, &b) == 0)
        memcpy(ret, b.fsid, UUID_BYTES);
    else if (type == XFS_SUPER_MAGIC && ioctl(fd, XFS_GEOMETRY, &g) == 0)
        memcpy(ret, g.bytes + XFS_GEOMETRY_UUID, UUID_BYTES);
    else if (ioctl(fd, GET_FS_UUID, &u) == 0 && u.len == UUID_BYTES)
        memcpy(ret, u.uuid, UUID_BYTES);
}

/* Made of what is on the disk. Of the others it is a device's number, or nothing. */
static bool fsid_stays(uint32_t type)
{
    return type == EXT4_SUPER_MAGIC || type == BTRFS_SUPER_MAGIC || type == ZFS_SUPER_MAGIC;
}

void rootid_of(int fd, struct rootid *ret)
{
    struct statfs fs;
    struct statx x;
    *ret = (struct rootid){.type = 0};
    if (fstatfs(fd, &fs) < 0 || statx(fd, "", AT_EMPTY_PATH, STATX_INO | STATX_BTIME, &x) < 0)
        return;
    ret->type = (uint32_t)fs.f_type;
    ret->ino = x.stx_ino;
    if (x.stx_mask & STATX_BTIME)
        ret->birth = (uint64_t)x.stx_btime.tv_sec * 1000000000U + x.stx_btime.tv_nsec;
    uint64_t fsid = (uint64_t)(uint32_t)fs.f_fsid.__val[0] << 32 | (uint32_t)fs.f_fsid.__val[1];
    if (fsid_stays(ret->type))
        ret->fsid = fsid;
    if (ret->type == BTRFS_SUPER_MAGIC) /* its UUID and the subvolume's number */
        ret->volume = fsid;
    uuid_of(fd, ret->type, ret->uuid);
}

static bool has_uuid(const struct rootid *r)
{
    static const uint8_t none[UUID_BYTES];
    return memcmp(r->uuid, none, sizeof none) != 0;
}

static bool other_system(const struct rootid *a, const struct rootid *b)
{
    if (a->type != b->type)
        return true;
    if (has_uuid(a) && has_uuid(b))
        return memcmp(a->uuid, b->uuid, sizeof a->uuid) != 0;
    return a->fsid && b->fsid && a->fsid != b->fsid && a->type != BTRFS_SUPER_MAGIC;
}

enum rootid_change rootid_compare(const struct rootid *was, const struct rootid *is)
{
    if (!was->type || !is->type)
        return ROOTID_UNKNOWN;
    if (other_system(was, is))
        return ROOTID_SYSTEM;
    bool born = was->birth && is->birth && was->birth != is->birth;
    return was->ino != is->ino || was->volume != is->volume || born ? ROOTID_FOLDER : ROOTID_SAME;
}

void rootid_pack(const struct rootid *r, uint8_t ret[ROOTID_BYTES])
{
    struct buf b;
    buf_init(&b, ROOTID_BYTES);
    buf_put_u8(&b, VERSION);
    buf_put_u32(&b, r->type);
    buf_put(&b, r->uuid, sizeof r->uuid);
    buf_put_u64(&b, r->fsid);
    buf_put_u64(&b, r->ino);
    buf_put_u64(&b, r->volume);
    buf_put_u64(&b, r->birth);
    memcpy(ret, b.data, ROOTID_BYTES);
    buf_done(&b);
}

void rootid_unpack(const void *data, size_t len, struct rootid *ret)
{
    struct cursor c = cursor_of(data, len);
    *ret = (struct rootid){.type = 0};
    if (len != ROOTID_BYTES || cursor_u8(&c) != VERSION)
        return;
    ret->type = cursor_u32(&c);
    memcpy(ret->uuid, cursor_bytes(&c, sizeof ret->uuid), sizeof ret->uuid);
    ret->fsid = cursor_u64(&c);
    ret->ino = cursor_u64(&c);
    ret->volume = cursor_u64(&c);
    ret->birth = cursor_u64(&c);
}
