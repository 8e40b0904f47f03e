/* reflinks: open addressing over marks, 16 bytes each, within a window of a few slots; when the
 * table is as large as it may be, the window's first gives way. Rows in an unlinked file. */
#include "agent/transfer/reflinks.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/store/extents.h"
#include "agent/transfer/record.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define SLOTS_FIRST 1024U
#define SLOTS_MAX (1U << 20)
#define WINDOW 16U

struct slot {
    uint64_t mark; /* with at 0: nothing */
    uint64_t at;   /* of its row in the file, and one */
};

struct row {
    uint64_t ino;
    uint32_t len;
    uint32_t there;
};

struct reflinks {
    pthread_mutex_t lock;
    struct slot *slots;
    size_t cap, used;
    int fd;
    uint64_t end;
};

int reflinks_new(struct reflinks **ret, const char *dir)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/reflinks-XXXXXX", dir);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    (void)unlink(path);
    struct reflinks *r = xcalloc(1, sizeof *r);
    (void)pthread_mutex_init(&r->lock, NULL);
    r->fd = fd;
    r->cap = SLOTS_FIRST;
    r->slots = xcalloc(r->cap, sizeof *r->slots);
    *ret = r;
    return 0;
}

struct reflinks *reflinks_free(struct reflinks *r)
{
    if (!r)
        return NULL;
    (void)fd_close(r->fd);
    free(r->slots);
    (void)pthread_mutex_destroy(&r->lock);
    free(r);
    return NULL;
}

/* Marks are digests already. The slot that has it; else the first free one; else NULL. */
static struct slot *slot_of(struct slot *slots, size_t cap, uint64_t mark)
{
    for (size_t i = 0; i < WINDOW; i++) {
        struct slot *s = &slots[(mark + i) & (cap - 1)];
        if (s->at == 0 || s->mark == mark)
            return s;
    }
    return NULL;
}

static void put(struct reflinks *r, uint64_t mark, uint64_t at)
{
    struct slot *s = slot_of(r->slots, r->cap, mark);
    if (!s)
        s = &r->slots[mark & (r->cap - 1)];
    r->used += s->at == 0;
    *s = (struct slot){mark, at};
}

static void grow(struct reflinks *r)
{
    struct slot *old = r->slots;
    size_t n = r->cap;
    r->cap *= 2;
    r->used = 0;
    r->slots = xcalloc(r->cap, sizeof *r->slots);
    for (size_t i = 0; i < n; i++)
        if (old[i].at)
            put(r, old[i].mark, old[i].at);
    free(old);
}

static int row_write(struct reflinks *r, const struct reflink *own)
{
    struct row row = {own->ino, (uint32_t)own->len, own->there};
    int rc = file_write_at(r->fd, &row, sizeof row, r->end);
    return rc < 0 ? rc : file_write_at(r->fd, own->path, own->len, r->end + sizeof row);
}

/* Under lock. */
static int add(struct reflinks *r, const uint64_t *marks, unsigned n, const struct reflink *own)
{
    bool some = false;
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < n; i++) {
        const struct slot *s = slot_of(r->slots, r->cap, marks[i]);
        if (s && s->at)
            continue;
        rc = some ? 0 : row_write(r, own);
        some = true;
        if (rc == 0)
            put(r, marks[i], r->end + 1);
        if (rc == 0 && r->used * 2 > r->cap && r->cap < SLOTS_MAX)
            grow(r);
    }
    if (some && rc == 0)
        r->end += sizeof(struct row) + own->len;
    return rc;
}

int reflinks_add(struct reflinks *r, const uint64_t *marks, unsigned n, const struct reflink *own)
{
    (void)pthread_mutex_lock(&r->lock);
    int rc = add(r, marks, n, own);
    (void)pthread_mutex_unlock(&r->lock);
    return rc;
}

/* Under lock. The row that most of them lead to; 0: none. */
static uint64_t most_of(const struct reflinks *r, const uint64_t *marks, unsigned n)
{
    uint64_t at[EXTENT_MARKS], best = 0;
    unsigned found = 0, most = 0;
    for (unsigned i = 0; i < n && i < EXTENT_MARKS; i++) {
        const struct slot *s = slot_of(r->slots, r->cap, marks[i]);
        if (s && s->at)
            at[found++] = s->at;
    }
    for (unsigned i = 0; i < found; i++) {
        unsigned votes = 0;
        for (unsigned k = 0; k < found; k++)
            votes += at[k] == at[i];
        if (votes > most)
            best = at[i];
        most = votes > most ? votes : most;
    }
    return best;
}

static int row_read(const struct reflinks *r, uint64_t at, struct reflink *ret)
{
    struct row row;
    if (pread(r->fd, &row, sizeof row, (off_t)at) != sizeof row || row.len > PATH_BYTES_MAX)
        return -EIO;
    char *path = xmalloc((size_t)row.len + 1);
    if (pread(r->fd, path, row.len, (off_t)(at + sizeof row)) != (ssize_t)row.len) {
        free(path);
        return -EIO;
    }
    path[row.len] = '\0';
    *ret = (struct reflink){path, row.len, row.ino, row.there};
    return 1;
}

int reflinks_see(struct reflinks *r, const uint64_t *marks, unsigned n, const struct reflink *own,
                 struct reflink *ret)
{
    (void)pthread_mutex_lock(&r->lock);
    uint64_t at = most_of(r, marks, n);
    int rc = at ? row_read(r, at - 1, ret) : add(r, marks, n, own);
    (void)pthread_mutex_unlock(&r->lock);
    return rc;
}
