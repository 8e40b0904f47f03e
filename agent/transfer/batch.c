/* batch: packs small entries with metadata and content into records; larger files go to large.c.
 * Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/attrs.h"
#include "agent/store/remap.h"
#include "agent/transfer/digest.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

int batch_flush(struct worker *w)
{
    if (!w->batch_of)
        return 0;
    w->batch_of = 0;
    return worker_send(w, REC_BATCH, &w->out);
}

static void put_head(struct worker *w, struct folder *f, uint8_t flags)
{
    struct batch_head h = {
        .folder = {f->path,                      f->len       },
        .flags = flags,
        .meta = f->meta,
        .xattrs = {(const char *)f->xattrs.data, f->xattrs.len}
    };
    batch_head_put(&w->out, &h);
    w->batch_of = f->serial;
}

int batch_at(struct worker *w, struct folder *f, uint8_t flags)
{
    if (w->batch_of && w->out.len >= BATCH_BYTES) {
        int rc = batch_flush(w);
        if (rc < 0)
            return rc;
    }
    if (w->batch_of == f->serial && !flags)
        return 0;
    if (w->batch_of)
        buf_put_u8(&w->out, BATCH_FOLDER);
    else
        worker_head(&w->out);
    put_head(w, f, flags);
    return 0;
}

int batch_folder(struct worker *w, struct folder *f)
{
    return batch_at(w, f, BATCH_FRESH | BATCH_HAS_META);
}

static char *entry_path(const struct folder *f, const char *name, size_t *retlen)
{
    size_t n = strlen(name), len = f->len + (f->len > 0) + n;
    char *path = xmalloc(len + 1);
    memcpy(path, f->path, f->len);
    path[f->len] = '/';
    memcpy(path + len - n, name, n + 1);
    *retlen = len;
    return path;
}

/* 1: sent as a later name of a file that was sent. */
static int as_link(struct worker *w, struct folder *f, const char *name, const struct meta *m)
{
    CLEANUP(mem_free) char *first = NULL;
    size_t len = 0, first_len = 0;
    if (m->nlink < 2)
        return 0;
    CLEANUP(mem_free) char *path = entry_path(f, name, &len);
    int rc = links_see(w->s->links, m, path, len, &first, &first_len);
    if (rc == 0)
        changes_linked(w->s, m);
    if (rc != 1)
        return rc;
    struct batch_entry e = {
        .kind = BATCH_HARDLINK,
        .name = {name,  strlen(name)},
        .meta = *m,
        .target = {first, first_len   }
    };
    batch_entry_put(&w->out, &e);
    walk_count(w, m, true);
    return 1;
}

/* Asking for flags costs a call a file: only where something says that there may be some, or where
 * it is little beside the content. */
static bool may_have_attrs(const struct folder *f, const struct meta *m)
{
    return m->shown || f->has_attrs || m->size > BATCH_FILE_MAX;
}

/* Into w->xattrs; too many of them are a failure of the attributes, not of the entry. */
static int attributes(struct worker *w, struct folder *f, const char *name, int fd,
                      const struct meta *m)
{
    struct attrs attrs = {0};
    buf_clear(&w->xattrs);
    if (S_ISREG(m->mode) && may_have_attrs(f, m))
        attrs_of(fd, &attrs);
    int rc = xattrs_read_with(fd, &attrs, &w->xattrs);
    if (rc == 0)
        worker_remap(w, f, name, m, &w->xattrs);
    if (rc == -E2BIG || (rc == 0 && w->xattrs.len > ENTRY_XATTRS_MAX)) {
        worker_failed(w, f, name, E2BIG, "attributes");
        buf_clear(&w->xattrs);
        rc = 0;
    }
    return rc;
}

/* ── content of a small file ── */

static int read_at(int fd, uint8_t *to, size_t n, uint64_t at)
{
    while (n > 0) {
        ssize_t k = pread(fd, to, n, (off_t)at);
        if (k < 0 && errno == EINTR)
            continue;
        if (k <= 0)
            return k < 0 ? -errno : -EBUSY;
        to += k;
        n -= (size_t)k;
        at += (uint64_t)k;
    }
    return 0;
}

