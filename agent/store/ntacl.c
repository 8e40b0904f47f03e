/* ntacl: reads, maps and writes security.NTACL, versions 1 to 4. The layout is Samba's NDR: a head,
 * then a self-relative security descriptor whose offsets count from the beginning. Any thread. */
#include "agent/store/ntacl.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/idmap.h"
#include "common/base/sha256.h"

#define BLOB_MAX (64U << 10)
#define ACES_MAX 2000U
#define HASH_FIELD 64
#define DESCRIPTION_MAX 64

enum { HASH_NONE = 0, HASH_SHA256 = 1 };

struct head {
    unsigned version;
    uint16_t hash_type; /* of version 3 and 4; 2 always has one */
    size_t sys_hash_at; /* of version 4; 0: none */
    size_t sd_at;
    bool posix; /* version 4 of POSIX ACLs, not of some other kind */
};

static size_t aligned(size_t at, size_t to)
{
    return (at + to - 1) / to * to;
}

static uint16_t get16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return le16toh(v);
}

static uint32_t get32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return le32toh(v);
}

static void put32(uint8_t *p, uint32_t v)
{
    v = htole32(v);
    memcpy(p, &v, sizeof v);
}

/* ── the head ── */

static int head_tail(const uint8_t *p, size_t len, size_t at, struct head *h)
{
    if (h->version == 3 || h->version == 4) {
        if (at + 2 > len)
            return -EBADMSG;
        h->hash_type = get16(p + at);
        at += 2 + HASH_FIELD;
    } else {
        at += 16; /* version 2 */
    }
    if (h->version == 4) {
        const uint8_t *end = at < len ? memchr(p + at, '\0', len - at) : NULL;
        if (!end || (size_t)(end - (p + at)) > DESCRIPTION_MAX)
            return -EBADMSG;
        h->posix = strcmp((const char *)p + at, "posix_acl") == 0;
        at = aligned((size_t)(end - p) + 1, 4) + 8; /* the time behind it */
        h->sys_hash_at = at;
        at += HASH_FIELD;
    }
    h->sd_at = aligned(at, 4);
    return h->sd_at + 20 <= len ? 0 : -EBADMSG;
}

static int head_read(const uint8_t *p, size_t len, struct head *ret)
{
    struct head h = {.version = len >= 12 ? get16(p) : 0};
    if (len > BLOB_MAX || h.version < 1 || h.version > 4 || get16(p + 2) != h.version ||
        get32(p + 4) == 0)
        return -EBADMSG;
    int rc = 0;
    if (h.version == 1)
        h.sd_at = 8;
    else
        rc = get32(p + 8) == 0 ? -EBADMSG : head_tail(p, len, 12, &h);
    if (rc == 0 && h.sd_at + 20 > len)
        rc = -EBADMSG;
    if (rc == 0)
        *ret = h;
    return rc;
}

/* ── walking and writing ── */

struct mapper {
    const uint8_t *p;
    size_t len;
    const struct idmap *map; /* NULL: only look */
    ntacl_each_sid each;
    void *arg;
    struct buf *out; /* NULL: only look */
    bool changed;
};

/* The SID at p + at, of at most room bytes. Its length, or -EBADMSG. */
static int do_sid(struct mapper *m, size_t at, size_t room)
{
    struct sid from, to;
    uint8_t packed[SID_BYTES_MAX];
    int n = at <= m->len && room <= m->len - at ? sid_unpack(m->p + at, room, &from) : -EBADMSG;
    if (n < 0)
        return n;
    if (m->each)
        m->each(m->arg, &from);
    bool other = idmap_sid(m->map, &from, &to);
    m->changed = m->changed || other;
    if (m->out)
        buf_put(m->out, packed, sid_pack(other ? &to : &from, packed));
    return n;
}

/* Where the SID of an entry of this type begins; 0: it has none that we know. */
static size_t ace_sid_at(const uint8_t *ace, size_t size)
{
    static const uint8_t plain[] = {0, 1, 2, 9, 10, 13, 17, 18, 19};
    static const uint8_t object[] = {5, 6, 7, 11, 12, 15};
    if (memchr(plain, ace[0], sizeof plain))
        return 8;
    if (!memchr(object, ace[0], sizeof object) || size < 12)
        return 0;
    uint32_t flags = get32(ace + 8);
    return 12 + (flags & 1 ? 16U : 0) + (flags & 2 ? 16U : 0);
}

static int do_ace(struct mapper *m, size_t at, size_t size)
{
    const uint8_t *ace = m->p + at;
    size_t sid_at = ace_sid_at(ace, size), start = m->out ? m->out->len : 0;
    if (m->out)
        buf_put(m->out, ace, sid_at ? sid_at : size);
    if (sid_at == 0)
        return 0;
    int n = sid_at < size ? do_sid(m, at + sid_at, size - sid_at) : -EBADMSG;
    if (n < 0 || !m->out)
        return n < 0 ? n : 0;
    size_t tail = sid_at + (size_t)n;
    buf_put(m->out, ace + tail, size - tail);
    if (m->out->overflow || m->out->len - start > UINT16_MAX)
        return -E2BIG;
    uint16_t le = htole16((uint16_t)(m->out->len - start));
    memcpy(m->out->data + start + 2, &le, sizeof le);
    return 0;
}

