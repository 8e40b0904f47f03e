/* remap: maps the ids of one entry's metadata and packed attributes. Bytes of files: hostile. */
#include "agent/store/remap.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/store/meta_priv.h"
#include "agent/store/ntacl.h"
#include "common/base/cleanup.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"

#define ACL_ACCESS "system.posix_acl_access"
#define ACL_DEFAULT "system.posix_acl_default"
#define ACL_VERSION 2
#define ACL_ENTRIES_MAX 8192U

enum { TAG_USER = 0x02, TAG_GROUP = 0x08 };

struct ace {
    uint16_t tag, perm;
    uint32_t id;
};

void remap_meta(const struct idmap *map, struct meta *m)
{
    if (!map)
        return;
    m->own_uid = m->uid;
    m->own_gid = m->gid;
    m->uid = idmap_uid(map, m->uid);
    m->gid = idmap_gid(map, m->gid);
}

/* ── POSIX ACLs ── */

static int by_tag_and_id(const void *a, const void *b)
{
    const struct ace *x = a, *y = b;
    if (x->tag != y->tag)
        return x->tag < y->tag ? -1 : 1;
    return (x->id > y->id) - (x->id < y->id);
}

static void aces_map(const struct idmap *map, struct ace *e, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (e[i].tag == TAG_USER)
            e[i].id = idmap_uid(map, e[i].id);
        else if (e[i].tag == TAG_GROUP)
            e[i].id = idmap_gid(map, e[i].id);
    }
}

/* How many are left. */
static size_t aces_join(struct ace *e, size_t n)
{
    size_t o = 0;
    for (size_t i = 0; i < n; i++) {
        bool named = e[i].tag == TAG_USER || e[i].tag == TAG_GROUP;
        if (o > 0 && named && e[o - 1].tag == e[i].tag && e[o - 1].id == e[i].id)
            e[o - 1].perm |= e[i].perm;
        else
            e[o++] = e[i];
    }
    return o;
}

int remap_acl(const struct idmap *map, const void *acl, size_t len, struct buf *ret)
{
    struct cursor c = cursor_of(acl, len);
    size_t n = len >= 4 ? (len - 4) / 8 : 0;
    if (cursor_u32(&c) != ACL_VERSION || len != 4 + n * 8 || n > ACL_ENTRIES_MAX)
        return -EINVAL;
    CLEANUP(mem_free) struct ace *e = xcalloc(n + 1, sizeof *e);
    for (size_t i = 0; i < n; i++) {
        e[i].tag = cursor_u16(&c);
        e[i].perm = cursor_u16(&c);
        e[i].id = cursor_u32(&c);
    }
    aces_map(map, e, n);
    qsort(e, n, sizeof *e, by_tag_and_id);
    n = aces_join(e, n);
    buf_put_u32(ret, ACL_VERSION);
    for (size_t i = 0; i < n; i++) {
        buf_put_u16(ret, e[i].tag);
        buf_put_u16(ret, e[i].perm);
        buf_put_u32(ret, e[i].id);
    }
    return ret->overflow ? -EINVAL : 0;
}

/* ── all attributes ── */

struct work {
    const struct idmap *map;
    struct ntacl_posix before, after;
    struct buf access, inherit; /* mapped */
    unsigned losses;
};

static bool is_name(const struct xattr_view *x, const char *name)
{
    return x->name_len == strlen(name) && memcmp(x->name, name, x->name_len) == 0;
}

/* The mapped value of one of the two ACLs. A malformed one goes as it is: the destination's kernel
 * refuses it, and then takes care that the group bits of the mode do not give what it did not. */
static void take_acl(struct work *w, const struct xattr_view *x, struct buf *mapped,
                     const void **before, size_t *before_len)
{
    *before = x->value;
    *before_len = x->value_len;
    if (remap_acl(w->map, x->value, x->value_len, mapped) < 0) {
        w->losses |= REMAP_LOSS_SHAPE;
        buf_clear(mapped);
    }
}

/* First the ACLs: the descriptor's digest covers them. */
static bool look_over(struct work *w, const struct buf *xattrs)
{
    struct cursor c = cursor_of(xattrs->data, xattrs->len);
    struct xattr_view x;
    bool any = false;
    while (xattrs_next(&c, &x)) {
        if (is_name(&x, ACL_ACCESS))
            take_acl(w, &x, &w->access, &w->before.access, &w->before.access_len);
        else if (is_name(&x, ACL_DEFAULT))
            take_acl(w, &x, &w->inherit, &w->before.inherit, &w->before.inherit_len);
        else if (!is_name(&x, NTACL_NAME))
            continue;
        any = true;
    }
    w->after.access = w->access.len ? w->access.data : NULL;
    w->after.access_len = w->access.len;
    w->after.inherit = w->inherit.len ? w->inherit.data : NULL;
    w->after.inherit_len = w->inherit.len;
    return any && !c.bad;
}

static void put(struct buf *to, const struct xattr_view *x, const void *value, size_t len)
{
    buf_put_blob(to, x->name, x->name_len);
    buf_put_blob(to, value, len);
}

static void put_ntacl(struct work *w, const struct xattr_view *x, struct buf *to)
{
    struct buf b;
    enum ntacl_fate fate = NTACL_LOST;
    buf_init(&b, XATTRS_MAX);
    int rc = ntacl_map(x->value, x->value_len, w->map, &w->before, &w->after, &b, &fate);
    if (rc < 0)
        w->losses |= REMAP_LOSS_SHAPE;
    else if (fate == NTACL_LOST)
        w->losses |= REMAP_LOSS_NTACL;
    else if (fate == NTACL_KEPT)
        put(to, x, x->value, x->value_len);
    else
        put(to, x, b.data, b.len);
    buf_done(&b);
}

static void put_one(struct work *w, const struct xattr_view *x, struct buf *to)
{
    const struct buf *acl = is_name(x, ACL_ACCESS)    ? &w->access
                            : is_name(x, ACL_DEFAULT) ? &w->inherit
                                                      : NULL;
    if (acl && acl->len)
        put(to, x, acl->data, acl->len);
    else if (is_name(x, NTACL_NAME))
        put_ntacl(w, x, to);
    else
        put(to, x, x->value, x->value_len);
}

void remap_attrs(const struct idmap *map, const struct meta *m, struct buf *xattrs,
                 unsigned *retlosses)
{
    if (!map || xattrs->len == 0)
        return;
    struct work w = {
        .map = map,
        .before = {.uid = m->own_uid, .gid = m->own_gid, .mode = m->mode},
        .after = {.uid = m->uid,     .gid = m->gid,     .mode = m->mode}
    };
    buf_init(&w.access, XATTRS_MAX);
    buf_init(&w.inherit, XATTRS_MAX);
    if (look_over(&w, xattrs)) {
        struct buf out;
        struct xattr_view x;
        struct cursor c = cursor_of(xattrs->data, xattrs->len);
        buf_init(&out, XATTRS_MAX + 1);
        while (xattrs_next(&c, &x))
            put_one(&w, &x, &out);
        buf_clear(xattrs);
        buf_put(xattrs, out.data, out.len);
        buf_done(&out);
    }
    *retlosses |= w.losses;
    buf_done(&w.access);
    buf_done(&w.inherit);
}
