/* written: the file systems that entries went to, and their sync: the root's, and those that are
 * mounted below it. Any thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

/* Under lock. */
static void written_grow(struct written *w)
{
    w->cap = w->cap ? 2 * w->cap : 16;
    w->devs = xrealloc(w->devs, w->cap * sizeof *w->devs);
    w->fds = xrealloc(w->fds, w->cap * sizeof *w->fds);
}

/* Under lock. From now on: a file system tells a descriptor of what failed since it was opened. */
static int written_add(struct written *w, int fd, uint64_t dev)
{
    if (w->n == WRITTEN_MAX)
        return -EMFILE;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return -errno;
    if (w->n == w->cap)
        written_grow(w);
    w->devs[w->n] = dev;
    w->fds[w->n++] = own;
    return 0;
}

int written_note(struct receiver *r, int fd, uint64_t dev)
{
    struct written *w = &r->written;
    if (dev == r->root_dev)
        return 0;
    (void)pthread_mutex_lock(&r->lock);
    unsigned i = 0;
    while (i < w->n && w->devs[i] != dev)
        i++;
    int rc = i < w->n ? 0 : written_add(w, fd, dev);
    (void)pthread_mutex_unlock(&r->lock);
    return rc;
}

/* One that an error has made read-only says that all went well, once that error was told: what it
 * shows is in memory only. */
static int sync_one(const struct receiver *r, int fd)
{
    struct statfs st;
    if (syncfs(fd) < 0 || fstatfs(fd, &st) < 0)
        return -errno;
    return (st.f_flags & ST_RDONLY) && !r->spec->options.dry_run ? -EROFS : 0;
}

int written_sync(struct receiver *r)
{
    const struct written *w = &r->written;
    (void)pthread_mutex_lock(&r->lock);
    unsigned n = w->n; /* what is in the table stays there; but it may grow elsewhere */
    (void)pthread_mutex_unlock(&r->lock);
    int rc = sync_one(r, r->root);
    for (unsigned i = 0; i < n; i++) {
        (void)pthread_mutex_lock(&r->lock);
        int fd = w->fds[i];
        (void)pthread_mutex_unlock(&r->lock);
        int one = sync_one(r, fd);
        rc = rc < 0 ? rc : one;
    }
    return rc;
}

void written_done(struct receiver *r)
{
    for (unsigned i = 0; i < r->written.n; i++)
        (void)fd_close(r->written.fds[i]);
    free(r->written.devs);
    free(r->written.fds);
}
