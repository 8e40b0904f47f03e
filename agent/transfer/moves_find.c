/* moves_find: entries that the source lists under a name that is new here, and that the catalogue
 * has under another: by the source's inode. Only proposes; the source knows what is gone from where
 * it was. Lane threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "agent/transfer/compare_priv.h"
#include "agent/transfer/moves_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define ORIGINS_BYTES (512U << 10) /* of one answer */

struct ask {
    struct listing_entry e;
    uint32_t i;
    char *from; /* malloc'd; NULL: nowhere else */
    size_t from_len;
    bool same, again; /* again: only to be asked for once more */
    struct timespec ctime;
};

struct asks {
    struct ask *all;
    size_t n;
    size_t bytes; /* of the paths found */
};

static uint64_t path_hash(const char *path, size_t len)
{
    uint64_t h = XXH3_64bits(path, len);
    return h + (h == 0);
}

/* ── what is asked for ── */

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

/* What has the name here is of another file or folder of the source, or nothing has it. */
static bool is_new(struct rlane *l, const struct listing_entry *e)
{
    struct view v;
    const struct catalogue_folder *f = l->compare.known;
    const struct catalogue_entry *k = f ? catalogue_find(f, e->name.p, e->name.n) : NULL;
    if (k && k->ino == e->meta.ino)
        return false;
    bool there = view_open(&v, l->compare.absent ? -1 : l->at.fd, e->name);
    if (!k && there) /* it was here before us: most likely what it seems to be */
        return !S_ISDIR(e->meta.mode) && S_ISREG(e->meta.mode) &&
               (v.meta.size != e->meta.size || !same_time(v.meta.mtime, e->meta.mtime));
    return !there || !l->r->spec->options.evidence || S_ISDIR(e->meta.mode) ||
           !evidence_changed_here(l, &v, e);
}

bool moves_may_come(const struct rlane *l)
{
    const struct receiver *r = l->r;
    return l->can_move && !r->fresh && r->last_session != 0 && !atomic_load(&r->moves->none);
}

bool moves_wants(struct rlane *l, uint32_t i, const struct listing_entry *e)
{
    const struct receiver *r = l->r;
    if (!l->can_move || (e->flags & (ENTRY_SETTLED | ENTRY_LINKED)) || l->compare.maybe ||
        r->fresh || atomic_load(&r->moves->none) || !is_new(l, e))
        return false;
    struct asks *a = l->compare.asks;
    if (!a) {
        a = l->compare.asks = xcalloc(1, sizeof *a);
        a->all = xcalloc(LISTING_ENTRIES, sizeof *a->all);
    }
    a->all[a->n++] = (struct ask){.e = *e, .i = i};
    return true;
}

void moves_asks_done(struct compare *c)
{
    struct asks *a = c->asks;
    for (size_t i = 0; a && i < a->n; i++)
        free(a->all[i].from);
    if (a)
        free(a->all);
    free(a);
    c->asks = NULL;
}

/* ── where it is ── */

bool moves_stands(struct receiver *r, int dir, const char *name, const struct catalogue_entry *row,
                  struct stat *ret)
{
    const struct timespec *began = &r->moves->began;
    if (fstatat(dir, name, ret, AT_SYMLINK_NOFOLLOW) < 0 || ((ret->st_mode ^ row->mode) & S_IFMT) ||
        ret->st_dev != r->root_dev)
        return false;
    if (S_ISDIR(row->mode))
        return true;
    bool before = ret->st_ctim.tv_sec < began->tv_sec ||
                  (ret->st_ctim.tv_sec == began->tv_sec && ret->st_ctim.tv_nsec < began->tv_nsec);
    return before && same_time(ret->st_mtim, row->mtime) &&
           (!S_ISREG(row->mode) || (uint64_t)ret->st_size == row->size);
}

struct search {
    struct rlane *l;
    const struct path *folder;
    int fd;
    struct ask **of; /* those that may be in it */
    size_t n;
};

static char *join(struct bytes folder, const char *name, size_t n, size_t *retlen)
{
    size_t len = folder.n + (folder.n > 0) + n;
    char *path = xmalloc(len + 1);
    if (folder.n)
        memcpy(path, folder.p, folder.n);
    path[folder.n] = '/';
    memcpy(path + len - n, name, n);
    path[len] = '\0';
    *retlen = len;
    return path;
}

/* Does the folder path take the place of a, or hold it? */
static bool folder_fits(struct rlane *l, const struct ask *a, const char *path, size_t len)
{
    size_t to_len = 0;
    CLEANUP(mem_free)
    char *to = join((struct bytes){l->at.path, l->at.len}, a->e.name.p, a->e.name.n, &to_len);
    return !path_is_below(to, to_len, path, len) && !path_is_below(path, len, to, to_len) &&
           !touched_has(l->r->touched, path, len);
}

