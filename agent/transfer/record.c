/* record: packing and parsing of every record; the parsers bound each length before it is used. */
#include "agent/transfer/record.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "agent/store/beneath.h"

static void put32(uint8_t **at, uint32_t v)
{
    v = htole32(v);
    memcpy(*at, &v, sizeof v);
    *at += sizeof v;
}

static void put64(uint8_t **at, uint64_t v)
{
    v = htole64(v);
    memcpy(*at, &v, sizeof v);
    *at += sizeof v;
}

static uint32_t get32(const uint8_t **at)
{
    uint32_t v;
    memcpy(&v, *at, sizeof v);
    *at += sizeof v;
    return le32toh(v);
}

static uint64_t get64(const uint8_t **at)
{
    uint64_t v;
    memcpy(&v, *at, sizeof v);
    *at += sizeof v;
    return le64toh(v);
}

static void put_time(uint8_t **at, const struct timespec *t)
{
    put64(at, (uint64_t)t->tv_sec);
    put32(at, (uint32_t)t->tv_nsec);
}

static bool get_time(const uint8_t **at, struct timespec *ret)
{
    ret->tv_sec = (time_t)get64(at);
    uint32_t ns = get32(at);
    ret->tv_nsec = (long)ns;
    return ns < 1000000000;
}

/* mode, uid, gid, nlink, size, ino, rdev, mtime, ctime, atime */
void meta_put(struct buf *b, const struct meta *m)
{
    uint8_t *at = buf_reserve(b, META_WIRE_BYTES);
    if (!at)
        return;
    put32(&at, m->mode);
    put32(&at, m->uid);
    put32(&at, m->gid);
    put32(&at, m->nlink);
    put64(&at, m->size);
    put64(&at, m->ino);
    put64(&at, m->rdev);
    put_time(&at, &m->mtime);
    put_time(&at, &m->ctime);
    put_time(&at, &m->atime);
    b->len += META_WIRE_BYTES;
}

bool meta_get(struct cursor *c, struct meta *ret)
{
    const uint8_t *at = cursor_bytes(c, META_WIRE_BYTES);
    if (!at)
        return false;
    *ret = (struct meta){0};
    ret->mode = get32(&at);
    ret->uid = get32(&at);
    ret->gid = get32(&at);
    ret->nlink = get32(&at);
    ret->size = get64(&at);
    ret->ino = get64(&at);
    ret->rdev = get64(&at);
    bool ok = get_time(&at, &ret->mtime);
    ok = get_time(&at, &ret->ctime) && ok;
    ok = get_time(&at, &ret->atime) && ok;
    return ok && ret->size <= FILE_BYTES_MAX;
}

static void bytes_put(struct buf *b, struct bytes v)
{
    buf_put_blob(b, v.p, v.n);
}

static struct bytes bytes_get(struct cursor *c, size_t max)
{
    struct bytes v;
    v.p = cursor_blob(c, max, &v.n);
    return v;
}

static bool path_get(struct cursor *c, struct bytes *ret)
{
    *ret = bytes_get(c, PATH_BYTES_MAX);
    return !c->bad && beneath_valid(ret->p, ret->n);
}

static bool name_get(struct cursor *c, struct bytes *ret)
{
    *ret = bytes_get(c, NAME_BYTES_MAX);
    return !c->bad && beneath_valid_name(ret->p, ret->n);
}

static bool xattrs_get(struct cursor *c, struct bytes *ret)
{
    *ret = bytes_get(c, XATTRS_MAX);
    return !c->bad && (ret->n == 0 || xattrs_valid(ret->p, ret->n));
}

static bool symlink_target_get(struct cursor *c, struct bytes *ret)
{
    *ret = bytes_get(c, SYMLINK_TARGET_MAX);
    return !c->bad && ret->n > 0 && !memchr(ret->p, '\0', ret->n);
}

static bool link_target_get(struct cursor *c, struct bytes *ret)
{
    return path_get(c, ret) && ret->n > 0;
}

/* ── LISTING ── */

void listing_head_put(struct buf *b, const struct listing_head *h)
{
    bytes_put(b, h->folder);
    buf_put_u8(b, h->flags);
    if (h->flags & LISTING_FIRST) {
        meta_put(b, &h->meta);
        bytes_put(b, h->xattrs);
    }
}

