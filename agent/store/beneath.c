/* beneath: opens and makes entries below a root by folder handles; the kernel refuses links and
 * ways out. Removing is remove.c. Any thread. */
#include "agent/store/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/store/beneath_priv.h"
#include "agent/store/dents.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define TRIES 64 /* EAGAIN: a rename somewhere raced with the resolution */
#define NAME_BYTES 255
#define WAY_FLAGS (O_PATH | O_DIRECTORY)

bool beneath_valid_name(const char *name, size_t len)
{
    if (len == 0 || len > NAME_BYTES || memchr(name, '/', len) || memchr(name, '\0', len))
        return false;
    return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

bool beneath_valid(const char *rel, size_t len)
{
    if (len == 0)
        return true;
    const char *at = rel, *end = rel + len;
    for (;;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        if (!beneath_valid_name(at, (size_t)((slash ? slash : end) - at)))
            return false;
        if (!slash)
            return true;
        at = slash + 1;
    }
}

/* glibc of Debian 12 has no wrapper. There is no fall back: where the call is missing (before Linux
 * 5.6) or forbidden, nothing is opened. */
int beneath_openat2(int dir, const char *path, int flags, mode_t mode, uint64_t resolve)
{
    flags |= O_NOFOLLOW | O_CLOEXEC;
    bool creates = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags,
        .mode = creates ? mode & 07777U : 0,
        .resolve = resolve | RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    for (int i = 0; i < TRIES; i++) {
        long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);
        if (fd >= 0)
            return (int)fd;
        if (errno != EAGAIN && errno != EINTR)
            break;
    }
    return errno == EXDEV && !(resolve & RESOLVE_NO_XDEV) ? -ELOOP : -errno;
}

/* How much of rel one call can take: whole components in less than PATH_MAX bytes. */
static size_t group_len(const char *rel, size_t len)
{
    if (len < PATH_MAX)
        return len;
    const char *slash = memrchr(rel, '/', PATH_MAX - 1);
    return slash ? (size_t)(slash - rel) : 0;
}

static int open_group(int dir, const char *rel, size_t len, int flags, mode_t mode)
{
    char path[PATH_MAX];
    memcpy(path, rel, len);
    path[len] = '\0';
    return beneath_openat2(dir, path, flags, mode, 0);
}

int beneath_open(int root, const char *rel, size_t len, int flags, mode_t mode)
{
    if (!beneath_valid(rel, len))
        return -EINVAL;
    if (len == 0)
        return beneath_openat2(root, ".", flags, mode, 0);
    CLEANUP(fd_close) int way = -1;
    int dir = root;
    for (size_t n; (n = group_len(rel, len)) < len; rel += n + 1, len -= n + 1) {
        int next = open_group(dir, rel, n, WAY_FLAGS, 0);
        if (next < 0)
            return next;
        (void)fd_close(way);
        way = dir = next;
    }
    return open_group(dir, rel, len, flags, mode);
}

/* Below a folder with a default ACL the new one would hand it down to all that is copied into it.
 */
static int open_made(int parent, const char *name, bool made)
{
    int fd = beneath_openat2(parent, name, O_RDONLY | O_DIRECTORY, 0, 0);
    if (fd >= 0 && made)
        (void)fremovexattr(fd, "system.posix_acl_default");
    return fd;
}

static int mkdir_in(int parent, const char *name, bool replace, bool *retmade)
{
    bool made = mkdirat(parent, name, 0700) == 0;
    if (!made && errno != EEXIST)
        return -errno;
    int fd = open_made(parent, name, made);
    if ((fd == -ENOTDIR || fd == -ELOOP) && replace) {
        uint64_t removed = 0;
        int rc = beneath_remove(parent, name, &removed);
        if (rc < 0)
            return rc;
        if (mkdirat(parent, name, 0700) < 0)
            return -errno;
        made = true;
        fd = open_made(parent, name, made);
    }
    if (fd >= 0)
        *retmade = made;
    return fd;
}

static int mkdir_component(int parent, const char *at, size_t len, bool replace, bool *retmade)
{
    char name[NAME_BYTES + 1];
    memcpy(name, at, len);
    name[len] = '\0';
    return mkdir_in(parent, name, replace, retmade);
}

/* From the root down, one component at a time: for the rare case of a missing parent. */
static int mkdirs_slowly(int root, const char *rel, size_t len, bool replace, bool *retmade)
{
    CLEANUP(fd_close) int held = -1;
    const char *end = rel + len;
    for (int dir = root;;) {
        const char *slash = memchr(rel, '/', (size_t)(end - rel));
        bool last = !slash, made = false;
        int fd = mkdir_component(dir, rel, (size_t)((last ? end : slash) - rel), last && replace,
                                 last ? retmade : &made);
        if (fd < 0 || last)
            return fd;
        (void)fd_close(held);
        held = dir = fd;
        rel = slash + 1;
    }
}

int beneath_mkdirs(int root, const char *rel, size_t len, bool replace, bool *retmade)
{
    *retmade = false;
    int fd = beneath_open(root, rel, len, O_RDONLY | O_DIRECTORY, 0);
    if (len == 0 || (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP))
        return fd;
    const char *slash = memrchr(rel, '/', len);
    size_t parent_len = slash ? (size_t)(slash - rel) : 0;
    const char *name = slash ? slash + 1 : rel;
    CLEANUP(fd_close) int parent = beneath_open(root, rel, parent_len, WAY_FLAGS, 0);
    if (parent == -ENOENT)
        return mkdirs_slowly(root, rel, len, replace, retmade);
    if (parent < 0)
        return parent;
    return mkdir_component(parent, name, (size_t)(rel + len - name), replace, retmade);
}

int beneath_is_empty(int dir, const char *name)
{
    CLEANUP(fd_close) int fd = beneath_openat2(dir, name, O_RDONLY | O_DIRECTORY, 0, 0);
    if (fd < 0)
        return fd;
    CLEANUP(mem_free) struct dents *d = xmalloc(sizeof *d);
    struct dents_entry e;
    dents_init(d, fd);
    int rc = dents_next(d, &e);
    return rc < 0 ? rc : rc == 0;
}

static int make_root(const char *path)
{
    CLEANUP(mem_free) char *copy = xstrdup(path);
    for (char *p = copy + 1; *p; p++) {
        if (*p != '/')
            continue;
        *p = '\0';
        if (mkdir(copy, 0755) < 0 && errno != EEXIST)
            return -errno;
        *p = '/';
    }
    return mkdir(copy, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

int beneath_root(const char *path, size_t len, bool create)
{
    if (len == 0 || path[0] != '/' || memchr(path, '\0', len))
        return -EINVAL;
    if (len >= PATH_MAX)
        return -ENAMETOOLONG;
    CLEANUP(mem_free) char *copy = xmemdup(path, len);
    int fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && create) {
        int rc = make_root(copy);
        if (rc < 0)
            return rc;
        fd = open(copy, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    }
    return fd < 0 ? -errno : fd;
}
