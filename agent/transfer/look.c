/* look: attributes by name first, since most entries have none and an open costs more. */
#include "agent/transfer/look.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/store/attrs.h"
#include "agent/store/meta.h"
#include "agent/store/remap.h"
#include "common/base/cleanup.h"

#define NAME_MAX_BYTES 255

static _Thread_local bool own_cwd; /* nobody else's working folder moves with this thread's */

bool look_detach(void)
{
    own_cwd = unshare(CLONE_FS) == 0;
    return own_cwd;
}

/* There is no listxattrat() before Linux 6.13. The way over /proc takes two thirds of the time of a
 * full scan's looks; from the thread's own working folder there is no way to walk. */
static ssize_t list_at(int dir, const char *name)
{
    char path[32 + NAME_MAX_BYTES + 1];
    if (own_cwd && fchdir(dir) == 0)
        return llistxattr(name, NULL, 0);
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", dir, name);
    return llistxattr(path, NULL, 0);
}

static int look(int dir, const char *name, uint32_t shown, const struct meta *m,
                const struct idmap *map, uint64_t *ret)
{
    ssize_t n = list_at(dir, name);
    *ret = 0;
    if (!shown && (n == 0 || (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS))))
        return 0;
    CLEANUP(fd_close) int fd = openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    struct buf b;
    buf_init(&b, XATTRS_MAX + 1);
    int rc = xattrs_read_with(fd, &(struct attrs){.flags = shown}, &b);
    unsigned losses = 0; /* told when it is sent */
    if (rc == 0 && map)
        remap_attrs(map, m, &b, &losses);
    if (rc == 0)
        *ret = xattrs_digest(b.data, b.len);
    buf_done(&b);
    return rc;
}

int look_xattrs_digest(int dir, const char *name, uint32_t shown, uint64_t *ret)
{
    return look(dir, name, shown, NULL, NULL, ret);
}

int look_mapped_digest(int dir, const char *name, const struct meta *m, const struct idmap *map,
                       uint64_t *ret)
{
    return look(dir, name, m->shown, m, map, ret);
}