int listing_head_get(struct cursor *c, struct listing_head *ret)
{
    *ret = (struct listing_head){0};
    if (!path_get(c, &ret->folder))
        return -EBADMSG;
    ret->flags = cursor_u8(c);
    if (ret->flags & LISTING_FIRST)
        if (!meta_get(c, &ret->meta) || !S_ISDIR(ret->meta.mode) || !xattrs_get(c, &ret->xattrs))
            return -EBADMSG;
    ret->count = cursor_u32(c);
    return c->bad || ret->count > LISTING_ENTRIES ? -EBADMSG : 0;
}

void listing_entry_put(struct buf *b, const struct listing_entry *e)
{
    bytes_put(b, e->name);
    meta_put(b, &e->meta);
    buf_put_u64(b, e->xattrs_digest);
    buf_put_u8(b, e->flags);
    if ((e->flags & ENTRY_LINKED) || S_ISLNK(e->meta.mode))
        bytes_put(b, e->target);
}

int listing_entry_get(struct cursor *c, struct listing_entry *ret)
{
    *ret = (struct listing_entry){0};
    if (!name_get(c, &ret->name) || !meta_get(c, &ret->meta))
        return -EBADMSG;
    ret->xattrs_digest = cursor_u64(c);
    ret->flags = cursor_u8(c);
    bool ok = !c->bad;
    if (ok && (ret->flags & ENTRY_LINKED))
        ok = !S_ISDIR(ret->meta.mode) && link_target_get(c, &ret->target);
    else if (ok && S_ISLNK(ret->meta.mode))
        ok = symlink_target_get(c, &ret->target);
    return ok ? 0 : -EBADMSG;
}

/* ── BATCH ── */

void batch_head_put(struct buf *b, const struct batch_head *h)
{
    bytes_put(b, h->folder);
    buf_put_u8(b, h->flags);
    if (h->flags & BATCH_HAS_META) {
        meta_put(b, &h->meta);
        bytes_put(b, h->xattrs);
    }
}

int batch_head_get(struct cursor *c, struct batch_head *ret)
{
    *ret = (struct batch_head){0};
    if (!path_get(c, &ret->folder))
        return -EBADMSG;
    ret->flags = cursor_u8(c);
    if (ret->flags & BATCH_HAS_META)
        if (!meta_get(c, &ret->meta) || !S_ISDIR(ret->meta.mode) || !xattrs_get(c, &ret->xattrs))
            return -EBADMSG;
    return c->bad ? -EBADMSG : 0;
}

void batch_entry_put(struct buf *b, const struct batch_entry *e)
{
    buf_put_u8(b, e->kind);
    bytes_put(b, e->name);
    meta_put(b, &e->meta);
    bytes_put(b, e->xattrs);
    if (e->kind == BATCH_FILE || e->kind == BATCH_META)
        buf_put(b, e->digest, DIGEST_BYTES);
    if (e->kind == BATCH_SYMLINK || e->kind == BATCH_HARDLINK)
        bytes_put(b, e->target);
    if (e->kind == BATCH_FILE)
        buf_put_u32(b, e->nsegments);
}

static bool batch_rest_get(struct cursor *c, struct batch_entry *ret)
{
    const void *digest = NULL;
    uint32_t mode = ret->meta.mode;
    switch ((enum batch_kind)ret->kind) {
    case BATCH_FILE:
        digest = cursor_bytes(c, DIGEST_BYTES);
        if (!digest)
            return false;
        memcpy(ret->digest, digest, DIGEST_BYTES);
        ret->nsegments = cursor_u32(c);
        return S_ISREG(mode) && ret->meta.size <= BATCH_FILE_MAX;
    case BATCH_META:
        digest = cursor_bytes(c, DIGEST_BYTES);
        if (!digest)
            return false;
        memcpy(ret->digest, digest, DIGEST_BYTES);
        return !S_ISDIR(mode);
    case BATCH_SYMLINK:
        return symlink_target_get(c, &ret->target) && S_ISLNK(mode);
    case BATCH_NODE:
        return S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode);
    case BATCH_HARDLINK:
        return link_target_get(c, &ret->target) && !S_ISDIR(mode);
    case BATCH_FOLDER:
        break;
    }
    return false;
}

int batch_entry_get(struct cursor *c, struct batch_entry *ret)
{
    *ret = (struct batch_entry){.kind = cursor_u8(c)};
    bool ok = name_get(c, &ret->name) && meta_get(c, &ret->meta) && xattrs_get(c, &ret->xattrs) &&
              batch_rest_get(c, ret);
    return ok && !c->bad ? 0 : -EBADMSG;
}

