/* direct: see the header. What cannot go past the page cache goes through it, and fails there. */
#include "agent/transfer/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"

#define ALIGN 4096U /* of memory and of places in the file */
#define ROOM (2U << 20)
#define LEAST (256U << 10) /* less is not worth it, and cuts the file's extents up */

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

int direct_open(int folder_fd, const char *name, int fd)
{
    struct statfs fs;
    struct stat a, b;
    if (fstatfs(fd, &fs) < 0 || (fs.f_type != EXT4_SUPER_MAGIC && fs.f_type != XFS_SUPER_MAGIC))
        return -1;
    int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
    int direct = openat(folder_fd, name, mode | O_DIRECT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (direct >= 0 && (fstat(fd, &a) < 0 || fstat(direct, &b) < 0 || a.st_dev != b.st_dev ||
                        a.st_ino != b.st_ino))
        direct = fd_close(direct); /* somebody put another one there */
    return direct < 0 ? -1 : direct;
}

/* All of it, or -errno. */
static int past_cache(int fd, const uint8_t *data, size_t n, uint64_t at)
{
    ssize_t k;
    do
        k = pwrite(fd, data, n, (off_t)at);
    while (k < 0 && errno == EINTR);
    int rc = k == (ssize_t)n ? 0 : k < 0 ? -errno : -EAGAIN;
    FAULT_POINT("past-cache");
    return rc;
}

int direct_flush(struct direct *d, int fd, int direct_fd)
{
    size_t n = d->n, whole = n - n % ALIGN;
    d->n = 0;
    if (n == 0)
        return 0;
    if (direct_fd < 0 || whole < LEAST || d->at % ALIGN != 0)
        whole = 0;
    int rc = whole > 0 ? past_cache(direct_fd, d->room, whole, d->at) : 0;
    if (rc == -EIO) /* the cache would take it, and only the next sync would say so, of no file */
        return rc;
    if (rc < 0)
        whole = 0;
    return file_write_at(fd, d->room + whole, n - whole, d->at + whole);
}

int direct_put(struct direct *d, int fd, int direct_fd, const void *data, size_t n, uint64_t at)
{
    const uint8_t *p = data;
    if (direct_fd >= 0 && !d->room && posix_memalign((void **)&d->room, ALIGN, ROOM) != 0)
        d->room = NULL;
    if (direct_fd < 0 || !d->room)
        return file_write_at(fd, p, n, at);
    int rc = d->n > 0 && at != d->at + d->n ? direct_flush(d, fd, direct_fd) : 0;
    while (rc == 0 && n > 0) {
        size_t k = ROOM - d->n < n ? ROOM - d->n : n;
        if (d->n == 0)
            d->at = at;
        memcpy(d->room + d->n, p, k);
        d->n += k;
        p += k;
        at += k;
        n -= k;
        if (d->n == ROOM)
            rc = direct_flush(d, fd, direct_fd);
    }
    return rc;
}

void direct_drop(struct direct *d)
{
    d->n = 0;
}

void direct_done(struct direct *d)
{
    free(d->room);
    *d = (struct direct){.room = NULL};
}