static int do_acl(struct mapper *m, size_t at)
{
    if (at + 8 > m->len)
        return -EBADMSG;
    size_t size = get16(m->p + at + 2), end = at + size, start = m->out ? m->out->len : 0;
    uint32_t n = get32(m->p + at + 4);
    if (size < 8 || end > m->len || n > ACES_MAX)
        return -EBADMSG;
    if (m->out)
        buf_put(m->out, m->p + at, 8);
    at += 8;
    int rc = 0;
    for (uint32_t i = 0; rc == 0 && i < n; i++) {
        size_t ace = at + 8 <= end ? get16(m->p + at + 2) : 0;
        if (ace < 8 || ace > end - at)
            return -EBADMSG;
        rc = do_ace(m, at, ace);
        at += ace;
    }
    if (rc < 0 || !m->out)
        return rc;
    if (m->out->overflow || m->out->len - start > UINT16_MAX)
        return -E2BIG;
    uint16_t le = htole16((uint16_t)(m->out->len - start));
    memcpy(m->out->data + start + 2, &le, sizeof le);
    return 0;
}

/* Owner, group, audit and access list: their offsets stand at 4, 8, 12 and 16 of the descriptor. */
static int do_descriptor(struct mapper *m, size_t sd_at)
{
    static const uint8_t none[4];
    size_t head = m->out ? m->out->len : 0;
    if (m->out)
        buf_put(m->out, m->p + sd_at, 4);
    for (unsigned i = 0; m->out && i < 4; i++)
        buf_put(m->out, none, sizeof none);
    for (unsigned i = 0; i < 4; i++) {
        size_t at = get32(m->p + sd_at + 4 + 4 * (size_t)i);
        if (at == 0)
            continue;
        if (at < sd_at + 20 || at >= m->len)
            return -EBADMSG;
        if (m->out)
            while (m->out->len % 4 && !m->out->overflow)
                buf_put_u8(m->out, 0);
        size_t now = m->out ? m->out->len : 0;
        int rc = i < 2 ? do_sid(m, at, m->len - at) : do_acl(m, at);
        if (rc < 0)
            return rc;
        if (m->out && m->out->overflow)
            return -E2BIG;
        if (m->out)
            put32(m->out->data + head + 4 + 4 * (size_t)i, (uint32_t)now);
    }
    return 0;
}

/* ── Samba's digest of the POSIX side ── */

#define ACL_ENTRIES_MAX 2048U

static void ndr_align(struct buf *b, size_t to)
{
    while (b->len % to && !b->overflow)
        buf_put_u8(b, 0);
}

static void ndr_entry(struct buf *b, uint16_t type, uint32_t perm, uint32_t id)
{
    ndr_align(b, 8);
    buf_put_u16(b, type);
    buf_put_u16(b, type); /* of the union behind it */
    if (type == 1 || type == 3) {
        ndr_align(b, 8);
        buf_put_u64(b, id);
    }
    buf_put_u32(b, perm);
}

static void ndr_count(struct buf *b, uint32_t n)
{
    ndr_align(b, 4);
    buf_put_u32(b, n);
    ndr_align(b, 8);
    buf_put_u32(b, n);
    buf_put_u32(b, 0);
}

/* Kernel's tags to Samba's; 0: none. */
static uint16_t samba_tag(uint16_t tag)
{
    switch (tag) {
    case 0x01:
        return 2;
    case 0x02:
        return 1;
    case 0x04:
        return 4;
    case 0x08:
        return 3;
    case 0x10:
        return 6;
    case 0x20:
        return 5;
    default:
        return 0;
    }
}

static int ndr_acl(struct buf *b, const void *acl, size_t len)
{
    const uint8_t *p = acl;
    if (len < 4 || (len - 4) % 8 != 0 || get32(p) != 2 || len / 8 > ACL_ENTRIES_MAX)
        return -EINVAL;
    ndr_count(b, (uint32_t)((len - 4) / 8));
    for (size_t at = 4; at < len; at += 8) {
        uint16_t type = samba_tag(get16(p + at));
        if (type == 0)
            return -EINVAL;
        ndr_entry(b, type, get16(p + at + 2), get32(p + at + 4));
    }
    return 0;
}

static void ndr_mode(struct buf *b, uint32_t mode)
{
    ndr_count(b, 3);
    ndr_entry(b, 2, mode >> 6 & 7, 0);
    ndr_entry(b, 4, mode >> 3 & 7, 0);
    ndr_entry(b, 5, mode & 7, 0);
}

