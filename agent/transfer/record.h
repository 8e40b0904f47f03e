/* record: what is inside a lane's records, packed and parsed. Numbers little-endian; every byte
 * that comes in is hostile. Knows no files and no sockets; any thread.
 *
 *   source                                destination
 *   LISTING (a folder's entries) ────────► compares
 *                              ◄──────── WANT (a verdict an entry)
 *   MOVES (what stood elsewhere) ────────► renames, and is sent the entries' listing once more
 *   BATCH (small entries whole) ─────────► places
 *   BEGIN (one larger file) ─────────────► opens its temporary file
 *                              ◄──────── BEGUN (pieces that are there already; an older file, or
 *                                        one that holds the same blocks)
 *   OFFER (digest of a piece) ───────────► compares its older file's
 *                              ◄──────── SUMS (it is the same; or what its blocks are)
 *   CHUNK…, PIECE_END, END ──────────────► writes, checks, places
 *                              ◄──────── GRANT, STATUS, FAILED, STOP at any time
 *   WRITTEN (a piece, where both are one  ► takes it as received; checks nothing: it is the digest
 *            process: it is in the file)     of what was written
 *   BARRIER on each lane ────────────────► all before it is done
 *                              ◄──────── BARRIER_DONE
 *   FIND (inodes) ───────────────────────► looks for their names in its catalogue
 *                              ◄──────── FOUND… (folders)
 *   FINISH ──────────────────────────────► hard links, folders' metadata, extras
 *                              ◄──────── FINISHED
 *   BYE ─────────────────────────────────► ends its step
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/store/meta.h"
#include "common/base/buf.h"
#include "common/base/fault.h"

enum record_type { /* numbers are never used again */
                   REC_LISTING = 16,
                   REC_BATCH = 17,
                   REC_BEGIN = 18,
                   REC_CHUNK = 19,
                   REC_PIECE_END = 20,
                   REC_END = 21,
                   REC_BARRIER = 22,
                   REC_FINISH = 23,
                   REC_BYE = 24,
                   REC_OFFER = 26,
                   REC_MOVES = 27,
                   REC_FIND = 29,
                   REC_WRITTEN = 30, /* within one process only: never on a connection */
                   REC_WANT = 40,
                   REC_BEGUN = 41,
                   REC_GRANT = 42,
                   REC_STATUS = 43,
                   REC_FAILED = 44,
                   REC_STOP = 45,
                   REC_BARRIER_DONE = 46,
                   REC_FINISHED = 47,
                   REC_SUMS = 50,
                   REC_FOUND = 53,
};
enum { REC_COMPRESSED = 1 }; /* flag: u32 raw length, then LZ4 */

#define DIGEST_BYTES 16
#define PATH_BYTES_MAX (64 << 10)
#define NAME_BYTES_MAX 255
#define PIECES_AHEAD 4U /* that a side has its disk read while it works on one */
#define PIECE_BYTES (8ULL << 20)
#define CHUNK_BYTES (256U << 10)
#define BATCH_BYTES (256U << 10)    /* a batch is sent once it is larger */
#define BATCH_FILE_MAX (192U << 10) /* larger files go by BEGIN */
#define LISTING_ENTRIES 1024U
#define FILE_BYTES_MAX ((1ULL << 63) - 1)
#define PIECES_MAX (4U << 20) /* 32 TiB, as in the catalogue */
#define LARGE_BYTES_MAX (PIECES_MAX * PIECE_BYTES)
#define META_WIRE_BYTES 76

struct bytes { /* borrowed */
    const char *p;
    size_t n;
};

void meta_put(struct buf *b, const struct meta *m);
bool meta_get(struct cursor *c, struct meta *ret); /* false: short or impossible */

/* ── LISTING ── */
/* KNOWN: the change feed says that the destination has this folder; MAYBE: it may have. It is not
 * made. */
