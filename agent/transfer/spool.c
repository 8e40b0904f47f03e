/* spool: one file; the rows of each depth are chained backwards. */
#include "agent/transfer/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define ROW_MAX (4U << 20)
#define PENDING_MAX (256U << 10)
#define DEPTH_MAX (64U << 10)

struct row_head {
    uint64_t before; /* offset + 1 of the row before in this depth; 0: none */
    uint64_t len;
};

struct spool {
    pthread_mutex_t lock;
    int fd;
    uint64_t written, count; /* bytes in the file; rows */
    uint8_t *pending;
    size_t npending;
    uint64_t *last; /* offset + 1 of the latest row of each depth */
    uint32_t depths;
    bool sealed; /* is read: nothing may be added, and last does not move */
};

int spool_new(struct spool **ret, const char *dir)
{
    int fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        char *path = xasprintf("%s/spool-XXXXXX", dir);
        fd = mkostemp(path, O_CLOEXEC);
        if (fd >= 0)
            (void)unlink(path);
        free(path);
    }
    if (fd < 0)
        return -errno;
    struct spool *s = xcalloc(1, sizeof *s);
    (void)pthread_mutex_init(&s->lock, NULL);
    s->fd = fd;
    s->pending = xmalloc(PENDING_MAX);
    *ret = s;
    return 0;
}

struct spool *spool_free(struct spool *s)
{
    if (!s)
        return NULL;
    (void)fd_close(s->fd);
    free(s->pending);
    free(s->last);
    (void)pthread_mutex_destroy(&s->lock);
    free(s);
    return NULL;
}

static int flush_pending(struct spool *s)
{
    int rc = file_write_at(s->fd, s->pending, s->npending, s->written);
    if (rc < 0)
        return rc;
    s->written += s->npending;
    s->npending = 0;
    return 0;
}

static int append(struct spool *s, const void *p, size_t n)
{
    if (n > PENDING_MAX - s->npending) {
        int rc = flush_pending(s);
        if (rc < 0)
            return rc;
    }
    if (n > PENDING_MAX) {
        int rc = file_write_at(s->fd, p, n, s->written);
        s->written += rc < 0 ? 0 : n;
        return rc;
    }
    memcpy(s->pending + s->npending, p, n);
    s->npending += n;
    return 0;
}

static void depth_reach(struct spool *s, uint32_t depth)
{
    if (depth < s->depths)
        return;
    s->last = xrealloc(s->last, (depth + 1) * sizeof *s->last);
    memset(s->last + s->depths, 0, (depth + 1 - s->depths) * sizeof *s->last);
    s->depths = depth + 1;
}

int spool_put(struct spool *s, uint32_t depth, const void *row, size_t len)
{
    if (len > ROW_MAX || depth >= DEPTH_MAX)
        return -EMSGSIZE;
    (void)pthread_mutex_lock(&s->lock);
    if (s->sealed) {
        (void)pthread_mutex_unlock(&s->lock);
        return -EPROTO;
    }
    depth_reach(s, depth);
    struct row_head head = {.before = s->last[depth], .len = len};
    uint64_t at = s->written + s->npending;
    int rc = append(s, &head, sizeof head);
    if (rc == 0)
        rc = append(s, row, len);
    if (rc == 0) {
        s->last[depth] = at + 1;
        s->count++;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return rc;
}

uint64_t spool_count(struct spool *s)
{
    (void)pthread_mutex_lock(&s->lock);
    uint64_t n = s->count;
    (void)pthread_mutex_unlock(&s->lock);
    return n;
}

static int read_all(int fd, void *to, size_t n, uint64_t at)
{
    for (uint8_t *p = to; n > 0;) {
        ssize_t k = pread(fd, p, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? -errno : -EIO;
        p += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return 0;
}

static int chain_each(struct spool *s, uint64_t at, int (*fn)(void *, const void *, size_t),
                      void *arg)
{
    while (at > 0) {
        struct row_head head;
        int rc = read_all(s->fd, &head, sizeof head, at - 1);
        if (rc < 0)
            return rc;
        CLEANUP(mem_free) void *row = xmalloc(head.len);
        rc = read_all(s->fd, row, head.len, at - 1 + sizeof head);
        if (rc == 0)
            rc = fn(arg, row, head.len);
        if (rc != 0)
            return rc;
        at = head.before;
    }
    return 0;
}

int spool_each(struct spool *s, int (*fn)(void *arg, const void *row, size_t len), void *arg)
{
    (void)pthread_mutex_lock(&s->lock);
    int rc = flush_pending(s);
    s->sealed = true;
    uint32_t depth = s->depths;
    (void)pthread_mutex_unlock(&s->lock);
    while (rc == 0 && depth-- > 0)
        rc = chain_each(s, s->last[depth], fn, arg);
    return rc;
}
