/* receiver_priv: what the files of the destination's side share: the session, and one lane of it.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "agent/lane/lane_hello.h"
#include "agent/step.h"
#include "agent/store/catalogue.h"
#include "agent/store/pairname.h"
#include "agent/transfer/claims.h"
#include "agent/transfer/direct.h"
#include "agent/transfer/faillist.h"
#include "agent/transfer/folderset.h"
#include "agent/transfer/record.h"
#include "agent/transfer/spec.h"
#include "agent/transfer/spool.h"
#include "agent/transfer/temp.h"
#include "agent/transfer/touched.h"
#include "common/base/xxh3.h"

#define RECEIVE_CREDIT (16U << 20) /* bytes of one lane under way */
#define GRANT_EVERY (2U << 20)
#define INCOMING_MAX 256U
#define UNSAID_MAX (16U << 20) /* failures that no lane has told yet */
#define WRITTEN_MAX 4096U

struct receiver;

/* In struct placed's rows, with the bytes of folder and name behind it. Without a name, but with a
 * temp: the folder is a new one that gets its name, and the rows of its files follow. */
struct placed_row {
    uint32_t folder_len, name_len;
    uint64_t temp; /* number of the temporary name that the file has still; 0: it has its own */
    struct catalogue_entry entry;
};
#define ROW_WAITS (1ULL << 63) /* in each temp but 0; no number of a small file has it */
#define ROW_VOID UINT64_MAX    /* could not get its name: no row */

/* What was put in place since the last flush; counts as done once it is durable. */
struct placed {
    struct buf rows;
    uint64_t files, bytes, entries, content;
    uint64_t data; /* of content, what came over the lanes: without holes */
    uint64_t past; /* of content, what went past the page cache: no sync has to write it */
    int64_t parts; /* content of files that are not whole yet; what is whole leaves it for bytes */
    uint64_t waiting; /* files that get their names after the next sync */
    uint64_t temp;    /* of the row that comes next */
};

/* File systems below the root, besides its own. */
struct written {
    uint64_t *devs;
    int *fds;
    unsigned n, cap; /* at most WRITTEN_MAX: what lies on one more is a failure (EMFILE) */
};

/* A larger file on its way. */
struct incoming {
    struct incoming *next;
    uint32_t id;
    unsigned refs; /* under receiver.lock */
    pthread_mutex_t lock;
    int fd, folder_fd;
    char *folder, *name;
    size_t folder_len, name_len;
    char temp[PAIR_TEMP_MAX];
    struct meta meta;
    uint8_t *xattrs;
    size_t xattrs_len;
    uint32_t npieces, ndone;
    uint64_t done_bytes; /* of the pieces that are done */
    uint8_t *bitmap, *digests;
    bool inherits, later; /* as of struct place_folder */
    bool end_ok, over;    /* over: placed, failed or given up */
    bool kept_partial;    /* the catalogue has a row of it */
    int old_fd;           /* the older file of that name, or what it shares blocks with; -1: none */
    int old_direct_fd;    /* the same past the page cache; -1: none */
    int direct_fd;        /* fd past the page cache; -1: none */
    uint64_t old_size, seed;
};

/* The folder that a lane works in. */
struct place_folder {
    char *path;
    size_t len;
    int fd;         /* -1: none */
    bool inherits;  /* a new entry may get an ACL or a group from it */
    bool later;     /* files get their names once they are on the disk: naming.c */
    bool made;      /* when the lane entered it */
    uint64_t fresh; /* the temporary name that it has still, as in a row's temp; 0: its own */
    size_t row_at;  /* then: its row in the lane's placed */
};

/* The folder whose listing a lane compares: names seen, what is kept. */
struct compare {
    struct place_folder *folder;
    struct catalogue_folder *known;
    uint64_t *names; /* hashes of the names of the source, open addressing; 0 is free */
    size_t nnames, names_cap;
    uint64_t seed;
    bool absent, names_lost;
    bool partly;    /* of a pass that does not look at everything */
    bool maybe;     /* the folder is looked at for one file in it */
    unsigned moves; /* when known was loaded: of how many that were done */
    uint64_t kept_temps[1024];
    size_t nkept;
    struct asks *asks; /* of the block in hand; NULL: none */
    uint8_t verdicts[LISTING_ENTRIES];
    uint8_t digests[LISTING_ENTRIES][DIGEST_BYTES]; /* only where the verdict is CHECK */
};

