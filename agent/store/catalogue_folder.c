/* catalogue_folder: one folder's rows of the catalogue, indexed by name; and all of them in order.
 * One thread at a time. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "agent/store/catalogue_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

#define FOLDER_BYTES_MAX (1U << 30) /* packed; what is beyond counts as unknown */
#define COMPACT_MIN 256

struct slot { /* at: offset of the record plus one; 0 is free */
    uint32_t at, tag;
};

/* Entries stay packed: a folder of a million takes 80 MB and not 300. */
struct catalogue_folder {
    struct buf records;
    struct slot *slots;
    size_t mask, total, live;
    struct catalogue_entry *found; /* what catalogue_find() hands out */
};
DEFINE_CLEANUP(catalogue_folder_free, struct catalogue_folder *)

struct catalogue_folder *catalogue_folder_free(struct catalogue_folder *f)
{
    if (f) {
        buf_done(&f->records);
        free(f->slots);
        free(f->found);
        free(f);
    }
    return NULL;
}

static bool record_at(const struct catalogue_folder *f, uint32_t at, struct packed_view *ret)
{
    struct cursor c = cursor_of(f->records.data + at - 1, f->records.len - (at - 1));
    return pack_next(&c, ret);
}

/* The slot of name, or the free one where it belongs. */
static struct slot *slot_of(const struct catalogue_folder *f, const char *name, size_t len)
{
    uint64_t hash = XXH3_64bits(name, len);
    uint32_t tag = (uint32_t)(hash >> 32);
    for (size_t i = hash & f->mask;; i = (i + 1) & f->mask) {
        struct slot *s = &f->slots[i];
        struct packed_view v;
        if (s->at == 0) {
            s->tag = tag;
            return s;
        }
        if (s->tag == tag && record_at(f, s->at, &v) && v.name_len == len &&
            memcmp(v.name, name, len) == 0)
            return s;
    }
}

static void index_records(struct catalogue_folder *f)
{
    size_t size = 16;
    while (size < f->total * 2)
        size *= 2;
    f->slots = xcalloc(size, sizeof *f->slots);
    f->mask = size - 1;
    struct cursor c = cursor_of(f->records.data, f->records.len);
    struct packed_view v, old;
    for (const uint8_t *at = c.at; f->records.len > 0 && pack_next(&c, &v); at = c.at) {
        struct slot *s = slot_of(f, v.name, v.name_len);
        if (s->at && record_at(f, s->at, &old) && !old.gone)
            f->live--;
        if (!v.gone)
            f->live++;
        s->at = (uint32_t)(at - f->records.data) + 1;
    }
}

/* Damaged segments are as if they had never been: the entries are looked at again. */
static int read_segments(struct catalogue *c, const char *folder, size_t len,
                         struct catalogue_folder *f)
{
    sqlite3_stmt *st = c->st[ST_SEGMENTS];
    int rc = catalogue_bind(st, 1, folder, len), got = SQLITE_DONE;
    while (rc == 0 && (got = sqlite3_step(st)) == SQLITE_ROW) {
        struct cursor records;
        uint32_t count = 0;
        const void *blob = sqlite3_column_blob(st, 0);
        if (pack_open(blob, (size_t)sqlite3_column_bytes(st, 0), &records, &count) < 0 ||
            f->records.len + cursor_left(&records) > FOLDER_BYTES_MAX) {
            c->damaged = true;
            continue;
        }
        buf_put(&f->records, records.at, cursor_left(&records));
        f->total += count;
    }
    (void)sqlite3_reset(st);
    (void)sqlite3_clear_bindings(st);
    return rc == 0 ? catalogue_errno(got) : rc;
}

/* Sixteen bytes an entry: a folder of a million must not take its rows unpacked. */
struct sorted {
    const char *name;
    uint32_t at;
    uint8_t len;
};

static int by_name(const void *a, const void *b)
{
    const struct sorted *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int d = memcmp(x->name, y->name, n);
    return d ? d : (x->len > y->len) - (x->len < y->len);
}

/* Those that count, by name; *ret is malloc'd and borrows from f. */
static size_t live_sorted(const struct catalogue_folder *f, struct sorted **ret)
{
    struct sorted *all = xcalloc(f->live ? f->live : 1, sizeof *all);
    struct packed_view v;
    size_t n = 0;
    for (size_t i = 0; i <= f->mask && n < f->live; i++) {
        uint32_t at = f->slots[i].at;
        if (at && record_at(f, at, &v) && !v.gone)
            all[n++] = (struct sorted){.name = v.name, .at = at, .len = (uint8_t)v.name_len};
    }
    if (n > 1)
        qsort(all, n, sizeof *all, by_name);
    *ret = all;
    return n;
}

static int write_compact(struct catalogue *c, const char *folder, size_t len,
                         const struct catalogue_folder *f)
{
    CLEANUP(mem_free) struct sorted *all = NULL;
    size_t n = live_sorted(f, &all);
    struct packed_view v;
    struct buf records, sealed;
    buf_init(&records, SEGMENT_BYTES_MAX);
    buf_init(&sealed, SEGMENT_BYTES_MAX);
    int rc = 0;
    int64_t segno = 0;
    for (size_t i = 0; rc == 0 && i < n; segno++) {
        size_t from = i;
        buf_clear(&records);
        for (; i < n && i - from < SEGMENT_ENTRIES; i++)
            if (record_at(f, all[i].at, &v))
                pack_record(&records, v.name, v.name_len, &v.e);
        pack_seal(&sealed, records.data, records.len, NULL, 0);
        rc = catalogue_write_segment(c, folder, len, segno, (uint32_t)(i - from), &sealed);
    }
    buf_done(&records);
    buf_done(&sealed);
    return rc;
}

