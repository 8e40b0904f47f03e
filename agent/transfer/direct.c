/* direct: see the header. What cannot go past the page cache goes through it, and fails there. */
#include "agent/transfer/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdbool.h>
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

/* What is under way has ended. What the disk refuses is no matter of the cache: that would take it,
 * and only the next sync would say so, of no file. Anything else is tried through the cache. */
static int land(struct direct *d, int fd)
{
    size_t n = d->flying;
    d->flying = 0;
    if (n == 0)
        return 0;
    int64_t k = flight_end(&d->flight);
    FAULT_POINT("past-cache");
    if (k == -EIO)
        return -EIO;
    return k == (int64_t)n ? 0 : file_write_at(fd, d->away, n, d->flying_at);
}

/* The first n bytes of the room are on their way, and the room is free. */
static int depart(struct direct *d, int fd, int direct_fd, size_t n)
{
    int rc = land(d, fd);
    if (rc < 0)
        return rc;
    uint8_t *free_room = d->away;
    d->away = d->room;
    d->room = free_room;
    d->flying = n;
    d->flying_at = d->at;
    flight_begin(&d->flight, direct_fd, d->away, n, d->at);
    return 0;
}

static int run_write(struct direct *d, int fd, int direct_fd)
{
    size_t n = d->n, whole = n - n % ALIGN;
    d->n = 0;
    if (whole < LEAST || d->at % ALIGN != 0)
        whole = 0;
    int rc = n > whole ? file_write_at(fd, d->room + whole, n - whole, d->at + whole) : 0;
    return rc == 0 && whole > 0 ? depart(d, fd, direct_fd, whole) : rc;
}

int direct_flush(struct direct *d, int fd, int direct_fd)
{
    int rc = d->n > 0 ? run_write(d, fd, direct_fd) : 0;
    int rc2 = land(d, fd);
    return rc < 0 ? rc : rc2;
}

static bool rooms_make(struct direct *d)
{
    void *a = NULL, *b = NULL;
    if (d->room)
        return true;
    if (posix_memalign(&a, ALIGN, ROOM) != 0 || posix_memalign(&b, ALIGN, ROOM) != 0) {
        free(a);
        return false;
    }
    d->room = a;
    d->away = b;
    return true;
}

int direct_put(struct direct *d, int fd, int direct_fd, const void *data, size_t n, uint64_t at)
{
    const uint8_t *p = data;
    if (direct_fd < 0 || !rooms_make(d))
        return file_write_at(fd, p, n, at);
    int rc = d->n > 0 && at != d->at + d->n ? run_write(d, fd, direct_fd) : 0;
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
            rc = run_write(d, fd, direct_fd);
    }
    return rc;
}

void direct_drop(struct direct *d)
{
    d->n = 0;
    if (d->flying)
        (void)flight_end(&d->flight);
    d->flying = 0;
}

void direct_done(struct direct *d)
{
    direct_drop(d);
    flight_done(&d->flight);
    free(d->room);
    free(d->away);
    *d = (struct direct){.room = NULL};
}
