/* idents: a table of ids and SIDs. Bytes of files: hostile. A struct idents belongs to one thread.
 */
#include "agent/access/idents.h"

#include <stdlib.h>
#include <string.h>

#include "agent/store/ntacl.h"
#include "common/base/buf.h"
#include "common/base/mem.h"

#define SLOTS 4096U /* a power of two, over IDENTS_MAX */
#define ACL_VERSION 2
#define ACL_ENTRIES_MAX 8192U

enum { TAG_USER = 0x02, TAG_GROUP = 0x08 };

struct idents {
    struct ident slots[SLOTS];
    size_t n;
    bool full;
    uint32_t last_uid, last_gid; /* most entries have the owner of the one before */
    struct ident *last[2];
};

struct idents *idents_new(void)
{
    return xcalloc(1, sizeof(struct idents));
}

struct idents *idents_free(struct idents *t)
{
    free(t);
    return NULL;
}

static size_t slot_of(const struct ident *i)
{
    uint64_t h = i->id * UINT64_C(0x9e3779b97f4a7c15) + i->kind;
    for (unsigned k = 0; k < i->sid.nsubs; k++)
        h = (h ^ i->sid.sub[k]) * UINT64_C(0x9e3779b97f4a7c15);
    return (size_t)(h >> 40) & (SLOTS - 1);
}

static bool is_same(const struct ident *a, const struct ident *b)
{
    return a->kind == b->kind && a->id == b->id &&
           (a->kind != IDENT_SID || sid_order(&a->sid, &b->sid) == 0);
}

/* NULL: there is no room for it. */
static struct ident *add(struct idents *t, const struct ident *i, uint64_t count)
{
    size_t at = slot_of(i);
    while (t->slots[at].count > 0 && !is_same(&t->slots[at], i))
        at = (at + 1) & (SLOTS - 1);
    if (t->slots[at].count == 0) {
        if (t->n == IDENTS_MAX) {
            t->full = true;
            return NULL;
        }
        t->slots[at] = *i;
        t->slots[at].count = 0;
        t->n++;
    }
    t->slots[at].count += count;
    return &t->slots[at];
}

static struct ident *add_id(struct idents *t, enum ident_kind kind, uint32_t id)
{
    const struct ident i = {.kind = kind, .id = id};
    return id ? add(t, &i, 1) : NULL;
}

void idents_owner(struct idents *t, uint32_t uid, uint32_t gid)
{
    if (t->last[0] && t->last_uid == uid)
        t->last[0]->count++;
    else
        t->last[0] = add_id(t, IDENT_UID, t->last_uid = uid);
    if (t->last[1] && t->last_gid == gid)
        t->last[1]->count++;
    else
        t->last[1] = add_id(t, IDENT_GID, t->last_gid = gid);
}

void idents_acl(struct idents *t, const void *acl, size_t len)
{
    struct cursor c = cursor_of(acl, len);
    size_t n = len >= 4 ? (len - 4) / 8 : 0;
    if (cursor_u32(&c) != ACL_VERSION || len != 4 + n * 8 || n > ACL_ENTRIES_MAX)
        return;
    for (size_t i = 0; i < n; i++) {
        uint16_t tag = cursor_u16(&c);
        (void)cursor_u16(&c);
        uint32_t id = cursor_u32(&c);
        if (tag == TAG_USER)
            (void)add_id(t, IDENT_UID, id);
        else if (tag == TAG_GROUP)
            (void)add_id(t, IDENT_GID, id);
    }
}

/* S-1-5-21-… are somebody's; S-1-22-1-UID and S-1-22-2-GID are ids; the rest is the same in any
 * Windows network. */
static void take_sid(void *arg, const struct sid *sid)
{
    struct idents *t = arg;
    const struct ident i = {.kind = IDENT_SID, .sid = *sid};
    if (sid->authority == 22 && sid->nsubs == 2)
        (void)add_id(t, sid->sub[0] == 1 ? IDENT_UID : IDENT_GID, sid->sub[1]);
    else if (sid->authority == 5 && sid->nsubs == 5 && sid->sub[0] == 21)
        (void)add(t, &i, 1);
}

void idents_ntacl(struct idents *t, const void *blob, size_t len)
{
    (void)ntacl_each(blob, len, take_sid, t);
}

void idents_descriptor(struct idents *t, const void *sd, size_t len)
{
    (void)ntacl_each_descriptor(sd, len, take_sid, t);
}

void idents_merge(struct idents *to, const struct idents *from)
{
    to->full |= from->full;
    for (size_t i = 0; i < SLOTS; i++)
        if (from->slots[i].count > 0)
            (void)add(to, &from->slots[i], from->slots[i].count);
}

bool idents_full(const struct idents *t)
{
    return t->full;
}

static int by_kind(const void *a, const void *b)
{
    const struct ident *x = a, *y = b;
    if (x->kind != y->kind)
        return x->kind < y->kind ? -1 : 1;
    if (x->id != y->id)
        return x->id < y->id ? -1 : 1;
    return sid_order(&x->sid, &y->sid);
}

struct ident *idents_list(const struct idents *t, size_t *retn)
{
    struct ident *list = xcalloc(t->n + 1, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < SLOTS; i++)
        if (t->slots[i].count > 0)
            list[n++] = t->slots[i];
    qsort(list, n, sizeof *list, by_kind);
    *retn = n;
    return list;
}
