/* device: see device.h. */
#include "agent/vm/device.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"

#define END_BYTES (UINT64_C(1) << 20) /* partition tables and superblocks lie within */
#define PLACES 256
#define PLACE_BYTES (UINT64_C(16) << 10)
#define DEPTH_MAX 8

bool device_is(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISBLK(st.st_mode);
}

/* ── which one it is ── */

static char *attribute(const char *home, const char *name)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", home, name);
    char *text = NULL;
    size_t n = 0;
    if (file_read(path, 4096, &text, &n) < 0)
        return xstrdup("");
    n = strcspn(text, "\n");
    char *shown = text_printable(text, n < 240 ? n : 240);
    free(text);
    return shown;
}

static char *identity_at(const char *home, unsigned depth);

/* A volume is as unique as what it lies on: hosts that were made from one image have the same
 * UUIDs in their volume groups. */
static char *with_what_is_below(const char *home, char *own, unsigned depth)
{
    CLEANUP(mem_free) char *slaves = xasprintf("%s/slaves", home);
    DIR *d = opendir(slaves);
    char *all = xstrdup("");
    size_t n = 0;
    bool known = d != NULL;
    for (const struct dirent *e; d && known && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        CLEANUP(mem_free) char *below = xasprintf("%s/%s", slaves, e->d_name);
        CLEANUP(mem_free) char *one = identity_at(below, depth + 1);
        char *more = xasprintf("%s %s", all, one);
        free(all);
        all = more;
        n++;
        known = *one != '\0' && strlen(all) < 2000;
    }
    if (d)
        (void)closedir(d);
    char *ret = known && n > 0 ? xasprintf("%s on%s", own, all) : xstrdup("");
    free(all);
    free(own);
    return ret;
}

/* A loop device's file is a path of its host: equal paths prove nothing. */
static char *identity_at(const char *home, unsigned depth)
{
    static const char *const names[] = {"device/wwid", "wwid", "device/serial", "serial"};
    if (depth > DEPTH_MAX)
        return xstrdup("");
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char *own = attribute(home, names[i]);
        if (*own)
            return own;
        free(own);
    }
    char *volume = attribute(home, "dm/uuid");
    if (!*volume || strncmp(volume, "mpath-", 6) == 0)
        return volume;
    return with_what_is_below(home, volume, depth);
}

char *device_identity(dev_t dev)
{
    CLEANUP(mem_free) char *home = xasprintf("/sys/dev/block/%u:%u", major(dev), minor(dev));
    return identity_at(home, 0);
}

/* A partition has that of its disk, whose folder it lies in. */
uint32_t device_sector_at(const char *home)
{
    static const char *const names[] = {"queue/logical_block_size", "../queue/logical_block_size"};
    unsigned long bytes = 0;
    for (size_t i = 0; bytes == 0 && i < ARRAY_SIZE(names); i++) {
        CLEANUP(mem_free) char *text = attribute(home, names[i]);
        bytes = strtoul(text, NULL, 10);
    }
    return bytes <= UINT32_MAX ? (uint32_t)bytes : 0;
}

uint32_t device_sector(dev_t dev)
{
    CLEANUP(mem_free) char *home = xasprintf("/sys/dev/block/%u:%u", major(dev), minor(dev));
    return device_sector_at(home);
}

char *device_head(const void *head, size_t n)
{
    uint8_t digest[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    sha256_of(head, n, digest);
    text_hex(digest, sizeof digest, hex);
    return xstrdup(hex);
}

char *device_now(const char *path)
{
    struct stat st;
    CLEANUP(mem_free) char *start = attribute("/proc/sys/kernel/random", "boot_id");
    if (stat(path, &st) < 0)
        return xstrdup("");
    return xasprintf("%s %u:%u", start, major(st.st_rdev), minor(st.st_rdev));
}

static bool is_that(const char *path, const char *now)
{
    CLEANUP(mem_free) char *is = device_now(path);
    return device_is(path) && *now && strcmp(is, now) == 0;
}

/* ── blank ── */

static int end_is_zero(int fd, uint64_t at, uint64_t n)
{
    CLEANUP(mem_free) char *data = xmalloc(n);
    uint64_t have = 0;
    while (have < n) {
        ssize_t k = pread(fd, data + have, n - have, (off_t)(at + have));
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? -errno : -EIO;
        have += (uint64_t)k;
    }
    return n == 0 || (data[0] == 0 && memcmp(data, data + 1, n - 1) == 0);
}

/* Its ends, and places all over it: who has no table at his beginning has something there. */
static int is_zero(int fd, uint64_t bytes)
{
    uint64_t end = bytes < END_BYTES ? bytes : END_BYTES, step = bytes / PLACES;
    int rc = end_is_zero(fd, 0, end);
    if (rc == 1)
        rc = end_is_zero(fd, bytes - end, end);
    for (uint64_t at = step; rc == 1 && step > PLACE_BYTES && at < bytes - end; at += step)
        rc = end_is_zero(fd, at, PLACE_BYTES);
    return rc;
}

int device_blank(const char *path, uint64_t *retbytes, struct fault *reterr)
{
    uint64_t bytes = 0;
    int read_only = 0;
    if (!device_is(path))
        return fault_set(reterr, FAULT_STOP_JOB, ENOTBLK, "%.120s is no block device here", path);
    /* Whoever has mounted it, or built a volume on it, has it to himself. */
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_EXCL | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0)
        return fault_set(reterr, FAULT_STOP_JOB, errno, "%.120s cannot be used: %s", path,
                         strerror(errno));
    if (ioctl(fd, BLKROGET, &read_only) < 0 || read_only)
        return fault_set(reterr, FAULT_STOP_JOB, EROFS,
                         "%.120s is read-only (blockdev --setrw would make it writable)", path);
    int zero = is_zero(fd, bytes);
    if (zero < 0)
        return fault_set(reterr, FAULT_STOP_JOB, EIO, "%.120s cannot be read", path);
    if (!zero)
        return fault_set(reterr, FAULT_STOP_JOB, EEXIST,
                         "%.120s is not blank: something lies on it (blkdiscard or dd would make "
                         "it so)",
                         path);
    *retbytes = bytes;
    return 0;
}

static int zero_end(int fd, uint64_t at, uint64_t n)
{
    CLEANUP(mem_free) char *zeros = xcalloc(1, n + 1);
    return file_write_at(fd, zeros, n, at);
}

int device_wipe(const char *path, const char *now)
{
    uint64_t bytes = 0;
    if (!is_that(path, now))
        return 0;
    CLEANUP(fd_close) int fd = open(path, O_RDWR | O_EXCL | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes) < 0)
        return -errno;
    uint64_t range[2] = {0, bytes}, end = bytes < END_BYTES ? bytes : END_BYTES;
    (void)ioctl(fd, BLKDISCARD, range);
    int rc = zero_end(fd, 0, end);
    if (rc == 0)
        rc = zero_end(fd, bytes - end, end);
    return rc == 0 && fsync(fd) < 0 ? -errno : rc;
}

/* ── out of reach ── */

int device_lock(const char *path, const char *now, bool lock)
{
    int on = lock;
    if (!is_that(path, now))
        return lock ? -ENODEV : 0;
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 || ioctl(fd, BLKROSET, &on) < 0 ? -errno : 0;
}

bool device_is_locked(const char *path)
{
    int on = 0;
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && ioctl(fd, BLKROGET, &on) == 0 && on;
}