int segment_get(struct cursor *c, uint64_t size, uint64_t *at, uint64_t *retoffset,
                struct bytes *retdata)
{
    uint64_t offset = cursor_u64(c);
    struct bytes data = bytes_get(c, BATCH_FILE_MAX);
    if (c->bad || offset < *at || offset > size || data.n > size - offset)
        return -EBADMSG;
    *at = offset + data.n;
    *retoffset = offset;
    *retdata = data;
    return 0;
}

/* ── one larger file ── */

void begin_put(struct buf *b, const struct begin *g)
{
    buf_put_u32(b, g->id);
    buf_put_u8(b, g->flags);
    bytes_put(b, g->folder);
    bytes_put(b, g->name);
    meta_put(b, &g->meta);
    bytes_put(b, g->xattrs);
    if (g->basis.n == 0)
        return;
    bytes_put(b, g->basis);
    buf_put_u64(b, g->basis_ino);
}

int begin_get(struct cursor *c, struct begin *ret)
{
    *ret = (struct begin){0};
    ret->id = cursor_u32(c);
    ret->flags = cursor_u8(c);
    bool ok = path_get(c, &ret->folder) && name_get(c, &ret->name) && meta_get(c, &ret->meta) &&
              xattrs_get(c, &ret->xattrs);
    ok = ok && S_ISREG(ret->meta.mode) && ret->meta.size <= LARGE_BYTES_MAX;
    if (ok && cursor_left(c) > 0) {
        ok = link_target_get(c, &ret->basis); /* a path, never that of the root */
        ret->basis_ino = cursor_u64(c);
    }
    return ok && !c->bad ? 0 : -EBADMSG;
}

void chunk_head_put(uint8_t to[CHUNK_HEAD_BYTES], uint32_t id, uint64_t offset)
{
    put32(&to, id);
    put64(&to, offset);
}

int chunk_get(struct cursor *c, struct chunk *ret)
{
    ret->id = cursor_u32(c);
    ret->offset = cursor_u64(c);
    ret->data.n = cursor_left(c);
    ret->data.p = cursor_bytes(c, ret->data.n);
    return c->bad || ret->offset > FILE_BYTES_MAX || ret->data.n == 0 ? -EBADMSG : 0;
}

void piece_end_put(struct buf *b, const struct piece_end *p)
{
    buf_put_u32(b, p->id);
    buf_put_u32(b, p->piece);
    buf_put(b, p->digest, DIGEST_BYTES);
}

int piece_end_get(struct cursor *c, struct piece_end *ret)
{
    ret->id = cursor_u32(c);
    ret->piece = cursor_u32(c);
    const void *digest = cursor_bytes(c, DIGEST_BYTES);
    if (!digest)
        return -EBADMSG;
    memcpy(ret->digest, digest, DIGEST_BYTES);
    return 0;
}

void offer_put(struct buf *b, const struct offer *o)
{
    buf_put_u32(b, o->id);
    buf_put_u32(b, o->piece);
    buf_put(b, o->digest, DIGEST_BYTES);
    buf_put_u32(b, o->nholes);
}

int offer_get(struct cursor *c, struct offer *ret)
{
    ret->id = cursor_u32(c);
    ret->piece = cursor_u32(c);
    const void *digest = cursor_bytes(c, DIGEST_BYTES);
    if (!digest)
        return -EBADMSG;
    memcpy(ret->digest, digest, DIGEST_BYTES);
    ret->nholes = cursor_u32(c);
    return c->bad || ret->nholes > OFFER_HOLES_MAX ? -EBADMSG : 0;
}

void hole_put(struct buf *b, const struct hole *h)
{
    buf_put_u32(b, h->from);
    buf_put_u32(b, h->len);
}

int hole_get(struct cursor *c, uint32_t *at, struct hole *ret)
{
    uint32_t from = cursor_u32(c), len = cursor_u32(c);
    if (c->bad || from < *at || from > PIECE_BYTES || len == 0 || len > PIECE_BYTES - from)
        return -EBADMSG;
    *at = from + len;
    *ret = (struct hole){from, len};
    return 0;
}

void sums_put(struct buf *b, const struct sums *s)
{
    buf_put_u32(b, s->id);
    buf_put_u32(b, s->piece);
    buf_put_u8(b, s->kind);
    buf_put(b, s->blocks.p, s->blocks.n);
}

int sums_get(struct cursor *c, struct sums *ret)
{
    ret->id = cursor_u32(c);
    ret->piece = cursor_u32(c);
    ret->kind = cursor_u8(c);
    ret->blocks.n = cursor_left(c);
    ret->blocks.p = cursor_bytes(c, ret->blocks.n);
    bool fits = ret->kind == SUMS_SAME
                    ? ret->blocks.n == 0
                    : ret->kind == SUMS_BLOCKS && ret->blocks.n % sizeof(uint64_t) == 0 &&
                          ret->blocks.n <= PIECE_BLOCKS * sizeof(uint64_t);
    return c->bad || !fits ? -EBADMSG : 0;
}

