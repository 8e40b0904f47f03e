/* basis: the file here that an incoming one shares blocks with at the source, as the source says.
 * Believed only of what this pair's catalogue has, as it was placed: nothing else below the root is
 * anybody's to ask about. Lane threads. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"

static struct bytes folder_of(struct bytes path, struct bytes *retname)
{
    const char *slash = memrchr(path.p, '/', path.n);
    size_t len = slash ? (size_t)(slash - path.p) : 0, from = slash ? len + 1 : 0;
    *retname = (struct bytes){path.p + from, path.n - from};
    return (struct bytes){path.p, len};
}

static const struct catalogue_entry *row_find(struct rlane *l, const struct begin *g)
{
    struct bytes name, folder = folder_of(g->basis, &name);
    const struct catalogue_entry *row = rows_find(l->r, &l->bases, folder, name);
    return row && row->ino == g->basis_ino && S_ISREG(row->mode) ? row : NULL;
}

/* It may have come in this very session: then it waits for its name, and its row for a sync. */
static const struct catalogue_entry *row_settled(struct rlane *l, const struct begin *g)
{
    struct bytes name, folder = folder_of(g->basis, &name);
    const struct catalogue_entry *row = row_find(l, g);
    if (row)
        return row;
    rows_done(&l->bases);
    row = row_find(l, g);
    if (row || durable_settle_in(l->r, folder) < 0)
        return row;
    rows_done(&l->bases);
    return row_find(l, g);
}

static bool is_as_placed(int fd, const struct catalogue_entry *row, uint64_t *retsize)
{
    struct stat st;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return false;
    *retsize = (uint64_t)st.st_size;
    return *retsize == row->size && st.st_mtim.tv_sec == row->mtime.tv_sec &&
           st.st_mtim.tv_nsec == row->mtime.tv_nsec;
}

int basis_open(struct rlane *l, const struct begin *g, uint64_t *retsize)
{
    const struct catalogue_entry *row = row_settled(l, g);
    if (!row)
        return -1;
    FAULT_POINT("basis-found");
    int fd = beneath_open(l->r->root, g->basis.p, g->basis.n, O_RDONLY | O_NONBLOCK, 0);
    if (fd >= 0 && !is_as_placed(fd, row, retsize))
        fd = fd_close(fd);
    if (fd < 0) {
        *retsize = 0;
        return -1;
    }
    return fd;
}
