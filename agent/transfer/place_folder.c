/* place_folder: the folder that a lane places entries in: opened by its path below the root, made
 * where it is missing, freed of what forbids to write in it. Lane threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/store/attrs.h"
#include "agent/store/beneath.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

/* An ordinary user cannot look into his own folder of mode 000 or write into one of 0555: it gets
 * its permissions back at the end, as every folder does. */
static void folder_unlock(struct receiver *r, const char *path, size_t len)
{
    char proc[32];
    struct stat st;
    CLEANUP(fd_close) int fd = beneath_open(r->root, path, len, O_PATH | O_DIRECTORY, 0);
    if (fd < 0 || fstat(fd, &st) < 0 || st.st_uid != r->euid)
        return;
    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    (void)chmod(proc, (st.st_mode & 07777U) | 0700U);
}

/* Nothing can be made in an immutable folder; it gets its flags back with its metadata. */
static void way_unlock(struct receiver *r, const char *path, size_t len)
{
    for (size_t i = 0; i <= len; i++) {
        if (i < len && path[i] != '/')
            continue;
        CLEANUP(fd_close) int fd = beneath_open(r->root, path, i, O_RDONLY | O_DIRECTORY, 0);
        if (fd >= 0)
            (void)attrs_unlock_fd(fd);
    }
}

int place_open_folder(struct receiver *r, const char *path, size_t len, bool make, bool *retmade)
{
    *retmade = false;
    int fd = make ? beneath_mkdirs(r->root, path, len, true, retmade)
                  : beneath_open(r->root, path, len, O_RDONLY | O_DIRECTORY, 0);
    struct stat st;
    if (fd == -EPERM && make && r->privileged) {
        (void)attrs_unlock_fd(r->root);
        way_unlock(r, path, len);
        return beneath_mkdirs(r->root, path, len, true, retmade);
    }
    bool locked = fd == -EACCES || (fd >= 0 && make && !r->privileged && !*retmade &&
                                    fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700);
    if (!locked || r->spec->options.dry_run)
        return fd;
    if (fd >= 0)
        (void)fd_close(fd);
    for (size_t i = 0; i < len; i++) /* each folder on the way may be the one */
        if (path[i] == '/')
            folder_unlock(r, path, i);
    folder_unlock(r, path, len);
    return make ? beneath_mkdirs(r->root, path, len, true, retmade)
                : beneath_open(r->root, path, len, O_RDONLY | O_DIRECTORY, 0);
}

bool place_inherits(int folder_fd)
{
    struct stat st;
    if (fstat(folder_fd, &st) < 0 || (st.st_mode & S_ISGID) || attrs_inherited(folder_fd))
        return true;
    return fgetxattr(folder_fd, "system.posix_acl_default", NULL, 0) > 0;
}

void place_leave(struct rlane *l)
{
    if (l->at.fresh)
        place_fresh_leave(l);
    if (l->at.fd >= 0)
        (void)fd_close(l->at.fd);
    l->at.fd = -1;
    free(l->at.path);
    l->at.path = NULL;
}

bool place_is_at(const struct rlane *l, struct bytes folder)
{
    return l->at.fd >= 0 && l->at.len == folder.n && memcmp(l->at.path, folder.p, folder.n) == 0;
}

int place_enter(struct rlane *l, struct bytes folder, bool make)
{
    if (place_is_at(l, folder))
        return 0;
    place_leave(l);
    bool made = false;
    touched_enter(l->r->touched);
    int fd = place_open_folder(l->r, folder.p, folder.n, make, &made);
    touched_entered(l->r->touched, fd < 0 || l->r->fresh ? NULL : folder.p, folder.n);
    return fd < 0 ? fd : place_entered(l, folder, fd, made);
}

int place_entered(struct rlane *l, struct bytes folder, int fd, bool made)
{
    struct stat st;
    int rc = fstat(fd, &st) == 0 ? written_note(l->r, fd, st.st_dev) : -errno;
    if (rc < 0) {
        (void)fd_close(fd);
        return rc;
    }
    l->at = (struct place_folder){.path = xmemdup(folder.p, folder.n),
                                  .len = folder.n,
                                  .fd = fd,
                                  .inherits = place_inherits(fd),
                                  .made = made,
                                  .later = st.st_dev == l->r->root_dev ? l->r->root_later
                                                                       : naming_waits(fd)};
    return 0;
}
