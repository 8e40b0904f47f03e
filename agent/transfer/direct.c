/* direct: see the header. What cannot go past the page cache goes through it, and fails there. */
#include "agent/transfer/direct.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"

#define ALIGN 4096U /* of memory and of places in the file */
#define ROOM (2U << 20)
#define LEAST (256U << 10) /* less is not worth it, and cuts the file's extents up */

static bool past_cache(int fd, const uint8_t *data, size_t n, uint64_t at)
{
    ssize_t k;
    do
        k = pwrite(fd, data, n, (off_t)at);
    while (k < 0 && errno == EINTR);
    return k == (ssize_t)n;
}

int direct_flush(struct direct *d, int fd, int direct_fd)
{
    size_t n = d->n, whole = n - n % ALIGN;
    d->n = 0;
    if (direct_fd < 0 || whole < LEAST || d->at % ALIGN != 0 ||
        !past_cache(direct_fd, d->room, whole, d->at))
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
