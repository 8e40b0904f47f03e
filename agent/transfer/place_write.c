/* place_write: puts bytes into an open file. Any thread. */
#include <errno.h>
#include <unistd.h>

#include "agent/transfer/place_priv.h"

/* Of more at once file systems take page cache in larger blocks of memory, which have to be found
 * first: 1 MiB at a time took two to seven times as long on ext4. */
#define WRITE_BYTES (256U << 10)

int place_write(int fd, const void *data, size_t n, uint64_t at)
{
    for (const char *p = data; n > 0;) {
        ssize_t k = pwrite(fd, p, n < WRITE_BYTES ? n : WRITE_BYTES, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? -errno : -EIO;
        p += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return 0;
}
