/* place_spool: what is done when all data is in place: folders' metadata, second names, flags that
 * forbid changes. Any thread; finish.c reads it. */
#include <string.h>

#include "agent/store/attrs.h"
#include "agent/transfer/receiver_priv.h"

static uint32_t depth_of(struct bytes path)
{
    uint32_t depth = path.n > 0;
    for (size_t i = 0; i < path.n; i++)
        depth += path.p[i] == '/';
    return depth;
}

int place_spool_folder(struct receiver *r, struct bytes folder, const struct meta *m,
                       struct bytes xattrs, bool existed)
{
    struct buf b;
    buf_init(&b, PATH_BYTES_MAX + XATTRS_MAX + 256);
    buf_put_u8(&b, existed);
    buf_put_blob(&b, folder.p, folder.n);
    meta_put(&b, m);
    buf_put_blob(&b, xattrs.p, xattrs.n);
    int rc = spool_put(r->folders, depth_of(folder), b.data, b.len);
    buf_done(&b);
    return rc;
}

int place_spool_link(struct rlane *l, struct bytes name, const struct meta *m, struct bytes target)
{
    struct buf b;
    buf_init(&b, 2 * PATH_BYTES_MAX + 512);
    buf_put_blob(&b, l->at.path, l->at.len);
    buf_put_blob(&b, name.p, name.n);
    meta_put(&b, m);
    buf_put_blob(&b, target.p, target.n);
    int rc = spool_put(l->r->links, 0, b.data, b.len);
    buf_done(&b);
    return rc;
}

int place_spool_late(struct receiver *r, struct bytes folder, struct bytes name,
                     const struct meta *m, struct bytes xattrs)
{
    uint32_t late = r->privileged ? attrs_late(xattrs.p, xattrs.n) : 0;
    if (!late)
        return 0;
    struct buf b;
    buf_init(&b, PATH_BYTES_MAX + 512);
    buf_put_blob(&b, folder.p, folder.n);
    buf_put_blob(&b, name.p, name.n);
    buf_put_u32(&b, m->nlink);
    buf_put_u32(&b, m->uid);
    buf_put_u32(&b, late);
    int rc = spool_put(r->late, 0, b.data, b.len);
    buf_done(&b);
    return rc;
}
