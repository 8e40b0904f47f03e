/* catalogue: the SQLite file of one pair, and the rows that wait in memory for the next commit. The
 * only file that knows SQLite's codes; reading folders is catalogue_folder.c. One thread at a time.
 */
#include "agent/store/catalogue.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/catalogue_priv.h"
#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

#define VERSION 1
#define SLOTS 4096 /* folders between two commits; chains beyond */

struct pending {
    struct pending *next;
    char *folder;
    size_t folder_len;
    uint64_t hash;
    struct buf records;
    uint32_t count;
};

/* EXCLUSIVE: one agent owns the file, and the WAL index needs no shared memory. FULL: a row must
 * not be lost after the peer was told that the file is durable. */
static const char schema[] =
    "PRAGMA locking_mode=EXCLUSIVE; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
    "PRAGMA cell_size_check=ON; PRAGMA trusted_schema=OFF;"
    "BEGIN IMMEDIATE;" /* one sync, not one a table */
    "CREATE TABLE IF NOT EXISTS segment(id INTEGER PRIMARY KEY, folder BLOB NOT NULL,"
    " segno INTEGER NOT NULL, count INTEGER NOT NULL, entries BLOB NOT NULL,"
    " UNIQUE(folder, segno));"
    "CREATE TABLE IF NOT EXISTS partial(folder BLOB NOT NULL, name BLOB NOT NULL,"
    " body BLOB NOT NULL, PRIMARY KEY(folder, name)) WITHOUT ROWID;"
    "CREATE TABLE IF NOT EXISTS feed(id INTEGER PRIMARY KEY CHECK(id=0), session INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS run(id INTEGER PRIMARY KEY CHECK(id=0), instance INTEGER NOT NULL,"
    " durable INTEGER NOT NULL, ordered INTEGER NOT NULL, began INTEGER NOT NULL);"
    "CREATE TABLE IF NOT EXISTS source(id INTEGER PRIMARY KEY CHECK(id=0), root BLOB NOT NULL);"
    "CREATE TABLE IF NOT EXISTS moving(id INTEGER PRIMARY KEY, body BLOB NOT NULL);"
    "PRAGMA user_version=1; COMMIT;";

static const char *const statements[ST_COUNT] = {
    [ST_SEGMENTS] = "SELECT entries, count FROM segment WHERE folder=?1 ORDER BY segno",
    [ST_LAST] = "SELECT segno, count, entries FROM segment WHERE folder=?1"
                " ORDER BY segno DESC LIMIT 1",
    [ST_PUT] = "INSERT INTO segment(folder,segno,count,entries) VALUES(?1,?2,?3,?4)"
               " ON CONFLICT(folder,segno) DO UPDATE SET count=?3, entries=?4",
    [ST_DROP] = "DELETE FROM segment WHERE folder=?1",
    [ST_FOLDERS] = "SELECT folder FROM segment WHERE folder>?1 ORDER BY folder LIMIT 1",
    [ST_CHILD] = "SELECT folder FROM segment WHERE folder>=?1 ORDER BY folder LIMIT 1",
    [ST_DROP_BELOW] = "DELETE FROM segment WHERE folder=?1 OR (folder>=?2 AND folder<?3)",
    [ST_PARTIAL_GET] = "SELECT body FROM partial WHERE folder=?1 AND name=?2",
    [ST_PARTIAL_PUT] = "INSERT INTO partial(folder,name,body) VALUES(?1,?2,?3)"
                       " ON CONFLICT(folder,name) DO UPDATE SET body=?3",
    [ST_PARTIAL_DROP] = "DELETE FROM partial WHERE folder=?1 AND name=?2",
    [ST_RUN_GET] = "SELECT instance, durable, ordered, began FROM run WHERE id=0",
    [ST_RUN_PUT] = "INSERT OR REPLACE INTO run(id,instance,durable,ordered,began)"
                   " VALUES(0,?1,?2,?3,?4)",
};

int catalogue_errno(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return -EBADMSG;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return -EACCES;
    case SQLITE_READONLY:
        return -EROFS;
    case SQLITE_TOOBIG:
        return -EFBIG;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    default:
        return -EIO;
    }
}

int catalogue_bind(sqlite3_stmt *st, int n, const void *p, size_t len)
{
    return catalogue_errno(sqlite3_bind_blob64(st, n, len ? p : "", len, SQLITE_STATIC));
}

int catalogue_step(struct catalogue *c, enum statement st)
{
    int rc = catalogue_errno(sqlite3_step(c->st[st]));
    (void)sqlite3_reset(c->st[st]);
    (void)sqlite3_clear_bindings(c->st[st]);
    return rc;
}

int catalogue_begin(struct catalogue *c)
{
    if (c->in_transaction)
        return 0;
    int rc = catalogue_errno(sqlite3_exec(c->db, "BEGIN IMMEDIATE", NULL, NULL, NULL));
    c->in_transaction = rc == 0;
    return rc;
}

