/* compare: the destination's answer to a listing. One entry of it: compare_entry.c; what only
 * stands here: extras.c. One lane's thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "agent/transfer/compare_priv.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define NAMES_MAX (8U << 20) /* beyond it the folder's extras stay, and that is a failure */

/* ── names of the source ── */

static uint64_t name_hash(const struct compare *k, const char *name, size_t len)
{
    uint64_t h = XXH3_64bits_withSeed(name, len, k->seed);
    return h ? h : 1;
}

static void names_put_hash(struct compare *k, uint64_t h)
{
    size_t i = h & (k->names_cap - 1);
    while (k->names[i] && k->names[i] != h)
        i = (i + 1) & (k->names_cap - 1);
    k->nnames += k->names[i] == 0;
    k->names[i] = h;
}

static void names_put(struct compare *k, struct bytes name)
{
    if (k->names_lost)
        return;
    if ((k->nnames + 1) * 2 > k->names_cap) {
        uint64_t *old = k->names;
        size_t cap = k->names_cap;
        if (k->nnames >= NAMES_MAX) {
            k->names_lost = true;
            return;
        }
        k->names_cap = cap ? cap * 2 : 1024;
        k->names = xcalloc(k->names_cap, sizeof *k->names);
        k->nnames = 0;
        for (size_t i = 0; i < cap; i++)
            if (old[i])
                names_put_hash(k, old[i]);
        free(old);
    }
    names_put_hash(k, name_hash(k, name.p, name.n));
}

bool compare_names(const struct compare *k, const char *name, size_t len)
{
    if (k->names_cap == 0)
        return false;
    uint64_t h = name_hash(k, name, len);
    size_t i = h & (k->names_cap - 1);
    while (k->names[i] && k->names[i] != h)
        i = (i + 1) & (k->names_cap - 1);
    return k->names[i] == h;
}

void compare_done(struct compare *k)
{
    moves_asks_done(k);
    (void)catalogue_folder_free(k->known);
    k->known = NULL;
    free(k->names);
    k->names = NULL;
    k->nnames = k->names_cap = 0;
}

/* ── a block ── */

static void rows_load(struct rlane *l, struct bytes folder)
{
    struct receiver *r = l->r;
    struct compare *k = &l->compare;
    (void)catalogue_folder_free(k->known);
    k->known = NULL;
    k->moves = atomic_load(&r->moved);
    (void)pthread_mutex_lock(&r->cat_lock);
    (void)catalogue_load(r->cat, folder.p, folder.n, &k->known);
    (void)pthread_mutex_unlock(&r->cat_lock);
}

void compare_rows_renew(struct rlane *l)
{
    if (l->compare.moves != atomic_load(&l->r->moved))
        rows_load(l, (struct bytes){l->at.path, l->at.len});
}

static int block_begin(struct rlane *l, const struct listing_head *h)
{
    struct receiver *r = l->r;
    struct compare *k = &l->compare;
    compare_done(k);
    k->seed = r->instance;
    k->absent = k->names_lost = false;
    k->nkept = 0;
    k->partly = h->flags & (LISTING_KNOWN | LISTING_MAYBE);
    k->maybe = h->flags & LISTING_MAYBE;
    if (!r->spec->options.dry_run) {
        int rc = place_spool_folder(r, h->folder, &h->meta, h->xattrs, !l->at.made);
        l->at.made = false;
        if (rc < 0)
            return rc;
    }
    rows_load(l, h->folder);
    return 0;
}

/* It would be renamed: its content stands under the old name. */
static bool would_come(struct rlane *l, const struct listing_entry *e)
{
    size_t n = e->name.n, len = l->at.len + (l->at.len > 0) + n, from = 0;
    if (!l->r->spec->options.dry_run || !(e->flags & ENTRY_SETTLED) || S_ISDIR(e->meta.mode))
        return false;
    CLEANUP(mem_free) char *path = xmalloc(len + 1);
    memcpy(path, l->at.path, l->at.len);
    path[l->at.len] = '/';
    memcpy(path + len - n, e->name.p, n);
    CLEANUP(mem_free) char *origin = moves_dry_origin(l->r, path, len, &from);
    return origin;
}

static int settle(struct rlane *l, uint32_t i, const struct listing_entry *e)
{
    bool dry = l->r->spec->options.dry_run;
    int v = VERDICT_SAME, rc = 0;
    if (!would_come(l, e))
        v = compare_entry(l, e, l->compare.digests[i], &rc);
    if (v < 0) {
        struct failure f = {l->at.path, e->name.p, l->at.len, e->name.n, -v, "replace"};
        rc = receiver_failed(l, &f);
        v = VERDICT_SKIP;
    }
    if (dry)
        compare_count_dry(l, e, (enum verdict)v);
    l->compare.verdicts[i] = (uint8_t)v;
    return rc;
}