static int put_segment(struct worker *w, int fd, uint64_t at, size_t n)
{
    struct buf *b = &w->out;
    buf_put_u64(b, at);
    buf_put_varint(b, n);
    uint8_t *to = buf_reserve(b, n);
    if (!to)
        return -EMSGSIZE;
    int rc = read_at(fd, to, n, at);
    b->len += n;
    return rc;
}

/* A file with holes: only its data, and the digest over what a reader sees. */
static int put_sparse(struct worker *w, int fd, uint64_t size, uint32_t *retn,
                      uint8_t digest[DIGEST_BYTES])
{
    CLEANUP(mem_free) uint8_t *whole = xcalloc(1, size);
    uint32_t n = 0;
    int rc = 0;
    for (off_t at = 0; rc == 0 && (uint64_t)at < size;) {
        off_t data = lseek(fd, at, SEEK_DATA);
        if (data < 0 && errno != ENXIO)
            return -errno; /* what cannot be read is no hole */
        if (data < 0 || (uint64_t)data >= size)
            break;
        off_t hole = lseek(fd, data, SEEK_HOLE);
        if (hole < 0 || (uint64_t)hole > size)
            hole = (off_t)size;
        if (hole <= data)
            return -EBUSY;
        rc = put_segment(w, fd, (uint64_t)data, (size_t)(hole - data));
        if (rc == 0)
            memcpy(whole + data, w->out.data + w->out.len - (size_t)(hole - data),
                   (size_t)(hole - data));
        n++;
        at = hole;
    }
    digest_bytes(whole, size, digest);
    *retn = n;
    return rc;
}

static int put_content(struct worker *w, int fd, const struct meta *m, uint32_t *retn,
                       uint8_t digest[DIGEST_BYTES])
{
    if (m->blocks512 * 512 + 4096 <= m->size)
        return put_sparse(w, fd, m->size, retn, digest);
    *retn = m->size > 0;
    if (m->size == 0) {
        digest_bytes(NULL, 0, digest);
        return 0;
    }
    int rc = put_segment(w, fd, 0, m->size);
    digest_bytes(w->out.data + w->out.len - m->size, m->size, digest);
    return rc;
}

