/* depot: the layout of Samba 4.17's vfs_streams_depot. */
#include "agent/pull/depot.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/store/meta_priv.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"

#define ID_BYTES 16U
#define ACL_NAME "system.posix_acl_access"
#define ACL_MAX 4096

/* Samba's own, for no other reason than that it is. */
static uint32_t hash_of(const uint8_t id[ID_BYTES])
{
    uint32_t value = 0x238F13AFU * ID_BYTES;
    for (uint32_t i = 0; i < ID_BYTES; i++)
        value += (uint32_t)id[i] << (i * 5 % 24);
    return 1103515243U * value + 12345U;
}

void depot_path(const struct stat *st, char ret[DEPOT_PATH_MAX])
{
    uint8_t id[ID_BYTES];
    for (unsigned i = 0; i < 8; i++) {
        id[i] = (uint8_t)((uint64_t)st->st_dev >> (8 * i));
        id[8 + i] = (uint8_t)((uint64_t)st->st_ino >> (8 * i));
    }
    uint32_t hash = hash_of(id);
    int n = snprintf(ret, DEPOT_PATH_MAX, "%02X/%02X/", hash & 0xff, hash >> 8 & 0xff);
    for (unsigned i = 0; i < ID_BYTES; i++)
        n += snprintf(ret + n, DEPOT_PATH_MAX - (size_t)n, "%02X", id[i]);
}

/* *retmade: by this call. */
static int folder_enter(int at, const char *name, mode_t mode, bool *retmade)
{
    *retmade = mkdirat(at, name, 0700) == 0;
    if (!*retmade && errno != EEXIST)
        return -errno;
    int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (*retmade && fchmod(fd, mode) < 0) {
        int rc = -errno;
        (void)fd_close(fd);
        return rc;
    }
    return fd;
}

/* smbd makes these folders as the user who has a stream made: those on the way are as open as the
 * depot itself, the last one is of the file's owner, who may add to it. */
int depot_enter(int depot, const struct stat *st)
{
    char path[DEPOT_PATH_MAX];
    struct stat root;
    bool made = false;
    depot_path(st, path);
    path[2] = path[5] = '\0';
    if (fstat(depot, &root) < 0)
        return -errno;
    CLEANUP(fd_close) int first = folder_enter(depot, path, root.st_mode & 01777, &made);
    if (first < 0)
        return first;
    CLEANUP(fd_close) int second = folder_enter(first, path + 3, root.st_mode & 01777, &made);
    if (second < 0)
        return second;
    int fd = folder_enter(second, path + 6, 0755 | (st->st_mode & 0022), &made);
    if (fd >= 0 && made && fchown(fd, st->st_uid, st->st_gid) < 0) {
        int rc = -errno;
        (void)fd_close(fd);
        return rc;
    }
    return fd;
}

static int describe(int fd, int file)
{
    char from[PROC_FD_MAX], acl[ACL_MAX];
    struct stat st;
    proc_fd_path(file, from); /* it may be open as a path only */
    if (fstat(file, &st) < 0 || fchown(fd, st.st_uid, st.st_gid) < 0 ||
        fchmod(fd, st.st_mode & 0666) < 0)
        return -errno;
    ssize_t n = getxattr(from, ACL_NAME, acl, sizeof acl);
    if (n > 0 && fsetxattr(fd, ACL_NAME, acl, (size_t)n, 0) < 0)
        return -errno;
    return 0;
}

int depot_place(int folder, int fd, const char *temp, const char *name, int file)
{
    int rc = describe(fd, file);
    if (rc == 0 && fdatasync(fd) < 0)
        rc = -errno;
    if (rc == 0 && renameat(folder, temp, folder, name) < 0)
        rc = -errno;
    return rc;
}
