/* record: packing and parsing of every record but those of larger files (record_large.c); the
 * parsers bound each length before it is used. */
#include "agent/transfer/record.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "agent/store/beneath.h"
#include "agent/transfer/record_priv.h"

void record_put32(uint8_t **at, uint32_t v)
{
    v = htole32(v);
    memcpy(*at, &v, sizeof v);
    *at += sizeof v;
}

void record_put64(uint8_t **at, uint64_t v)
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
    record_put64(at, (uint64_t)t->tv_sec);
    record_put32(at, (uint32_t)t->tv_nsec);
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
    record_put32(&at, m->mode);
    record_put32(&at, m->uid);
    record_put32(&at, m->gid);
    record_put32(&at, m->nlink);
    record_put64(&at, m->size);
    record_put64(&at, m->ino);
    record_put64(&at, m->rdev);
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

void record_bytes_put(struct buf *b, struct bytes v)
{
    buf_put_blob(b, v.p, v.n);
}

struct bytes record_bytes_get(struct cursor *c, size_t max)
{
    struct bytes v;
    v.p = cursor_blob(c, max, &v.n);
    return v;
}

bool record_path_get(struct cursor *c, struct bytes *ret)
{
    *ret = record_bytes_get(c, PATH_BYTES_MAX);
    return !c->bad && beneath_valid(ret->p, ret->n);
}

bool record_name_get(struct cursor *c, struct bytes *ret)
{
    *ret = record_bytes_get(c, NAME_BYTES_MAX);
    return !c->bad && beneath_valid_name(ret->p, ret->n);
}

bool record_xattrs_get(struct cursor *c, struct bytes *ret)
{
    *ret = record_bytes_get(c, XATTRS_MAX);
    return !c->bad && (ret->n == 0 || xattrs_valid(ret->p, ret->n));
}

static bool symlink_target_get(struct cursor *c, struct bytes *ret)
{
    *ret = record_bytes_get(c, SYMLINK_TARGET_MAX);
    return !c->bad && ret->n > 0 && !memchr(ret->p, '\0', ret->n);
}

bool record_link_target_get(struct cursor *c, struct bytes *ret)
{
    return record_path_get(c, ret) && ret->n > 0;
}

/* ── LISTING ── */

void listing_head_put(struct buf *b, const struct listing_head *h)
{
    record_bytes_put(b, h->folder);
    buf_put_u8(b, h->flags);
    if (h->flags & LISTING_FIRST) {
        meta_put(b, &h->meta);
        record_bytes_put(b, h->xattrs);
    }
}

int listing_head_get(struct cursor *c, struct listing_head *ret)
{
    *ret = (struct listing_head){0};
    if (!record_path_get(c, &ret->folder))
        return -EBADMSG;
    ret->flags = cursor_u8(c);
    if (ret->flags & LISTING_FIRST)
        if (!meta_get(c, &ret->meta) || !S_ISDIR(ret->meta.mode) ||
            !record_xattrs_get(c, &ret->xattrs))
            return -EBADMSG;
    ret->count = cursor_u32(c);
    return c->bad || ret->count > LISTING_ENTRIES ? -EBADMSG : 0;
}

void listing_entry_put(struct buf *b, const struct listing_entry *e)
{
    record_bytes_put(b, e->name);
    meta_put(b, &e->meta);
    buf_put_u64(b, e->xattrs_digest);
    buf_put_u8(b, e->flags);
    if ((e->flags & ENTRY_LINKED) || S_ISLNK(e->meta.mode))
        record_bytes_put(b, e->target);
}

int listing_entry_get(struct cursor *c, struct listing_entry *ret)
{
    *ret = (struct listing_entry){0};
    if (!record_name_get(c, &ret->name) || !meta_get(c, &ret->meta))
        return -EBADMSG;
    ret->xattrs_digest = cursor_u64(c);
    ret->flags = cursor_u8(c);
    bool ok = !c->bad;
    if (ok && (ret->flags & ENTRY_LINKED))
        ok = !S_ISDIR(ret->meta.mode) && record_link_target_get(c, &ret->target);
    else if (ok && S_ISLNK(ret->meta.mode))
        ok = symlink_target_get(c, &ret->target);
    return ok ? 0 : -EBADMSG;
}

/* ── BATCH ── */

void batch_head_put(struct buf *b, const struct batch_head *h)
{
    record_bytes_put(b, h->folder);
    buf_put_u8(b, h->flags);
    if (h->flags & BATCH_HAS_META) {
        meta_put(b, &h->meta);
        record_bytes_put(b, h->xattrs);
    }
}