static void put_le32(uint8_t *to, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

/* Did the file hold still since m? */
static bool held_still(int fd, const struct meta *m)
{
    struct stat st;
    struct meta now;
    if (fstat(fd, &st) < 0)
        return false;
    meta_from_stat(&st, &now);
    return meta_same_content(m, &now, true);
}

static int put_file(struct worker *w, const char *name, int fd, const struct meta *m)
{
    struct batch_entry e = {
        .kind = BATCH_FILE,
        .name = {name,                         strlen(name) },
        .meta = *m,
        .xattrs = {(const char *)w->xattrs.data, w->xattrs.len}
    };
    size_t from = w->out.len;
    batch_entry_put(&w->out, &e);
    size_t tail = w->out.len - 4 - DIGEST_BYTES;
    uint32_t nsegments = 0;
    uint8_t digest[DIGEST_BYTES];
    int64_t began = hold_begin(&w->s->hold);
    int rc = put_content(w, fd, m, &nsegments, digest);
    hold_end(&w->s->hold, began);
    if (rc == 0 && !held_still(fd, m))
        rc = -EBUSY;
    if (rc < 0 || w->out.overflow) {
        w->out.len = from;
        w->out.overflow = false;
        return rc < 0 ? rc : -EMSGSIZE;
    }
    FAULT_POINT("file-read");
    memcpy(w->out.data + tail, digest, DIGEST_BYTES);
    put_le32(w->out.data + tail + DIGEST_BYTES, nsegments);
    return 0;
}

static void count_sent(struct worker *w, uint64_t n)
{
    (void)pthread_mutex_lock(&w->s->lock);
    w->s->sent += n;
    w->s->counters.sent_bytes += n;
    (void)pthread_mutex_unlock(&w->s->lock);
}

static int put_meta_only(struct worker *w, const char *name, const struct meta *m,
                         const uint8_t *digest)
{
    struct batch_entry e = {
        .kind = BATCH_META,
        .name = {name,                         strlen(name) },
        .meta = *m,
        .xattrs = {(const char *)w->xattrs.data, w->xattrs.len}
    };
    if (digest)
        memcpy(e.digest, digest, DIGEST_BYTES);
    batch_entry_put(&w->out, &e);
    return 0;
}

/* Metadata alone is set on the file that the destination has, with all its names: never that of
 * another file, which took this name since it was listed. */
static bool same_file(const struct meta *listed, const struct meta *m)
{
    return listed->ino == m->ino && listed->dev == m->dev && !((listed->mode ^ m->mode) & S_IFMT);
}

/* 1: the content is still what the destination has, and the metadata was sent. */
static int same_content(struct worker *w, const char *name, int fd, const struct meta *m,
                        const struct answered *was)
{
    uint8_t now[DIGEST_BYTES];
    if (!same_file(was->meta, m))
        return 0;
    if (digest_file(fd, m->size, w->s->step, now) < 0 || !held_still(fd, m))
        return 0;
    if (memcmp(now, was->digest, DIGEST_BYTES) != 0)
        return 0;
    (void)put_meta_only(w, name, m, was->digest);
    return 1;
}

static int file_open(const struct folder *f, const char *name)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    int fd = openat(f->fd, name, flags | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(f->fd, name, flags);
    return fd < 0 ? -errno : fd;
}

/* One try. *reterr: what went wrong with the file; the value: with the lane. m: as of fstat(fd). */
static int file_try(struct worker *w, struct folder *f, const char *name, int fd,
                    const struct meta *m, const struct answered *was, int *reterr)
{
    *reterr = m->size > LARGE_BYTES_MAX ? -EFBIG : attributes(w, f, name, fd, m);
    if (*reterr < 0)
        return 0;
    int rc = batch_at(w, f, 0);
    if (rc < 0)
        return rc;
    if (was && same_content(w, name, fd, m, was) == 1)
        return 0;
    if (m->size > BATCH_FILE_MAX) {
        rc = large_send(w, f, name, fd, m);
        if (rc != -EBUSY)
            return rc;
        *reterr = rc;
        return 0;
    }
    *reterr = put_file(w, name, fd, m);
    if (*reterr == 0)
        count_sent(w, m->size);
    return 0;
}

/* 1: was another name of a file that was sent. */
static int first_seen(struct worker *w, struct folder *f, const char *name, const struct meta *m)
{
    int rc = m->nlink > 1 ? batch_at(w, f, 0) : 0;
    if (rc == 0)
        rc = as_link(w, f, name, m);
    if (rc == 0)
        walk_count(w, m, false);
    return rc;
}

static int send_file(struct worker *w, struct folder *f, const char *name, bool links,
                     const struct answered *was)
{
    int64_t began = hold_begin(&w->s->hold);
    CLEANUP(fd_close) int fd = file_open(f, name);
    hold_end(&w->s->hold, began);
    if (fd == -ELOOP || fd == -ENXIO) { /* became a link or a socket just now */
        worker_failed(w, f, name, EBUSY, "changed while read");
        return 0;
    }
    if (fd < 0) {
        if (fd != -ENOENT)
            worker_failed(w, f, name, -fd, "open");
        return 0;
    }
    int err = 0, rc = 0;
    for (int i = 0; i < CHANGED_TRIES; i++) {
        struct meta m;
        err = meta_stat(fd, "", &m);
        if (err == 0 && !S_ISREG(m.mode))
            err = -EBUSY;
        if (err < 0)
            break;
        if (links && i == 0 && walk_leaves_out(w, &m))
            return 0;
        remap_meta(w->s->spec->options.map, &m);
        rc = links && i == 0 ? first_seen(w, f, name, &m) : 0;
        if (rc != 0)
            return rc < 0 ? rc : 0;
        if (!was && walk_may_hand_over(w, f, m.size))
            return walk_hand_over(w, f, name);
        rc = file_try(w, f, name, fd, &m, was, &err);
        if (rc < 0 || err != -EBUSY)
            break;
    }
    if (rc == 0 && err < 0)
        worker_failed(w, f, name, -err, err == -EBUSY ? "changed while read" : "read");
    return rc;
}

/* ── everything else ── */

static int send_special(struct worker *w, struct folder *f, const char *name, bool links)
{
    char target[SYMLINK_TARGET_MAX + 1];
    struct stat st;
    struct meta m;
    CLEANUP(fd_close) int fd = openat(f->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0) {
        if (errno != ENOENT)
            worker_failed(w, f, name, errno, "open");
        return 0;
    }
    if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode)) { /* became one just now */
        worker_failed(w, f, name, EBUSY, "changed while read");
        return 0;
    }
    meta_from_stat(&st, &m);
    remap_meta(w->s->spec->options.map, &m);
    int rc = batch_at(w, f, 0);
    if (rc == 0 && links)
        rc = as_link(w, f, name, &m);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = attributes(w, f, name, fd, &m);
    ssize_t n = S_ISLNK(m.mode) ? readlinkat(fd, "", target, sizeof target) : 0;
    if (rc < 0 || n < 0 || n > SYMLINK_TARGET_MAX) {
        worker_failed(w, f, name, rc < 0 ? -rc : EBUSY, "read");
        return 0;
    }
    struct batch_entry e = {
        .kind = S_ISLNK(m.mode) ? BATCH_SYMLINK : BATCH_NODE,
        .name = {name,                         strlen(name) },
        .meta = m,
        .xattrs = {(const char *)w->xattrs.data, w->xattrs.len},
        .target = {target,                       (size_t)n    }
    };
    batch_entry_put(&w->out, &e);
    return 0;
}