/* ── answers ── */

void begun_put(struct buf *b, const struct begun *g)
{
    buf_put_u32(b, g->id);
    bytes_put(b, g->bitmap);
    if (g->old_size == 0)
        return;
    buf_put_u64(b, g->old_size);
    buf_put_u64(b, g->seed);
}

int begun_get(struct cursor *c, struct begun *ret)
{
    *ret = (struct begun){.id = cursor_u32(c)};
    ret->bitmap = bytes_get(c, PIECES_MAX / 8);
    if (!c->bad && cursor_left(c) > 0) {
        ret->old_size = cursor_u64(c);
        ret->seed = cursor_u64(c);
    }
    return c->bad || ret->old_size > FILE_BYTES_MAX ? -EBADMSG : 0;
}

void status_put(struct buf *b, const struct status *s)
{
    buf_put_u64(b, s->instance);
    buf_put_u64(b, s->durable_bytes);
    buf_put_u64(b, s->found_bytes);
}

int status_get(struct cursor *c, struct status *ret)
{
    ret->instance = cursor_u64(c);
    ret->durable_bytes = cursor_u64(c);
    ret->found_bytes = cursor_u64(c);
    return c->bad ? -EBADMSG : 0;
}

void failed_put(struct buf *b, const struct failed *f)
{
    bytes_put(b, f->path);
    buf_put_u32(b, (uint32_t)f->err);
    bytes_put(b, f->what);
}

int failed_get(struct cursor *c, struct failed *ret)
{
    if (!path_get(c, &ret->path))
        return -EBADMSG;
    ret->err = (int)(cursor_u32(c) & 0xfff);
    ret->what = bytes_get(c, 31);
    return c->bad || ret->err == 0 ? -EBADMSG : 0;
}

void stop_put(struct buf *b, const struct fault *f)
{
    buf_put_u8(b, (uint8_t)f->what_next);
    buf_put_u32(b, (uint32_t)f->err);
    buf_put_blob(b, f->text, strnlen(f->text, sizeof f->text));
}

int stop_get(struct cursor *c, struct fault *ret)
{
    uint8_t what = cursor_u8(c);
    int err = (int)(cursor_u32(c) & 0xfff);
    struct bytes text = bytes_get(c, FAULT_TEXT_MAX - 1);
    if (c->bad || what < FAULT_RETRY || what > FAULT_STOP_JOB)
        return -EBADMSG;
    (void)fault_set(ret, (enum fault_class)what, err, "%.*s", (int)text.n, text.p ? text.p : "");
    return 0;
}

/* ── where something was ── */

enum { ORIGIN_SAME = 1 };

void origin_put(struct buf *b, const struct origin *o)
{
    bytes_put(b, o->from);
    buf_put_u8(b, o->same ? ORIGIN_SAME : 0);
    uint8_t *at = buf_reserve(b, 12);
    if (!at)
        return;
    put_time(&at, &o->ctime);
    b->len += 12;
}

int origin_get(struct cursor *c, struct origin *ret)
{
    if (!path_get(c, &ret->from))
        return -EBADMSG;
    ret->same = cursor_u8(c) & ORIGIN_SAME;
    const uint8_t *at = cursor_bytes(c, 12);
    return !at || !get_time(&at, &ret->ctime) ? -EBADMSG : 0;
}

void moves_head_put(struct buf *b, struct bytes folder)
{
    bytes_put(b, folder);
}

void move_put(struct buf *b, const struct move *m)
{
    bytes_put(b, m->name);
    bytes_put(b, m->from);
    buf_put_u64(b, m->ino);
    buf_put_u64(b, m->other_ino);
}

int moves_head_get(struct cursor *c, struct bytes *retfolder, uint32_t *retcount)
{
    if (!path_get(c, retfolder))
        return -EBADMSG;
    *retcount = cursor_u32(c);
    return c->bad || *retcount > LISTING_ENTRIES ? -EBADMSG : 0;
}

int move_get(struct cursor *c, struct move *ret)
{
    if (!name_get(c, &ret->name) || !path_get(c, &ret->from) || ret->from.n == 0)
        return -EBADMSG;
    ret->ino = cursor_u64(c);
    ret->other_ino = cursor_u64(c);
    return c->bad || ret->ino == 0 ? -EBADMSG : 0;
}
