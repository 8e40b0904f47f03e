/* walk: one folder of the source: its entries in fresh batches, or listed for the destination to
 * answer. Not what is done with the answers: walk_answer.c. Worker threads. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/attrs.h"
#include "agent/store/beneath.h"
#include "agent/store/remap.h"
#include "agent/store/subvolume.h"
#include "agent/transfer/look.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/filter.h"
#include "common/base/mem.h"

#define LISTING_BYTES (300U << 10)
#define NAMES_BYTES (LISTING_ENTRIES * (NAME_BYTES_MAX + 1U))

/* ── folders ── */

/* Vanished since its parent was read: as if it never was. */
static bool is_gone(int rc)
{
    return rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP;
}

static int folder_read(struct worker *w, struct folder *f)
{
    struct attrs attrs;
    f->fd = beneath_open(w->s->root, f->path, f->len, O_RDONLY | O_DIRECTORY | O_NOATIME, 0);
    if (f->fd == -EPERM)
        f->fd = beneath_open(w->s->root, f->path, f->len, O_RDONLY | O_DIRECTORY, 0);
    if (f->fd < 0)
        return f->fd;
    int rc = meta_stat(f->fd, "", &f->meta);
    if (rc < 0)
        return rc;
    remap_meta(w->s->spec->options.map, &f->meta);
    attrs_of(f->fd, &attrs);
    f->has_attrs = !attrs_none(&attrs);
    rc = xattrs_read_with(f->fd, &attrs, &f->xattrs);
    if (rc == 0)
        worker_remap(w, f, NULL, &f->meta, &f->xattrs);
    if (rc == -E2BIG || (rc == 0 && f->xattrs.len > ENTRY_XATTRS_MAX)) {
        worker_failed(w, f, NULL, E2BIG, "attributes");
        buf_clear(&f->xattrs);
        rc = 0;
    }
    return rc;
}

struct folder *walk_folder_new(char *path, size_t len, bool fresh)
{
    static atomic_uint_fast64_t serial;
    struct folder *f = xcalloc(1, sizeof *f);
    *f = (struct folder){.path = path,
                         .len = len,
                         .fd = -1,
                         .refs = 1,
                         .fresh = fresh,
                         .serial = atomic_fetch_add(&serial, 1) + 1};
    buf_init(&f->xattrs, XATTRS_MAX + 1);
    return f;
}

/* Owns path. NULL: not there, or a failure that was counted. */
static struct folder *folder_open(struct worker *w, char *path, size_t len, bool fresh)
{
    struct folder *f = walk_folder_new(path, len, fresh);
    int64_t began = hold_begin(&w->s->hold);
    int rc = folder_read(w, f);
    hold_end(&w->s->hold, began);
    if (rc == 0 && f->meta.dev != w->s->root_dev)
        atomic_store(&w->s->crossed, true);
    if (rc == 0)
        return f;
    if (!is_gone(rc) || len == 0)
        worker_failed(w, f, NULL, -rc, "open folder");
    if (f->fd < 0)
        f->fd = -1;
    folder_unref(w, f);
    return NULL;
}

int walk_push(struct worker *w, const struct folder *f, const char *name, uint32_t flags)
{
    size_t n = strlen(name), len = f->len + (f->len > 0) + n;
    if (len > PATH_BYTES_MAX) {
        worker_failed(w, f, name, ENAMETOOLONG, "open folder");
        return 0;
    }
    CLEANUP(mem_free) char *path = xmalloc(len + 1);
    memcpy(path, f->path, f->len);
    path[f->len] = '/';
    memcpy(path + len - n, name, n);
    int rc = pathstack_push(w->s->stack, path, len, flags);
    sender_ring(w->s);
    return rc;
}

bool walk_may_hand_over(const struct worker *w, const struct folder *f, uint64_t size)
{
    return size > PIECE_BYTES && !f->alone &&
           (atomic_load(&w->s->nidle) > 0 || atomic_load(&w->s->nconnecting) > 0);
}

int walk_hand_over(struct worker *w, const struct folder *f, const char *name)
{
    return walk_push(w, f, name, WALK_FILE | (f->fresh ? WALK_FRESH : 0));
}

