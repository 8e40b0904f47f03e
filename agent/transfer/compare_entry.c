/* compare_entry: one entry of a listing beside what stands here: same, data, metadata. One lane's
 * thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/store/beneath.h"
#include "agent/transfer/compare_priv.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

static bool times_differ(const struct meta *source, const struct meta *here)
{
    return source->mtime.tv_sec != here->mtime.tv_sec ||
           source->mtime.tv_nsec != here->mtime.tv_nsec;
}

static bool meta_differs(const struct receiver *r, const struct meta *source,
                         const struct meta *here)
{
    uint32_t bits = r->privileged ? 07777U : 0777U;
    if (!S_ISLNK(source->mode) && ((source->mode ^ here->mode) & bits))
        return true;
    if (r->privileged && (source->uid != here->uid || source->gid != here->gid))
        return true;
    return times_differ(source, here);
}

static int xattrs_differ(const struct view *v, const struct listing_entry *e, bool *ret)
{
    uint64_t digest = 0;
    int rc = view_xattrs_digest(v, &digest);
    *ret = digest != e->xattrs_digest;
    return rc;
}

static bool known_digest(const struct catalogue_entry *k)
{
    static const uint8_t none[DIGEST_BYTES];
    return k && memcmp(k->digest, none, sizeof none) != 0;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* What stands at the destination is what the catalogue says was put there. */
static bool is_as_placed(const struct catalogue_entry *k, const struct meta *here)
{
    return k->size == here->size && same_time(k->mtime, here->mtime);
}

/* Of a regular file of the same size: same, another, or to be checked. */
static enum verdict compare_content(struct rlane *l, const struct view *v,
                                    const struct listing_entry *e, uint8_t digest[DIGEST_BYTES])
{
    const struct catalogue_entry *k =
        l->compare.known ? catalogue_find(l->compare.known, e->name.p, e->name.n) : NULL;
    const struct transfer_options *o = &l->r->spec->options;
    if (o->checksum || (o->evidence && evidence_wants_look(k, e, v)))
        return view_digest(v, l->r->step, digest) == 0 ? VERDICT_CHECK : VERDICT_DATA;
    bool check = known_digest(k) && is_as_placed(k, &v->meta);
    if (check)
        memcpy(digest, k->digest, DIGEST_BYTES);
    /* Most likely it was written to: reading it twice at the source would cost more than pieces
     * that turn out to be the same. */
    if (o->delta && l->can_delta && e->meta.size > PIECE_BYTES)
        check = check && same_time(e->meta.mtime, v->meta.mtime);
    if (!same_time(e->meta.mtime, v->meta.mtime))
        return check ? VERDICT_CHECK : VERDICT_DATA;
    if (!k)
        return VERDICT_SAME;
    if (k->ino == e->meta.ino && same_time(k->ctime, e->meta.ctime))
        return VERDICT_SAME;
    return check ? VERDICT_CHECK : VERDICT_DATA;
}

/* Another name of it may lie anywhere, put there by whoever owns the folder: a file that has an
 * owner of its own is not handed over to the source's, it is replaced. */
static bool is_foreign(const struct receiver *r, const struct listing_entry *e,
                       const struct meta *here)
{
    return r->privileged && here->nlink > 1 &&
           (here->uid != e->meta.uid || here->gid != e->meta.gid);
}

/* Metadata is set on a file, so on all its names. What stands here under several may be kept only
 * for the source's file that it was made of: the catalogue says so of this name, or, where it knows
 * nothing and everything is looked at, no other file claims it. */
static bool may_share(struct rlane *l, const struct listing_entry *e, const struct meta *here)
{
    const struct compare *k = &l->compare;
    if (here->nlink < 2 || l->r->spec->options.dry_run)
        return true;
    if (here->nlink > e->meta.nlink) /* some of them must get a file of their own */
        return false;
    const struct catalogue_entry *row =
        k->known ? catalogue_find(k->known, e->name.p, e->name.n) : NULL;
    if (row)
        return row->ino == e->meta.ino;
    return !k->partly && claims_take(l->r->claims, here->dev, here->ino, e->meta.ino);
}

