/* evidence: what the destination writes down besides, so that a later look at the disk has
 * something to compare with, and a manifest something to list: metadata of every entry, folders and
 * links among them; and no row of what the source has no more. Lane threads. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/transfer/compare_priv.h"
#include "agent/transfer/digest.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

static const uint8_t unknown[DIGEST_BYTES];

static struct catalogue_entry entry_of(const struct meta *m, uint64_t attributes)
{
    bool node = S_ISCHR(m->mode) || S_ISBLK(m->mode);
    return (struct catalogue_entry){.mode = m->mode,
                                    .size = node               ? m->rdev
                                            : S_ISDIR(m->mode) ? 0
                                                               : m->size,
                                    .ino = m->ino,
                                    .mtime = m->mtime,
                                    .ctime = m->ctime,
                                    .has_meta = true,
                                    .uid = m->uid,
                                    .gid = m->gid,
                                    .xattrs_digest = attributes};
}

static struct bytes at_folder(const struct rlane *l)
{
    return (struct bytes){l->at.path, l->at.len};
}

/* ── what was placed ── */

void evidence_entry(struct rlane *l, struct bytes folder, const struct batch_entry *e)
{
    struct catalogue_entry k = entry_of(&e->meta, xattrs_shown_digest(e->xattrs.p, e->xattrs.n));
    if (e->kind == BATCH_META && memcmp(e->digest, unknown, DIGEST_BYTES) == 0)
        return; /* the comparison has written it down: evidence_same() */
    if (e->kind == BATCH_SYMLINK)
        digest_bytes(e->target.p, e->target.n, k.digest);
    else
        memcpy(k.digest, e->digest, DIGEST_BYTES);
    durable_put(&l->placed, folder, e->name, &k);
}

void evidence_large(struct rlane *l, const struct incoming *in, const uint8_t digest[DIGEST_BYTES])
{
    struct catalogue_entry k = entry_of(&in->meta, xattrs_shown_digest(in->xattrs, in->xattrs_len));
    memcpy(k.digest, digest, DIGEST_BYTES);
    durable_put(&l->placed, (struct bytes){in->folder, in->folder_len},
                (struct bytes){in->name, in->name_len}, &k);
}

void evidence_folder(struct rlane *l, struct bytes folder, const struct meta *m,
                     struct bytes xattrs)
{
    const char *slash = memrchr(folder.p, '/', folder.n);
    size_t parent = slash ? (size_t)(slash - folder.p) : 0, skip = slash ? parent + 1 : 0;
    struct catalogue_entry k = entry_of(m, xattrs_shown_digest(xattrs.p, xattrs.n));
    if (folder.n > 0) /* the root has no name to be listed by */
        durable_put(&l->placed, (struct bytes){folder.p, parent},
                    (struct bytes){folder.p + skip, folder.n - skip}, &k);
}

/* ── what stands there ── */

static const struct catalogue_entry *row_of(struct rlane *l, const struct listing_entry *e)
{
    const struct catalogue_folder *f = l->compare.known;
    return f ? catalogue_find(f, e->name.p, e->name.n) : NULL;
}

