/* feed_log: records appended to a file in batches; a small table keeps out what was said already.
 */
#include "agent/feed/feed_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

#define SEEN_SLOTS 65536U /* power of two */
#define SEEN_MOST (SEEN_SLOTS / 4 * 3)
#define BATCH_BYTES (64U << 10)
#define RECORD_MAX 1024U
#define READ_BYTES (256U << 10)

struct feed_log {
    char *path;
    int fd;
    uint64_t first, end; /* of what waits; end: with what is still in batch */
    uint64_t lost_at;    /* nothing before it is certain */
    const char *lost_why;
    uint64_t folders;
    struct buf batch;
    uint64_t *seen;
    size_t nseen;
};

int feed_log_new(struct feed_log **ret, const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    struct feed_log *l = xcalloc(1, sizeof *l);
    l->fd = fd;
    l->path = xstrdup(path);
    l->seen = xcalloc(SEEN_SLOTS, sizeof *l->seen);
    buf_init(&l->batch, BATCH_BYTES + RECORD_MAX);
    *ret = l;
    return 0;
}

struct feed_log *feed_log_free(struct feed_log *l)
{
    if (!l)
        return NULL;
    (void)fd_close(l->fd);
    (void)unlink(l->path);
    buf_done(&l->batch);
    free(l->seen);
    free(l->path);
    free(l);
    return NULL;
}

static void forget_seen(struct feed_log *l)
{
    memset(l->seen, 0, SEEN_SLOTS * sizeof *l->seen);
    l->nseen = 0;
}

/* The offset grows by one for the loss itself, so that a pass that began just before it is not
 * certain and one that begins just after it is. */
void feed_log_lost(struct feed_log *l, const char *why)
{
    buf_clear(&l->batch);
    l->end++;
    l->lost_at = l->first = l->end;
    l->lost_why = why;
    forget_seen(l);
    (void)!ftruncate(l->fd, 0); /* what is below first is not read again */
}

static int flush(struct feed_log *l)
{
    size_t n = l->batch.len;
    if (n == 0)
        return 0;
    int rc = file_write_at(l->fd, l->batch.data, n, l->end - n);
    buf_clear(&l->batch);
    if (rc < 0)
        feed_log_lost(l, "the list of changes could not be written");
    return rc;
}

static bool seen_before(struct feed_log *l, const void *p, size_t n)
{
    uint64_t h = XXH3_64bits(p, n);
    h += h == 0;
    if (l->nseen >= SEEN_MOST)
        forget_seen(l);
    size_t i = h & (SEEN_SLOTS - 1);
    while (l->seen[i] && l->seen[i] != h)
        i = (i + 1) & (SEEN_SLOTS - 1);
    if (l->seen[i])
        return true;
    l->seen[i] = h;
    l->nseen++;
    return false;
}

static void put_place(struct buf *b, const struct feed_place *p)
{
    buf_put_u32(b, (uint32_t)p->folder.type);
    buf_put_blob(b, p->folder.bytes, p->folder.len);
    buf_put_blob(b, p->name, strlen(p->name));
}

void feed_log_add(struct feed_log *l, const struct feed_record *r)
{
    size_t at = l->batch.len;
    buf_put_u16(&l->batch, 0);
    buf_put_u8(&l->batch, (uint8_t)r->what);
    put_place(&l->batch, &r->at);
    if (r->what == FEED_MOVED)
        put_place(&l->batch, &r->from);
    size_t len = l->batch.len - at;
    if (l->batch.overflow || len > RECORD_MAX) {
        feed_log_lost(l, "a change could not be noted");
        return;
    }
    l->batch.data[at] = (uint8_t)len;
    l->batch.data[at + 1] = (uint8_t)(len >> 8);
    if (seen_before(l, l->batch.data + at, len)) {
        l->batch.len = at;
        return;
    }
    l->folders += r->what == FEED_FOLDER;
    l->end += len;
    if (l->end - l->first > FEED_LOG_MAX)
        feed_log_lost(l, "more changed than the list holds");
    else if (l->batch.len >= BATCH_BYTES)
        (void)flush(l);
}

