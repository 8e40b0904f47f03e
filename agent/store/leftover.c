/* leftover: takes away what stands under a temporary name: a file, or a folder that a lane was
 * filling. Such a folder is our own, closed to others and flat; whoever owns the one above it may
 * have given its name to another, and what cannot be of ours stays. Any thread. */
#include "agent/store/leftover.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"

#define PASSES_MAX 8 /* others may keep adding to it; then it is theirs */

static bool is_ours(int fd, int above)
{
    struct stat st, up;
    return fstat(fd, &st) == 0 && fstat(above, &up) == 0 && st.st_dev == up.st_dev &&
           st.st_uid == geteuid() && !(st.st_mode & 077);
}

/* Its files; a folder in it is none of ours. How many went, or -errno. */
static int empty_once(int fd, uint64_t *retremoved)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), n = 0;
    DIR *d = copy < 0 ? NULL : fdopendir(copy);
    if (!d) {
        int err = errno;
        (void)fd_close(copy);
        return -err;
    }
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            n += unlinkat(fd, e->d_name, 0) == 0;
    (void)closedir(d);
    *retremoved += (uint64_t)n;
    return n;
}

int leftover_remove(int dir, const char *name, uint64_t *retremoved)
{
    if (unlinkat(dir, name, 0) == 0) {
        ++*retremoved;
        return 0;
    }
    if (errno != EISDIR && errno != EPERM) /* POSIX's word for it */
        return -errno;
    CLEANUP(fd_close)
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOTDIR ? -EPERM : -errno;
    if (!is_ours(fd, dir))
        return -EBUSY;
    int rc = 0, n = 1;
    for (unsigned i = 0; i < PASSES_MAX && n > 0; i++) {
        n = empty_once(fd, retremoved);
        rc = unlinkat(dir, name, AT_REMOVEDIR) == 0 ? 1 : n < 0 ? n : -errno;
        if (rc != -ENOTEMPTY && rc != -EEXIST)
            break;
    }
    *retremoved += rc == 1;
    return rc == 1 ? 0 : rc == -ENOTEMPTY || rc == -EEXIST ? -EBUSY : rc;
}