static void consider(struct search *s, struct ask *a, const char *name, size_t n,
                     const struct catalogue_entry *row)
{
    struct rlane *l = s->l;
    struct stat st;
    char text[NAME_BYTES_MAX + 1];
    size_t len = 0;
    bool folder = S_ISDIR(row->mode);
    if (((row->mode ^ a->e.meta.mode) & S_IFMT) || (a->from && a->same))
        return;
    bool same = !folder && row->size == a->e.meta.size && same_time(row->mtime, a->e.meta.mtime);
    if (a->from && !same)
        return;
    if (s->folder->len == l->at.len && memcmp(s->folder->p, l->at.path, l->at.len) == 0 &&
        n == a->e.name.n && memcmp(name, a->e.name.p, n) == 0)
        return;
    memcpy(text, name, n);
    text[n] = '\0';
    if (s->fd < 0)
        s->fd = beneath_open(l->r->root, s->folder->p, s->folder->len, O_RDONLY | O_DIRECTORY, 0);
    if (s->fd < 0 || !moves_stands(l->r, s->fd, text, row, &st))
        return;
    CLEANUP(mem_free)
    char *path = join((struct bytes){s->folder->p, s->folder->len}, name, n, &len);
    if (folder && !folder_fits(l, a, path, len))
        return;
    free(a->from);
    a->from = path;
    path = NULL;
    a->from_len = len;
    a->same = same;
    a->ctime = row->ctime;
}

static int look(void *arg, const char *name, size_t len, const struct catalogue_entry *row)
{
    struct search *s = arg;
    for (size_t i = 0; i < s->n; i++)
        if (s->of[i]->e.meta.ino == row->ino)
            consider(s, s->of[i], name, len, row);
    return 0;
}

static int by_folder(const void *a, const void *b)
{
    const struct lead *x = a, *y = b;
    return (x->folder > y->folder) - (x->folder < y->folder);
}

/* Under the catalogue's lock. */
static void look_in(struct rlane *l, const struct path *folder, const struct lead *leads, size_t n)
{
    struct catalogue_folder *rows = NULL;
    struct search s = {.l = l, .folder = folder, .fd = -1, .n = n};
    if (catalogue_load(l->r->cat, folder->p, folder->len, &rows) < 0)
        return;
    s.of = xcalloc(n, sizeof(struct ask *));
    for (size_t i = 0; i < n; i++)
        s.of[i] = leads[i].of;
    (void)catalogue_entries(rows, look, &s);
    (void)catalogue_folder_free(rows);
    if (s.fd >= 0)
        (void)fd_close(s.fd);
    free(s.of);
}

static void find(struct rlane *l, struct asks *a)
{
    struct moves *m = l->r->moves;
    struct lead *leads = xcalloc(a->n, PER_INODE_MAX * sizeof *leads);
    size_t n = 0;
    (void)pthread_mutex_lock(&l->r->cat_lock);
    moves_index(l->r);
    for (size_t i = 0; i < a->n && m->nspots; i++)
        n += moves_leads(m, a->all[i].e.meta.ino, &a->all[i], leads + n);
    if (n > 1)
        qsort(leads, n, sizeof *leads, by_folder);
    for (size_t i = 0, k; i < n; i = k) {
        for (k = i + 1; k < n && leads[k].folder == leads[i].folder;)
            k++;
        look_in(l, &m->folders[leads[i].folder], leads + i, k - i);
    }
    (void)pthread_mutex_unlock(&l->r->cat_lock);
    free(leads);
}

static int by_hash(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* What stands under the name of an entry of this block may go to another one of it. */
static void mark_left(struct rlane *l, struct asks *a)
{
    uint64_t *from = xcalloc(a->n, sizeof *from);
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++)
        if (a->all[i].from)
            from[n++] = path_hash(a->all[i].from, a->all[i].from_len);
    if (n > 1)
        qsort(from, n, sizeof *from, by_hash);
    for (size_t i = 0; n > 0 && i < a->n; i++) {
        struct ask *x = &a->all[i];
        size_t len = 0;
        if (x->from)
            continue;
        char *path = join((struct bytes){l->at.path, l->at.len}, x->e.name.p, x->e.name.n, &len);
        uint64_t h = path_hash(path, len);
        x->again = bsearch(&h, from, n, sizeof *from, by_hash);
        free(path);
    }
    free(from);
}

int moves_answer(struct rlane *l,
                 int (*fn)(struct rlane *l, uint32_t i, const struct listing_entry *e))
{
    struct asks *a = l->compare.asks;
    int rc = 0;
    if (!a)
        return 0;
    find(l, a);
    mark_left(l, a);
    compare_rows_renew(l);
    for (size_t i = 0; rc == 0 && i < a->n; i++) {
        struct ask *x = &a->all[i];
        a->bytes += x->from ? x->from_len + 32 : 0;
        if ((x->from || x->again) && a->bytes < ORIGINS_BYTES)
            l->compare.verdicts[x->i] = VERDICT_MOVED;
        else
            rc = fn(l, x->i, &x->e);
    }
    return rc;
}

void moves_put_origin(struct rlane *l, uint32_t i, struct buf *b)
{
    const struct asks *a = l->compare.asks;
    for (size_t k = 0; k < a->n; k++) {
        const struct ask *x = &a->all[k];
        struct origin o = {
            .from = {x->from, x->from_len},
              .same = x->same, .ctime = x->ctime
        };
        if (x->i == i) {
            origin_put(b, &o);
            return;
        }
    }
}

void moves_folder_row(struct rlane *l, struct bytes folder, const struct meta *m)
{
    const char *slash = memrchr(folder.p, '/', folder.n);
    size_t parent = slash ? (size_t)(slash - folder.p) : 0, skip = slash ? parent + 1 : 0;
    if (folder.n > 0 && !l->r->spec->options.evidence) /* else evidence_folder() does */
        durable_row(&l->placed, (struct bytes){folder.p, parent},
                    (struct bytes){folder.p + skip, folder.n - skip}, m, NULL);
}
