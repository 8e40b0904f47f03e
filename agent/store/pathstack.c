/* pathstack: last-in-first-out work list of folders for several workers, with its oldest part on
 * disk. Not a queue of results. Any thread; the mutex is held over the rare spill. */
#include "agent/store/pathstack.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define MIN_BYTES 4096

/* In memory a record is head, path, and its length again, so that it can be taken from the end. */
struct head {
    uint32_t len, flags;
};
#define AROUND (sizeof(struct head) + sizeof(uint32_t))

struct segment { /* a run of whole records in the spill file */
    off_t at;
    size_t len;
};

struct pathstack {
    pthread_mutex_t lock;
    pthread_cond_t moved; /* something to pop, or the end */
    uint8_t *data;
    size_t len, cap, max;
    struct segment *segments;
    size_t nsegments;
    char *spill_dir;
    int spill; /* unlinked file; -1 until first needed */
    unsigned busy, waiting;
    bool aborted;
};

int pathstack_new(struct pathstack **ret, const char *spill_dir, size_t max_bytes)
{
    struct pathstack *s = xcalloc(1, sizeof *s);
    s->max = max_bytes < MIN_BYTES ? MIN_BYTES : max_bytes;
    s->spill_dir = xstrdup(spill_dir);
    s->spill = -1;
    int rc = pthread_mutex_init(&s->lock, NULL);
    if (rc == 0)
        rc = pthread_cond_init(&s->moved, NULL);
    if (rc != 0) {
        free(s->spill_dir);
        free(s);
        return -rc;
    }
    *ret = s;
    return 0;
}

struct pathstack *pathstack_free(struct pathstack *s)
{
    if (!s)
        return NULL;
    (void)pthread_cond_destroy(&s->moved);
    (void)pthread_mutex_destroy(&s->lock);
    (void)fd_close(s->spill);
    free(s->spill_dir);
    free(s->segments);
    free(s->data);
    free(s);
    return NULL;
}

static int open_spill(struct pathstack *s)
{
    int fd = open(s->spill_dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR)) {
        CLEANUP(mem_free) char *path = xasprintf("%s/.godwit-stack-XXXXXX", s->spill_dir);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            (void)unlink(path);
    }
    if (fd < 0)
        return -errno;
    s->spill = fd;
    return 0;
}

static int read_all(int fd, uint8_t *p, size_t n, off_t at)
{
    while (n > 0) {
        ssize_t got = pread(fd, p, n, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EIO;
        p += got;
        at += got;
        n -= (size_t)got;
    }
    return 0;
}

static size_t oldest_half(const struct pathstack *s)
{
    size_t at = 0;
    while (at < s->len / 2) {
        struct head h;
        memcpy(&h, s->data + at, sizeof h);
        at += AROUND + h.len;
    }
    return at;
}

static int spill_oldest(struct pathstack *s)
{
    int rc = s->spill < 0 ? open_spill(s) : 0;
    if (rc < 0)
        return rc;
    size_t n = oldest_half(s);
    const struct segment *last = s->nsegments ? &s->segments[s->nsegments - 1] : NULL;
    struct segment seg = {.at = last ? last->at + (off_t)last->len : 0, .len = n};
    rc = file_write_at(s->spill, s->data, n, (uint64_t)seg.at);
    if (rc < 0)
        return rc;
    s->segments = xrealloc(s->segments, (s->nsegments + 1) * sizeof seg);
    s->segments[s->nsegments++] = seg;
    memmove(s->data, s->data + n, s->len - n);
    s->len -= n;
    return 0;
}

/* Only when memory is empty: what is on disk is older than all that is in memory. */
static int unspill_newest(struct pathstack *s)
{
    struct segment seg = s->segments[s->nsegments - 1];
    int rc = read_all(s->spill, s->data, seg.len, seg.at); /* it came out of this buffer */
    if (rc < 0)
        return rc;
    s->len = seg.len;
    s->nsegments--;
    (void)!ftruncate(s->spill, seg.at);
    return 0;
}

static void append(struct pathstack *s, const char *path, uint32_t len, uint32_t flags)
{
    if (s->cap - s->len < AROUND + len) {
        s->cap = s->cap * 2 + AROUND + len;
        s->data = xrealloc(s->data, s->cap);
    }
    const struct head h = {.len = len, .flags = flags};
    uint8_t *to = s->data + s->len;
    memcpy(to, &h, sizeof h);
    if (len)
        memcpy(to + sizeof h, path, len);
    memcpy(to + sizeof h + len, &len, sizeof len);
    s->len += AROUND + len;
}

int pathstack_push(struct pathstack *s, const char *path, size_t len, uint32_t flags)
{
    if (len > UINT32_MAX / 2)
        return -ENAMETOOLONG;
    (void)pthread_mutex_lock(&s->lock);
    int rc = s->aborted ? -ECANCELED : 0;
    if (rc == 0 && s->len > 0 && s->len + AROUND + len > s->max)
        rc = spill_oldest(s);
    if (rc == 0) {
        append(s, path, (uint32_t)len, flags);
        if (s->waiting)
            (void)pthread_cond_signal(&s->moved);
    }
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

static void take(struct pathstack *s, char **retpath, size_t *retlen, uint32_t *retflags)
{
    uint32_t len;
    struct head h;
    memcpy(&len, s->data + s->len - sizeof len, sizeof len);
    uint8_t *at = s->data + s->len - AROUND - len;
    memcpy(&h, at, sizeof h);
    *retpath = xmemdup(at + sizeof h, len);
    *retlen = len;
    *retflags = h.flags;
    s->len -= AROUND + len;
    s->busy++;
}

/* 1: there is one in memory. 0: the walk is over. -EAGAIN, -ECANCELED or what reading back said. */
static int await_one(struct pathstack *s, bool wait)
{
    for (;;) {
        if (s->aborted)
            return -ECANCELED;
        if (s->len > 0)
            return 1;
        if (s->nsegments > 0) {
            int rc = unspill_newest(s);
            return rc < 0 ? rc : 1;
        }
        if (s->busy == 0)
            return 0;
        if (!wait)
            return -EAGAIN;
        s->waiting++;
        (void)pthread_cond_wait(&s->moved, &s->lock);
        s->waiting--;
    }
}

int pathstack_pop(struct pathstack *s, bool wait, char **retpath, size_t *retlen,
                  uint32_t *retflags)
{
    (void)pthread_mutex_lock(&s->lock);
    int rc = await_one(s, wait);
    if (rc == 1)
        take(s, retpath, retlen, retflags);
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

void pathstack_done(struct pathstack *s)
{
    (void)pthread_mutex_lock(&s->lock);
    if (s->busy > 0)
        s->busy--;
    if (s->busy == 0)
        (void)pthread_cond_broadcast(&s->moved);
    (void)pthread_mutex_unlock(&s->lock);
}

void pathstack_abort(struct pathstack *s)
{
    (void)pthread_mutex_lock(&s->lock);
    s->aborted = true;
    (void)pthread_cond_broadcast(&s->moved);
    (void)pthread_mutex_unlock(&s->lock);
}
