/* catalogue_moves: what renames at the destination want of the catalogue: where inodes stand, rows
 * that go along, and notes of what is about to be renamed. One thread at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/store/beneath.h"
#include "agent/store/catalogue_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define PATH_BYTES (64 << 10)
#define NOTE_BYTES (3 * PATH_BYTES)
#define ASIDE "/" /* no folder's path: rows of one that changes places with another */

/* ── where inodes stand ── */

static int segment_inodes(sqlite3_stmt *st,
                          int (*fn)(void *arg, const char *folder, size_t len, uint64_t ino),
                          void *arg)
{
    struct cursor c;
    struct packed_view v;
    uint32_t count = 0;
    const char *folder = sqlite3_column_blob(st, 0);
    size_t len = (size_t)sqlite3_column_bytes(st, 0);
    const void *blob = sqlite3_column_blob(st, 1);
    if (pack_open(blob, (size_t)sqlite3_column_bytes(st, 1), &c, &count) < 0)
        return 0; /* found out when the folder is loaded */
    int rc = 0;
    while (rc == 0 && pack_next(&c, &v))
        if (!v.gone && v.e.ino != 0)
            rc = fn(arg, folder ? folder : "", len, v.e.ino);
    return rc;
}

int catalogue_inodes(struct catalogue *c,
                     int (*fn)(void *arg, const char *folder, size_t len, uint64_t ino), void *arg)
{
    sqlite3_stmt *st = NULL;
    int rc = catalogue_errno(
        sqlite3_prepare_v2(c->db, "SELECT folder, entries FROM segment", -1, &st, NULL));
    int got = SQLITE_DONE;
    while (rc == 0 && (got = sqlite3_step(st)) == SQLITE_ROW)
        rc = segment_inodes(st, fn, arg);
    (void)sqlite3_finalize(st);
    return rc == 0 ? catalogue_errno(got) : rc;
}

/* ── rows that go along ── */

static char *with_byte(const char *folder, size_t len, char byte)
{
    char *path = xmalloc(len + 1);
    if (len)
        memcpy(path, folder, len);
    path[len] = byte;
    return path;
}

static int run(struct catalogue *c, const char *sql, struct catalogue_move paths)
{
    sqlite3_stmt *st = NULL;
    CLEANUP(mem_free) char *first = with_byte(paths.from, paths.from_len, '/');
    CLEANUP(mem_free) char *end = with_byte(paths.from, paths.from_len, '0');
    int rc = catalogue_errno(sqlite3_prepare_v2(c->db, sql, -1, &st, NULL));
    if (rc == 0)
        rc = catalogue_bind(st, 1, paths.from, paths.from_len);
    if (rc == 0)
        rc = catalogue_bind(st, 2, first, paths.from_len + 1);
    if (rc == 0)
        rc = catalogue_bind(st, 3, end, paths.from_len + 1);
    if (rc == 0 && paths.to)
        rc = catalogue_bind(st, 4, paths.to, paths.to_len);
    if (rc == 0 && paths.to)
        rc = catalogue_errno(sqlite3_bind_int64(st, 5, (sqlite3_int64)paths.from_len + 1));
    if (rc == 0)
        rc = catalogue_errno(sqlite3_step(st));
    (void)sqlite3_finalize(st);
    return rc;
}

#define BELOW " WHERE folder=?1 OR (folder>=?2 AND folder<?3)"
#define AS_TO " folder=CAST(?4 || substr(folder, ?5) AS BLOB)"

static int forget_below(struct catalogue *c, const char *path, size_t len)
{
    struct catalogue_move at = {.from_len = len};
    CLEANUP(mem_free) char *copy = xmemdup(path, len);
    at.from = copy;
    int rc = run(c, "DELETE FROM segment" BELOW, at);
    return rc == 0 ? run(c, "DELETE FROM partial" BELOW, at) : rc;
}

/* All that is below from; there is nothing below to. */
static int move_below(struct catalogue *c, const char *from, size_t from_len, const char *to,
                      size_t to_len)
{
    CLEANUP(mem_free) char *a = xmemdup(from, from_len);
    CLEANUP(mem_free) char *b = xmemdup(to, to_len);
    struct catalogue_move m = {.from = a, .from_len = from_len, .to = b, .to_len = to_len};
    int rc = run(c, "UPDATE segment SET" AS_TO BELOW, m);
    return rc == 0 ? run(c, "UPDATE partial SET" AS_TO BELOW, m) : rc;
}

static int swap_below(struct catalogue *c, const struct catalogue_move *m)
{
    int rc = move_below(c, m->to, m->to_len, ASIDE, 1);
    if (rc == 0)
        rc = move_below(c, m->from, m->from_len, m->to, m->to_len);
    return rc == 0 ? move_below(c, ASIDE, 1, m->from, m->from_len) : rc;
}

