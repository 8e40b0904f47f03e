/* moved: entries of the source that the destination has under another name. It says where; if they
 * are there no more at the source it is told to rename them, and gets them listed once more, so
 * that what stands there then is compared like anything else. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/store/beneath.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/filter.h"
#include "common/base/mem.h"

#define MOVES_BYTES (768U << 10)
#define AGAIN_BYTES (300U << 10)

/* A run of only what failed looks at single entries, and not at where they were. */
bool moved_can(const struct sender *s)
{
    return !s->source && !s->spec->options.only_failed;
}

int moved_take(struct listing *l, uint32_t item, struct cursor *c)
{
    struct origin o;
    int rc = origin_get(c, &o);
    if (rc < 0)
        return -EPROTO;
    if (!l->came)
        l->came = xcalloc(l->count, sizeof *l->came);
    l->came[l->ncame++] = (struct came){.item = item,
                                        .from = (uint32_t)l->origins.len,
                                        .from_len = (uint32_t)o.from.n,
                                        .same = o.same,
                                        .ctime = o.ctime};
    buf_put(&l->origins, o.from.p, o.from.n);
    return l->origins.overflow ? -EPROTO : 0;
}

/* What stands there now. 0: nothing. -errno: nobody knows. */
static int inode_at(const struct sender *s, struct bytes path, uint64_t *ret)
{
    char name[NAME_BYTES_MAX + 1];
    struct stat st;
    const char *slash = memrchr(path.p, '/', path.n);
    size_t parent = slash ? (size_t)(slash - path.p) : 0, skip = slash ? parent + 1 : 0;
    *ret = 0;
    memcpy(name, path.p + skip, path.n - skip);
    name[path.n - skip] = '\0';
    CLEANUP(fd_close) int fd = beneath_open(s->root, path.p, parent, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP ? 0 : fd;
    if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    *ret = st.st_ino;
    return 0;
}

/* Is the entry what the destination has at path, and gone from there? Numbers of inodes are used
 * again: one that is younger than what was seen is another file. */
static bool came_from(const struct sender *s, const struct meta *m, const struct came *k,
                      struct bytes path, uint64_t *retother)
{
    const struct filter *x = s->spec->options.filter;
    struct timespec born = m->btime;
    if (path.n == 0 || (x && filter_path(x, path.p, path.n, S_ISDIR(m->mode))))
        return false;
    bool told = born.tv_sec != 0 || born.tv_nsec != 0;
    bool older = born.tv_sec < k->ctime.tv_sec ||
                 (born.tv_sec == k->ctime.tv_sec && born.tv_nsec <= k->ctime.tv_nsec);
    if (told ? !older : !k->same || S_ISDIR(m->mode))
        return false;
    return inode_at(s, path, retother) == 0 && *retother != m->ino;
}

int moved_tell(struct worker *w, struct listing *l)
{
    struct folder *f = l->folder;
    uint32_t n = 0;
    worker_head(&w->record);
    moves_head_put(&w->record, (struct bytes){f->path, f->len});
    size_t count_at = w->record.len;
    buf_put_u32(&w->record, 0);
    for (uint32_t i = 0; i < l->ncame && w->record.len < MOVES_BYTES; i++) {
        const struct came *k = &l->came[i];
        const struct item *it = &l->items[k->item];
        const char *name = (const char *)l->names.data + it->name;
        struct move m = {
            .name = {name,                                    strlen(name)},
            .from = {(const char *)l->origins.data + k->from, k->from_len },
            .ino = it->meta.ino
        };
        if (!came_from(w->s, &it->meta, k, m.from, &m.other_ino))
            continue;
        move_put(&w->record, &m);
        n++;
    }
    if (n == 0)
        return 0;
    const uint8_t le[4] = {(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)(n >> 16), (uint8_t)(n >> 24)};
    memcpy(w->record.data + count_at, le, sizeof le);
    FAULT_POINT("moves-told");
    return worker_send(w, REC_MOVES, &w->record);
}

/* From *at on, as many as fit. */
static int again_block(struct worker *w, const struct listing *old, uint32_t *at)
{
    struct folder *f = old->folder;
    uint8_t flags = LISTING_FIRST | (f->changed ? LISTING_KNOWN : 0);
    struct listing *l = walk_listing_new(f);
    size_t flags_at = walk_block_begin(w, f, flags), count_at = w->record.len - 4;
    int rc = 0;
    for (; rc == 0 && *at < old->ncame && w->record.len < count_at + AGAIN_BYTES; (*at)++) {
        const char *name = (const char *)old->names.data + old->items[old->came[*at].item].name;
        rc = walk_list_one(w, l, name, ENTRY_SETTLED);
    }
    if (rc < 0) {
        listing_free(w, l);
        return rc;
    }
    return walk_block_send(w, l, flags_at, count_at, flags | LISTING_LAST);
}

int moved_again(struct worker *w)
{
    struct listing *old = w->again;
    int rc = 0;
    w->again = old->next;
    for (uint32_t at = 0; rc == 0 && at < old->ncame;)
        rc = again_block(w, old, &at);
    listing_free(w, old);
    return rc;
}

void moved_done(struct worker *w)
{
    while (w->again) {
        struct listing *l = w->again;
        w->again = l->next;
        listing_free(w, l);
    }
}
