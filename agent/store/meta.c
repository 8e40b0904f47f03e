/* meta: owner, attributes, mode and times set on an open entry, in the order that loses nothing;
 * says what could not be kept. Not for content. Blocking; any thread. */
#include "agent/store/meta.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/store/attrs.h"
#include "agent/store/meta_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define LIST_FIRST 1024
#define SETID (S_ISUID | S_ISGID)
#define PERMISSIONS 07777U
/* More free blocks than this, and ENOSPC means that the attribute does not fit beside the inode. */
#define BLOCKS_LEFT 64

struct apply {
    int fd;
    bool real; /* not O_PATH: the f* calls work */
    bool privileged;
    bool mode_moved; /* a call may have changed the mode since fstat */
    const struct meta *m;
    struct stat st;
    struct attrs attrs; /* to be set */
    uint32_t mode;      /* permissions to set in the end */
    unsigned losses;
    char proc[PROC_FD_MAX];
};

void meta_from_stat(const struct stat *st, struct meta *ret)
{
    *ret = (struct meta){
        .mode = st->st_mode,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .nlink = (uint32_t)st->st_nlink,
        .size = (uint64_t)st->st_size,
        .blocks512 = (uint64_t)st->st_blocks,
        .ino = st->st_ino,
        .dev = st->st_dev,
        .rdev = st->st_rdev,
        .mtime = st->st_mtim,
        .ctime = st->st_ctim,
        .atime = st->st_atim,
    };
}

static struct timespec time_of(struct statx_timestamp t)
{
    return (struct timespec){.tv_sec = t.tv_sec, .tv_nsec = t.tv_nsec};
}

