/* links: open addressing over (dev, inode), 32 bytes an entry; paths in an unlinked file. */
#include "agent/transfer/links.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/store/meta.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

struct slot {
    uint64_t dev, ino;
    uint64_t at; /* offset of the path in the file; with left 0 a grave */
    uint32_t len;
    uint32_t left; /* names not yet seen */
};

struct links {
    pthread_mutex_t lock;
    struct slot *slots;
    size_t cap, used; /* used: with graves */
    int fd;
    uint64_t end;
};

int links_new(struct links **ret, const char *dir)
{
    char *path = xasprintf("%s/links-XXXXXX", dir);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd >= 0)
        (void)unlink(path);
    free(path);
    if (fd < 0)
        return -errno;
    struct links *l = xcalloc(1, sizeof *l);
    (void)pthread_mutex_init(&l->lock, NULL);
    l->fd = fd;
    l->cap = 1024;
    l->slots = xcalloc(l->cap, sizeof *l->slots);
    *ret = l;
    return 0;
}

struct links *links_free(struct links *l)
{
    if (!l)
        return NULL;
    (void)fd_close(l->fd);
    free(l->slots);
    (void)pthread_mutex_destroy(&l->lock);
    free(l);
    return NULL;
}

static struct slot *slot_of(struct slot *slots, size_t cap, uint64_t dev, uint64_t ino)
{
    uint64_t key[2] = {dev, ino};
    size_t i = XXH3_64bits(key, sizeof key) & (cap - 1);
    while (slots[i].len && !(slots[i].left && slots[i].dev == dev && slots[i].ino == ino))
        i = (i + 1) & (cap - 1);
    return &slots[i];
}

static void grow(struct links *l)
{
    size_t live = 0;
    for (size_t i = 0; i < l->cap; i++)
        live += l->slots[i].left > 0;
    size_t cap = live * 4 > l->cap ? l->cap * 2 : l->cap;
    struct slot *slots = xcalloc(cap, sizeof *slots);
    for (size_t i = 0; i < l->cap; i++)
        if (l->slots[i].left)
            *slot_of(slots, cap, l->slots[i].dev, l->slots[i].ino) = l->slots[i];
    free(l->slots);
    l->slots = slots;
    l->cap = cap;
    l->used = live;
}

static int remember(struct links *l, struct slot *s, const struct meta *m, const char *path,
                    size_t len)
{
    ssize_t n = pwrite(l->fd, path, len, (off_t)l->end);
    if (n != (ssize_t)len)
        return n < 0 ? -errno : -EIO;
    *s = (struct slot){m->dev, m->ino, l->end, (uint32_t)len, m->nlink - 1};
    l->end += len;
    l->used++;
    return 0;
}

static int recall(const struct links *l, struct slot *s, char **retpath, size_t *retlen)
{
    char *path = xmalloc((size_t)s->len + 1);
    if (pread(l->fd, path, s->len, (off_t)s->at) != (ssize_t)s->len) {
        free(path);
        return -EIO;
    }
    path[s->len] = '\0';
    s->left--;
    *retpath = path;
    *retlen = s->len;
    return 1;
}

int links_see(struct links *l, const struct meta *m, const char *path, size_t len, char **retpath,
              size_t *retlen)
{
    if (m->nlink < 2 || len == 0)
        return 0;
    (void)pthread_mutex_lock(&l->lock);
    if ((l->used + 1) * 2 > l->cap)
        grow(l);
    struct slot *s = slot_of(l->slots, l->cap, m->dev, m->ino);
    int rc = s->len ? recall(l, s, retpath, retlen) : remember(l, s, m, path, len);
    (void)pthread_mutex_unlock(&l->lock);
    return rc;
}
