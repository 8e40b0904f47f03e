/* written: the file systems that entries went to, and their sync: the root's, and those that are
 * mounted below it. Any thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

int written_note(struct receiver *r, int fd, uint64_t dev)
{
    struct written *w = &r->written;
    if (dev == r->root_dev)
        return 0;
    int rc = 0;
    (void)pthread_mutex_lock(&r->lock);
    unsigned i = 0;
    while (i < w->n && w->devs[i] != dev)
        i++;
    if (i == w->n && w->n == WRITTEN_MAX) {
        w->more = true;
    } else if (i == w->n) {
        /* From now on: a file system tells a descriptor of what failed since it was opened. */
        int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        rc = own < 0 ? -errno : 0;
        if (rc == 0) {
            w->devs[w->n] = dev;
            w->fds[w->n++] = own;
        }
    }
    (void)pthread_mutex_unlock(&r->lock);
    return rc;
}

int written_sync(struct receiver *r)
{
    struct written *w = &r->written;
    (void)pthread_mutex_lock(&r->lock);
    unsigned n = w->n; /* what is in the table stays there */
    bool more = w->more;
    (void)pthread_mutex_unlock(&r->lock);
    int rc = syncfs(r->root) == 0 ? 0 : -errno;
    for (unsigned i = 0; i < n; i++)
        if (syncfs(w->fds[i]) < 0 && rc == 0)
            rc = -errno;
    if (more)
        sync();
    return rc;
}

void written_done(struct receiver *r)
{
    for (unsigned i = 0; i < r->written.n; i++)
        (void)fd_close(r->written.fds[i]);
}