enum {
    LISTING_FIRST = 1,
    LISTING_LAST = 2,
    LISTING_COMPLETE = 4,
    LISTING_KNOWN = 8,
    LISTING_MAYBE = 16,
    LISTING_EMPTY = 32, /* the root has nothing at all, not even what the filter leaves out */
};
struct listing_head {
    struct bytes folder;
    uint8_t flags;
    struct meta meta; /* of the folder itself; with FIRST */
    struct bytes xattrs;
    uint32_t count;
};
/* LINKED: a later name of a hard-linked file: target is the first one's path. UNSEEN: owner, mode
 * and attributes were not looked at; the change time tells when they changed. SETTLED: it was asked
 * before where it stood, and is to be compared with what stands there now. */
enum { ENTRY_LINKED = 1, ENTRY_UNSEEN = 2, ENTRY_SETTLED = 4 };
struct listing_entry {
    struct bytes name;
    struct meta meta;
    uint64_t xattrs_digest;
    uint8_t flags;
    struct bytes target; /* of a symlink, or ENTRY_LINKED */
};
void listing_head_put(struct buf *b, const struct listing_head *h); /* count is put by the caller */
void listing_entry_put(struct buf *b, const struct listing_entry *e);
int listing_head_get(struct cursor *c, struct listing_head *ret);
int listing_entry_get(struct cursor *c, struct listing_entry *ret);

enum verdict {
    VERDICT_SAME = 0,
    VERDICT_DATA,
    VERDICT_META,
    VERDICT_CHECK,  /* a digest follows: send data only when the content differs from it */
    VERDICT_EXISTS, /* folder: is there, list it */
    VERDICT_FRESH,  /* folder: is not there, send all of it */
    VERDICT_SKIP,   /* failed at the destination */
    VERDICT_MOVED,  /* an origin follows: the destination seems to have it elsewhere */
    VERDICT_NEW,    /* folder: is not there; list it, what is in it may be elsewhere */
};

/* ── where something was ── */
/* With MOVED: what the catalogue has of that inode. from may be empty: nothing, but the name is of
 * another folder now, which is to be asked for again behind the block's moves. */
struct origin {
    struct bytes from;     /* path below the root */
    bool same;             /* size and mtime are as they were */
    struct timespec ctime; /* of the source's entry then */
};
void origin_put(struct buf *b, const struct origin *o);
int origin_get(struct cursor *c, struct origin *ret);

/* MOVES: the folder, a count, and what stood elsewhere and stands there no more at the source. */
struct move {
    struct bytes name, from;
    uint64_t ino;       /* of the source */
    uint64_t other_ino; /* of what stands at from now; 0: nothing */
};
void moves_head_put(struct buf *b, struct bytes folder); /* count is put by the caller */
void move_put(struct buf *b, const struct move *m);
int moves_head_get(struct cursor *c, struct bytes *retfolder, uint32_t *retcount);
int move_get(struct cursor *c, struct move *ret);

/* ── BATCH ── */
enum { BATCH_FRESH = 1, BATCH_HAS_META = 2 };
struct batch_head {
    struct bytes folder;
    uint8_t flags;
    struct meta meta; /* with HAS_META */
    struct bytes xattrs;
};
enum batch_kind {
    BATCH_FILE = 1,
    BATCH_META,
    BATCH_SYMLINK,
    BATCH_NODE,
    BATCH_HARDLINK,
    BATCH_FOLDER
};
/* BATCH_FOLDER is no entry: the kind byte, then another head; what follows is in that folder. */
struct batch_entry {
    uint8_t kind;
    struct bytes name;
    struct meta meta;
    struct bytes xattrs;
    uint8_t digest[DIGEST_BYTES]; /* FILE, META (zero: unknown) */
    struct bytes target;          /* SYMLINK, HARDLINK */
    uint32_t nsegments;           /* FILE: that many (offset, data) follow: segment_get() */
};
void batch_head_put(struct buf *b, const struct batch_head *h);
/* All but the segments. */
void batch_entry_put(struct buf *b, const struct batch_entry *e);
int batch_head_get(struct cursor *c, struct batch_head *ret);
int batch_entry_get(struct cursor *c, struct batch_entry *ret);
/* Segments are in order, do not overlap, end within size. *at: end of the one before, 0 at first.
 */
int segment_get(struct cursor *c, uint64_t size, uint64_t *at, uint64_t *retoffset,
                struct bytes *retdata);