int ntacl_posix_hash(const struct ntacl_posix *p, uint8_t ret[NTACL_HASH_BYTES])
{
    enum { REFERENT = 0x20000 };
    bool folder = (p->mode & 0170000) == 0040000;
    struct buf b;
    int rc = 0;
    buf_init(&b, 2 * (24 * ACL_ENTRIES_MAX + 64));
    buf_put_u32(&b, REFERENT);
    buf_put_u32(&b, folder ? REFERENT + 4 : 0);
    buf_put_u64(&b, p->uid);
    buf_put_u64(&b, p->gid);
    buf_put_u32(&b, p->mode);
    if (p->access)
        rc = ndr_acl(&b, p->access, p->access_len);
    else
        ndr_mode(&b, p->mode);
    if (rc == 0 && folder && p->inherit)
        rc = ndr_acl(&b, p->inherit, p->inherit_len);
    else if (rc == 0 && folder)
        ndr_count(&b, 0);
    if (rc == 0 && b.overflow)
        rc = -EINVAL;
    if (rc == 0)
        sha256_of(b.data, b.len, ret);
    buf_done(&b);
    return rc;
}

/* ── mapping ── */

static bool same_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same_posix(const struct ntacl_posix *a, const struct ntacl_posix *b)
{
    return a->uid == b->uid && a->gid == b->gid && a->mode == b->mode &&
           same_bytes(a->access, a->access_len, b->access, b->access_len) &&
           same_bytes(a->inherit, a->inherit_len, b->inherit, b->inherit_len);
}

/* Of version 4: the digest where it was right. */
static int renew_hash(const uint8_t *blob, const struct head *h, const struct ntacl_posix *before,
                      const struct ntacl_posix *after, uint8_t *field)
{
    uint8_t old[NTACL_HASH_BYTES], now[NTACL_HASH_BYTES];
    int rc = ntacl_posix_hash(before, old);
    if (rc == 0)
        rc = ntacl_posix_hash(after, now);
    if (rc == 0 && memcmp(blob + h->sys_hash_at, old, sizeof old) == 0)
        memcpy(field, now, sizeof now);
    return rc;
}

/* Versions that say by a digest of Samba's own view of the POSIX ACL whether they count. */
static bool is_bound_otherwise(const struct head *h)
{
    return h->version == 2 || (h->version == 3 && h->hash_type != HASH_NONE) ||
           (h->version == 4 && h->hash_type != HASH_NONE && !h->posix);
}

static int write_mapped(struct mapper *m, const struct head *h, const struct ntacl_posix *before,
                        const struct ntacl_posix *after, struct buf *ret)
{
    struct buf b;
    buf_init(&b, BLOB_MAX);
    m->out = &b;
    m->each = NULL;
    buf_put(&b, m->p, h->sd_at);
    int rc = do_descriptor(m, h->sd_at);
    if (rc == 0 && h->version == 4 && h->posix)
        rc = renew_hash(m->p, h, before, after, b.data + h->sys_hash_at);
    if (rc == 0 && b.overflow)
        rc = -E2BIG;
    if (rc == 0)
        buf_put(ret, b.data, b.len);
    buf_done(&b);
    return rc;
}

int ntacl_map(const void *blob, size_t len, const struct idmap *map,
              const struct ntacl_posix *before, const struct ntacl_posix *after, struct buf *ret,
              enum ntacl_fate *retfate)
{
    struct head h;
    struct mapper m = {.p = blob, .len = len, .map = map};
    int rc = head_read(blob, len, &h);
    if (rc == 0)
        rc = do_descriptor(&m, h.sd_at);
    if (rc < 0)
        return rc;
    *retfate = NTACL_KEPT;
    if (!m.changed && same_posix(before, after))
        return 0;
    if (is_bound_otherwise(&h)) {
        *retfate = NTACL_LOST;
        return 0;
    }
    rc = write_mapped(&m, &h, before, after, ret);
    if (rc == -E2BIG || rc == -EINVAL) { /* grown too large, or an ACL of a shape of its own */
        *retfate = NTACL_LOST;
        return 0;
    }
    *retfate = NTACL_MAPPED;
    return rc;
}

int ntacl_map_descriptor(const void *sd, size_t len, const struct idmap *map, struct buf *ret)
{
    struct mapper m = {.p = sd, .len = len, .map = map};
    struct buf b;
    if (len < 20 || len > BLOB_MAX)
        return -EBADMSG;
    int rc = do_descriptor(&m, 0);
    if (rc < 0 || !m.changed)
        return rc;
    buf_init(&b, BLOB_MAX);
    m.out = &b;
    rc = do_descriptor(&m, 0);
    if (rc == 0 && b.overflow)
        rc = -E2BIG;
    if (rc == 0)
        buf_put(ret, b.data, b.len);
    buf_done(&b);
    return rc < 0 ? rc : 1;
}

int ntacl_each(const void *blob, size_t len, ntacl_each_sid each, void *arg)
{
    struct head h;
    struct mapper m = {.p = blob, .len = len, .each = each, .arg = arg};
    int rc = head_read(blob, len, &h);
    return rc == 0 ? do_descriptor(&m, h.sd_at) : rc;
}

int ntacl_each_descriptor(const void *sd, size_t len, ntacl_each_sid each, void *arg)
{
    struct mapper m = {.p = sd, .len = len, .each = each, .arg = arg};
    return len < 20 || len > BLOB_MAX ? -EBADMSG : do_descriptor(&m, 0);
}