/* Rows of one folder: rows.c. */
struct rows {
    char *folder; /* NULL: none yet */
    size_t len;
    struct catalogue_folder *known;
};

/* A piece that came whole, whose last bytes are under way to the disk. */
struct piece_left {
    struct incoming *of; /* referenced; NULL: none */
    uint32_t piece;
    uint64_t data;
    uint8_t digest[DIGEST_BYTES];
};

struct rlane {
    struct rlane *next;
    struct receiver *r;
    struct lane *lane;
    pthread_t thread;
    uint64_t session;
    unsigned umask; /* of this thread */
    struct place_folder at;
    struct compare compare;
    struct rows firsts, laters; /* of hard-linked files, at the end */
    struct rows bases;          /* of files that others share blocks with */
    struct placed placed;
    int64_t held_ms; /* since when there may be something in placed */
    unsigned lost;   /* bits of meta_loss, of the entry in hand */
    uint64_t found;
    struct counters delta; /* merged into the receiver's after each record */
    struct buf out;
    uint8_t *raw;   /* a record unpacked */
    uint8_t *whole; /* a small file with its holes */
    uint64_t consumed;
    struct incoming *piece_of; /* whose piece comes now; referenced */
    uint32_t piece;
    uint64_t piece_at, piece_data; /* how far; without holes */
    XXH3_state_t *piece_hash;
    struct direct direct;     /* what of that piece is not written yet */
    struct piece_left left;   /* while the next one comes */
    bool can_delta;           /* the source knows of older files */
    bool can_move;            /* the source says whether something was elsewhere */
    struct held_pieces *held; /* NULL: no piece was offered yet */
    struct status told;
    bool is_read; /* the source reads this lane for sure: something came, and not yet the barrier */
};

struct receiver {
    struct step *step;
    const struct transfer_spec *spec;
    bool privileged;
    unsigned umask, euid, egid;
    int root;
    uint64_t root_dev;
    /* The source's folder: origin.c. Set before the session's lanes begin, but for root_empty. */
    struct rootid root_id;
    enum rootid_change root_change;
    bool root_history; /* there is something to lose */
    atomic_bool root_empty;
    bool root_later; /* as of struct place_folder */
    bool can_fill;   /* new folders may get their names when they are full: place_fresh.c */
    bool can_share;  /* files there can share blocks */
    char token[PAIR_TOKEN_LEN + 1];
    char *scratch; /* folder for spools */
    atomic_uint_fast64_t temp_number;
    atomic_uint spare_rooms; /* for pieces that are written while others are read */
    struct faillist *failures;

    pthread_mutex_t cat_lock;
    struct catalogue *cat;
    int64_t began_s;          /* this life of the run, by this host's clock, as inodes are dated */
    struct catalogue_run run; /* its durable: as of the last flush */

    pthread_mutex_t flush_lock; /* one flush at a time; and these two */
    struct placed named;        /* have their names, which are not durable */
    bool sync_failed;           /* what was written may be lost: nothing gets its name any more */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct placed pending; /* in place, not durable */
    bool named_waits;      /* for another sync */
    /* Folders of what is pending, of what is synced just now, and of what has its name and no row
     * yet. */
    struct folderset new_pending, new_synced, new_named;
    struct written written;
    struct buf unsaid;     /* failures that no lane has told the source yet: each a blob */
    struct placed durable; /* its rows are not used */
    int64_t flushed_ms;
    struct counters counters;
    uint64_t instance; /* of this process: random */
    uint64_t found;    /* this session: see struct status */

    uint64_t session;
    uint64_t last_session; /* finished before */
    bool fresh, entering;
    struct rlane *lanes;
    struct incoming *incoming;
    unsigned nincoming;
    uint64_t incoming_pieces; /* of all of them: what their maps take */
    struct spool *links, *folders, *extras, *late, *gone;
    struct claims *claims; /* of this session */
    struct moves *moves;   /* of this session */
    struct touched *touched;
    atomic_uint moved; /* blocks of renames done */
    const char *doing;
    bool finished, bye, stopped;
    int64_t finished_ms;
    struct fault fault;
};

