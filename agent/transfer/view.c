/* view: looks at one entry of the destination without following links. Lane threads. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/transfer/compare_priv.h"
#include "agent/transfer/digest.h"
#include "agent/transfer/look.h"
#include "common/base/cleanup.h"

bool view_open(struct view *ret, int dir, struct bytes name)
{
    ret->dir = dir;
    memcpy(ret->name, name.p, name.n);
    ret->name[name.n] = '\0';
    return dir >= 0 && meta_stat(dir, ret->name, &ret->meta) == 0;
}

int view_xattrs_digest(const struct view *v, uint64_t *ret)
{
    return look_xattrs_digest(v->dir, v->name, v->meta.shown, ret);
}

int view_digest(const struct view *v, struct step *s, uint8_t ret[DIGEST_BYTES])
{
    CLEANUP(fd_close)
    int fd = openat(v->dir, v->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? -errno : digest_file(fd, v->meta.size, s, ret);
}

bool view_link_is(const struct view *v, struct bytes target)
{
    char here[SYMLINK_TARGET_MAX + 1];
    ssize_t n = readlinkat(v->dir, v->name, here, sizeof here);
    return n >= 0 && (size_t)n == target.n && memcmp(here, target.p, target.n) == 0;
}

uint64_t extras_count(int dir, const char *name)
{
    uint64_t count = 1;
    int fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d)
        return count;
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            count += e->d_type == DT_DIR ? extras_count(dirfd(d), e->d_name) : 1;
    (void)closedir(d);
    return count;
}
