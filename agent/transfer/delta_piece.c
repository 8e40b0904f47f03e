/* delta_piece: see the header. Sharing blocks costs nothing of the disk; the rest is read and
 * written past the page cache, in large runs. */
#include "agent/transfer/delta_piece.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "agent/transfer/direct.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define ALIGN 4096U /* of memory and of places in the file, for what goes past the page cache */
#define DIRECT_MIN (256U << 10) /* less is not worth it, and cuts the file's extents up */

uint8_t *delta_piece_room(void)
{
    void *p = NULL;
    if (posix_memalign(&p, ALIGN, PIECE_BYTES) != 0)
        abort(); /* as xmalloc() */
    return p;
}

/* ── as the older file has it ── */

/* Of an older file that ends within the piece, the whole blocks, if these are most of it; a last
 * one that is no whole block can only be shared where both files end there. */
static uint64_t clone_len(const struct delta_piece *p, uint64_t start)
{
    const struct incoming *in = p->in;
    uint64_t there = in->old_size > start ? in->old_size - start : 0;
    uint64_t n = there < p->len ? there : p->len;
    if (n != there || n != p->len)
        n -= n % ALIGN;
    return n * 2 >= p->len ? n : 0;
}

static bool piece_clone(const struct delta_piece *p)
{
    uint64_t start = p->piece * PIECE_BYTES, n = clone_len(p, start);
    struct file_clone_range range = {
        .src_fd = p->in->old_fd, .src_offset = start, .src_length = n, .dest_offset = start};
    return n > 0 && ioctl(p->in->fd, FICLONERANGE, &range) == 0;
}

/* What is not there, or cannot be read, counts as zeros: then the source's differs. How much of n
 * is as it stands there, with what is behind its end. */
static size_t old_read(int fd, uint8_t *to, size_t n, uint64_t at)
{
    size_t got = 0;
    ssize_t k = 1;
    while (got < n && k != 0) {
        k = pread(fd, to + got, n - got, (off_t)(at + got));
        if (k < 0 && errno == EINTR)
            continue;
        if (k < 0)
            break;
        got += (size_t)k;
    }
    memset(to + got, 0, n - got);
    return k == 0 ? n : got;
}

static void mark_changed(struct delta_piece *p, uint64_t from, uint64_t to)
{
    for (uint64_t b = from / DELTA_BLOCK; b * DELTA_BLOCK < to; b++)
        p->changed[b / 64] |= 1ULL << (b % 64);
}

/* A file that shares its blocks shares no cache: what is in the older one's is of no use, and what
 * is read ahead there is read twice. -1: by fd. */
static int reading_direct(const struct delta_piece *p, int fd)
{
    uint64_t start = p->piece * PIECE_BYTES;
    int direct = p->cloned ? p->in->direct_fd : p->in->old_direct_fd;
    if (direct >= 0)
        return p->cloned || !direct_is_cached(fd, start, p->len) ? direct : -1;
    if (p->cloned || p->piece == 0) /* lanes by turns are no order that the kernel sees through */
        file_read_ahead(fd, start, p->cloned ? p->len : PIECES_AHEAD * PIECE_BYTES);
    if (!p->cloned)
        file_read_ahead(fd, start + PIECES_AHEAD * PIECE_BYTES, PIECE_BYTES);
    return -1;
}

/* Of what was read, from..to of the piece. *hole: the first that does not end before from. */
static void holes_clear(struct delta_piece *p, uint32_t *hole, uint64_t from, uint64_t to)
{
    for (; *hole < p->nholes; ++*hole) {
        uint64_t a = p->holes[*hole].from, b = a + p->holes[*hole].len;
        uint64_t begin = a > from ? a : from, end = b < to ? b : to;
        if (begin < end)
            memset(p->data + begin, 0, end - begin);
        if (b > to)
            return;
    }
}

void delta_piece_fill(struct delta_piece *p, XXH3_state_t *hash, uint8_t retdigest[DIGEST_BYTES])
{
    uint32_t hole = 0;
    uint64_t start = p->piece * PIECE_BYTES;
    memset(p->changed, 0, sizeof p->changed);
    p->cloned = piece_clone(p);
    int fd = p->cloned ? p->in->fd : p->in->old_fd, direct = reading_direct(p, fd);
    uint64_t step = direct < 0 ? CHUNK_BYTES : DIRECT_READ;
    (void)XXH3_128bits_reset(hash);
    for (uint64_t at = 0; at < p->len; at += step) {
        uint64_t n = p->len - at < step ? p->len - at : step;
        size_t k = direct < 0 ? 0 : direct_read(direct, p->data + at, n, start + at);
        k += old_read(fd, p->data + at + k, n - k, start + at + k);
        if (k < n) /* the file that was cloned may have something there all the same */
            mark_changed(p, at + k, at + n);
        holes_clear(p, &hole, at, at + n);
        (void)XXH3_128bits_update(hash, p->data + at, n);
    }
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(hash));
    memcpy(retdigest, c.digest, DIGEST_BYTES);
}

