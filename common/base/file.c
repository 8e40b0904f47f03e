/* file: whole small files. Any thread; blocking. */
#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define FILES_MOST 65536U

static int write_all(int fd, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return -errno;
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

/* In steps: the kernel takes no more of one call than it would read ahead by itself. */
void file_read_ahead(int fd, uint64_t at, uint64_t n)
{
    enum { STEP = 128 << 10 };
    for (uint64_t end = at + n; at < end; at += STEP)
        (void)posix_fadvise(fd, (off_t)at, STEP, POSIX_FADV_WILLNEED);
}

int file_write_at(int fd, const void *data, size_t n, uint64_t at)
{
    for (const char *p = data; n > 0;) {
        ssize_t k = pwrite(fd, p, n, (off_t)at);
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

int file_read(const char *path, size_t max, char **ret, size_t *retlen)
{
    CLEANUP(fd_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    size_t cap = max < 4096 ? max + 1 : 4096, len = 0;
    CLEANUP(mem_free) char *data = xmalloc(cap + 1);
    for (;;) {
        ssize_t n = read(fd, data + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len += (size_t)n;
        if (len > max)
            return -EFBIG;
        if (len == cap) {
            cap = cap * 2 < max + 1 ? cap * 2 : max + 1;
            data = xrealloc(data, cap + 1);
        }
    }
    data[len] = '\0';
    *ret = data;
    *retlen = len;
    data = NULL;
    return 0;
}

static int sync_parent(const char *path)
{
    CLEANUP(mem_free) char *copy = xstrdup(path);
    CLEANUP(fd_close) int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return fsync(fd) < 0 ? -errno : 0;
}

static int write_temp(const char *temp, mode_t mode, const void *data, size_t len)
{
    CLEANUP(fd_close)
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    int rc = write_all(fd, data, len);
    if (rc == 0 && fchmod(fd, mode) < 0)
        rc = -errno;
    if (rc == 0 && fsync(fd) < 0)
        rc = -errno;
    return rc;
}

int file_write(const char *path, mode_t mode, const void *data, size_t len)
{
    CLEANUP(mem_free) char *temp = xasprintf("%s.new.%d", path, (int)getpid());
    (void)unlink(temp);
    int rc = write_temp(temp, mode, data, len);
    if (rc == 0 && rename(temp, path) < 0)
        rc = -errno;
    if (rc < 0) {
        (void)unlink(temp);
        return rc;
    }
    return sync_parent(path);
}

int file_mkdirs(const char *path, mode_t mode)
{
    CLEANUP(mem_free) char *copy = xstrdup(path);
    for (char *p = copy + 1; *copy; p++) {
        if (*p != '/' && *p != '\0')
            continue;
        char was = *p;
        *p = '\0';
        if (mkdir(copy, mode) < 0 && errno != EEXIST)
            return -errno;
        *p = was;
        if (was == '\0')
            break;
    }
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

/* A folder, or no links here: what appears in between is lost, if it is a file. */
static int rename_if_free(const char *from, const char *to)
{
    struct stat st;
    if (lstat(to, &st) == 0)
        return -EEXIST;
    return errno != ENOENT || rename(from, to) < 0 ? -errno : 0;
}

int file_rename_by_link(const char *from, const char *to)
{
    struct stat is, there;
    if (link(from, to) == 0)
        return unlink(from) < 0 ? -errno : 0;
    if (errno == EPERM || errno == EOPNOTSUPP || errno == ENOSYS)
        return rename_if_free(from, to);
    if (errno != EEXIST)
        return -errno;
    bool same = lstat(from, &is) == 0 && lstat(to, &there) == 0 && is.st_dev == there.st_dev &&
                is.st_ino == there.st_ino;
    if (!same)
        return -EEXIST;
    return unlink(from) < 0 ? -errno : 0;
}

int file_rename_new(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    return errno == EINVAL || errno == ENOSYS ? file_rename_by_link(from, to) : -errno;
}

void file_raise_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= FILES_MOST)
        return;
    limit.rlim_cur = limit.rlim_max < FILES_MOST ? limit.rlim_max : FILES_MOST;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}
