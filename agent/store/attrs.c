/* attrs: flags and projects read and set by ioctl on an open entry. Not for extended attributes.
 * Any thread. */
#include "agent/store/attrs.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/meta_priv.h"
#include "common/base/cleanup.h"

#define LATE ((uint32_t)(FS_IMMUTABLE_FL | FS_APPEND_FL))
#define SHOWABLE (LATE | (uint32_t)FS_NODUMP_FL)
/* What a person sets with chattr(1) and what means the same everywhere. Compression is left to
 * btrfs's own attribute; encryption, verity and case folding cannot be had by setting a flag. */
#define KEPT                                                                                       \
    (SHOWABLE | (uint32_t)(FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL | FS_NOCOW_FL |              \
                           FS_TOPDIR_FL | FS_NOTAIL_FL | FS_JOURNAL_DATA_FL))
/* A new entry gets these from its folder on some file system. */
#define HANDED_DOWN                                                                                \
    ((uint32_t)(FS_NODUMP_FL | FS_NOATIME_FL | FS_SYNC_FL | FS_DIRSYNC_FL | FS_NOCOW_FL |          \
                FS_NOTAIL_FL | FS_JOURNAL_DATA_FL))

static bool flags_get(int fd, uint32_t *ret)
{
    unsigned flags = 0; /* the kernel writes an int, whatever the number of the call says */
    if (ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0)
        return false;
    *ret = flags;
    return true;
}

static bool flags_put(int fd, uint32_t flags)
{
    unsigned v = flags;
    return ioctl(fd, FS_IOC_SETFLAGS, &v) == 0;
}

void attrs_of(int fd, struct attrs *ret)
{
    struct fsxattr x;
    uint32_t flags = 0;
    *ret = (struct attrs){0};
    if (!flags_get(fd, &flags))
        return;
    ret->flags = flags & KEPT;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0)
        return;
    ret->project = x.fsx_projid;
    ret->inherit = x.fsx_xflags & FS_XFLAG_PROJINHERIT;
    ret->has_project = ret->project != 0 || ret->inherit;
}

uint32_t attrs_shown(uint64_t a)
{
    return (a & STATX_ATTR_IMMUTABLE ? (uint32_t)FS_IMMUTABLE_FL : 0) |
           (a & STATX_ATTR_APPEND ? (uint32_t)FS_APPEND_FL : 0) |
           (a & STATX_ATTR_NODUMP ? (uint32_t)FS_NODUMP_FL : 0);
}

uint32_t attrs_showable(uint32_t flags)
{
    return flags & SHOWABLE;
}

bool attrs_none(const struct attrs *a)
{
    return a->flags == 0 && !a->has_project;
}

/* ── packed ── */

static bool is(const char *name, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(name, want, len) == 0;
}

bool attrs_is_name(const char *name, size_t len)
{
    return is(name, len, ATTRS_FLAGS) || is(name, len, ATTRS_PROJECT);
}

void attrs_put_value(struct buf *b, const char *name, const struct attrs *a)
{
    bool flags = strcmp(name, ATTRS_FLAGS) == 0;
    buf_put_varint(b, flags ? 4 : 5);
    buf_put_u32(b, flags ? a->flags : a->project);
    if (!flags)
        buf_put_u8(b, a->inherit);
}

bool attrs_take(const struct xattr_view *x, struct attrs *ret)
{
    struct cursor c = cursor_of(x->value, x->value_len);
    if (is(x->name, x->name_len, ATTRS_FLAGS) && x->value_len == 4) {
        ret->flags = cursor_u32(&c) & KEPT;
        return true;
    }
    if (is(x->name, x->name_len, ATTRS_PROJECT) && x->value_len == 5) {
        ret->project = cursor_u32(&c);
        ret->inherit = cursor_u8(&c) != 0;
        ret->has_project = true;
        return true;
    }
    return false;
}

void attrs_parse(const void *packed, size_t len, struct attrs *ret)
{
    struct cursor c = cursor_of(packed, len);
    struct xattr_view x;
    *ret = (struct attrs){0};
    while (len > 0 && xattrs_next(&c, &x))
        (void)attrs_take(&x, ret);
}

uint32_t attrs_late(const void *packed, size_t len)
{
    struct attrs a;
    if (len == 0)
        return 0;
    attrs_parse(packed, len, &a);
    return a.flags & LATE;
}

/* ── setting ── */

void attrs_set_early(int fd, const void *packed, size_t len)
{
    struct attrs a;
    uint32_t now = 0;
    if (len == 0)
        return;
    attrs_parse(packed, len, &a);
    if ((a.flags & FS_NOCOW_FL) && flags_get(fd, &now))
        (void)flags_put(fd, now | (uint32_t)FS_NOCOW_FL);
}

/* All at once; where that is refused one after the other, so that one flag which this file system
 * does not know does not cost the others. */
static bool flags_change(int fd, uint32_t want, uint32_t mask)
{
    uint32_t now = 0;
    if (!flags_get(fd, &now))
        return (want & mask) == 0;
    if ((now & mask) == (want & mask))
        return true;
    if (!flags_put(fd, (now & ~mask) | (want & mask))) {
        for (uint32_t bit = 1; bit; bit <<= 1)
            if ((bit & mask) && ((now ^ want) & bit) && flags_put(fd, now ^ bit))
                now ^= bit;
    }
    return flags_get(fd, &now) && (want & mask & ~now) == 0;
}

static bool project_set(int fd, const struct attrs *a)
{
    struct fsxattr x;
    if (ioctl(fd, FS_IOC_FSGETXATTR, &x) < 0)
        return false;
    bool inherit = x.fsx_xflags & FS_XFLAG_PROJINHERIT;
    if (x.fsx_projid == a->project && inherit == a->inherit)
        return true;
    x.fsx_projid = a->project;
    x.fsx_xflags = (x.fsx_xflags & ~(uint32_t)FS_XFLAG_PROJINHERIT) |
                   (a->inherit ? (uint32_t)FS_XFLAG_PROJINHERIT : 0);
    return ioctl(fd, FS_IOC_FSSETXATTR, &x) == 0;
}

bool attrs_set(int fd, const struct attrs *a)
{
    bool all = !a->has_project || project_set(fd, a);
    /* Projinherit is one of the flags as well: untouched, it is not among the kept. */
    return flags_change(fd, a->flags & ~LATE, KEPT) && all;
}

bool attrs_set_late(int fd, uint32_t late)
{
    uint32_t now = 0;
    return flags_get(fd, &now) && flags_change(fd, now | (late & LATE), LATE);
}

uint32_t attrs_unlock_fd(int fd)
{
    uint32_t now = 0;
    if (!flags_get(fd, &now) || (now & LATE) == 0 || !flags_put(fd, now & ~LATE))
        return 0;
    return now & LATE;
}

bool attrs_unlock(int dir, const char *name)
{
    struct statx st;
    bool freed = attrs_unlock_fd(dir) != 0;
    if (!name || statx(dir, name, AT_SYMLINK_NOFOLLOW, STATX_TYPE, &st) < 0)
        return freed;
    /* Opening a device can do things; only these two kinds have flags. */
    if ((!S_ISREG(st.stx_mode) && !S_ISDIR(st.stx_mode)) ||
        !(attrs_shown(st.stx_attributes) & LATE))
        return freed;
    CLEANUP(fd_close) int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return (fd >= 0 && attrs_unlock_fd(fd) != 0) || freed;
}

bool attrs_inherited(int fd)
{
    struct attrs a;
    attrs_of(fd, &a);
    return (a.flags & HANDED_DOWN) || a.inherit;
}
