/* direct: see the header. What cannot go past the page cache goes through it, and fails there. */
#include "agent/transfer/direct.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/transfer/record.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/file.h"

#define ALIGN 4096U /* of memory and of places in the file */
#define ROOM (1U << 20)
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
    int mode = fcntl(fd, F_GETFL) & (O_ACCMODE | O_NOATIME);
    int direct = openat(folder_fd, name, mode | O_DIRECT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (direct >= 0 && (fstat(fd, &a) < 0 || fstat(direct, &b) < 0 || a.st_dev != b.st_dev ||
                        a.st_ino != b.st_ino))
        direct = fd_close(direct); /* somebody put another one there */
    return direct < 0 ? -1 : direct;
}

bool direct_is_cached(int fd, uint64_t at, uint64_t n)
{
    unsigned char in[PIECE_BYTES / ALIGN]; /* no machine has smaller pages */
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages = (n + page - 1) / page;
    if (pages > sizeof in)
        return true;
    void *map = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, (off_t)at);
    if (map == MAP_FAILED)
        return true;
    uint64_t there = mincore(map, n, in) < 0 ? 2 * pages : 0;
    (void)munmap(map, n);
    for (uint64_t i = 0; there < pages && i < pages; i++)
        there += in[i] & 1;
    return there * 2 >= pages;
}

size_t direct_read(int direct_fd, uint8_t *to, size_t n, uint64_t at)
{
    ssize_t k;
    do
        k = pread(direct_fd, to, (n + ALIGN - 1) / ALIGN * ALIGN, (off_t)at);
    while (k < 0 && errno == EINTR);
    return k <= 0 ? 0 : (size_t)k < n ? (size_t)k : n;
}

/* The oldest run that is under way has ended. What the disk refuses is no matter of the cache: that
 * would take it, and only the next sync would say so, of no file. Anything else is tried through
 * the cache. Of what was left the outcome waits for direct_left(). */
static int land_one(struct direct *d)
{
    struct direct_room *r = &d->rooms[d->ended % DIRECT_ROOMS];
    bool left = d->ended++ < d->left;
    int64_t k = flight_end(&r->flight);
    FAULT_POINT("past-cache");
    int rc = 0;
    if (k == -EIO)
        rc = -EIO;
    else if (k != (int64_t)r->n)
        rc = file_write_at(r->fd, r->data, r->n, r->at);
    r->n = 0;
    if (!left)
        return rc;
    d->left_rc = d->left_rc < 0 ? d->left_rc : rc;
    return 0;
}

static int land_until(struct direct *d, uint64_t run)
{
    int rc = 0;
    while (d->ended < run) {
        int one = land_one(d);
        rc = rc < 0 ? rc : one;
    }
    return rc;
}

static struct direct_room *filling(struct direct *d)
{
    return &d->rooms[d->begun % DIRECT_ROOMS];
}

/* What the room has is on its way, and another one is free. */
static int depart(struct direct *d, int fd, int direct_fd)
{
    struct direct_room *r = filling(d);
    r->fd = fd;
    flight_begin(&r->flight, direct_fd, r->data, r->n, r->at);
    d->begun++;
    return d->begun - d->ended < DIRECT_ROOMS ? 0 : land_until(d, d->ended + 1);
}

static int run_write(struct direct *d, int fd, int direct_fd)
{
    struct direct_room *r = filling(d);
    size_t n = r->n, whole = n - n % ALIGN;
    if (whole < LEAST || r->at % ALIGN != 0)
        whole = 0;
    int rc = n > whole ? file_write_at(fd, r->data + whole, n - whole, r->at + whole) : 0;
    r->n = rc == 0 ? whole : 0;
    return r->n > 0 ? depart(d, fd, direct_fd) : rc;
}

int direct_flush(struct direct *d, int fd, int direct_fd)
{
    int rc = filling(d)->n > 0 ? run_write(d, fd, direct_fd) : 0;
    int rc2 = land_until(d, d->begun);
    return rc < 0 ? rc : rc2;
}

int direct_leave(struct direct *d, int fd, int direct_fd)
{
    int rc = filling(d)->n > 0 ? run_write(d, fd, direct_fd) : 0;
    if (rc < 0)
        return rc;
    d->left = d->begun;
    d->left_rc = 0;
    return 0;
}

bool direct_left_ended(const struct direct *d)
{
    return d->ended >= d->left;
}

int direct_left(struct direct *d)
{
    (void)land_until(d, d->left);
    return d->left_rc;
}

static bool rooms_make(struct direct *d)
{
    void *data = NULL;
    if (d->memory)
        return true;
    if (posix_memalign(&data, ALIGN, (size_t)DIRECT_ROOMS * ROOM) != 0)
        return false;
    d->memory = data;
    for (unsigned i = 0; i < DIRECT_ROOMS; i++)
        d->rooms[i].data = d->memory + (size_t)i * ROOM;
    return true;
}

int direct_put(struct direct *d, int fd, int direct_fd, const void *data, size_t n, uint64_t at)
{
    const uint8_t *p = data;
    struct direct_room *r = filling(d);
    if (direct_fd < 0 || !rooms_make(d))
        return file_write_at(fd, p, n, at);
    int rc = r->n > 0 && at != r->at + r->n ? run_write(d, fd, direct_fd) : 0;
    while (rc == 0 && n > 0) {
        r = filling(d);
        size_t k = ROOM - r->n < n ? ROOM - r->n : n;
        if (r->n == 0)
            r->at = at;
        memcpy(r->data + r->n, p, k);
        r->n += k;
        p += k;
        at += k;
        n -= k;
        if (r->n == ROOM)
            rc = run_write(d, fd, direct_fd);
    }
    return rc;
}

void direct_drop(struct direct *d)
{
    filling(d)->n = 0;
    if (d->begun > d->left)
        (void)land_until(d, d->begun);
}

void direct_done(struct direct *d)
{
    (void)land_until(d, d->begun);
    for (unsigned i = 0; i < DIRECT_ROOMS; i++)
        flight_done(&d->rooms[i].flight);
    free(d->memory);
    *d = (struct direct){.begun = 0};
}