int batch_entry(struct worker *w, struct folder *f, const char *name, bool links,
                const struct answered *was)
{
    struct stat st;
    if (fstatat(f->fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0) {
        if (errno != ENOENT)
            worker_failed(w, f, name, errno, "stat");
        return 0;
    }
    if (S_ISREG(st.st_mode))
        return send_file(w, f, name, links, was);
    if (S_ISDIR(st.st_mode))
        return 0; /* became one just now: the next run finds it */
    return send_special(w, f, name, links);
}

int batch_file(struct worker *w, struct folder *f, const char *name)
{
    return send_file(w, f, name, true, NULL);
}

/* Flags and projects are told by a file that is open only. */
static int open_for_meta(struct folder *f, const char *name, struct meta *ret)
{
    int fd = openat(f->fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int rc = fd < 0 ? -errno : meta_stat(fd, "", ret);
    int open = rc == 0 && S_ISREG(ret->mode) && may_have_attrs(f, ret) ? file_open(f, name) : -1;
    if (open >= 0) {
        (void)fd_close(fd);
        fd = open;
        rc = meta_stat(fd, "", ret);
        if (rc == 0 && !S_ISREG(ret->mode))
            rc = -EBUSY;
    }
    if (rc < 0 && fd >= 0)
        (void)fd_close(fd);
    return rc < 0 ? rc : fd;
}

int batch_meta(struct worker *w, struct folder *f, const char *name, const struct meta *listed)
{
    struct meta m;
    CLEANUP(fd_close) int fd = open_for_meta(f, name, &m);
    if (fd < 0) {
        if (fd != -ENOENT)
            worker_failed(w, f, name, -fd, "open");
        return 0;
    }
    if (S_ISDIR(m.mode))
        return 0;
    if (!same_file(listed, &m))
        return batch_entry(w, f, name, false, NULL);
    remap_meta(w->s->spec->options.map, &m);
    int rc = batch_at(w, f, 0);
    if (rc < 0)
        return rc;
    rc = attributes(w, f, name, fd, &m);
    if (rc < 0) {
        worker_failed(w, f, name, -rc, "read");
        return 0;
    }
    return put_meta_only(w, name, &m, NULL);
}
