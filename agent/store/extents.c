/* extents: asks the file system by FIEMAP. Not for reading content. Any thread. */
#include "agent/store/extents.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/cleanup.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

#define EXTENTS 64U /* one call's worth */
#define CALLS 64U

union extents {
    struct fiemap map;
    uint8_t room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
};

/* How many there are from at on, up to n; 0: none, or it cannot be told. */
static uint32_t extents_from(int fd, uint64_t at, uint64_t len, uint32_t n, union extents *u)
{
    memset(&u->map, 0, sizeof u->map);
    u->map.fm_start = at;
    u->map.fm_length = len;
    u->map.fm_extent_count = n;
    if (ioctl(fd, FS_IOC_FIEMAP, &u->map) < 0)
        return 0;
    return u->map.fm_mapped_extents < n ? u->map.fm_mapped_extents : n;
}

/* One call's worth from *at on; false: that was the last, or it cannot be told. */
static bool shared_from(int fd, uint64_t *at, uint64_t *bytes)
{
    union extents u;
    uint32_t n = extents_from(fd, *at, FIEMAP_MAX_OFFSET - *at, EXTENTS, &u);
    if (n == 0)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        const struct fiemap_extent *e = &u.map.fm_extents[i];
        if (e->fe_flags & FIEMAP_EXTENT_SHARED)
            *bytes += e->fe_length;
        *at = e->fe_logical + e->fe_length;
        if (e->fe_flags & FIEMAP_EXTENT_LAST)
            return false;
    }
    return true;
}

uint64_t extents_shared(int dir, const char *name)
{
    uint64_t bytes = 0, at = 0;
    CLEANUP(fd_close)
    int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
    for (unsigned i = 0; fd >= 0 && i < CALLS && shared_from(fd, &at, &bytes); i++)
        ;
    return bytes;
}

bool extents_may_share(int fd, uint64_t dev, uint64_t *retspace)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) < 0)
        return false;
    /* Subvolumes of btrfs share blocks, and each is a device of its own. */
    *retspace = fs.f_type == BTRFS_SUPER_MAGIC ? 0 : dev;
    return fs.f_type == BTRFS_SUPER_MAGIC || fs.f_type == XFS_SUPER_MAGIC;
}

bool extents_can_share(int folder)
{
    static const char block[4096];
    uint64_t space = 0;
    if (!extents_may_share(folder, 0, &space))
        return false;
    CLEANUP(fd_close)
    int from = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    CLEANUP(fd_close)
    int to = openat(folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return from >= 0 && to >= 0 && pwrite(from, block, sizeof block, 0) == sizeof block &&
           ioctl(to, FICLONE, from) == 0;
}

/* ── marks ── */

static uint64_t place_of(unsigned i)
{
    return i ? (64ULL << 10) << (i - 1) : 0;
}

/* Of a compressed extent only where it begins is told, whatever part of it a file holds. */
static uint64_t mark_of(const struct fiemap_extent *e, uint64_t space, uint64_t place)
{
    uint64_t within = e->fe_flags & FIEMAP_EXTENT_ENCODED ? 0 : place - e->fe_logical;
    uint64_t key[3] = {space, place, e->fe_physical + within};
    return XXH3_64bits(key, sizeof key);
}

static bool holds(const struct fiemap_extent *e, uint64_t place)
{
    return place >= e->fe_logical && place - e->fe_logical < e->fe_length;
}

static bool is_mark(const struct fiemap_extent *e)
{
    return (e->fe_flags & FIEMAP_EXTENT_SHARED) &&
           !(e->fe_flags & (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |
                            FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_UNWRITTEN));
}

/* The extent that holds place among these, or NULL: it is a hole, or beyond them. */
static const struct fiemap_extent *extent_at(const union extents *u, uint32_t n, uint64_t place)
{
    for (uint32_t i = 0; i < n; i++)
        if (holds(&u->map.fm_extents[i], place))
            return &u->map.fm_extents[i];
    return NULL;
}

unsigned extents_marks(int fd, uint64_t space, uint64_t size, uint64_t ret[EXTENT_MARKS])
{
    union extents all, one;
    unsigned marks = 0;
    uint32_t n = extents_from(fd, 0, size, EXTENTS, &all);
    if (n == 0)
        return 0;
    const struct fiemap_extent *last = &all.map.fm_extents[n - 1];
    uint64_t seen = n < EXTENTS ? size : last->fe_logical + last->fe_length;
    bool shared = seen < size; /* nobody knows yet */
    for (uint32_t i = 0; i < n && !shared; i++)
        shared = is_mark(&all.map.fm_extents[i]);
    for (unsigned i = 0; shared && i < EXTENT_MARKS && place_of(i) < size; i++) {
        uint64_t place = place_of(i);
        const struct fiemap_extent *e = NULL;
        if (place < seen)
            e = extent_at(&all, n, place);
        else if (extents_from(fd, place, 1, 1, &one) == 1 && holds(&one.map.fm_extents[0], place))
            e = &one.map.fm_extents[0];
        if (e && is_mark(e))
            ret[marks++] = mark_of(e, space, place);
    }
    return marks;
}