static enum verdict compare_kind(struct rlane *l, const struct view *v,
                                 const struct listing_entry *e, uint8_t digest[DIGEST_BYTES])
{
    const struct meta *here = &v->meta;
    if (((e->meta.mode ^ here->mode) & S_IFMT) || !may_share(l, e, here) ||
        is_foreign(l->r, e, here))
        return VERDICT_DATA;
    if (S_ISLNK(e->meta.mode))
        return view_link_is(v, e->target) ? VERDICT_SAME : VERDICT_DATA;
    if (S_ISCHR(e->meta.mode) || S_ISBLK(e->meta.mode))
        return e->meta.rdev == here->rdev ? VERDICT_SAME : VERDICT_DATA;
    if (!S_ISREG(e->meta.mode))
        return VERDICT_SAME;
    if (e->meta.size != here->size)
        return VERDICT_DATA;
    return compare_content(l, v, e, digest);
}

/* A file or a link may take the place of an empty folder; of a full one only when extras may be
 * deleted, for nobody asked for the loss of what is in it. */
static int may_replace(const struct receiver *r, const struct view *v)
{
    int empty = r->spec->options.delete_extras ? 1 : beneath_is_empty(v->dir, v->name);
    return empty < 0 ? empty : empty == 0 ? -ENOTEMPTY : 0;
}

/* So that it is known again when it has another name. */
static void folder_row(struct rlane *l, const struct listing_entry *e)
{
    const struct catalogue_entry *row =
        l->compare.known ? catalogue_find(l->compare.known, e->name.p, e->name.n) : NULL;
    bool known = row && row->ino == e->meta.ino && S_ISDIR(row->mode);
    if (!known && !l->r->spec->options.evidence) /* else evidence_folder() does */
        durable_row(&l->placed, (struct bytes){l->at.path, l->at.len}, e->name, &e->meta, NULL);
}

/* Anything else in the place of a folder goes: it is one entry, as when a file replaces a file. */
static int compare_folder(struct rlane *l, const struct view *v, const struct listing_entry *e,
                          bool there, int *reterr)
{
    struct receiver *r = l->r;
    struct bytes name = e->name;
    if (r->spec->options.dry_run)
        return VERDICT_EXISTS; /* listed also where it is not, to be counted */
    folder_row(l, e);
    if (there && S_ISDIR(v->meta.mode))
        return VERDICT_EXISTS;
    if (there) {
        uint64_t removed = 0;
        int rc = beneath_remove(v->dir, v->name, &removed);
        if (rc < 0)
            return rc;
    }
    if (r->spec->options.evidence)
        *reterr = evidence_fresh(l, name);
    return moves_may_come(l) ? VERDICT_NEW : VERDICT_FRESH;
}

/* What the pieces of a large file count already that were durable before the rest came. */
static uint64_t counted_pieces(struct rlane *l, struct bytes name)
{
    struct catalogue_partial p = {.piece_bytes = 0};
    uint64_t n = 0;
    (void)pthread_mutex_lock(&l->r->cat_lock);
    int rc = catalogue_partial_get(l->r->cat, l->at.path, l->at.len, name.p, name.n, &p);
    (void)pthread_mutex_unlock(&l->r->cat_lock);
    for (size_t i = 0; rc == 0 && i < p.bitmap_len * 8; i++)
        n += (p.bitmap[i / 8] >> (i % 8)) & 1;
    if (rc == 0)
        catalogue_partial_done(&p);
    return n * PIECE_BYTES;
}

/* A killed run of this order had put it in place and could not say so any more: it is not sent
 * again. */