uint64_t feed_log_cut(struct feed_log *l)
{
    (void)flush(l);
    forget_seen(l);
    return l->end;
}

bool feed_log_certain(const struct feed_log *l, uint64_t offset, const char **retwhy)
{
    if (offset >= l->lost_at)
        return true;
    *retwhy = l->lost_why;
    return false;
}

uint64_t feed_log_folders(const struct feed_log *l)
{
    return l->folders;
}

void feed_log_drop(struct feed_log *l, uint64_t before)
{
    if (before <= l->first || before > l->end || flush(l) < 0)
        return;
    if (before == l->end)
        (void)!ftruncate(l->fd, 0);
    else
        (void)fallocate(l->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)before);
    l->first = before;
}

/* ── reading ── */

static bool get_place(struct cursor *c, struct feed_place *ret)
{
    size_t n = 0, m = 0;
    *ret = (struct feed_place){.folder.type = (int32_t)cursor_u32(c)};
    const void *handle = cursor_blob(c, FEED_HANDLE_MAX, &n);
    const void *name = cursor_blob(c, FEED_NAME_MAX, &m);
    if (c->bad || n == 0)
        return false;
    memcpy(ret->folder.bytes, handle, n);
    ret->folder.len = (uint32_t)n;
    memcpy(ret->name, name, m);
    return true;
}

static bool get_record(struct cursor *c, struct feed_record *ret)
{
    ret->what = (enum feed_what)cursor_u8(c);
    if (ret->what < FEED_FOLDER || ret->what > FEED_NAMES || !get_place(c, &ret->at))
        return false;
    if (ret->what == FEED_MOVED && !get_place(c, &ret->from))
        return false;
    return cursor_left(c) == 0;
}

static ssize_t read_some(int fd, uint8_t *to, size_t n, uint64_t at)
{
    ssize_t k;
    do
        k = pread(fd, to, n, (off_t)at);
    while (k < 0 && errno == EINTR);
    return k < 0 ? -errno : k;
}

/* Whole records of p; *retused: how many bytes they take. */
static int each_in(const uint8_t *p, size_t n, size_t *retused,
                   int (*fn)(void *arg, const struct feed_record *r), void *arg)
{
    struct feed_record r;
    size_t at = 0;
    while (n - at >= 2) {
        size_t len = p[at] | (size_t)p[at + 1] << 8;
        if (len < 3 || len > RECORD_MAX)
            return -EBADMSG;
        if (len > n - at)
            break;
        struct cursor c = cursor_of(p + at + 2, len - 2);
        if (!get_record(&c, &r))
            return -EBADMSG;
        int rc = fn(arg, &r);
        if (rc != 0)
            return rc;
        at += len;
    }
    *retused = at;
    return 0;
}

bool feed_log_has(const struct feed_log *l, uint64_t from, uint64_t to)
{
    return from >= l->first && from <= to && to <= l->end - l->batch.len;
}

int feed_log_fd(const struct feed_log *l)
{
    return l->fd;
}

int feed_log_each(int fd, uint64_t from, uint64_t to,
                  int (*fn)(void *arg, const struct feed_record *r), void *arg)
{
    CLEANUP(mem_free) uint8_t *data = xmalloc(READ_BYTES);
    while (from < to) {
        size_t want = to - from < READ_BYTES ? (size_t)(to - from) : READ_BYTES, used = 0;
        ssize_t n = read_some(fd, data, want, from);
        if (n <= 0)
            return n < 0 ? (int)n : -EBADMSG;
        int rc = each_in(data, (size_t)n, &used, fn, arg);
        if (rc != 0 || used == 0)
            return rc != 0 ? rc : -EBADMSG;
        from += used;
    }
    return 0;
}