int meta_stat(int dir, const char *name, struct meta *ret)
{
    struct statx s;
    int flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH;
    if (statx(dir, name, flags, STATX_BASIC_STATS | STATX_BTIME, &s) < 0)
        return -errno;
    *ret = (struct meta){
        .mode = s.stx_mode,
        .uid = s.stx_uid,
        .gid = s.stx_gid,
        .nlink = s.stx_nlink,
        .size = s.stx_size,
        .blocks512 = s.stx_blocks,
        .ino = s.stx_ino,
        .dev = makedev(s.stx_dev_major, s.stx_dev_minor),
        .rdev = makedev(s.stx_rdev_major, s.stx_rdev_minor),
        .mtime = time_of(s.stx_mtime),
        .ctime = time_of(s.stx_ctime),
        .atime = time_of(s.stx_atime),
        .shown = attrs_shown(s.stx_attributes),
    };
    if (s.stx_mask & STATX_BTIME)
        ret->btime = time_of(s.stx_btime);
    return 0;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool meta_same_content(const struct meta *a, const struct meta *b, bool strict)
{
    if ((a->mode & S_IFMT) != (b->mode & S_IFMT) || a->size != b->size ||
        !same_time(a->mtime, b->mtime))
        return false;
    return !strict || (a->ino == b->ino && same_time(a->ctime, b->ctime));
}

/* This user or this file system says no: a loss. Everything else is an error of the machine. */
static bool is_refusal(int err)
{
    return err == EPERM || err == EACCES || err == EOPNOTSUPP || err == ENOSYS || err == EINVAL;
}

static int call_chown(struct apply *a, uid_t uid, gid_t gid)
{
    a->mode_moved = true; /* clears setuid and setgid */
    return fchownat(a->fd, "", uid, gid, AT_EMPTY_PATH) == 0 ? 0 : -errno;
}

/* A group that this user is in can be kept even when the owner cannot. A file that did not get its
 * owner must not run as the owner it got. */
static int set_owner(struct apply *a)
{
    const struct meta *m = a->m;
    bool uid_right = a->st.st_uid == m->uid, gid_right = a->st.st_gid == m->gid;
    if (uid_right && gid_right)
        return 0;
    int rc = call_chown(a, uid_right ? (uid_t)-1 : m->uid, gid_right ? (gid_t)-1 : m->gid);
    if (rc == 0)
        return 0;
    if (!is_refusal(-rc))
        return rc;
    a->losses |= META_LOSS_OWNER;
    if (!gid_right)
        gid_right = call_chown(a, (uid_t)-1, m->gid) == 0;
    uint32_t keep = (uid_right ? S_ISUID : 0U) | (gid_right ? S_ISGID : 0U);
    if (S_ISREG(m->mode) && (a->mode & SETID & ~keep)) {
        a->mode &= ~SETID | keep;
        a->losses |= META_LOSS_MODE;
    }
    return 0;
}

static int call_chmod(struct apply *a, uint32_t mode)
{
    int rc = a->real ? fchmod(a->fd, mode) : chmod(a->proc, mode);
    return rc == 0 ? 0 : -errno;
}

static int set_mode(struct apply *a)
{
    if (S_ISLNK(a->st.st_mode)) /* has none on Linux */
        return 0;
    if (!a->mode_moved && (a->st.st_mode & PERMISSIONS) == a->mode)
        return 0;
    int rc = call_chmod(a, a->mode);
    if (rc == 0 || !is_refusal(-rc))
        return rc;
    a->losses |= META_LOSS_MODE;
    return 0;
}

/* utimensat() with an empty path works on O_PATH descriptors since Linux 5.8. */
static int set_times(struct apply *a)
{
    if (same_time(a->st.st_mtim, a->m->mtime) && same_time(a->st.st_atim, a->m->atime))
        return 0;
    const struct timespec ts[2] = {a->m->atime, a->m->mtime};
    int rc = a->real ? futimens(a->fd, ts) : utimensat(a->fd, "", ts, AT_EMPTY_PATH);
    if (rc == 0)
        return 0;
    if (!is_refusal(errno))
        return -errno;
    a->losses |= META_LOSS_TIMES;
    return 0;
}

static void lose_xattr(struct apply *a, const char *name)
{
    size_t len = strlen(name);
    a->losses |= xattr_is_nfs4(name, len)  ? META_LOSS_NFS4
                 : xattr_is_acl(name, len) ? META_LOSS_ACL
                                           : META_LOSS_XATTR;
}

/* Without its ACL the group bits of the mode are the mask: they would give the owning group what
 * only a named user had. What the ACL grants to the owning group itself is left. */
static void narrow_group_bits(struct apply *a, const uint8_t *acl, size_t len)
{
    enum { HEADER = 4, ENTRY = 8, TAG_GROUP_OBJ = 0x04 };
    for (size_t at = HEADER; at + ENTRY <= len; at += ENTRY) {
        uint16_t tag, perm;
        memcpy(&tag, acl + at, sizeof tag);
        memcpy(&perm, acl + at + sizeof tag, sizeof perm);
        if (le16toh(tag) == TAG_GROUP_OBJ)
            a->mode &= ~070U | (uint32_t)(le16toh(perm) & 7U) << 3;
    }
}

/* ext4 says ENOSPC both for a full disk and for an attribute too large for the space beside the
 * inode. Only the first is an error. */
static bool disk_is_full(const struct apply *a)
{
    struct statfs fs;
    return fstatfs(a->fd, &fs) < 0 || fs.f_bavail < BLOCKS_LEFT;
}

static int set_one(struct apply *a, const struct xattr_view *x)
{
    char name[XATTR_NAME_MAX + 1];
    memcpy(name, x->name, x->name_len);
    name[x->name_len] = '\0';
    bool acl = xattr_is_acl(name, x->name_len);
    if (acl)
        a->mode_moved = true;
    int rc = a->real ? fsetxattr(a->fd, name, x->value, x->value_len, 0)
                     : setxattr(a->proc, name, x->value, x->value_len, 0);
    if (rc == 0)
        return 0;
    int err = errno;
    bool too_large = err == E2BIG || err == ERANGE || (err == ENOSPC && !disk_is_full(a));
    if (!too_large && !is_refusal(err))
        return -err;
    lose_xattr(a, name);
    if (acl && strcmp(name, "system.posix_acl_access") == 0)
        narrow_group_bits(a, x->value, x->value_len);
    return 0;
}

static int remove_one(struct apply *a, const char *name)
{
    /* The kernel labels every file itself; a label that was not sent stays as this host made it. A
     * server of NFSv4 gives every file an ACL, which the mode changes with it. */
    if (strcmp(name, "security.selinux") == 0 || xattr_is_nfs4(name, strlen(name)))
        return 0;
    if (xattr_is_acl(name, strlen(name)))
        a->mode_moved = true;
    int rc = a->real ? fremovexattr(a->fd, name) : removexattr(a->proc, name);
    if (rc == 0 || errno == ENODATA)
        return 0;
    if (!is_refusal(errno))
        return -errno;
    lose_xattr(a, name);
    return 0;
}

static bool is_listed(const char *name, const void *packed, size_t len)
{
    struct cursor c = cursor_of(packed, len);
    struct xattr_view x;
    while (len > 0 && xattrs_next(&c, &x))
        if (xattr_name_order(name, strlen(name), x.name, x.name_len) == 0)
            return true;
    return false;
}

static int remove_others(struct apply *a, const void *packed, size_t packed_len)
{
    char small[LIST_FIRST];
    CLEANUP(mem_free) char *big = NULL;
    ssize_t len = xattrs_list(a->fd, small, sizeof small, &big);
    const char *list = big ? big : small;
    int rc = len < 0 ? (int)len : 0;
    for (ssize_t at = 0; rc == 0 && at < len; at += (ssize_t)strlen(list + at) + 1) {
        const char *name = list + at;
        if (xattr_is_kept(name, strlen(name)) && !is_listed(name, packed, packed_len))
            rc = remove_one(a, name);
    }
    return rc;
}

static int set_all(struct apply *a, const void *packed, size_t len)
{
    if (len == 0)
        return 0;
    if (!a->privileged && a->real && (a->st.st_mode & S_IRWXU) != S_IRWXU) {
        /* The owner may set user.* only with write permission; the mode follows. */
        a->mode_moved = true;
        (void)call_chmod(a, (a->st.st_mode & PERMISSIONS & ~SETID) | S_IRUSR | S_IWUSR);
    }
    struct cursor c = cursor_of(packed, len);
    struct xattr_view x;
    int rc = 0;
    while (rc == 0 && xattrs_next(&c, &x))
        if (!attrs_take(&x, &a->attrs))
            rc = set_one(a, &x);
    return rc;
}

/* What is there and may not be touched is freed first; a new entry that inherited nothing has none.
 */
static void free_to_touch(struct apply *a, bool is_new)
{
    if (a->real && !is_new)
        (void)attrs_unlock_fd(a->fd);
}

static void set_attrs(struct apply *a, bool is_new)
{
    if (is_new && attrs_none(&a->attrs))
        return;
    bool kept = a->real ? attrs_set(a->fd, &a->attrs) : attrs_none(&a->attrs);
    if (!kept)
        a->losses |= META_LOSS_FLAGS;
}

static int apply(int fd, const struct meta *m, const void *xattrs, size_t xattrs_len,
                 unsigned flags, unsigned *retlosses)
{
    struct apply a = {
        .fd = fd, .m = m, .mode = m->mode & PERMISSIONS, .privileged = flags & META_PRIVILEGED};
    if (!xattrs_valid(xattrs, xattrs_len))
        return -EINVAL;
    if (fstat(fd, &a.st) < 0)
        return -errno;
    if ((a.st.st_mode ^ m->mode) & S_IFMT)
        return -EINVAL;
    a.real = S_ISREG(m->mode) || S_ISDIR(m->mode);
    if (!a.real)
        proc_fd_path(fd, a.proc);
    bool is_new = flags & META_NEW;
    free_to_touch(&a, is_new);
    int rc = set_owner(&a);
    if (rc == 0 && !is_new)
        rc = remove_others(&a, xattrs, xattrs_len);
    if (rc == 0)
        rc = set_all(&a, xattrs, xattrs_len);
    if (rc == 0)
        rc = set_mode(&a);
    if (rc == 0)
        rc = set_times(&a);
    if (rc == 0)
        set_attrs(&a, is_new);
    *retlosses |= a.losses;
    return rc;
}

int meta_apply(int fd, const struct meta *m, const void *xattrs, size_t xattrs_len, bool privileged,
               unsigned *retlosses)
{
    return apply(fd, m, xattrs, xattrs_len, privileged ? META_PRIVILEGED : 0, retlosses);
}

int meta_apply_new(int fd, const struct meta *m, const void *xattrs, size_t xattrs_len,
                   bool privileged, unsigned *retlosses)
{
    return apply(fd, m, xattrs, xattrs_len, META_NEW | (privileged ? META_PRIVILEGED : 0),
                 retlosses);
}