static void count_found(struct rlane *l, const struct listing_entry *e, const struct meta *here)
{
    if (here->ctime.tv_sec < l->r->run.began_s)
        return;
    bool sparse = here->blocks512 * 512 + 4096 <= here->size;
    uint64_t data = sparse ? here->blocks512 * 512 : here->size;
    uint64_t counted = e->meta.size > PIECE_BYTES ? counted_pieces(l, e->name) : 0;
    uint64_t n = data > counted ? data - counted : 0;
    l->found += n;
    l->placed.data += n; /* counted once its row is durable, and never again */
}

static void count_same(struct rlane *l, const struct listing_entry *e, const struct meta *here)
{
    static const uint8_t unknown[DIGEST_BYTES];
    if (l->r->spec->options.evidence && !l->r->spec->options.dry_run)
        evidence_same(l, e);
    const struct catalogue_entry *row =
        l->compare.known ? catalogue_find(l->compare.known, e->name.p, e->name.n) : NULL;
    if (!S_ISREG(e->meta.mode)) {
        bool unknown_name = !row || row->ino != e->meta.ino;
        if (unknown_name && !l->r->spec->options.dry_run && !l->r->spec->options.evidence)
            durable_row(&l->placed, (struct bytes){l->at.path, l->at.len}, e->name, &e->meta, NULL);
        return;
    }
    l->delta.unchanged_files++;
    l->delta.unchanged_bytes += e->meta.size;
    if (l->r->spec->options.dry_run || row)
        return;
    if (!l->r->spec->options.evidence)
        durable_row(&l->placed, (struct bytes){l->at.path, l->at.len}, e->name, &e->meta, unknown);
    count_found(l, e, here);
}

void compare_count_dry(struct rlane *l, const struct listing_entry *e, enum verdict v)
{
    if (v == VERDICT_META)
        l->delta.changed_meta++;
    if (v != VERDICT_DATA && v != VERDICT_CHECK)
        return;
    l->placed.entries++;
    l->placed.files += S_ISREG(e->meta.mode);
    l->placed.bytes += S_ISREG(e->meta.mode) ? e->meta.size : 0;
}

/* A large file that will come may find its temporary file again. */
static void keep_temp(struct rlane *l, const struct listing_entry *e)
{
    struct compare *k = &l->compare;
    if (S_ISREG(e->meta.mode) && e->meta.size > BATCH_FILE_MAX &&
        k->nkept < ARRAY_SIZE(k->kept_temps))
        k->kept_temps[k->nkept++] = temp_large_key(e->name.p, e->name.n);
}

static bool is_known(const struct rlane *l, struct bytes name)
{
    return l->compare.known && catalogue_find(l->compare.known, name.p, name.n);
}

int compare_entry(struct rlane *l, const struct listing_entry *e, uint8_t digest[DIGEST_BYTES],
                  int *reterr)
{
    struct view v;
    bool there = view_open(&v, l->compare.absent ? -1 : l->at.fd, e->name);
    if (S_ISDIR(e->meta.mode))
        return compare_folder(l, &v, e, there, reterr);
    if (there && l->r->spec->options.evidence && evidence_changed_here(l, &v, e)) {
        *reterr = evidence_name_it(l, e);
        return VERDICT_SKIP;
    }
    int rc = there && S_ISDIR(v.meta.mode) ? may_replace(l->r, &v) : 0;
    if (rc < 0)
        return rc;
    enum verdict verdict = there ? compare_kind(l, &v, e, digest) : VERDICT_DATA;
    bool other = false;
    if (verdict == VERDICT_SAME && (e->flags & ENTRY_UNSEEN)) {
        if (!is_known(l, e->name) || times_differ(&e->meta, &v.meta))
            verdict = VERDICT_META;
        count_same(l, e, &v.meta);
    } else if (verdict == VERDICT_SAME) {
        if (xattrs_differ(&v, e, &other) < 0 || other || meta_differs(l->r, &e->meta, &v.meta))
            verdict = VERDICT_META;
        count_same(l, e, &v.meta);
    }
    if (verdict == VERDICT_DATA || verdict == VERDICT_CHECK)
        keep_temp(l, e);
    return verdict;
}