static void roll_back(struct catalogue *c)
{
    if (c->in_transaction)
        (void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
    c->in_transaction = false;
}

static void close_file(struct catalogue *c)
{
    for (size_t i = 0; i < ST_COUNT; i++) {
        (void)sqlite3_finalize(c->st[i]);
        c->st[i] = NULL;
    }
    roll_back(c);
    (void)sqlite3_close(c->db);
    c->db = NULL;
}

static int version_fits(struct catalogue *c)
{
    sqlite3_stmt *st = NULL;
    int rc = catalogue_errno(sqlite3_prepare_v2(c->db, "PRAGMA user_version", -1, &st, NULL));
    if (rc == 0) {
        int got = sqlite3_step(st);
        int version = got == SQLITE_ROW ? sqlite3_column_int(st, 0) : 0;
        rc = catalogue_errno(got);
        if (rc == 0 && version != 0 && version != VERSION)
            rc = -EBADMSG; /* of another release: knowledge that can be gained again */
    }
    (void)sqlite3_finalize(st);
    return rc;
}

static int open_file(struct catalogue *c)
{
    /* SQLite would make it by the umask. */
    int fd = open(c->path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    (void)fd_close(fd);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int rc = catalogue_errno(sqlite3_open_v2(c->path, &c->db, flags, NULL));
    if (rc == 0)
        rc = version_fits(c);
    if (rc == 0)
        rc = catalogue_errno(sqlite3_exec(c->db, schema, NULL, NULL, NULL));
    for (size_t i = 0; rc == 0 && i < ST_COUNT; i++)
        rc = catalogue_errno(sqlite3_prepare_v3(c->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
                                                &c->st[i], NULL));
    if (rc < 0)
        close_file(c);
    return rc;
}

int catalogue_renew(struct catalogue *c)
{
    static const char *const beside[] = {"", "-wal", "-shm"};
    close_file(c);
    for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
        CLEANUP(mem_free) char *from = xasprintf("%s%s", c->path, beside[i]);
        CLEANUP(mem_free) char *to = xasprintf("%s.damaged%s", c->path, beside[i]);
        if (rename(from, to) < 0 && errno != ENOENT)
            return -errno;
    }
    return open_file(c);
}

int catalogue_open(struct catalogue **ret, const char *path)
{
    struct catalogue *c = xcalloc(1, sizeof *c);
    c->path = xstrdup(path);
    c->nslots = SLOTS;
    c->slots = xcalloc(c->nslots, sizeof *c->slots);
    int rc = open_file(c);
    if (rc == -EBADMSG)
        rc = catalogue_renew(c);
    if (rc < 0) {
        (void)catalogue_close(c);
        return rc;
    }
    *ret = c;
    return 0;
}

void catalogue_pending_free(struct catalogue *c)
{
    for (size_t i = 0; i < c->nslots; i++) {
        for (struct pending *p = c->slots[i], *next; p; p = next) {
            next = p->next;
            buf_done(&p->records);
            free(p->folder);
            free(p);
        }
        c->slots[i] = NULL;
    }
    c->npending = c->pending_bytes = 0;
    c->last = NULL;
}

struct catalogue *catalogue_close(struct catalogue *c)
{
    if (!c)
        return NULL;
    close_file(c);
    catalogue_pending_free(c);
    free(c->slots);
    free(c->path);
    free(c);
    return NULL;
}

static bool is_folder(const struct pending *p, uint64_t hash, const char *folder, size_t len)
{
    return p->hash == hash && p->folder_len == len && memcmp(p->folder, folder, len) == 0;
}

static struct pending *pending_of(struct catalogue *c, const char *folder, size_t len)
{
    uint64_t hash = XXH3_64bits(folder, len);
    if (c->last && is_folder(c->last, hash, folder, len))
        return c->last;
    struct pending **slot = &c->slots[hash % c->nslots], *p = *slot;
    while (p && !is_folder(p, hash, folder, len))
        p = p->next;
    if (!p) {
        p = xcalloc(1, sizeof *p);
        *p = (struct pending){.next = *slot, .folder_len = len, .hash = hash};
        p->folder = xmemdup(folder, len);
        buf_init(&p->records, PENDING_BYTES_MAX * 2);
        *slot = p;
        c->npending++;
        c->pending_bytes += sizeof *p + len;
    }
    c->last = p;
    return p;
}

static int collect(struct catalogue *c, const char *folder, size_t folder_len, const char *name,
                   size_t name_len, const struct catalogue_entry *e)
{
    if (c->pending_bytes >= PENDING_BYTES_MAX)
        return -EAGAIN;
    struct pending *p = pending_of(c, folder, folder_len);
    size_t before = p->records.len;
    pack_record(&p->records, name, name_len, e);
    c->pending_bytes += p->records.len - before;
    p->count++;
    return 0;
}

int catalogue_put(struct catalogue *c, const char *folder, size_t folder_len, const char *name,
                  size_t name_len, const struct catalogue_entry *e)
{
    return collect(c, folder, folder_len, name, name_len, e);
}

int catalogue_forget(struct catalogue *c, const char *folder, size_t folder_len, const char *name,
                     size_t name_len)
{
    return collect(c, folder, folder_len, name, name_len, NULL);
}

int catalogue_write_segment(struct catalogue *c, const char *folder, size_t len, int64_t segno,
                            uint32_t count, const struct buf *sealed)
{
    if (sealed->overflow)
        return -EFBIG;
    sqlite3_stmt *st = c->st[ST_PUT];
    int rc = catalogue_bind(st, 1, folder, len);
    if (rc == 0)
        rc = catalogue_errno(sqlite3_bind_int64(st, 2, segno));
    if (rc == 0)
        rc = catalogue_errno(sqlite3_bind_int64(st, 3, count));
    if (rc == 0)
        rc = catalogue_bind(st, 4, sealed->data, sealed->len);
    return rc == 0 ? catalogue_step(c, ST_PUT) : rc;
}

/* The last segment of the folder, into tail without its checksum, when there is room in it. */
static int load_tail(struct catalogue *c, const struct pending *p, struct buf *tail,
                     uint32_t *retcount, int64_t *retsegno)
{
    sqlite3_stmt *st = c->st[ST_LAST];
    int rc = catalogue_bind(st, 1, p->folder, p->folder_len);
    if (rc < 0)
        return rc;
    int got = sqlite3_step(st);
    if (got == SQLITE_ROW) {
        *retsegno = sqlite3_column_int64(st, 0);
        const void *blob = sqlite3_column_blob(st, 2);
        struct cursor records;
        uint32_t count = 0;
        if (pack_open(blob, (size_t)sqlite3_column_bytes(st, 2), &records, &count) < 0 ||
            count >= SEGMENT_ENTRIES) {
            (*retsegno)++; /* full; or damaged, which loading the folder finds out */
        } else {
            buf_put(tail, records.at, cursor_left(&records));
            *retcount = count;
        }
    }
    (void)sqlite3_reset(st);
    (void)sqlite3_clear_bindings(st);
    return catalogue_errno(got);
}

/* Records go behind those that are there; a folder's segments are never sorted or searched for what
 * is replaced, so that a commit costs what changed and not what the folder holds. */
static int merge_folder(struct catalogue *c, const struct pending *p, struct buf *tail,
                        struct buf *sealed)
{
    uint32_t have = 0;
    int64_t segno = 0;
    buf_clear(tail);
    int rc = load_tail(c, p, tail, &have, &segno);
    struct cursor cur = cursor_of(p->records.data, p->records.len);
    while (rc == 0 && cursor_left(&cur) > 0) {
        const uint8_t *from = cur.at;
        uint32_t count = have;
        struct packed_view v;
        while (count < SEGMENT_ENTRIES && pack_next(&cur, &v))
            count++;
        if (cur.bad)
            return -EINVAL;
        pack_seal(sealed, tail->data, tail->len, from, (size_t)(cur.at - from));
        rc = catalogue_write_segment(c, p->folder, p->folder_len, segno, count, sealed);
        segno++;
        have = 0;
        buf_clear(tail);
    }
    return rc;
}

/* What waits in memory, into the open transaction. */
static int merge_all(struct catalogue *c)
{
    int rc = c->npending ? catalogue_begin(c) : 0;
    struct buf tail, sealed;
    buf_init(&tail, SEGMENT_BYTES_MAX);
    buf_init(&sealed, SEGMENT_BYTES_MAX);
    for (size_t i = 0; rc == 0 && i < c->nslots; i++)
        for (const struct pending *p = c->slots[i]; rc == 0 && p; p = p->next)
            rc = merge_folder(c, p, &tail, &sealed);
    buf_done(&tail);
    buf_done(&sealed);
    return rc;
}

int catalogue_merge(struct catalogue *c)
{
    int rc = merge_all(c);
    if (rc == 0)
        catalogue_pending_free(c);
    return rc;
}

void catalogue_abandon(struct catalogue *c)
{
    catalogue_pending_free(c);
    roll_back(c);
}

static int commit_once(struct catalogue *c)
{
    int rc = merge_all(c);
    if (rc == 0 && c->in_transaction)
        rc = catalogue_errno(sqlite3_exec(c->db, "COMMIT", NULL, NULL, NULL));
    if (rc < 0)
        roll_back(c);
    c->in_transaction = false;
    return rc;
}

int catalogue_commit(struct catalogue *c)
{
    int rc = commit_once(c);
    if (rc == -EBADMSG) {
        log_debug("catalogue %s is damaged: starting a new one", c->path);
        rc = catalogue_renew(c);
        if (rc == 0)
            rc = commit_once(c);
    }
    if (rc == 0)
        catalogue_pending_free(c);
    return rc;
}