static int put(struct catalogue *c, const char *path, size_t len, const struct catalogue_entry *e)
{
    const char *slash = memrchr(path, '/', len);
    size_t folder = slash ? (size_t)(slash - path) : 0, skip = slash ? folder + 1 : 0;
    return e ? catalogue_put(c, path, folder, path + skip, len - skip, e)
             : catalogue_forget(c, path, folder, path + skip, len - skip);
}

static int rows_below(struct catalogue *c, const struct catalogue_move *m)
{
    int rc = catalogue_begin(c);
    if (rc == 0)
        rc = catalogue_merge(c); /* what was said before this is older than it */
    if (rc == 0 && m->swap)
        return swap_below(c, m);
    if (rc == 0)
        rc = forget_below(c, m->to, m->to_len);
    if (rc == 0)
        rc = move_below(c, m->from, m->from_len, m->to, m->to_len);
    return rc;
}

int catalogue_move_rows(struct catalogue *c, const struct catalogue_move *m)
{
    bool folder = S_ISDIR(m->row.mode) || (m->other_known && S_ISDIR(m->other.mode));
    int rc = folder ? rows_below(c, m) : 0;
    if (rc == 0)
        rc = put(c, m->from, m->from_len, m->swap && m->other_known ? &m->other : NULL);
    return rc == 0 ? put(c, m->to, m->to_len, &m->row) : rc;
}

/* ── notes ── */

void catalogue_move_done(struct catalogue_move *m)
{
    free(m->from);
    free(m->to);
    m->from = m->to = NULL;
}

enum { NOTE_SWAP = 1, NOTE_OTHER = 2 };

int catalogue_move_note(struct catalogue *c, const struct catalogue_move *m)
{
    sqlite3_stmt *st = NULL;
    struct buf b;
    buf_init(&b, NOTE_BYTES);
    buf_put_u8(&b, (m->swap ? NOTE_SWAP : 0) | (m->other_known ? NOTE_OTHER : 0));
    buf_put_u64(&b, m->dev);
    buf_put_u64(&b, m->ino);
    buf_put_blob(&b, m->from, m->from_len);
    buf_put_blob(&b, m->to, m->to_len);
    pack_record(&b, "row", 3, &m->row);
    if (m->other_known)
        pack_record(&b, "other", 5, &m->other);
    int rc = b.overflow ? -EFBIG : catalogue_begin(c);
    if (rc == 0)
        rc = catalogue_errno(
            sqlite3_prepare_v2(c->db, "INSERT INTO moving(body) VALUES(?1)", -1, &st, NULL));
    if (rc == 0)
        rc = catalogue_bind(st, 1, b.data, b.len);
    if (rc == 0)
        rc = catalogue_errno(sqlite3_step(st));
    (void)sqlite3_finalize(st);
    buf_done(&b);
    return rc;
}

/* Our own bytes, but of an earlier process on a disk. */
static int note_open(const void *body, size_t len, struct catalogue_move *ret)
{
    struct cursor c = cursor_of(body, len);
    struct catalogue_move m = {.from = NULL};
    struct packed_view v;
    uint8_t flags = cursor_u8(&c);
    m.dev = cursor_u64(&c);
    m.ino = cursor_u64(&c);
    const char *from = cursor_blob(&c, PATH_BYTES, &m.from_len);
    const char *to = cursor_blob(&c, PATH_BYTES, &m.to_len);
    if (c.bad || !beneath_valid(from, m.from_len) || !beneath_valid(to, m.to_len) ||
        m.from_len == 0 || m.to_len == 0 || !pack_next(&c, &v) || v.gone)
        return -EBADMSG;
    m.row = v.e;
    m.swap = flags & NOTE_SWAP;
    m.other_known = flags & NOTE_OTHER;
    if (m.other_known && (!pack_next(&c, &v) || v.gone))
        return -EBADMSG;
    if (m.other_known)
        m.other = v.e;
    m.from = xmemdup(from, m.from_len);
    m.to = xmemdup(to, m.to_len);
    *ret = m;
    return 0;
}

int catalogue_move_each(struct catalogue *c, int (*fn)(void *arg, struct catalogue_move *m),
                        void *arg)
{
    sqlite3_stmt *st = NULL;
    int rc = catalogue_errno(
        sqlite3_prepare_v2(c->db, "SELECT body FROM moving ORDER BY id", -1, &st, NULL));
    int got = SQLITE_DONE;
    while (rc == 0 && (got = sqlite3_step(st)) == SQLITE_ROW) {
        struct catalogue_move m;
        rc = note_open(sqlite3_column_blob(st, 0), (size_t)sqlite3_column_bytes(st, 0), &m);
        if (rc == 0)
            rc = fn(arg, &m);
    }
    (void)sqlite3_finalize(st);
    return rc == 0 ? catalogue_errno(got) : rc;
}

int catalogue_move_clear(struct catalogue *c)
{
    int rc = catalogue_begin(c);
    return rc == 0 ? catalogue_errno(sqlite3_exec(c->db, "DELETE FROM moving", NULL, NULL, NULL))
                   : rc;
}
