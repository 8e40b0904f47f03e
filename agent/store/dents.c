/* dents: getdents64 with a large buffer. One thread each. */
#include "agent/store/dents.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

void dents_init(struct dents *d, int fd)
{
    d->fd = fd;
    d->at = d->len = 0;
}

static bool is_dot(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

int dents_next(struct dents *d, struct dents_entry *ret)
{
    for (;;) {
        if (d->at >= d->len) {
            ssize_t n = getdents64(d->fd, d->bytes, sizeof d->bytes);
            if (n <= 0)
                return n < 0 ? -errno : 0;
            d->at = 0;
            d->len = (size_t)n;
        }
        const struct dirent64 *e = (const void *)(d->bytes + d->at);
        d->at += e->d_reclen;
        if (is_dot(e->d_name))
            continue;
        *ret = (struct dents_entry){.name = e->d_name, .ino = e->d_ino, .type = e->d_type};
        ret->len = strlen(e->d_name);
        return 1;
    }
}
