/* catalogue: the destination's on-disk list of what it received for one pair: per entry the
 * source's size, times and inode then, and the digest; and the large files that are partly there. A
 * SQLite file keyed by folder: one row a folder holds its entries packed. One thread at a time:
 * callers lock. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "agent/store/meta.h"

struct catalogue;

struct catalogue_entry {
    uint32_t mode;
    uint64_t size, ino;
    struct timespec mtime, ctime;
    uint8_t digest[16]; /* all zero: unknown */
    /* What evidence wants (docs/ARCHITECTURE.md); nothing on disk when both are false. With
     * has_meta there are rows of folders, links and devices too: digest is of a link's target, size
     * a device's number. */
    bool has_meta, has_sha256;
    uint32_t uid, gid;
    uint64_t xattrs_digest;
    uint8_t sha256[32];
};

int catalogue_open(struct catalogue **ret, const char *path);
struct catalogue *catalogue_close(struct catalogue *c);
/* Were there rows since it was opened that could not be read? What knows nothing of them is not
 * whole. */
bool catalogue_is_damaged(const struct catalogue *c);

/* The entries of one folder, loaded for look-up by name. Owned by the caller. */
struct catalogue_folder;
int catalogue_load(struct catalogue *c, const char *folder, size_t len,
                   struct catalogue_folder **ret);
struct catalogue_folder *catalogue_folder_free(struct catalogue_folder *f);
const struct catalogue_entry *
catalogue_find(const struct catalogue_folder *f, const char *name,
               size_t len); /* NULL: not there; else valid until the next call */

/* Collects rows in memory (bounded: -EAGAIN tells the caller to commit first); durable after
 * catalogue_commit(), which merges them into their folders in one transaction. Loading a folder
 * does not show what was not committed; closing without a commit forgets it. */
int catalogue_put(struct catalogue *c, const char *folder, size_t folder_len, const char *name,
                  size_t name_len, const struct catalogue_entry *e);
int catalogue_forget(struct catalogue *c, const char *folder, size_t folder_len, const char *name,
                     size_t name_len);
int catalogue_commit(struct catalogue *c);
/* Forgets all rows of that folder and below it; "" is everything. Joins the next commit. */
int catalogue_forget_below(struct catalogue *c, const char *folder, size_t len);
/* Forgets what keep denies: of f's entries, and of its sub-folders with all below. */
int catalogue_prune(struct catalogue *c, const struct catalogue_folder *f, const char *folder,
                    size_t len, bool (*keep)(void *arg, const char *name, size_t len), void *arg);

/* A large file that is partly there; keyed by folder and name. bitmap: one bit a piece that is
 * durable. Rows are durable after catalogue_commit(). */
struct catalogue_partial {
    char temp[64]; /* temporary name beside the target */
    struct catalogue_entry of;
    uint64_t piece_bytes;
    uint8_t *bitmap; /* malloc'd */
    size_t bitmap_len;
    uint8_t *piece_digests; /* malloc'd, 16 bytes a piece */
};
int catalogue_partial_get(struct catalogue *c, const char *folder, size_t folder_len,
                          const char *name, size_t name_len,
                          struct catalogue_partial *ret); /* -ENOENT */
int catalogue_partial_put(struct catalogue *c, const char *folder, size_t folder_len,
                          const char *name, size_t name_len, const struct catalogue_partial *p);
int catalogue_partial_forget(struct catalogue *c, const char *folder, size_t folder_len,
                             const char *name, size_t name_len);
void catalogue_partial_done(struct catalogue_partial *p);

/* The session that was finished last: the source asks whether this destination is as it left it. 0:
 * none. Durable when it returns. */
int catalogue_session_get(struct catalogue *c, uint64_t *ret);
int catalogue_session_put(struct catalogue *c, uint64_t session);

/* The source's folder, as it was in the passes that filled this: type 0 when nobody knows. Putting
 * it joins the next commit. */
struct rootid;
int catalogue_source_get(struct catalogue *c, struct rootid *ret);
int catalogue_source_put(struct catalogue *c, const struct rootid *root);
bool catalogue_is_used(struct catalogue *c); /* something was received already */

/* What the destination knows of its own work over all its lives: durable after catalogue_commit(),
 * together with the rows that it counts. */
struct catalogue_run {
    uint64_t instance; /* random; of this catalogue */
    uint64_t durable;  /* content bytes received and made durable since it is there */
    uint64_t order;    /* which one the latest run is of */
    int64_t began_s;   /* when that began, by this host's clock */
};
int catalogue_run_get(struct catalogue *c, struct catalogue_run *ret); /* -ENOENT */
int catalogue_run_put(struct catalogue *c, const struct catalogue_run *r);

/* Every record that says that an entry of that inode stands in the folder, also those that others
 * replaced since: only where to look. fn returns non-zero to stop with that value. */
int catalogue_inodes(struct catalogue *c,
                     int (*fn)(void *arg, const char *folder, size_t len, uint64_t ino), void *arg);
/* The live rows of a folder, in no order. */
int catalogue_entries(const struct catalogue_folder *f,
                      int (*fn)(void *arg, const char *name, size_t len,
                                const struct catalogue_entry *e),
                      void *arg);

/* A rename at the destination that is about to be done: written down and committed first, taken off
 * in the transaction that follows it in the rows. So after a crash one of the two is to be found
 * out: did it happen? */
struct catalogue_move {
    char *from, *to; /* paths below the root, malloc'd */
    size_t from_len, to_len;
    uint64_t dev, ino; /* of what is renamed, at this side */
    bool swap;         /* what stands at to goes to from */
    bool other_known;  /* there is a row of that */
    struct catalogue_entry row, other;
};
void catalogue_move_done(struct catalogue_move *m);
int catalogue_move_note(struct catalogue *c, const struct catalogue_move *m);
/* The notes, in the order of their making; each is the caller's. */
int catalogue_move_each(struct catalogue *c, int (*fn)(void *arg, struct catalogue_move *m),
                        void *arg);
/* The rows follow m, those below a folder with it. Joins the next commit. */
int catalogue_move_rows(struct catalogue *c, const struct catalogue_move *m);
int catalogue_move_clear(struct catalogue *c); /* the notes; joins the next commit */
/* What was not committed is as if it had never been said. */
void catalogue_abandon(struct catalogue *c);

/* All entries in folder order, for manifests. fn returns non-zero to stop with that value. */
int catalogue_each(struct catalogue *c,
                   int (*fn)(void *arg, const char *folder, size_t folder_len, const char *name,
                             size_t name_len, const struct catalogue_entry *e),
                   void *arg);
