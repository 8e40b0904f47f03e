/* rename: RENAME_NOREPLACE, and what is next to it where there is none. Any thread. */
#include "agent/store/rename.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

int rename_new(int from, const char *name, int to, const char *new_name)
{
    struct stat st;
    if (renameat2(from, name, to, new_name, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -errno;
    if (fstatat(to, new_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return -EEXIST;
    if (errno != ENOENT)
        return -errno;
    return renameat(from, name, to, new_name) < 0 ? -errno : 0;
}
