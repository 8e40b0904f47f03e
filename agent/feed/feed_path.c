/* feed_path: opens a handle, asks /proc for its path, and opens that path again from the root: only
 * when both are the same folder is the path believed. */
#include "agent/feed/feed_path.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define TRIES 8 /* a rename in between makes the two differ */

union handle_room {
    struct file_handle h;
    char room[sizeof(struct file_handle) + FEED_HANDLE_MAX];
};

static int open_handle(int mount, const struct feed_handle *h, int flags)
{
    union handle_room u = {
        .h = {.handle_bytes = h->len, .handle_type = h->type}
    };
    memcpy(u.room + sizeof u.h, h->bytes, h->len);
    int fd = open_by_handle_at(mount, &u.h, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static int name_of(int fd, char ret[PATH_MAX], size_t *retlen)
{
    char proc[32];
    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(proc, ret, PATH_MAX);
    if (n < 0)
        return -errno;
    if (n == 0 || n >= PATH_MAX || ret[0] != '/')
        return -ENAMETOOLONG;
    ret[n] = '\0';
    *retlen = (size_t)n;
    return 0;
}

int feed_root_of(int fd, struct feed_root *ret)
{
    union handle_room u = {.h = {.handle_bytes = FEED_HANDLE_MAX}};
    int mount_id = 0;
    struct feed_root r = {.fd = fd};
    if (name_to_handle_at(fd, "", &u.h, &mount_id, AT_EMPTY_PATH) < 0)
        return -errno;
    r.handle.type = u.h.handle_type;
    r.handle.len = u.h.handle_bytes;
    memcpy(r.handle.bytes, u.room + sizeof u.h, u.h.handle_bytes);
    CLEANUP(fd_close) int again = open_handle(fd, &r.handle, O_PATH);
    if (again < 0)
        return again == -ESTALE ? -EOPNOTSUPP : again;
    int rc = name_of(fd, r.path, &r.len);
    if (rc < 0)
        return rc;
    if (r.len == 1) /* "/": all paths begin with it */
        r.len = 0;
    *ret = r;
    return 0;
}

static bool is_below(const struct feed_root *root, const char *path, size_t len)
{
    return len > root->len && path[root->len] == '/' && memcmp(path, root->path, root->len) == 0;
}

/* 1: right. 0: another folder stands there, or none. */
static int is_there(const struct feed_root *root, const char *rel, size_t len,
                    const struct stat *want)
{
    struct stat st;
    CLEANUP(fd_close) int fd = beneath_open(root->fd, rel, len, O_PATH | O_DIRECTORY, 0);
    if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
        return 0;
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        return -errno;
    return st.st_dev == want->st_dev && st.st_ino == want->st_ino;
}

static int look(const struct feed_root *root, int fd, char ret[PATH_MAX], size_t *retlen)
{
    struct stat st;
    size_t len = 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_nlink == 0)
        return 0;
    int rc = name_of(fd, ret, &len);
    if (rc < 0)
        return rc;
    if (len == root->len && memcmp(ret, root->path, len) == 0) {
        *retlen = 0;
        return is_there(root, "", 0, &st) == 1 ? 1 : -EAGAIN;
    }
    if (!is_below(root, ret, len))
        return 0;
    size_t skip = root->len + 1;
    memmove(ret, ret + skip, len - skip);
    *retlen = len - skip;
    rc = is_there(root, ret, *retlen, &st);
    if (rc != 0)
        return rc;
    return fstat(fd, &st) == 0 && st.st_nlink == 0 ? 0 : -EAGAIN; /* removed, or moved just now */
}

int feed_path_of(const struct feed_root *root, const struct feed_handle *h, char ret[PATH_MAX],
                 size_t *retlen)
{
    CLEANUP(fd_close) int fd = open_handle(root->fd, h, O_PATH);
    if (fd == -ESTALE || fd == -ENOENT)
        return 0;
    if (fd < 0)
        return fd;
    int rc = -EAGAIN;
    for (int i = 0; rc == -EAGAIN && i < TRIES; i++)
        rc = look(root, fd, ret, retlen);
    return rc;
}

int feed_file_of(const struct feed_root *root, const struct feed_handle *h, struct stat *ret)
{
    CLEANUP(fd_close) int fd = open_handle(root->fd, h, O_PATH | O_NOFOLLOW);
    if (fd == -ESTALE || fd == -ENOENT)
        return 0;
    if (fd < 0)
        return fd;
    return fstat(fd, ret) < 0 ? -errno : ret->st_nlink > 0;
}

/* ── mounts ── */

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static size_t unescape(char *s)
{
    char *to = s;
    for (const char *p = s; *p; p++) {
        bool octal = p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
                     p[3] >= '0' && p[3] <= '7';
        *to++ = octal ? (char)((p[1] - '0') * 64 + (p[2] - '0') * 8 + (p[3] - '0')) : *p;
        p += octal ? 3 : 0;
    }
    *to = '\0';
    return (size_t)(to - s);
}

int feed_mounts_below(const struct feed_root *root)
{
    FILE *in = fopen("/proc/self/mountinfo", "re");
    if (!in)
        return -errno;
    char *line = NULL;
    size_t cap = 0;
    int found = 0;
    while (!found && getline(&line, &cap, in) > 0) {
        char *field = line;
        for (int i = 0; field && i < 4; i++) { /* the fifth is the mount point */
            field = strchr(field, ' ');
            field += field != NULL;
        }
        if (!field)
            continue;
        field[strcspn(field, " \n")] = '\0';
        found = is_below(root, field, unescape(field));
    }
    int rc = ferror(in) ? -EIO : found;
    free(line);
    (void)fclose(in);
    return rc;
}