/* receive_failed.c */
/* Ends everything with a fault that the source hears of. */
void receiver_stop(struct receiver *r, const struct fault *f);
/* Counts a failed entry and tells the source. -errno of the lane; an err that concerns all (full
 * disk) stops the transfer and is returned. */
int receiver_failed(struct rlane *l, const struct failure *x);
/* The same away from a lane: one of them tells the source. */
void receiver_failed_later(struct receiver *r, const struct failure *x);
int receiver_say_unsaid(struct rlane *l);

/* receive_lane.c: what one lane brings. */
void *receive_lane_run(void *arg);
int receive_lane_reply(struct rlane *l, uint8_t type);

/* place_folder.c */
int place_enter(struct rlane *l, struct bytes folder, bool make);
int place_entered(struct rlane *l, struct bytes folder, int fd, bool made); /* owns fd */
bool place_is_at(const struct rlane *l, struct bytes folder);
void place_leave(struct rlane *l);
int place_open_folder(struct receiver *r, const char *path, size_t len, bool make, bool *retmade);
bool place_inherits(int folder_fd);

/* place_fresh.c */
/* 1: not there; to be entered as any other. Until place_leave() nobody else knows of the folder,
 * and what the lane has placed is not handed over. */
int place_fresh_enter(struct rlane *l, struct bytes folder);
/* There is room for one more row, or the folder is left and entered by its name. */
int place_fresh_room(struct rlane *l, size_t name_len);
bool place_fresh_over(const struct rlane *l); /* it is to be left, for what is in it has to go on */
void place_fresh_leave(struct rlane *l);      /* for place_leave() */

/* place.c */
int place_batch(struct rlane *l, struct cursor *c);
/* Sets metadata on a new entry's descriptor; counts what could not be kept. */
int place_meta(struct rlane *l, int fd, const struct meta *m, struct bytes xattrs, bool inherits);
void place_note_losses(struct rlane *l, struct bytes folder, struct bytes name);
/* Gives temp its name; what has that name now goes, but for a folder with entries, which goes only
 * when extras may be deleted: -ENOTEMPTY. */
int place_rename(const struct receiver *r, int folder_fd, const char *temp, const char *name);
int place_rename_to(const struct receiver *r, int from, const char *temp, int to, const char *name);

/* place_spool.c */
int place_spool_folder(struct receiver *r, struct bytes folder, const struct meta *m,
                       struct bytes xattrs, bool existed);
/* Immutable and append-only, if xattrs has them: for the end. */
int place_spool_late(struct receiver *r, struct bytes folder, struct bytes name,
                     const struct meta *m, struct bytes xattrs);
/* name, in the folder that the lane is in; m: of the source. */
int place_spool_link(struct rlane *l, struct bytes name, const struct meta *m, struct bytes target);

/* compare.c */
int compare_listing(struct rlane *l, struct cursor *c);
void compare_done(struct compare *c);

/* rows.c. NULL: none that is durable; else valid until the next call with k. */
const struct catalogue_entry *rows_find(struct receiver *r, struct rows *k, struct bytes folder,
                                        struct bytes name);
void rows_done(struct rows *k);

/* find.c: where the catalogue has the names of hard-linked files */
int find_run(struct rlane *l, struct cursor *c);
int find_say_lost(struct rlane *l);

/* incoming.c */
int incoming_begin(struct rlane *l, struct cursor *c);
struct bytes incoming_folder(const struct incoming *in);
struct bytes incoming_name(const struct incoming *in);
struct incoming *incoming_ref(struct receiver *r, uint32_t id); /* NULL: not under way */
void incoming_unref(struct receiver *r, struct incoming *in);
bool incoming_is_over(struct incoming *in);
bool incoming_wants(struct incoming *in, uint32_t piece); /* it is not over, nor the piece there */
/* Counts one failed file, and its temporary goes. As receiver_failed(). */
int incoming_fail(struct rlane *l, struct incoming *in, int err, const char *what);
void incoming_unlist(struct receiver *r, struct incoming *in); /* the list's reference goes */
/* The catalogue's row goes with the temporary file. */
void incoming_forget(struct receiver *r, const struct incoming *in);
/* All that are under way are forgotten in memory; their temporary files stay unless removed. */
void incoming_drop_all(struct receiver *r, bool remove);

