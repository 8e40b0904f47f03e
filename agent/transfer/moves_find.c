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
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define SPOTS_MAX (8U << 20)       /* 64 MiB; what is beyond is sent */
#define PER_INODE_MAX 16U          /* places that are looked at for one */
#define ORIGINS_BYTES (512U << 10) /* of one answer */

struct spot {
    uint32_t tag; /* of the inode */
    uint32_t folder;
};

struct path {
    char *p;
    size_t len;
};

struct pair_of { /* of a dry run */
    struct path to, from;
    bool swap;
};

struct moves {
    struct timespec began;
    atomic_bool none; /* nothing can be elsewhere */
    /* under the catalogue's lock */
    bool built;
    struct spot *spots; /* by tag */
    size_t nspots, spots_cap;
    struct path *folders;
    size_t nfolders, folders_cap;
    struct pair_of *dry;
    size_t ndry, dry_cap;
};

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

struct moves *moves_new(void)
{
    struct moves *m = xcalloc(1, sizeof *m);
    /* As the kernel dates inodes. */
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &m->began);
    return m;
}

struct moves *moves_free(struct moves *m)
{
    if (!m)
        return NULL;
    for (size_t i = 0; i < m->nfolders; i++)
        free(m->folders[i].p);
    for (size_t i = 0; i < m->ndry; i++) {
        free(m->dry[i].to.p);
        free(m->dry[i].from.p);
    }
    free(m->dry);
    free(m->folders);
    free(m->spots);
    free(m);
    return NULL;
}

static uint64_t path_hash(const char *path, size_t len)
{
    uint64_t h = XXH3_64bits(path, len);
    return h + (h == 0);
}

/* ── where inodes stand ── */

static uint32_t tag_of(uint64_t ino)
{
    return (uint32_t)XXH3_64bits(&ino, sizeof ino);
}

static int spot_add(void *arg, const char *folder, size_t len, uint64_t ino)
{
    struct moves *m = arg;
    const struct path *last = m->nfolders ? &m->folders[m->nfolders - 1] : NULL;
    if (m->nspots >= SPOTS_MAX)
        return 1;
    if (!last || last->len != len || memcmp(last->p, folder, len) != 0) {
        if (m->nfolders == m->folders_cap) {
            m->folders_cap = m->folders_cap ? m->folders_cap * 2 : 256;
            m->folders = xrealloc(m->folders, m->folders_cap * sizeof *m->folders);
        }
        m->folders[m->nfolders++] = (struct path){xmemdup(folder, len), len};
    }
    if (m->nspots == m->spots_cap) {
        m->spots_cap = m->spots_cap ? m->spots_cap * 2 : 1024;
        m->spots = xrealloc(m->spots, m->spots_cap * sizeof *m->spots);
    }
    m->spots[m->nspots++] = (struct spot){tag_of(ino), (uint32_t)(m->nfolders - 1)};
    return 0;
}

static int by_tag(const void *a, const void *b)
{
    const struct spot *x = a, *y = b;
    return x->tag != y->tag ? (x->tag > y->tag) - (x->tag < y->tag)
                            : (x->folder > y->folder) - (x->folder < y->folder);
}

/* Under the catalogue's lock: once a session, when something new is listed. */
static void build(struct receiver *r)
{
    struct moves *m = r->moves;
    if (m->built)
        return;
    m->built = true;
    if (catalogue_inodes(r->cat, spot_add, m) < 0)
        m->nspots = 0; /* what stands elsewhere is sent */
    if (m->nspots > 1)
        qsort(m->spots, m->nspots, sizeof *m->spots, by_tag);
    atomic_store(&m->none, m->nspots == 0);
}

static bool is_below(const char *path, size_t len, const char *top, size_t top_len)
{
    return len >= top_len && memcmp(path, top, top_len) == 0 &&
           (len == top_len || path[top_len] == '/');
}