/* By its name. */
bool walk_name_left_out(const struct worker *w, const struct folder *f, const char *name,
                        bool is_folder)
{
    const struct filter *x = w->s->spec->options.filter;
    return x && filter_name(x, f->path, f->len, name, strlen(name), is_folder);
}

bool walk_leaves_out(const struct worker *w, const struct meta *m)
{
    const struct filter *x = w->s->spec->options.filter;
    int64_t ms = (int64_t)m->mtime.tv_sec * 1000 + m->mtime.tv_nsec / 1000000;
    return x && S_ISREG(m->mode) && filter_file(x, m->size, ms);
}

static bool is_other_fs(const struct worker *w, const struct folder *f)
{
    return w->s->spec->options.one_file_system && f->meta.dev != w->s->root_dev;
}

/* ── fresh ── */

static int fresh_one(struct worker *w, struct folder *f, const struct dents_entry *e)
{
    struct stat st;
    if (subvolume_is_ours(f->fd, e->name))
        return 0;
    bool is_folder = e->type == DT_DIR;
    if (e->type == DT_UNKNOWN && fstatat(f->fd, e->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        is_folder = S_ISDIR(st.st_mode);
    if (walk_name_left_out(w, f, e->name, is_folder))
        return 0;
    if (is_folder)
        return walk_push(w, f, e->name, WALK_FRESH);
    if (e->type == DT_REG)
        return batch_file(w, f, e->name);
    return batch_entry(w, f, e->name, true, NULL);
}

static int walk_fresh(struct worker *w, struct folder *f)
{
    struct dents_entry e;
    int rc = batch_folder(w, f), more = 0;
    if (rc < 0 || is_other_fs(w, f))
        return rc;
    /* The buffer is the worker's: no other folder is read before this one's end. */
    dents_init(&w->dents, f->fd);
    while (rc == 0 && (more = dents_next(&w->dents, &e)) == 1) {
        rc = atomic_load(&w->s->broken) ? -ECANCELED : fresh_one(w, f, &e);
    }
    if (rc == 0 && more < 0)
        worker_failed(w, f, NULL, -more, "read folder");
    return rc;
}

/* ── listings ── */

struct listing *walk_listing_new(struct folder *f)
{
    struct listing *l = xcalloc(1, sizeof *l);
    l->folder = f;
    f->refs++;
    l->items = xcalloc(LISTING_ENTRIES, sizeof *l->items);
    l->verdicts = xcalloc(LISTING_ENTRIES, 1);
    l->digests = xcalloc(LISTING_ENTRIES, DIGEST_BYTES);
    buf_init(&l->names, NAMES_BYTES);
    buf_init(&l->origins, LANE_RECORD_MAX);
    return l;
}

void listing_free(struct worker *w, struct listing *l)
{
    folder_unref(w, l->folder);
    buf_done(&l->names);
    free(l->items);
    free(l->verdicts);
    free(l->digests);
    free(l->came);
    buf_done(&l->origins);
    free(l);
}

void walk_count(struct worker *w, const struct meta *m, bool linked)
{
    struct sender *s = w->s;
    if (!S_ISREG(m->mode))
        return;
    (void)pthread_mutex_lock(&s->lock);
    s->counters.total_files++;
    s->counters.total_bytes += linked ? 0 : m->size;
    (void)pthread_mutex_unlock(&s->lock);
}

/* A file of several names: is it the first of them that is seen? */
static int list_linked(struct worker *w, const struct folder *f, struct listing_entry *e,
                       char **retfirst)
{
    size_t plen = f->len + (f->len > 0) + e->name.n, first_len = 0;
    CLEANUP(mem_free) char *path = xmalloc(plen + 1);
    memcpy(path, f->path, f->len);
    path[f->len] = '/';
    memcpy(path + plen - e->name.n, e->name.p, e->name.n);
    int rc = links_see(w->s->links, &e->meta, path, plen, retfirst, &first_len);
    if (rc < 0)
        return rc;
    if (rc == 1) {
        e->flags |= ENTRY_LINKED;
        e->target = (struct bytes){*retfirst, first_len};
    } else if (!f->found) {
        changes_linked(w->s, &e->meta);
    }
    return 0;
}

int walk_list_one(struct worker *w, struct listing *l, const char *name, uint8_t flags)
{
    struct folder *f = l->folder;
    struct listing_entry e = {
        .name = {name, strlen(name)},
          .flags = flags
    };
    char target[SYMLINK_TARGET_MAX + 1];
    CLEANUP(mem_free) char *first = NULL;
    if (subvolume_is_ours(f->fd, name))
        return 0;
    int64_t began = hold_begin(&w->s->hold);
    int rc = meta_stat(f->fd, name, &e.meta);
    hold_end(&w->s->hold, began);
    if (rc < 0) {
        if (rc != -ENOENT) {
            worker_failed(w, f, name, -rc, "stat");
            f->incomplete = true;
        }
        return 0;
    }
    if (walk_name_left_out(w, f, name, S_ISDIR(e.meta.mode)))
        return 0;
    if (walk_leaves_out(w, &e.meta)) { /* the destination cannot know: it keeps its extras here */
        f->incomplete = f->incomplete || !w->s->spec->options.delete_excluded;
        return 0;
    }
    remap_meta(w->s->spec->options.map, &e.meta);
    rc = look_mapped_digest(f->fd, name, &e.meta, w->s->spec->options.map, &e.xattrs_digest);
    if (rc == -ENOENT)
        return 0;
    if (S_ISLNK(e.meta.mode)) {
        ssize_t n = readlinkat(f->fd, name, target, sizeof target);
        if (n <= 0) { /* replaced just now; the next run sees what it became */
            f->incomplete = true;
            return 0;
        }
        e.target = (struct bytes){target, (size_t)n};
    }
    bool settled = flags & ENTRY_SETTLED; /* it was seen and counted before */
    if (!settled && !S_ISDIR(e.meta.mode) && e.meta.nlink > 1) {
        rc = list_linked(w, f, &e, &first);
        if (rc < 0)
            return rc;
    }
    if (!settled)
        walk_count(w, &e.meta, e.flags & ENTRY_LINKED);
    l->items[l->count++] = (struct item){e.meta, (uint32_t)l->names.len, e.flags};
    buf_put(&l->names, name, e.name.n + 1);
    listing_entry_put(&w->record, &e);
    return 0;
}

/* The record of a block: its head now, its count when it is full. */
size_t walk_block_begin(struct worker *w, const struct folder *f, uint8_t flags)
{
    struct listing_head h = {
        .folder = {f->path,                      f->len       },
        .flags = flags,
        .meta = f->meta,
        .xattrs = {(const char *)f->xattrs.data, f->xattrs.len}
    };
    worker_head(&w->record);
    size_t at = w->record.len + (f->len < 128 ? 1 : f->len < 16384 ? 2 : 3) + f->len;
    listing_head_put(&w->record, &h);
    buf_put_u32(&w->record, 0);
    return at; /* of the flags */
}

int walk_block_send(struct worker *w, struct listing *l, size_t flags_at, size_t count_at,
                    uint8_t flags)
{
    if (w->record.overflow)
        return -EMSGSIZE;
    uint32_t count = l->count; /* little-endian as buf_put_u32 writes it */
    uint8_t le[4] = {(uint8_t)count, (uint8_t)(count >> 8), (uint8_t)(count >> 16),
                     (uint8_t)(count >> 24)};
    memcpy(w->record.data + count_at, le, sizeof le);
    w->record.data[flags_at] = flags;
    l->next = NULL;
    *w->last = l;
    w->last = &l->next;
    w->nlistings++;
    return worker_send(w, REC_LISTING, &w->record);
}

/* Answers may be acted upon while the folder is still read: they use other buffers. */
int walk_answers_due(struct worker *w)
{
    int rc = 0;
    while (rc == 0 && w->first && (w->first->answered || w->nlistings >= LISTINGS_MAX)) {
        if (!w->first->answered) {
            rc = worker_pump(w, 200);
            continue;
        }
        struct listing *l = w->first;
        w->first = l->next;
        if (!w->first)
            w->last = &w->first;
        w->nlistings--;
        rc = w->s->source ? w->s->source->answer(w, l) : walk_answer(w, l);
    }
    return rc;
}

/* Does its listing name all that it has? */
static bool is_whole(const struct worker *w, const struct folder *f)
{
    return !is_other_fs(w, f) && !f->incomplete;
}

static int walk_listed(struct worker *w, struct folder *f)
{
    struct dents_entry e = {.name = NULL};
    uint8_t flags = LISTING_FIRST | (f->found ? LISTING_MAYBE : f->changed ? LISTING_KNOWN : 0);
    int rc = 0, more = 1;
    dents_init(&w->dents, f->fd);
    if (is_other_fs(w, f))
        more = 0;
    else
        more = dents_next(&w->dents, &e);
    flags |= f->len == 0 && more == 0 && !is_other_fs(w, f) ? LISTING_EMPTY : 0;
    do {
        struct listing *l = walk_listing_new(f);
        size_t flags_at = walk_block_begin(w, f, flags), count_at = w->record.len - 4;
        while (rc == 0 && more == 1 && l->count < LISTING_ENTRIES &&
               w->record.len < count_at + LISTING_BYTES) {
            rc = walk_list_one(w, l, e.name, 0);
            more = dents_next(&w->dents, &e);
        }
        if (more != 1)
            flags |= LISTING_LAST | (more == 0 && is_whole(w, f) ? LISTING_COMPLETE : 0);
        if (rc < 0) {
            listing_free(w, l);
            return rc;
        }
        rc = walk_block_send(w, l, flags_at, count_at, flags);
        flags = 0;
        if (rc == 0)
            rc = walk_answers_due(w);
    } while (rc == 0 && more == 1);
    if (rc == 0 && more < 0)
        worker_failed(w, f, NULL, -more, "read folder");
    return rc;
}

/* The folder of the entry at path, and the entry's name: malloc'd. Owns path. */
static struct folder *parent_open(struct worker *w, char *path, size_t len, bool fresh,
                                  char **retname)
{
    char *slash = memrchr(path, '/', len);
    size_t parent = slash ? (size_t)(slash - path) : 0, from = slash ? parent + 1 : 0;
    *retname = xmemdup(path + from, len - from);
    return folder_open(w, path, parent, fresh);
}

/* A large file that another worker left to whoever has time, or that was put off. */
static int walk_file(struct worker *w, char *path, size_t len, uint32_t flags)
{
    CLEANUP(mem_free) char *name = NULL;
    struct folder *f = parent_open(w, path, len, flags & WALK_FRESH, &name);
    if (!f)
        return 0;
    f->alone = true;
    f->put_off = flags & WALK_PUT_OFF;
    int rc = batch_entry(w, f, name, false, NULL);
    folder_unref(w, f);
    return rc;
}

/* One entry alone: a failed one that is tried again. */
static int walk_one(struct worker *w, char *path, size_t len)
{
    CLEANUP(mem_free) char *name = NULL;
    struct folder *f = parent_open(w, path, len, false, &name);
    if (!f)
        return 0;
    struct listing *l = walk_listing_new(f);
    size_t flags_at = walk_block_begin(w, f, LISTING_FIRST), count_at = w->record.len - 4;
    int rc = walk_list_one(w, l, name, 0);
    if (rc < 0)
        listing_free(w, l);
    else
        rc = walk_block_send(w, l, flags_at, count_at, LISTING_FIRST | LISTING_LAST);
    folder_unref(w, f);
    return rc;
}

int walk_folder(struct worker *w, char *path, size_t len, uint32_t flags)
{
    if ((flags & WALK_ONE) && len > 0)
        return walk_one(w, path, len);
    if (flags & WALK_FILE)
        return walk_file(w, path, len, flags);
    struct folder *f = folder_open(w, path, len, flags & WALK_FRESH);
    if (!f)
        return 0;
    FAULT_POINT("folder-open");
    f->changed = flags & WALK_CHANGED;
    f->found = flags & WALK_FOUND;
    int rc = f->fresh ? walk_fresh(w, f) : walk_listed(w, f);
    folder_unref(w, f);
    return rc;
}