/* Replaced and forgotten rows go when they are the larger part. It joins the open transaction. */
static int compact(struct catalogue *c, const char *folder, size_t len,
                   const struct catalogue_folder *f)
{
    int rc = catalogue_begin(c);
    if (rc == 0)
        rc = catalogue_errno(sqlite3_exec(c->db, "SAVEPOINT compact", NULL, NULL, NULL));
    if (rc < 0)
        return rc;
    rc = catalogue_bind(c->st[ST_DROP], 1, folder, len);
    if (rc == 0)
        rc = catalogue_step(c, ST_DROP);
    if (rc == 0)
        rc = write_compact(c, folder, len, f);
    if (rc < 0)
        (void)sqlite3_exec(c->db, "ROLLBACK TO compact", NULL, NULL, NULL);
    (void)sqlite3_exec(c->db, "RELEASE compact", NULL, NULL, NULL);
    return rc;
}

int catalogue_names(const struct catalogue_folder *f,
                    int (*fn)(void *arg, const char *name, size_t len), void *arg)
{
    struct packed_view v;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i <= f->mask; i++)
        if (f->slots[i].at && record_at(f, f->slots[i].at, &v) && !v.gone)
            rc = fn(arg, v.name, v.name_len);
    return rc;
}

int catalogue_entries(const struct catalogue_folder *f,
                      int (*fn)(void *arg, const char *name, size_t len,
                                const struct catalogue_entry *e),
                      void *arg)
{
    struct packed_view v;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i <= f->mask; i++)
        if (f->slots[i].at && record_at(f, f->slots[i].at, &v) && !v.gone)
            rc = fn(arg, v.name, v.name_len, &v.e);
    return rc;
}

static int load(struct catalogue *c, const char *folder, size_t len, struct catalogue_folder **ret)
{
    CLEANUP(catalogue_folder_free) struct catalogue_folder *f = xcalloc(1, sizeof *f);
    f->found = xcalloc(1, sizeof *f->found);
    buf_init(&f->records, FOLDER_BYTES_MAX);
    int rc = read_segments(c, folder, len, f);
    if (rc < 0)
        return rc;
    index_records(f);
    *ret = f;
    f = NULL;
    return 0;
}

int catalogue_load(struct catalogue *c, const char *folder, size_t len,
                   struct catalogue_folder **ret)
{
    struct catalogue_folder *f = NULL;
    int rc = load(c, folder, len, &f);
    if (rc == -EBADMSG) {
        rc = catalogue_renew(c);
        if (rc == 0)
            rc = load(c, folder, len, &f);
    }
    if (rc < 0)
        return rc;
    if (f->total > COMPACT_MIN && f->total - f->live > f->live)
        (void)compact(c, folder, len, f); /* only a saving: the folder is as good without */
    *ret = f;
    return 0;
}

const struct catalogue_entry *catalogue_find(const struct catalogue_folder *f, const char *name,
                                             size_t len)
{
    struct packed_view v;
    const struct slot *s = slot_of(f, name, len);
    if (!s->at || !record_at(f, s->at, &v) || v.gone)
        return NULL;
    *f->found = v.e;
    return f->found;
}

bool catalogue_is_damaged(const struct catalogue *c)
{
    return c->damaged;
}

/* The first folder behind *folder in byte order; 0 at the end. Replaces *folder. */
static int next_folder(struct catalogue *c, char **folder, size_t *len, bool first)
{
    sqlite3_stmt *st = c->st[ST_FOLDERS];
    /* Every blob sorts behind every text: so the root, which is an empty blob, is found too. */
    int rc = first ? catalogue_errno(sqlite3_bind_text(st, 1, "", 0, SQLITE_STATIC))
                   : catalogue_bind(st, 1, *folder, *len);
    int got = rc == 0 ? sqlite3_step(st) : SQLITE_DONE;
    char *next = NULL;
    size_t next_len = 0;
    if (got == SQLITE_ROW) {
        next_len = (size_t)sqlite3_column_bytes(st, 0);
        next = xmemdup(sqlite3_column_blob(st, 0), next_len);
    }
    (void)sqlite3_reset(st);
    (void)sqlite3_clear_bindings(st);
    free(*folder);
    *folder = next;
    *len = next_len;
    rc = rc == 0 ? catalogue_errno(got) : rc;
    return rc < 0 ? rc : next != NULL;
}

int catalogue_each(struct catalogue *c,
                   int (*fn)(void *arg, const char *folder, size_t folder_len, const char *name,
                             size_t name_len, const struct catalogue_entry *e),
                   void *arg)
{
    CLEANUP(mem_free) char *folder = NULL;
    size_t len = 0;
    int rc = next_folder(c, &folder, &len, true);
    while (rc == 1) {
        CLEANUP(catalogue_folder_free) struct catalogue_folder *f = NULL;
        rc = load(c, folder, len, &f);
        if (rc < 0)
            return rc;
        CLEANUP(mem_free) struct sorted *all = NULL;
        size_t n = live_sorted(f, &all);
        struct packed_view v;
        for (size_t i = 0; rc == 0 && i < n; i++)
            if (record_at(f, all[i].at, &v))
                rc = fn(arg, folder, len, v.name, v.name_len, &v.e);
        if (rc == 0)
            rc = next_folder(c, &folder, &len, false);
        else
            return rc;
    }
    return rc;
}
