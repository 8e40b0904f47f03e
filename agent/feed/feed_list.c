/* feed_list: paths in one buffer and an array that is sorted so that a folder stands right before
 * all that is below it. */
#include "agent/feed/feed_list.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/base/mem.h"

#define MOVES_MAX 4096U /* they are looked up one by one */

struct item {
    uint32_t at, len;
    bool whole;
};

struct inode {
    uint64_t dev, ino;
};

struct move {
    char *from, *to;
    size_t from_len, to_len;
};

struct feed_list {
    struct buf paths;
    struct item *items;
    size_t count, cap;
    struct move *moves;
    size_t nmoves, moves_cap;
    struct inode *inodes;
    size_t ninodes, inodes_cap;
};

struct feed_list *feed_list_new(void)
{
    struct feed_list *l = xcalloc(1, sizeof *l);
    buf_init(&l->paths, FEED_LIST_BYTES);
    return l;
}

static void move_done(struct move *m)
{
    free(m->from);
    free(m->to);
}

struct feed_list *feed_list_free(struct feed_list *l)
{
    if (!l)
        return NULL;
    for (size_t i = 0; i < l->nmoves; i++)
        move_done(&l->moves[i]);
    free(l->moves);
    free(l->inodes);
    free(l->items);
    buf_done(&l->paths);
    free(l);
    return NULL;
}

int feed_list_add(struct feed_list *l, const char *path, size_t len, bool whole)
{
    if (l->count >= FEED_LIST_PATHS)
        return -E2BIG;
    if (l->count == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 256;
        l->items = xrealloc(l->items, l->cap * sizeof *l->items);
    }
    struct item i = {(uint32_t)l->paths.len, (uint32_t)len, whole};
    buf_put(&l->paths, path, len);
    if (l->paths.overflow)
        return -E2BIG;
    l->items[l->count++] = i;
    return 0;
}

int feed_list_add_inode(struct feed_list *l, uint64_t dev, uint64_t ino)
{
    if (l->ninodes > 0 && l->inodes[l->ninodes - 1].ino == ino &&
        l->inodes[l->ninodes - 1].dev == dev)
        return 0;
    if (l->ninodes >= FEED_LIST_INODES)
        return -E2BIG;
    if (l->ninodes == l->inodes_cap) {
        l->inodes_cap = l->inodes_cap ? l->inodes_cap * 2 : 64;
        l->inodes = xrealloc(l->inodes, l->inodes_cap * sizeof *l->inodes);
    }
    l->inodes[l->ninodes++] = (struct inode){dev, ino};
    return 0;
}

void feed_list_inodes(const struct feed_list *l, void (*fn)(void *arg, uint64_t dev, uint64_t ino),
                      void *arg)
{
    for (size_t i = 0; i < l->ninodes; i++)
        fn(arg, l->inodes[i].dev, l->inodes[i].ino);
}

/* ── moves ── */

/* Names that moved more than once keep where they were first. */
static struct move *move_find(const struct feed_list *l, const char *to, size_t len)
{
    for (size_t i = l->nmoves; i-- > 0;)
        if (l->moves[i].to_len == len && memcmp(l->moves[i].to, to, len) == 0)
            return &l->moves[i];
    return NULL;
}

void feed_list_moved(struct feed_list *l, const char *from, size_t from_len, const char *to,
                     size_t to_len)
{
    struct move m = {xmemdup(from, from_len), xmemdup(to, to_len), from_len, to_len};
    struct move *earlier = move_find(l, from, from_len);
    if (earlier) { /* what stands at from now came from elsewhere */
        free(m.from);
        m.from = earlier->from;
        m.from_len = earlier->from_len;
        free(earlier->to);
        *earlier = l->moves[--l->nmoves];
    }
    struct move *same = move_find(l, to, to_len);
    if (same) {
        move_done(same);
        *same = m;
        return;
    }
    if (l->nmoves >= MOVES_MAX) { /* only a hint */
        move_done(&m);
        return;
    }
    if (l->nmoves == l->moves_cap) {
        l->moves_cap = l->moves_cap ? l->moves_cap * 2 : 64;
        l->moves = xrealloc(l->moves, l->moves_cap * sizeof *l->moves);
    }
    l->moves[l->nmoves++] = m;
}

const char *feed_list_origin(const struct feed_list *l, const char *path, size_t len,
                             size_t *retlen)
{
    const struct move *m = move_find(l, path, len);
    if (!m)
        return NULL;
    *retlen = m->from_len;
    return m->from;
}

/* ── order ── */

/* '/' before any other byte: what is below a folder comes right after it. */
static int compare(const char *a, size_t an, const char *b, size_t bn)
{
    size_t n = an < bn ? an : bn;
    for (size_t i = 0; i < n; i++) {
        if (a[i] == b[i])
            continue;
        unsigned char x = a[i] == '/' ? 0 : (unsigned char)a[i];
        unsigned char y = b[i] == '/' ? 0 : (unsigned char)b[i];
        return x < y ? -1 : 1;
    }
    return an < bn ? -1 : an > bn;
}

static const char *path_of(const struct feed_list *l, const struct item *i)
{
    return l->paths.data ? (const char *)l->paths.data + i->at : "";
}

static int by_path(const void *a, const void *b, void *arg)
{
    const struct feed_list *l = arg;
    const struct item *x = a, *y = b;
    int rc = compare(path_of(l, x), x->len, path_of(l, y), y->len);
    return rc ? rc : y->whole - x->whole; /* of two alike the whole one stands first */
}

static bool is_below(const char *path, size_t len, const char *top, size_t top_len)
{
    return top_len == 0 ||
           (len > top_len && path[top_len] == '/' && memcmp(path, top, top_len) == 0);
}

void feed_list_settle(struct feed_list *l)
{
    if (l->count == 0)
        return;
    qsort_r(l->items, l->count, sizeof *l->items, by_path, l);
    size_t kept = 0;
    const struct item *top = NULL;
    for (size_t i = 0; i < l->count; i++) {
        const struct item x = l->items[i];
        const struct item *last = kept ? &l->items[kept - 1] : NULL;
        if (last && compare(path_of(l, last), last->len, path_of(l, &x), x.len) == 0)
            continue;
        if (top && is_below(path_of(l, &x), x.len, path_of(l, top), top->len))
            continue;
        l->items[kept] = x;
        if (x.whole)
            top = &l->items[kept];
        kept++;
    }
    l->count = kept;
}

size_t feed_list_count(const struct feed_list *l)
{
    return l->count;
}

int feed_list_each(const struct feed_list *l,
                   int (*fn)(void *arg, const char *path, size_t len, bool whole), void *arg)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < l->count; i++)
        rc = fn(arg, path_of(l, &l->items[i]), l->items[i].len, l->items[i].whole);
    return rc;
}

static const struct item *find(const struct feed_list *l, const char *path, size_t len)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int rc = compare(path_of(l, &l->items[mid]), l->items[mid].len, path, len);
        if (rc == 0)
            return &l->items[mid];
        if (rc < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

bool feed_list_is_whole(const struct feed_list *l, const char *path, size_t len)
{
    const struct item *i = find(l, path, len);
    return i && i->whole;
}

bool feed_list_covers(const struct feed_list *l, const char *path, size_t len)
{
    const struct item *i = find(l, path, len);
    while (!i) {
        const char *slash = memrchr(path, '/', len);
        if (len == 0)
            return false;
        len = slash ? (size_t)(slash - path) : 0;
        i = find(l, path, len);
        if (i && !i->whole)
            i = NULL;
    }
    return true;
}
