/* place: facts of a file system, without writing to it. Any thread. */
#include "agent/files/place.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

#include "agent/store/beneath.h"
#include "common/base/mem.h"

#define XFS_MAGIC 0x58465342
#define ZFS_MAGIC 0x2fc12fc1
#define CIFS_MAGIC 0xff534d42U

static const struct {
    unsigned long magic;
    const char *name;
    bool is_kernel;
} known[] = {
    {EXT4_SUPER_MAGIC,      "ext4",       false},
    {XFS_MAGIC,             "xfs",        false},
    {BTRFS_SUPER_MAGIC,     "btrfs",      false},
    {TMPFS_MAGIC,           "tmpfs",      false},
    {OVERLAYFS_SUPER_MAGIC, "overlay",    false},
    {NFS_SUPER_MAGIC,       "nfs",        false},
    {CIFS_MAGIC,            "cifs",       false},
    {SMB2_SUPER_MAGIC,      "smb2",       false},
    {ZFS_MAGIC,             "zfs",        false},
    {F2FS_SUPER_MAGIC,      "f2fs",       false},
    {FUSE_SUPER_MAGIC,      "fuse",       false},
    {MSDOS_SUPER_MAGIC,     "vfat",       false},
    {ISOFS_SUPER_MAGIC,     "iso9660",    false},
    {SQUASHFS_MAGIC,        "squashfs",   false},
    {PROC_SUPER_MAGIC,      "proc",       true },
    {SYSFS_MAGIC,           "sysfs",      true },
    {CGROUP2_SUPER_MAGIC,   "cgroup2",    true },
    {DEVPTS_SUPER_MAGIC,    "devpts",     true },
    {DEBUGFS_MAGIC,         "debugfs",    true },
    {TRACEFS_MAGIC,         "tracefs",    true },
    {SECURITYFS_MAGIC,      "securityfs", true },
};

static void name_it(unsigned long magic, struct place *ret)
{
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (known[i].magic != magic)
            continue;
        (void)snprintf(ret->file_system, sizeof ret->file_system, "%s", known[i].name);
        ret->is_kernel = known[i].is_kernel;
        return;
    }
    (void)snprintf(ret->file_system, sizeof ret->file_system, "0x%lx", magic);
}

/* Asking for an attribute that nobody set tells whether it could be: ENODATA is a yes. */
static bool can_hold(int fd, const char *xattr)
{
    char value[1];
    return fgetxattr(fd, xattr, value, sizeof value) >= 0 || errno == ENODATA || errno == ERANGE;
}

int place_of(int fd, struct place *ret)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return -errno;
    struct place p = {.size = 0};
    uint64_t block = (uint64_t)fs.f_bsize;
    name_it((unsigned long)fs.f_type & 0xffffffffUL, &p);
    p.size = fs.f_blocks * block;
    p.used = (fs.f_blocks - fs.f_bfree) * block;
    p.free = fs.f_bavail * block;
    p.inodes_free = fs.f_ffree;
    p.inodes_used = fs.f_files > fs.f_ffree ? fs.f_files - fs.f_ffree : 0;
    p.has_xattr = can_hold(fd, "user.godwit.probe");
    p.has_acl = can_hold(fd, "system.posix_acl_access");
    *ret = p;
    return 0;
}

int place_open_nearest(const char *path, size_t len, bool *retexists)
{
    int fd = beneath_root(path, len, false);
    *retexists = fd >= 0;
    while (fd == -ENOENT && len > 1) {
        const char *slash = memrchr(path, '/', len - 1);
        len = slash && slash > path ? (size_t)(slash - path) : 1;
        fd = beneath_root(path, len, false);
    }
    return fd;
}
