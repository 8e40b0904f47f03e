/* remove: takes away one entry with all that is below it, whatever its depth, with few descriptors;
 * it never follows a link nor enters another file system. Any thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/attrs.h"
#include "agent/store/beneath.h"
#include "agent/store/beneath_priv.h"
#include "agent/store/meta_priv.h"
#include "agent/store/rename.h"
#include "common/base/cleanup.h"

#define LEVELS_MAX 64 /* descriptors held at once */
#define PASSES_MAX 8  /* others may keep adding to a folder; then it is theirs */

/* Folders deeper than LEVELS_MAX are first moved up into the top folder, which is going anyway: so
 * no depth needs more descriptors, and a crash leaves them where the next attempt finds them. */
struct removal {
    int top; /* the folder that is removed */
    uint64_t hoisted, removed;
    bool unprivileged;
    bool (*stop)(const void *arg);
    const void *arg;
};

static int remove_entry(struct removal *r, int dir, const char *name, int level);

/* A user's own folder of mode 0555 or 000 must open and let go of its entries. */
static int open_folder(struct removal *r, int dir, const char *name)
{
    if (r->unprivileged) {
        CLEANUP(fd_close)
        int fd = beneath_openat2(dir, name, O_PATH | O_DIRECTORY, 0, RESOLVE_NO_XDEV);
        if (fd >= 0) {
            char path[PROC_FD_MAX];
            proc_fd_path(fd, path);
            (void)chmod(path, 0700);
        }
    }
    return beneath_openat2(dir, name, O_RDONLY | O_DIRECTORY, 0, RESOLVE_NO_XDEV);
}

static int remove_pass(struct removal *r, int fd, int level, uint64_t *retremoved)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        int err = errno;
        (void)fd_close(copy);
        return -err;
    }
    uint64_t before = r->removed + r->hoisted;
    int rc = 0;
    for (struct dirent *e; rc == 0 && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        rc = r->stop && r->stop(r->arg) ? -ECANCELED : remove_entry(r, fd, e->d_name, level);
    }
    (void)closedir(d);
    *retremoved = r->removed + r->hoisted - before;
    return rc;
}

/* Empties the folder: again while there was something to take. */
static int empty_folder(struct removal *r, int fd, int level)
{
    uint64_t removed = 1;
    int rc = 0;
    while (rc == 0 && removed > 0)
        rc = remove_pass(r, fd, level, &removed);
    return rc;
}

static int hoist(struct removal *r, int dir, const char *name)
{
    for (;;) {
        char to[48];
        (void)snprintf(to, sizeof to, ".godwit-gone-%llu", (unsigned long long)r->hoisted++);
        int rc = rename_new(dir, name, r->top, to);
        if (rc != -EEXIST)
            return rc;
    }
}

static int remove_folder(struct removal *r, int dir, const char *name, int level)
{
    if (level >= LEVELS_MAX)
        return hoist(r, dir, name);
    CLEANUP(fd_close) int fd = open_folder(r, dir, name);
    if (fd < 0)
        return fd == -EXDEV ? -EBUSY : fd;
    if (level == 0)
        r->top = fd;
    for (int i = 0; i < PASSES_MAX; i++) {
        int rc = empty_folder(r, fd, level + 1);
        if (rc < 0)
            return rc;
        if (unlinkat(dir, name, AT_REMOVEDIR) == 0) {
            r->removed++;
            return 0;
        }
        if (errno == EPERM && attrs_unlock(dir, name))
            continue;
        if (errno != ENOTEMPTY && errno != EEXIST)
            return errno == ENOENT ? 0 : -errno;
    }
    return -ENOTEMPTY;
}

static int remove_entry(struct removal *r, int dir, const char *name, int level)
{
    if (unlinkat(dir, name, 0) == 0) {
        r->removed++;
        return 0;
    }
    if (errno == ENOENT)
        return 0;
    if (errno != EISDIR && errno != EPERM) /* POSIX names both for a folder */
        return -errno;
    int err = errno;
    if (err == EPERM) { /* free already: by another thread of ours */
        (void)attrs_unlock(dir, name);
        if (unlinkat(dir, name, 0) == 0) {
            r->removed++;
            return 0;
        }
    }
    if (unlinkat(dir, name, AT_REMOVEDIR) == 0) {
        r->removed++;
        return 0;
    }
    if (errno == ENOTDIR)
        return -err;
    return remove_folder(r, dir, name, level);
}

int beneath_remove(int dir, const char *name, uint64_t *retremoved)
{
    return beneath_remove_unless(dir, name, NULL, NULL, retremoved);
}

int beneath_remove_unless(int dir, const char *name, bool (*stop)(const void *arg), const void *arg,
                          uint64_t *retremoved)
{
    if (!beneath_valid_name(name, strnlen(name, 4096)))
        return -EINVAL;
    struct removal r = {.top = -1, .unprivileged = geteuid() != 0, .stop = stop, .arg = arg};
    int rc = remove_entry(&r, dir, name, 0);
    *retremoved += r.removed;
    return rc;
}