/* incoming_piece.c */
int incoming_chunk(struct rlane *l, struct cursor *c);
int incoming_piece_end(struct rlane *l, struct cursor *c);
int incoming_end(struct rlane *l, struct cursor *c);
/* What the lane's last piece waits for has ended. -errno of the lane. */
int incoming_settle(struct rlane *l);
void incoming_drop_piece(struct rlane *l); /* the lane ends */
/* A piece is in the temporary file; data: bytes of it that came over lanes. */
/* near.c: a lane whose source is this process may write the file itself */
void near_offer(struct rlane *l, const struct incoming *in);
int near_written(struct rlane *l, struct cursor *c);

int incoming_piece_done(struct rlane *l, struct incoming *in, uint32_t piece,
                        const uint8_t digest[DIGEST_BYTES], uint64_t data);

/* basis.c: the file that an incoming one shares blocks with at the source, open for reading;
 * *retsize is its size. -1: none that is as it was placed. */
int basis_open(struct rlane *l, const struct begin *g, uint64_t *retsize);

/* delta_receive.c */
/* Looks for what it is to be made of: that file, or an older one of that name, if wanted. */
void delta_open(struct rlane *l, struct incoming *in, const struct begin *g);
int delta_offer(struct rlane *l, struct cursor *c);
/* False: not of a piece that was offered. Else *ret is 0 or -errno. */
bool delta_chunk(struct rlane *l, const struct chunk *k, int *ret);
bool delta_piece_end(struct rlane *l, const struct piece_end *p, int *ret);
/* Pieces that are whole and whose writing has not ended. wait: till none is. */
bool delta_leaves(const struct rlane *l);
int delta_settle(struct rlane *l, bool wait);
void delta_done(struct rlane *l); /* the lane ends */

/* durable.c */
void durable_row(struct placed *p, struct bytes folder, struct bytes name,
                 const struct meta *source, const uint8_t digest[DIGEST_BYTES]);
void durable_put(struct placed *p, struct bytes folder, struct bytes name,
                 const struct catalogue_entry *e);
bool placed_is_empty(const struct placed *p);
int durable_note(struct rlane *l);          /* hands the lane's placed over */
bool durable_due(const struct receiver *r); /* under lock */
bool durable_is(struct receiver *r);        /* nothing was placed since */
/* All that was placed is durable under its name when it returns. */
int durable_flush(struct receiver *r);
/* All that was placed has its name. */
int durable_name(struct receiver *r);
/* What was placed in this folder has its name, and its row is in the catalogue. */
int durable_settle_in(struct receiver *r, struct bytes folder);
/* One sync: what had its name before is durable, what had not has its name now. */
int durable_step(struct receiver *r);

/* naming.c */
bool naming_waits(
    int folder_fd); /* is that file system one that a power cut leaves something of? */
/* Does a folder keep its inode's number when it is renamed there, and can a rename spare what has
 * the name? Not so on some of FUSE, on NFS and others. */
bool naming_can_fill(int folder_fd);
/* Was this number given to a small file in this life of the run? */
bool naming_is_ours(struct receiver *r, uint64_t number);
/* There is room for one more row with a temporary name, or the rows are handed over. */
int naming_room(struct rlane *l, size_t folder_len, size_t name_len);
void naming_give(struct receiver *r, struct placed *p); /* what was synced */
void naming_drop(struct receiver *r, struct placed *p); /* it could not be: its files go */
/* The new folder whose row is at that place of p's rows. */
void naming_folder(struct receiver *r, struct placed *p, size_t at);
void naming_folder_drop(struct receiver *r, struct bytes folder, uint64_t number); /* with all */
/* The path of folder's temporary name, which is beside its own; malloc'd. */
char *naming_folder_temp(struct receiver *r, struct bytes folder, uint64_t number, size_t *retlen);