int batch_head_get(struct cursor *c, struct batch_head *ret)
{
    *ret = (struct batch_head){0};
    if (!record_path_get(c, &ret->folder))
        return -EBADMSG;
    ret->flags = cursor_u8(c);
    if (ret->flags & BATCH_HAS_META)
        if (!meta_get(c, &ret->meta) || !S_ISDIR(ret->meta.mode) ||
            !record_xattrs_get(c, &ret->xattrs))
            return -EBADMSG;
    return c->bad ? -EBADMSG : 0;
}

void batch_entry_put(struct buf *b, const struct batch_entry *e)
{
    buf_put_u8(b, e->kind);
    record_bytes_put(b, e->name);
    meta_put(b, &e->meta);
    record_bytes_put(b, e->xattrs);
    if (e->kind == BATCH_FILE || e->kind == BATCH_META)
        buf_put(b, e->digest, DIGEST_BYTES);
    if (e->kind == BATCH_SYMLINK || e->kind == BATCH_HARDLINK)
        record_bytes_put(b, e->target);
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
        return record_link_target_get(c, &ret->target) && !S_ISDIR(mode);
    case BATCH_FOLDER:
        break;
    }
    return false;
}

int batch_entry_get(struct cursor *c, struct batch_entry *ret)
{
    *ret = (struct batch_entry){.kind = cursor_u8(c)};
    bool ok = record_name_get(c, &ret->name) && meta_get(c, &ret->meta) &&
              record_xattrs_get(c, &ret->xattrs) && batch_rest_get(c, ret);
    return ok && !c->bad ? 0 : -EBADMSG;
}

int segment_get(struct cursor *c, uint64_t size, uint64_t *at, uint64_t *retoffset,
                struct bytes *retdata)
{
    uint64_t offset = cursor_u64(c);
    struct bytes data = record_bytes_get(c, BATCH_FILE_MAX);
    if (c->bad || offset < *at || offset > size || data.n > size - offset)
        return -EBADMSG;
    *at = offset + data.n;
    *retoffset = offset;
    *retdata = data;
    return 0;
}

/* ── answers ── */

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
    record_bytes_put(b, f->path);
    buf_put_u32(b, (uint32_t)f->err);
    record_bytes_put(b, f->what);
}

int failed_get(struct cursor *c, struct failed *ret)
{
    if (!record_path_get(c, &ret->path))
        return -EBADMSG;
    ret->err = (int)(cursor_u32(c) & 0xfff);
    ret->what = record_bytes_get(c, 31);
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
    struct bytes text = record_bytes_get(c, FAULT_TEXT_MAX - 1);
    if (c->bad || what < FAULT_RETRY || what > FAULT_STOP_JOB)
        return -EBADMSG;
    (void)fault_set(ret, (enum fault_class)what, err, "%.*s", (int)text.n, text.p ? text.p : "");
    return 0;
}

/* ── where something was ── */

enum { ORIGIN_SAME = 1 };

void origin_put(struct buf *b, const struct origin *o)
{
    record_bytes_put(b, o->from);
    buf_put_u8(b, o->same ? ORIGIN_SAME : 0);
    uint8_t *at = buf_reserve(b, 12);
    if (!at)
        return;
    put_time(&at, &o->ctime);
    b->len += 12;
}

int origin_get(struct cursor *c, struct origin *ret)
{
    if (!record_path_get(c, &ret->from))
        return -EBADMSG;
    ret->same = cursor_u8(c) & ORIGIN_SAME;
    const uint8_t *at = cursor_bytes(c, 12);
    return !at || !get_time(&at, &ret->ctime) ? -EBADMSG : 0;
}

void moves_head_put(struct buf *b, struct bytes folder)
{
    record_bytes_put(b, folder);
}

void move_put(struct buf *b, const struct move *m)
{
    record_bytes_put(b, m->name);
    record_bytes_put(b, m->from);
    buf_put_u64(b, m->ino);
    buf_put_u64(b, m->other_ino);
}

int moves_head_get(struct cursor *c, struct bytes *retfolder, uint32_t *retcount)
{
    if (!record_path_get(c, retfolder))
        return -EBADMSG;
    *retcount = cursor_u32(c);
    return c->bad || *retcount > LISTING_ENTRIES ? -EBADMSG : 0;
}

int move_get(struct cursor *c, struct move *ret)
{
    if (!record_name_get(c, &ret->name) || !record_path_get(c, &ret->from) || ret->from.n == 0)
        return -EBADMSG;
    ret->ino = cursor_u64(c);
    ret->other_ino = cursor_u64(c);
    return c->bad || ret->ino == 0 ? -EBADMSG : 0;
}