static bool has_digest(const struct catalogue_entry *k)
{
    return memcmp(k->digest, unknown, DIGEST_BYTES) != 0;
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool evidence_wants_look(const struct catalogue_entry *k, const struct listing_entry *e,
                         const struct view *v)
{
    if (!same_time(e->meta.mtime, v->meta.mtime))
        return false;
    return !k || !S_ISREG(k->mode) || (k->ino != 0 && !has_digest(k));
}

static bool link_changed(const struct view *v, const struct catalogue_entry *k,
                         const struct listing_entry *e)
{
    char target[SYMLINK_TARGET_MAX + 1];
    uint8_t digest[DIGEST_BYTES];
    ssize_t n = readlinkat(v->dir, v->name, target, sizeof target);
    if (n < 0 || view_link_is(v, e->target))
        return false;
    digest_bytes(target, (size_t)n, digest);
    return memcmp(digest, k->digest, DIGEST_BYTES) != 0;
}

/* A killed destination may have placed a newer file than its catalogue says. */
bool evidence_changed_here(struct rlane *l, const struct view *v, const struct listing_entry *e)
{
    const struct catalogue_entry *k = row_of(l, e);
    const struct meta *here = &v->meta;
    bool spoilt = k && k->ino == 0; /* it was named before */
    if (l->r->spec->options.dry_run || !k || spoilt)
        return false;
    if ((here->mode ^ k->mode) & S_IFMT)
        return ((here->mode ^ e->meta.mode) & S_IFMT) != 0;
    if (!has_digest(k))
        return false;
    if (S_ISLNK(k->mode))
        return link_changed(v, k, e);
    bool as_placed = k->size == here->size && same_time(k->mtime, here->mtime);
    bool as_source = e->meta.size == here->size && same_time(e->meta.mtime, here->mtime);
    return S_ISREG(k->mode) && !as_placed && !as_source;
}

int evidence_name_it(struct rlane *l, const struct listing_entry *e)
{
    struct failure f = {l->at.path, e->name.p, l->at.len,
                        e->name.n,  ESTALE,    "changed at the destination"};
    struct catalogue_entry nothing = {.mode = S_IFREG};
    durable_put(&l->placed, at_folder(l), e->name, &nothing);
    return receiver_failed(l, &f);
}

static bool same_meta(const struct catalogue_entry *a, const struct catalogue_entry *b)
{
    return a->has_meta && a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
           a->xattrs_digest == b->xattrs_digest && same_time(a->mtime, b->mtime);
}

void evidence_same(struct rlane *l, const struct listing_entry *e)
{
    const struct catalogue_entry *old = row_of(l, e);
    struct catalogue_entry k = entry_of(&e->meta, e->xattrs_digest);
    bool kept = old && !((old->mode ^ k.mode) & S_IFMT) && old->size == k.size;
    if (kept && same_meta(old, &k))
        return;
    if (kept && S_ISREG(k.mode)) {
        k.ino = old->ino;
        k.ctime = old->ctime;
        memcpy(k.digest, old->digest, DIGEST_BYTES);
        k.has_sha256 = old->has_sha256;
        memcpy(k.sha256, old->sha256, sizeof k.sha256);
    }
    if (S_ISLNK(k.mode))
        digest_bytes(e->target.p, e->target.n, k.digest);
    durable_put(&l->placed, at_folder(l), e->name, &k);
}

/* A later name of a hard-linked file. Its row says what is there under the first one, of which
 * first is the row: what the source had when its later name was looked at may be newer. */
void evidence_link(struct rlane *l, struct bytes folder, struct bytes name, const struct meta *m,
                   const struct catalogue_entry *first)
{
    struct catalogue_entry k = *first;
    const struct catalogue_entry *old = rows_find(l->r, &l->laters, folder, name);
    k.mode = m->mode;
    k.has_meta = k.has_sha256 = false; /* attributes are the first name's */
    if (l->r->spec->options.evidence)
        memcpy(k.digest, unknown, DIGEST_BYTES); /* so is what is to be read */
    bool same = old && old->mode == k.mode && old->ino == k.ino && old->size == k.size &&
                same_time(old->mtime, k.mtime) && same_time(old->ctime, k.ctime) &&
                (l->r->spec->options.evidence || memcmp(old->digest, k.digest, DIGEST_BYTES) == 0);
    if (!same)
        durable_put(&l->placed, folder, name, &k);
}

/* ── what is no more ── */

int evidence_fresh(struct rlane *l, struct bytes name)
{
    struct receiver *r = l->r;
    CLEANUP(mem_free)
    char *path = xasprintf("%.*s%s%.*s", (int)l->at.len, l->at.path, l->at.len ? "/" : "",
                           (int)name.n, name.p);
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = catalogue_forget_below(r->cat, path, strlen(path));
    (void)pthread_mutex_unlock(&r->cat_lock);
    return rc;
}

int evidence_fresh_root(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = catalogue_forget_below(r->cat, "", 0);
    (void)pthread_mutex_unlock(&r->cat_lock);
    return rc;
}

/* What is named no more goes at the end: it may be found under another name until then. */
struct pruning {
    struct rlane *l;
    int rc;
};

static bool put_aside(void *arg, const char *name, size_t len)
{
    struct pruning *p = arg;
    struct buf b;
    if (p->rc < 0 || compare_names(&p->l->compare, name, len))
        return true;
    buf_init(&b, PATH_BYTES_MAX + 512);
    buf_put_blob(&b, p->l->at.path, p->l->at.len);
    buf_put_blob(&b, name, len);
    p->rc = spool_put(p->l->r->gone, 0, b.data, b.len);
    buf_done(&b);
    return true;
}

int evidence_prune(struct rlane *l)
{
    struct receiver *r = l->r;
    const struct transfer_options *o = &r->spec->options;
    if (o->dry_run || o->only_failed || l->compare.names_lost)
        return 0;
    struct pruning p = {.l = l};
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = catalogue_prune(r->cat, l->compare.known, l->at.path, l->at.len, put_aside, &p);
    (void)pthread_mutex_unlock(&r->cat_lock);
    return rc < 0 ? rc : p.rc;
}

static int gone_row(void *arg, const void *row, size_t len)
{
    struct receiver *r = arg;
    struct cursor c = cursor_of(row, len);
    struct bytes folder, name;
    folder.p = cursor_blob(&c, PATH_BYTES_MAX, &folder.n);
    name.p = cursor_blob(&c, NAME_BYTES_MAX, &name.n);
    if (c.bad)
        return -EBADMSG;
    CLEANUP(mem_free)
    char *below =
        xasprintf("%.*s%s%.*s", (int)folder.n, folder.p, folder.n ? "/" : "", (int)name.n, name.p);
    int rc = catalogue_forget(r->cat, folder.p, folder.n, name.p, name.n);
    if (rc == -EAGAIN) {
        rc = catalogue_commit(r->cat);
        if (rc == 0)
            rc = catalogue_forget(r->cat, folder.p, folder.n, name.p, name.n);
    }
    return rc == 0 ? catalogue_forget_below(r->cat, below, strlen(below)) : rc;
}

int evidence_forget_gone(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = spool_each(r->gone, gone_row, r);
    (void)pthread_mutex_unlock(&r->cat_lock);
    return rc;
}