/* written.c */
int written_note(struct receiver *r, int fd, uint64_t dev); /* that folder will be written to */
int written_sync(struct receiver *r);                       /* -errno of any of them */
void written_done(struct receiver *r);

/* evidence.c: rows with metadata, for transfers that keep evidence. */
/* An entry that was placed: a row even of what has no content. */
void evidence_entry(struct rlane *l, struct bytes folder, const struct batch_entry *e);
void evidence_large(struct rlane *l, const struct incoming *in, const uint8_t digest[DIGEST_BYTES]);
void evidence_link(struct rlane *l, struct bytes folder, struct bytes name, const struct meta *m,
                   const struct catalogue_entry *first);
void evidence_folder(struct rlane *l, struct bytes folder, const struct meta *m,
                     struct bytes xattrs);
/* A folder comes anew: rows below it are of an older one. name: in the folder that the lane is in.
 */
int evidence_fresh(struct rlane *l, struct bytes name);
int evidence_fresh_root(struct receiver *r);
/* Rows of what no listing named. */
int evidence_forget_gone(struct receiver *r);

/* moves_index.c: where the catalogue has each inode */
struct moves *moves_new(void);
struct moves *moves_free(struct moves *m);
void moves_renamed(struct receiver *r, const struct catalogue_move *m); /* a folder was */
/* moves_find.c: what the source lists and the catalogue has elsewhere */
/* May what a new folder holds be elsewhere? Else it is sent without asking: before the first pass
 * has ended nearly all of it is new. */
bool moves_may_come(const struct rlane *l);
/* May it be elsewhere? Then it is answered behind the block. */
bool moves_wants(struct rlane *l, uint32_t i, const struct listing_entry *e);
/* fn: the usual comparison, of those that are nowhere else. */
int moves_answer(struct rlane *l,
                 int (*fn)(struct rlane *l, uint32_t i, const struct listing_entry *e));
void moves_put_origin(struct rlane *l, uint32_t i, struct buf *b); /* of a MOVED one */
void moves_asks_done(struct compare *c);
/* Is it what the row says, and from before this session? */
bool moves_stands(struct receiver *r, int dir, const char *name, const struct catalogue_entry *row,
                  struct stat *ret);
/* The source's folder has a row, so that it is known again. */
void moves_folder_row(struct rlane *l, struct bytes folder, const struct meta *m);
/* moves_dry.c: in a dry run. Path would be renamed from what is returned; NULL: no. malloc'd. */
char *moves_dry_origin(struct receiver *r, const char *path, size_t len, size_t *retlen);
bool moves_dry_leaves(struct receiver *r, const char *path, size_t len);
void moves_dry_note(struct receiver *r, const struct catalogue_move *m);

/* moves_plan.c: in which order, and over what */
enum hop_how { HOP_NEW, HOP_OVER, HOP_CLEAR, HOP_SWAP };
struct hop {
    struct catalogue_move m;
    enum hop_how how;
};
struct hops {
    struct hop *all;
    size_t n, cap;
};
/* Of what c holds still; the lane is in their folder. */
int moves_plan(struct rlane *l, struct cursor *c, uint32_t count, struct hops *ret);
void moves_hops_done(struct hops *h);

/* moves.c */
int moves_run(struct rlane *l, struct cursor *c);
/* What a crash left between the note and the rows. */
int moves_recover(struct receiver *r);

/* extras.c: does the folder name below dir, which is at path, hold what the filter leaves out? */
bool extras_hold_left_out(struct rlane *l, int dir, struct bytes path, const char *name);

/* origin.c: whether the source's folder is the one of earlier passes. */
/* A session begins; its lanes do not run yet. fresh: the destination has nothing. -ENODEV with a
 * fault. */
int origin_begin(struct receiver *r, const struct lane_entry *e, bool fresh, struct fault *reterr);
int origin_empty(struct receiver *r); /* it has nothing. -ENODEV: everything was stopped */
int origin_note(struct receiver *r);  /* a pass has ended; joins the next commit; under cat_lock */

/* finish.c */
int finish_run(struct rlane *l);