/* ── as the source has it ── */

void delta_piece_change(struct delta_piece *p, uint64_t at, const void *data, size_t n)
{
    memcpy(p->data + at, data, n);
    mark_changed(p, at, at + n);
}

static bool is_changed(const struct delta_piece *p, uint64_t block)
{
    return (p->changed[block / 64] >> (block % 64)) & 1;
}

/* As in direct.c: a disk's error is one; anything else is tried through the cache. */
int delta_piece_land(struct delta_piece *p)
{
    uint64_t n = p->leaving;
    int64_t k = n > 0 ? flight_end(&p->flight) : 0;
    p->leaving = 0;
    if (k == (int64_t)n || k == -EIO)
        return k < 0 ? (int)k : 0;
    return file_write_at(p->in->fd, p->data, n, p->piece * PIECE_BYTES);
}

bool delta_piece_has_landed(struct delta_piece *p)
{
    return p->leaving == 0 || flight_is_over(&p->flight);
}

void delta_piece_done(struct delta_piece *p)
{
    (void)flight_end(&p->flight);
    flight_done(&p->flight);
    free(p->data);
    p->data = NULL;
}

/* n: of whole blocks, at one. 1: not that way. */
static int direct_write(int fd, const uint8_t *data, uint64_t n, uint64_t at)
{
    ssize_t k;
    do
        k = pwrite(fd, data, n, (off_t)at);
    while (k < 0 && errno == EINTR);
    return k == (ssize_t)n ? 0 : k < 0 && errno == EIO ? -EIO : 1;
}

/* from..to of the piece. */
static int range_write(const struct delta_piece *p, uint64_t from, uint64_t to)
{
    uint64_t start = p->piece * PIECE_BYTES;
    uint64_t a = (from + ALIGN - 1) / ALIGN * ALIGN, b = to / ALIGN * ALIGN;
    bool direct = p->in->direct_fd >= 0 && to - from >= DIRECT_MIN;
    int rc = direct ? direct_write(p->in->direct_fd, p->data + a, b - a, start + a) : 1;
    if (rc > 0)
        return file_write_at(p->in->fd, p->data + from, to - from, start + from);
    if (rc == 0 && a > from)
        rc = file_write_at(p->in->fd, p->data + from, a - from, start + from);
    if (rc == 0 && to > b)
        rc = file_write_at(p->in->fd, p->data + b, to - b, start + b);
    return rc;
}

/* The disk has time for it while the next piece is read. */
static int write_leaving(struct delta_piece *p)
{
    uint64_t whole = p->len - p->len % ALIGN, start = p->piece * PIECE_BYTES;
    int rc = file_write_at(p->in->fd, p->data + whole, p->len - whole, start + whole);
    if (rc < 0)
        return rc;
    p->leaving = whole;
    flight_begin(&p->flight, p->in->direct_fd, p->data, whole, start);
    return 0;
}

static int write_all(struct delta_piece *p)
{
    uint64_t at = 0;
    int rc = 0;
    if (p->in->direct_fd >= 0 && p->nholes == 0 && p->len >= DIRECT_MIN)
        return write_leaving(p);
    for (uint32_t i = 0; rc == 0 && i <= p->nholes; i++) {
        uint64_t to = i < p->nholes ? p->holes[i].from : p->len;
        if (to > at)
            rc = range_write(p, at, to);
        at = i < p->nholes ? to + p->holes[i].len : to;
    }
    return rc;
}

static int hole_make(const struct delta_piece *p, const struct hole *h)
{
    uint64_t at = p->piece * PIECE_BYTES + h->from;
    if (fallocate(p->in->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, h->len) == 0)
        return 0;
    return file_write_at(p->in->fd, p->data + h->from, h->len, at); /* zeros read the same */
}

static int write_changed(const struct delta_piece *p)
{
    uint64_t nblocks = (p->len + DELTA_BLOCK - 1) / DELTA_BLOCK;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < p->nholes; i++)
        rc = hole_make(p, &p->holes[i]);
    for (uint64_t from = 0, to; rc == 0 && from < nblocks; from = to) {
        bool changed = is_changed(p, from);
        for (to = from + 1; to < nblocks && is_changed(p, to) == changed;)
            to++;
        uint64_t end = to * DELTA_BLOCK < p->len ? to * DELTA_BLOCK : p->len;
        if (changed)
            rc = file_write_at(p->in->fd, p->data + from * DELTA_BLOCK, end - from * DELTA_BLOCK,
                               p->piece * PIECE_BYTES + from * DELTA_BLOCK);
    }
    return rc;
}

int delta_piece_write(struct delta_piece *p)
{
    return p->cloned ? write_changed(p) : write_all(p);
}