static void rebase(struct path *p, size_t from_len, const char *to, size_t to_len)
{
    size_t rest = p->len - from_len, len = to_len + rest;
    char *path = xmalloc(len + 1);
    memcpy(path, to, to_len);
    memcpy(path + to_len, p->p + from_len, rest);
    path[len] = '\0';
    free(p->p);
    *p = (struct path){path, len};
}

void moves_renamed(struct receiver *r, const struct catalogue_move *x)
{
    struct moves *m = r->moves;
    for (size_t i = 0; i < m->nfolders; i++) {
        struct path *p = &m->folders[i];
        if (is_below(p->p, p->len, x->from, x->from_len))
            rebase(p, x->from_len, x->to, x->to_len);
        else if (x->swap && is_below(p->p, p->len, x->to, x->to_len))
            rebase(p, x->to_len, x->from, x->from_len);
    }
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
    return !is_below(to, to_len, path, len) && !is_below(path, len, to, to_len) &&
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

struct lead {
    uint32_t folder;
    struct ask *ask;
};

static int by_folder(const void *a, const void *b)
{
    const struct lead *x = a, *y = b;
    return (x->folder > y->folder) - (x->folder < y->folder);
}

static size_t leads_of(const struct moves *m, struct ask *a, struct lead *ret)
{
    uint32_t tag = tag_of(a->e.meta.ino);
    size_t low = 0, high = m->nspots, n = 0;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (m->spots[mid].tag < tag)
            low = mid + 1;
        else
            high = mid;
    }
    for (; low < m->nspots && m->spots[low].tag == tag && n < PER_INODE_MAX; low++)
        if (n == 0 || ret[n - 1].folder != m->spots[low].folder)
            ret[n++] = (struct lead){m->spots[low].folder, a};
    return n;
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
        s.of[i] = leads[i].ask;
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
    build(l->r);
    for (size_t i = 0; i < a->n && m->nspots; i++)
        n += leads_of(m, &a->all[i], leads + n);
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

/* ── dry runs ── */

/* One after the other, the latest first. */
char *moves_dry_origin(struct receiver *r, const char *path, size_t len, size_t *retlen)
{
    struct path p = {xmemdup(path, len), len};
    bool came = false;
    (void)pthread_mutex_lock(&r->cat_lock);
    const struct moves *m = r->moves;
    for (size_t i = m->ndry; i-- > 0;) {
        const struct pair_of *d = &m->dry[i];
        bool to = is_below(p.p, p.len, d->to.p, d->to.len);
        if (to)
            rebase(&p, d->to.len, d->from.p, d->from.len);
        else if (d->swap && is_below(p.p, p.len, d->from.p, d->from.len))
            rebase(&p, d->from.len, d->to.p, d->to.len);
        else
            continue;
        came = true;
    }
    (void)pthread_mutex_unlock(&r->cat_lock);
    if (!came) {
        free(p.p);
        return NULL;
    }
    *retlen = p.len;
    return p.p;
}

bool moves_dry_leaves(struct receiver *r, const char *path, size_t len)
{
    bool leaves = false;
    (void)pthread_mutex_lock(&r->cat_lock);
    const struct moves *m = r->moves;
    for (size_t i = 0; i < m->ndry; i++)
        leaves = leaves || (!m->dry[i].swap && m->dry[i].from.len == len &&
                            memcmp(m->dry[i].from.p, path, len) == 0);
    (void)pthread_mutex_unlock(&r->cat_lock);
    return leaves;
}

void moves_dry_note(struct receiver *r, const struct catalogue_move *x)
{
    struct moves *m = r->moves;
    (void)pthread_mutex_lock(&r->cat_lock);
    if (m->ndry == m->dry_cap) {
        m->dry_cap = m->dry_cap ? m->dry_cap * 2 : 16;
        m->dry = xrealloc(m->dry, m->dry_cap * sizeof *m->dry);
    }
    m->dry[m->ndry++] = (struct pair_of){
        {xmemdup(x->to,   x->to_len),   x->to_len  },
        {xmemdup(x->from, x->from_len), x->from_len},
        x->swap
    };
    (void)pthread_mutex_unlock(&r->cat_lock);
}