static int one(struct rlane *l, struct cursor *c, uint32_t i)
{
    struct listing_entry e;
    int rc = listing_entry_get(c, &e);
    if (rc < 0)
        return rc;
    names_put(&l->compare, e.name);
    l->compare.verdicts[i] = VERDICT_SAME;
    if (e.flags & ENTRY_LINKED)
        return l->r->spec->options.dry_run ? 0 : place_spool_link(l, e.name, &e.meta, e.target);
    return moves_wants(l, i, &e) ? 0 : settle(l, i, &e);
}

static int say_verdicts(struct rlane *l, uint32_t count)
{
    buf_clear(&l->out);
    buf_put_u32(&l->out, count);
    for (uint32_t i = 0; i < count; i++) {
        uint8_t v = l->compare.verdicts[i];
        buf_put_u8(&l->out, v);
        if (v == VERDICT_CHECK)
            buf_put(&l->out, l->compare.digests[i], DIGEST_BYTES);
        else if (v == VERDICT_MOVED)
            moves_put_origin(l, i, &l->out);
    }
    return receive_lane_reply(l, REC_WANT);
}

/* Every entry of a folder that cannot be opened here is skipped; the folder is one failure, unless
 * rc is 0. */
static int skip_all(struct rlane *l, const struct listing_head *h, int rc)
{
    if ((h->flags & LISTING_FIRST) && rc < 0) {
        struct failure f = {h->folder.p, NULL, h->folder.n, 0, -rc, "folder"};
        rc = receiver_failed(l, &f);
        if (rc < 0)
            return rc;
    }
    buf_clear(&l->out);
    buf_put_u32(&l->out, h->count);
    for (uint32_t i = 0; i < h->count; i++)
        buf_put_u8(&l->out, VERDICT_SKIP);
    return receive_lane_reply(l, REC_WANT);
}

/* Entries that no other listing of the folder has to do with: of a run of only what failed, or what
 * was only asked about before. */
static bool is_once(const struct rlane *l, struct cursor c, uint32_t count)
{
    struct listing_entry e;
    return l->r->spec->options.only_failed ||
           (count > 0 && listing_entry_get(&c, &e) == 0 && (e.flags & ENTRY_SETTLED));
}

int compare_listing(struct rlane *l, struct cursor *c)
{
    struct listing_head h;
    int rc = listing_head_get(c, &h);
    if (rc < 0)
        return rc;
    bool dry = l->r->spec->options.dry_run;
    CLEANUP(mem_free)
    char *origin = dry ? moves_dry_origin(l->r, h.folder.p, h.folder.n, &h.folder.n) : NULL;
    if (origin)
        h.folder.p = origin;
    bool known = h.flags & (LISTING_KNOWN | LISTING_MAYBE);
    int entered = place_enter(l, h.folder, !dry && !known);
    bool absent = dry && (entered == -ENOENT || entered == -ENOTDIR || entered == -ELOOP);
    if (known && (entered == -ENOENT || entered == -ENOTDIR || entered == -ELOOP))
        return h.flags & LISTING_KNOWN ? find_say_lost(l) : skip_all(l, &h, 0);
    if (entered < 0 && !absent)
        return skip_all(l, &h, entered);
    if (absent)
        l->at = (struct place_folder){
            .path = xmemdup(h.folder.p, h.folder.n), .len = h.folder.n, .fd = -1};
    /* Listed before in this session: it is compared with what was placed since. */
    if ((h.flags & LISTING_FIRST) && !dry && !is_once(l, *c, h.count))
        rc = durable_settle_in(l->r, h.folder);
    if (rc == 0 && (h.flags & LISTING_FIRST))
        rc = block_begin(l, &h);
    else if (rc == 0)
        compare_rows_renew(l);
    l->compare.absent = absent;
    for (uint32_t i = 0; rc == 0 && i < h.count; i++)
        rc = one(l, c, i);
    if (rc == 0)
        rc = moves_answer(l, settle);
    FAULT_POINT("compared");
    if (rc == 0 && (h.flags & LISTING_EMPTY))
        rc = origin_empty(l->r);
    if (rc == 0)
        rc = say_verdicts(l, h.count);
    moves_asks_done(&l->compare);
    if (rc < 0)
        return rc;
    if (rc == 0 && (h.flags & LISTING_LAST) && (h.flags & LISTING_COMPLETE) &&
        l->r->spec->options.evidence)
        rc = evidence_prune(l);
    if (rc == 0 && (h.flags & LISTING_LAST))
        rc = extras_find(l, h.flags & LISTING_COMPLETE);
    if (absent)
        place_leave(l);
    return rc;
}