/* ── one larger file ── */
enum { BEGIN_FRESH = 1 };
struct begin {
    uint32_t id; /* the sender's choice, not used again in the session */
    uint8_t flags;
    struct bytes folder, name;
    struct meta meta;
    struct bytes xattrs;
    struct bytes basis; /* path of a file that holds the same blocks at the source; may be empty */
    uint64_t basis_ino; /* of the source */
};
/* The last two only when there is such a file. */
void begin_put(struct buf *b, const struct begin *g);
int begin_get(struct cursor *c, struct begin *ret);

#define CHUNK_HEAD_BYTES 12
struct chunk {
    uint32_t id;
    uint64_t offset;
    struct bytes data;
};
void chunk_head_put(uint8_t to[CHUNK_HEAD_BYTES], uint32_t id, uint64_t offset);
int chunk_get(struct cursor *c, struct chunk *ret);

struct piece_end {
    uint32_t id, piece;
    uint8_t digest[DIGEST_BYTES];
};
void piece_end_put(struct buf *b, const struct piece_end *p);
int piece_end_get(struct cursor *c, struct piece_end *ret); /* also of WRITTEN: u32 errno follows */

static inline uint32_t piece_count(uint64_t size)
{
    return size ? (uint32_t)((size - 1) / PIECE_BYTES) + 1 : 0;
}
static inline uint64_t piece_len(uint64_t size, uint32_t piece)
{
    uint64_t left = size - piece * PIECE_BYTES;
    return left < PIECE_BYTES ? left : PIECE_BYTES;
}

/* ── OFFER and SUMS: what an older file of that name, or the basis, has already ── */
#define DELTA_BLOCK 4096U
#define PIECE_BLOCKS (PIECE_BYTES / DELTA_BLOCK)
#define OFFER_HOLES_MAX 1024U /* a piece with more goes without an offer */

struct hole { /* within a piece */
    uint32_t from, len;
};
struct offer {
    uint32_t id, piece;
    uint8_t digest[DIGEST_BYTES]; /* of the piece, holes as zeros */
    uint32_t nholes;              /* that many follow: hole_put() */
};
void offer_put(struct buf *b, const struct offer *o);
int offer_get(struct cursor *c, struct offer *ret);
void hole_put(struct buf *b, const struct hole *h);
/* In order, apart from each other, none empty. *at: end of the one before, 0 at first. */
int hole_get(struct cursor *c, uint32_t *at, struct hole *ret);

/* SAME: the piece is in place, or not wanted any more. BLOCKS: what differs from these is to come
 * in chunks, then PIECE_END. */
enum sums_kind { SUMS_SAME = 0, SUMS_BLOCKS = 1 };
struct sums {
    uint32_t id, piece;
    uint8_t kind;
    struct bytes blocks; /* as delta_sums() makes them */
};
void sums_put(struct buf *b, const struct sums *s);
int sums_get(struct cursor *c, struct sums *ret);

/* ── answers ── */
struct begun {
    uint32_t id;
    struct bytes bitmap; /* pieces that are durable; may be empty */
    uint64_t old_size;   /* of an older file whose pieces may be offered; 0: none */
    uint64_t seed;       /* of the sums of its blocks */
};
/* The last two only when there is an older file: older sources know of none. */
void begun_put(struct buf *b, const struct begun *g);
int begun_get(struct cursor *c, struct begun *ret);

struct status {
    uint64_t instance;      /* whose counts these are: of the catalogue */
    uint64_t durable_bytes; /* content received and made durable, over all its lives */
    uint64_t found_bytes;   /* this session: of this run, in place, though never counted durable */
};
void status_put(struct buf *b, const struct status *s);
int status_get(struct cursor *c, struct status *ret);

struct failed {
    struct bytes path; /* below the root */
    int err;
    struct bytes what;
};
void failed_put(struct buf *b, const struct failed *f);
int failed_get(struct cursor *c, struct failed *ret);

/* ── FIND: u32 count, u64 inodes. FOUND: u8 kind, then paths of folders to the end ── */
#define FIND_MAX 16384U
enum found_kind {
    FOUND_MORE = 0,
    FOUND_LAST = 1,
    FOUND_LOST = 2, /* a KNOWN folder is not there */
};

void stop_put(struct buf *b, const struct fault *f);
int stop_get(struct cursor *c, struct fault *ret);
