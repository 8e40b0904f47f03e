/* extents: asks the file system by FIEMAP. Not for reading content. Any thread. */
#include "agent/store/extents.h"

#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/base/cleanup.h"

#define EXTENTS 64U /* one call's worth */
#define CALLS 64U

/* One call's worth from *at on; false: that was the last, or it cannot be told. */
static bool shared_from(int fd, uint64_t *at, uint64_t *bytes)
{
    union {
        struct fiemap map;
        uint8_t room[sizeof(struct fiemap) + EXTENTS * sizeof(struct fiemap_extent)];
    } u;
    memset(&u, 0, sizeof u);
    u.map.fm_start = *at;
    u.map.fm_length = FIEMAP_MAX_OFFSET - *at;
    u.map.fm_extent_count = EXTENTS;
    if (ioctl(fd, FS_IOC_FIEMAP, &u.map) < 0 || u.map.fm_mapped_extents == 0)
        return false;
    for (uint32_t i = 0; i < u.map.fm_mapped_extents && i < EXTENTS; i++) {
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
