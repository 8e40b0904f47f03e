/* subvolume: btrfs by ioctl on open folders; a name in a folder that its owner can change is looked
 * at again before it is believed. Any thread. */
#include "agent/store/subvolume.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define ROOT_INO 256 /* of every subvolume's root */
#define WAY_MAX 4096
#define PREFIX ".godwit-snapshot-"
#define TOKEN 12

static bool has_our_name(const char *name)
{
    return name[0] == '.' && strncmp(name, PREFIX, sizeof PREFIX - 1) == 0 &&
           strlen(name) == sizeof PREFIX - 1 + TOKEN;
}

bool subvolume_is_ours(int dir, const char *name)
{
    struct stat st;
    return has_our_name(name) && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISDIR(st.st_mode) && st.st_ino == ROOT_INO;
}

static bool is_root(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && st.st_ino == ROOT_INO;
}

static bool on_btrfs(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && (unsigned long)fs.f_type == BTRFS_SUPER_MAGIC;
}

/* The way from the subvolume's root to the folder, as the file system knows it. */
static int way_to(int fd, char **ret)
{
    struct btrfs_ioctl_ino_lookup_args a = {.treeid = 0};
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    a.objectid = st.st_ino;
    if (ioctl(fd, BTRFS_IOC_INO_LOOKUP, &a) < 0)
        return -errno;
    size_t len = strnlen(a.name, sizeof a.name);
    while (len > 0 && a.name[len - 1] == '/')
        len--;
    *ret = xmemdup(a.name, len);
    return 0;
}

/* Up by "..", which no link can mislead. */
static int root_above(int fd)
{
    int at = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; at >= 0 && !is_root(at); i++) {
        int up = i < WAY_MAX ? openat(at, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        (void)fd_close(at);
        at = up;
        if (at >= 0 && !on_btrfs(at)) { /* what is mounted is not a subvolume's root */
            (void)fd_close(at);
            errno = ENOTSUP;
            return -1;
        }
    }
    return at;
}

int subvolume_of(int fd, int *retroot, char **retrel)
{
    if (!on_btrfs(fd))
        return -ENOTSUP;
    CLEANUP(mem_free) char *way = NULL;
    int rc = way_to(fd, &way);
    if (rc < 0)
        return rc;
    int root = root_above(fd);
    if (root < 0)
        return -errno;
    *retroot = root;
    *retrel = way;
    way = NULL;
    return 0;
}

static bool nested_one(int fd, uint64_t treeid, uint64_t dirid, char **retname)
{
    struct btrfs_ioctl_ino_lookup_user_args a = {.dirid = dirid, .treeid = treeid};
    if (ioctl(fd, BTRFS_IOC_INO_LOOKUP_USER, &a) < 0)
        return false; /* not below fd, or gone */
    a.name[sizeof a.name - 1] = a.path[sizeof a.path - 1] = '\0';
    if (has_our_name(a.name))
        return false;
    *retname = xasprintf("%s%s", a.path, a.name);
    return true;
}

bool subvolume_has_nested(int fd, char **retname)
{
    CLEANUP(mem_free) struct btrfs_ioctl_get_subvol_rootref_args *a = xcalloc(1, sizeof *a);
    for (bool more = true; more;) {
        int rc = ioctl(fd, BTRFS_IOC_GET_SUBVOL_ROOTREF, a);
        more = rc < 0 && errno == EOVERFLOW;
        if (rc < 0 && !more) {
            *retname = xstrdup("(not known)"); /* an old kernel: better no snapshot than holes */
            return true;
        }
        for (unsigned i = 0; i < a->num_items && i < BTRFS_MAX_ROOTREF_BUFFER_NUM; i++)
            if (nested_one(fd, a->rootref[i].treeid, a->rootref[i].dirid, retname))
                return true;
        if (more)
            a->min_treeid = a->rootref[BTRFS_MAX_ROOTREF_BUFFER_NUM - 1].treeid + 1;
    }
    return false;
}

/* Is the open folder a read-only snapshot of root? */
static int snapshot_id(int root, int fd, uint64_t *retid)
{
    struct btrfs_ioctl_get_subvol_info_args of, it;
    memset(&of, 0, sizeof of);
    memset(&it, 0, sizeof it);
    if (!is_root(fd))
        return -ESTALE;
    if (ioctl(root, BTRFS_IOC_GET_SUBVOL_INFO, &of) < 0 ||
        ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &it) < 0)
        return -errno;
    if (memcmp(of.uuid, it.parent_uuid, sizeof of.uuid) != 0 || !(it.flags & 1 /* read-only */))
        return -ESTALE;
    *retid = it.treeid;
    return 0;
}

static int open_snapshot(int root, const char *name, uint64_t *retid)
{
    int fd = openat(root, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rc = snapshot_id(root, fd, retid);
    if (rc < 0)
        (void)fd_close(fd);
    return rc < 0 ? rc : fd;
}

static int create(int root, const char *name)
{
    struct btrfs_ioctl_vol_args_v2 a;
    memset(&a, 0, sizeof a);
    a.fd = root;
    a.flags = BTRFS_SUBVOL_RDONLY;
    (void)snprintf(a.name, sizeof a.name, "%s", name);
    return ioctl(root, BTRFS_IOC_SNAP_CREATE_V2, &a) == 0 ? 0 : -errno;
}

int subvolume_snapshot(int root, const char *name, uint64_t *retid)
{
    int rc = create(root, name);
    if (rc == -EEXIST && subvolume_drop(root, name, 0) == 0)
        rc = create(root, name);
    return rc < 0 ? rc : open_snapshot(root, name, retid);
}

int subvolume_drop(int root, const char *name, uint64_t id)
{
    struct btrfs_ioctl_vol_args_v2 a;
    memset(&a, 0, sizeof a);
    if (id == 0) {
        int fd = open_snapshot(root, name, &id);
        if (fd < 0)
            return fd;
        (void)fd_close(fd);
    }
    a.flags = BTRFS_SUBVOL_SPEC_BY_ID;
    a.subvolid = id;
    return ioctl(root, BTRFS_IOC_SNAP_DESTROY_V2, &a) == 0 ? 0 : -errno;
}
