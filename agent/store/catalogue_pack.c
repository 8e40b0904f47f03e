/* catalogue_pack: the bytes of a catalogue segment. Pure: no file, no state; any thread. */
#include <errno.h>
#include <string.h>

#include "agent/store/beneath.h"
#include "agent/store/catalogue_priv.h"
#include "common/base/xxh3.h"

#define NSEC_PER_SEC 1000000000U
enum { RECORD_GONE = 0, RECORD_ENTRY = 1, RECORD_PROVED = 2 };
enum { PROVED_META = 1, PROVED_SHA256 = 2 };

static void put_time(struct buf *b, struct timespec t)
{
    buf_put_u64(b, (uint64_t)t.tv_sec);
    buf_put_u32(b, (uint32_t)t.tv_nsec);
}

static struct timespec get_time(struct cursor *c)
{
    struct timespec t = {.tv_sec = (time_t)cursor_u64(c)};
    uint32_t nsec = cursor_u32(c);
    if (nsec >= NSEC_PER_SEC)
        c->bad = true;
    t.tv_nsec = (long)nsec;
    return t;
}

static void put_proof(struct buf *b, const struct catalogue_entry *e)
{
    buf_put_u8(b, (e->has_meta ? PROVED_META : 0) | (e->has_sha256 ? PROVED_SHA256 : 0));
    if (e->has_meta) {
        buf_put_varint(b, e->uid);
        buf_put_varint(b, e->gid);
        buf_put_u64(b, e->xattrs_digest);
    }
    if (e->has_sha256)
        buf_put(b, e->sha256, sizeof e->sha256);
}

static void get_proof(struct cursor *c, struct catalogue_entry *e)
{
    uint8_t has = cursor_u8(c);
    if (has & ~(PROVED_META | PROVED_SHA256))
        c->bad = true;
    e->has_meta = has & PROVED_META;
    e->has_sha256 = has & PROVED_SHA256;
    if (e->has_meta) {
        uint64_t uid = cursor_varint(c), gid = cursor_varint(c);
        c->bad = c->bad || uid > UINT32_MAX || gid > UINT32_MAX;
        e->uid = (uint32_t)uid;
        e->gid = (uint32_t)gid;
        e->xattrs_digest = cursor_u64(c);
    }
    const void *sha256 = e->has_sha256 ? cursor_bytes(c, sizeof e->sha256) : NULL;
    if (sha256)
        memcpy(e->sha256, sha256, sizeof e->sha256);
}

void pack_record(struct buf *b, const char *name, size_t name_len, const struct catalogue_entry *e)
{
    bool proved = e && (e->has_meta || e->has_sha256);
    buf_put_u8(b, proved ? RECORD_PROVED : e ? RECORD_ENTRY : RECORD_GONE);
    buf_put_blob(b, name, name_len);
    if (!e)
        return;
    buf_put_u32(b, e->mode);
    buf_put_varint(b, e->size);
    buf_put_varint(b, e->ino);
    put_time(b, e->mtime);
    put_time(b, e->ctime);
    buf_put(b, e->digest, sizeof e->digest);
    if (proved)
        put_proof(b, e);
}

bool pack_next(struct cursor *c, struct packed_view *ret)
{
    if (c->bad || cursor_left(c) == 0)
        return false;
    uint8_t kind = cursor_u8(c);
    ret->name = cursor_blob(c, 255, &ret->name_len);
    ret->gone = kind == RECORD_GONE;
    if (c->bad || kind > RECORD_PROVED || !beneath_valid_name(ret->name, ret->name_len)) {
        c->bad = true;
        return false;
    }
    ret->e = (struct catalogue_entry){.mode = 0};
    if (ret->gone)
        return true;
    ret->e.mode = cursor_u32(c);
    ret->e.size = cursor_varint(c);
    ret->e.ino = cursor_varint(c);
    ret->e.mtime = get_time(c);
    ret->e.ctime = get_time(c);
    const void *digest = cursor_bytes(c, sizeof ret->e.digest);
    if (digest)
        memcpy(ret->e.digest, digest, sizeof ret->e.digest);
    if (kind == RECORD_PROVED)
        get_proof(c, &ret->e);
    return !c->bad;
}

static uint64_t checksum(const void *p, size_t len)
{
    return XXH3_64bits(p, len);
}

void pack_seal(struct buf *ret, const void *records, size_t len, const void *more, size_t more_len)
{
    buf_clear(ret);
    buf_put_u64(ret, 0);
    buf_put(ret, records, len);
    buf_put(ret, more, more_len);
    if (ret->overflow)
        return;
    struct buf head;
    buf_init(&head, sizeof(uint64_t));
    buf_put_u64(&head, checksum(ret->data + sizeof(uint64_t), ret->len - sizeof(uint64_t)));
    memcpy(ret->data, head.data, head.len);
    buf_done(&head);
}

int pack_open(const void *blob, size_t len, struct cursor *ret, uint32_t *retcount)
{
    if (len == 0 || len > SEGMENT_BYTES_MAX)
        return -EBADMSG;
    struct cursor c = cursor_of(blob, len);
    uint64_t want = cursor_u64(&c);
    if (c.bad || want != checksum(c.at, cursor_left(&c)))
        return -EBADMSG;
    struct cursor walk = c;
    struct packed_view v;
    uint32_t count = 0;
    while (pack_next(&walk, &v))
        count++;
    if (walk.bad)
        return -EBADMSG;
    *ret = c;
    *retcount = count;
    return 0;
}
