/* catalogue_priv: how catalogue entries are packed, and what the catalogue's files share. */
#pragma once
#include <sqlite3.h>

#include "agent/store/catalogue.h"
#include "common/base/buf.h"

#define SEGMENT_ENTRIES 4096
#define SEGMENT_BYTES_MAX                                                                          \
    (8 << 20) /* packed; names of 255 bytes and 4096 entries are far below                         \
               */
#define PENDING_BYTES_MAX (32 << 20)

/* ── packing: a segment is a checksum and records; the last record of a name counts ── */
struct packed_view { /* borrows the packed bytes */
    const char *name;
    size_t name_len;
    bool gone; /* a forgotten entry */
    struct catalogue_entry e;
};
void pack_record(struct buf *b, const char *name, size_t name_len,
                 const struct catalogue_entry *e);         /* e NULL: gone */
bool pack_next(struct cursor *c, struct packed_view *ret); /* false: end, or bad (c->bad) */
void pack_seal(struct buf *ret, const void *records, size_t len, const void *more, size_t more_len);
/* The records of a sealed segment; -EBADMSG unless checksum and every record are sound. */
int pack_open(const void *blob, size_t len, struct cursor *ret, uint32_t *retcount);

/* ── the open file ── */
enum statement {
    ST_SEGMENTS,
    ST_LAST,
    ST_PUT,
    ST_DROP,
    ST_FOLDERS,
    ST_CHILD,
    ST_DROP_BELOW,
    ST_PARTIAL_GET,
    ST_PARTIAL_PUT,
    ST_PARTIAL_DROP,
    ST_RUN_GET,
    ST_RUN_PUT,
    ST_COUNT,
};
struct pending;
struct catalogue {
    sqlite3 *db;
    sqlite3_stmt *st[ST_COUNT];
    char *path;
    bool in_transaction;
    bool damaged;           /* rows of some folder could not be read */
    struct pending **slots; /* hash by folder path */
    size_t nslots, npending, pending_bytes;
    struct pending *last; /* puts come folder by folder */
};

int catalogue_errno(int sqlite_rc);                         /* SQLite's code as -errno */
int catalogue_begin(struct catalogue *c);                   /* no-op inside a transaction */
int catalogue_step(struct catalogue *c, enum statement st); /* steps to the end and resets */
int catalogue_bind(sqlite3_stmt *st, int n, const void *p, size_t len); /* a blob, never NULL */
int catalogue_write_segment(struct catalogue *c, const char *folder, size_t len, int64_t segno,
                            uint32_t count, const struct buf *sealed);
int catalogue_renew(struct catalogue *c); /* sets a damaged file aside and starts an empty one */
/* Each live name of a folder; fn returns non-zero to stop with that value. */
int catalogue_names(const struct catalogue_folder *f,
                    int (*fn)(void *arg, const char *name, size_t len), void *arg);
void catalogue_pending_free(struct catalogue *c);
int catalogue_merge(struct catalogue *c); /* puts and forgets so far, into the open transaction */
