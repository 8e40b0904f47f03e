/* sender_priv: what the files of the source's side share: the session and one worker with its lane.
 */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "agent/lane/lane.h"
#include "agent/step.h"
#include "agent/store/dents.h"
#include "agent/store/pathstack.h"
#include "agent/transfer/again.h"
#include "agent/transfer/compress.h"
#include "agent/transfer/direct.h"
#include "agent/transfer/faillist.h"
#include "agent/transfer/hold.h"
#include "agent/transfer/links.h"
#include "agent/transfer/record.h"
#include "agent/transfer/reflinks.h"
#include "agent/transfer/spec.h"
#include "common/base/xxh3.h"

#define LISTINGS_MAX 4 /* unanswered ones of a worker */
#define LANES_START 4U
#define LANES_MOST 8U
#define CHANGED_TRIES 3
#define ENTRY_XATTRS_MAX (256U << 10) /* so that an entry fits into a record */

/* Flags of a path on the stack. WALK_FILE: a large file whose folder another worker has in hand; it
 * was counted there. CHANGED: the folder's own entries, what is below only where the change feed
 * says so; FOUND: the same, because a hard link leads there. PUT_OFF: a file (with FILE) that
 * waited for the one whose blocks it shares. */
enum {
    WALK_FRESH = 1,
    WALK_ONE = 2,
    WALK_FILE = 4,
    WALK_CHANGED = 8,
    WALK_FOUND = 16,
    WALK_PUT_OFF = 32,
};

/* A folder that a worker has in hand; done (on the stack) when the last reference goes. */
struct folder {
    char *path;
    size_t len;
    int fd;
    unsigned refs;
    struct meta meta;
    struct buf xattrs;
    bool fresh;
    bool changed;    /* walked for what the change feed says: WALK_CHANGED */
    bool found;      /* WALK_FOUND */
    bool alone;      /* in hand for one large file of it only */
    bool put_off;    /* WALK_PUT_OFF */
    bool has_attrs;  /* flags or a project, which its entries may have from it */
    bool incomplete; /* an entry could not be looked at: nothing may be deleted for its absence */
    uint64_t serial; /* never used again */
};

struct item {
    struct meta meta;
    uint32_t name; /* offset into names */
    uint8_t flags; /* of listing_entry */
};

/* An entry that the destination seems to have elsewhere. */
struct came {
    uint32_t item;
    uint32_t from, from_len; /* in origins */
    bool same;
    struct timespec ctime;
};

/* A block that was sent; kept until its answer was acted upon. */
struct listing {
    struct listing *next;
    struct folder *folder;
    struct buf names; /* NUL-terminated, one after the other */
    struct item *items;
    uint32_t count;
    bool answered;
    uint8_t *verdicts;
    uint8_t *digests;  /* DIGEST_BYTES each; only where the verdict is CHECK */
    struct came *came; /* of those that are MOVED; NULL: none */
    uint32_t ncame;
    struct buf origins; /* their paths */
};

/* The destination's temporary file, where that is this process. -1: none, and what is read goes by
 * the lane; direct_fd past the page cache. */
struct near {
    int fd, direct_fd;
};
#define NEAR_NONE ((struct near){-1, -1})

/* A file in pieces. The owner made it; others take pieces once it is open to all. */
struct large {
    struct large *next;
    uint32_t id;
    int fd;
    const void *file; /* instead of fd, of the source's ops */
    struct meta meta;
    bool sparse;
    uint32_t npieces, next_piece, inflight;
    const struct reflink *basis; /* what it shares blocks with; NULL: nothing that is known */
    uint64_t old_size, seed;     /* of that, or of an older file, at the destination; 0: none */
    uint32_t useless, skip;      /* offers that led to nothing; pieces that go without one */
    uint8_t *bitmap;             /* pieces that the destination has */
    bool begun, dropped;
    struct near near; /* once begun */
    int err;          /* first error of reading, -errno */
    struct worker *owner;
};

struct sender;
struct worker;

/* A source that is no folder of this host: who walks and reads in its place. Borrowed. */
struct source_ops {
    int (*session_begin)(struct sender *s); /* the step's thread; a fault that is for good in s */
    void (*session_end)(struct sender *s);
    int (*begin)(struct worker *w); /* its own thread, as all that follow */
    void (*end)(struct worker *w);
    int (*folder)(struct worker *w, char *path, size_t len, uint32_t flags); /* walk_folder() */
    int (*answer)(struct worker *w, struct listing *l);                      /* walk_answer() */
    int (*later)(struct worker *w); /* 1: did something that had been put off */
    /* This one and some after it, which it claims and lets go of itself. */
    int (*piece)(struct worker *w, struct large *g, uint32_t piece, int *reterr);
    bool (*held_still)(struct worker *w, const struct large *g);
    int (*finish)(struct worker *w); /* one worker, once, when all is in place */
};

/* The file system that a worker looked at last: may files on it share blocks? */
struct shares {
    bool known, may;
    uint64_t dev, space;
};

struct worker {
    struct worker *next;
    void *own; /* of the source's ops */
    struct sender *s;
    struct lane *lane;
    pthread_t thread;
    uint32_t index;
    int wake;
    atomic_bool idle;
    int64_t credit;
    struct buf out;    /* the batch being filled */
    struct buf record; /* any other record */
    struct buf packed; /* a record compressed */
    struct buf xattrs;
    struct dents dents;
    uint64_t batch_of; /* serial of the folder that the batch in out is at; 0: empty */
    struct listing *first, **last;
    unsigned nlistings;
    struct listing *again; /* whose MOVED entries are to be listed once more */
    struct compress compress;
    XXH3_state_t *hash;
    struct delta *delta; /* NULL: not needed yet */
    struct direct direct;
    struct shares shares;
    bool barrier_done, finished, ended;
    uint64_t wire_told, blocked_told;
    int64_t rested_us; /* when its last rest ended */
};

struct sender {
    struct step *step;
    const struct transfer_spec *spec;
    const struct source_ops *source; /* NULL: the folder root */
    int root;
    uint64_t root_dev;
    struct rootid root_id; /* for the destination to know whether it is the same as ever */
    char *scratch, *failed_path, *sent_path;
    struct hold hold;
    struct faillist *failures;
    int64_t began_ms;

    struct pathstack *stack; /* of this session */
    struct links *links;
    struct reflinks *reflinks; /* NULL: the destination cannot share blocks */
    struct pathstack *put_off; /* with it; not for waiting */
    bool peer_shares;
    atomic_bool some_put_off;
    struct changes *changes; /* NULL: all is looked at */
    atomic_bool crossed;     /* something below the root is on another file system */
    atomic_bool broken;      /* the session cannot go on */
    atomic_uint nidle, next_id;
    atomic_uint nconnecting; /* lanes to come */
    atomic_uint rings;       /* times that sender_ring() was called */

    struct joining *joining; /* threads that connect lanes; the step's thread alone */
    unsigned njoined;
    bool joining_is_open;
    int joining_stop, joining_begun; /* eventfds: none comes any more; the first is there */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t changed;
    struct worker *workers;
    unsigned nworkers, ndrained;
    struct large *larges;
    bool walk_over, finished, finish_sent;
    struct fault fault;
    struct counters counters;
    uint64_t session;
    uint64_t sent; /* content bytes handed to lanes in this session */
    struct again again;
    int error;                /* why the session broke, -errno */
    uint64_t peer_last;       /* the session that the destination finished before this one */
    char looked[96];          /* the words of step_result.scan */
    const char *changes_lost; /* why the next session looks at everything; static */
};

/* sender.c */
void sender_broken(struct sender *s, int rc);
void sender_ring(struct sender *s); /* wakes idle workers */

/* pace.c */
struct pace { /* as of the last look */
    int64_t at_us;
    uint64_t blocked_us;  /* of all lanes */
    uint64_t wire_bytes;  /* likewise */
    uint64_t best;        /* bytes a second when the last lane was asked for */
    unsigned looks;       /* since then */
    bool enough;          /* it brought nothing */
    uint64_t ticks, idle; /* of the machine's processors */
    int64_t loss_looked_ms;
    bool loss_known; /* whether the link itself loses packets */
};
void pace_begin(struct pace *p);
bool pace_wants_lane(struct sender *s, struct pace *p); /* and decides whether to compress */
/* How many at once because the link itself loses packets. To be asked often. */
unsigned pace_wants_for_loss(struct sender *s, struct pace *p);

/* worker.c */
void *worker_run(void *arg);
/* Takes one record of the destination; 0 also when none came in time. -errno ends the worker. */
int worker_pump(struct worker *w, int timeout_ms);
/* b begins with LANE_HEADER_BYTES of room. */
int worker_send(struct worker *w, uint8_t type, struct buf *b);
/* So much goes without a record: it is held to the same rate and rests. */
int worker_carried(struct worker *w, size_t n);
/* What this worker sent is on its way, and the others, whose walk is over, have heard that theirs
 * is in place. */
int worker_all_placed(struct worker *w);
void worker_head(struct buf *b); /* clears b and leaves that room */
/* One failed item; the run goes on. */
void worker_failed(struct worker *w, const struct folder *f, const char *name, int err,
                   const char *what);
void folder_unref(struct worker *w, struct folder *f);
/* Attributes just read of an entry, whose metadata m went through remap_meta(), by the job's id
 * map; what is lost by that is noted. name NULL: the folder itself. */
void worker_remap(struct worker *w, const struct folder *f, const char *name, const struct meta *m,
                  struct buf *xattrs);

/* walk.c */
int walk_folder(struct worker *w, char *path, size_t len, uint32_t flags);
/* Adds one entry to l and to the record. Errors of the entry are failures of it alone. flags: 0 or
 * ENTRY_SETTLED. */
int walk_list_one(struct worker *w, struct listing *l, const char *name, uint8_t flags);

/* moved.c: what the destination may rename instead of having it sent */
bool moved_can(const struct sender *s);
int moved_take(struct listing *l, uint32_t item, struct cursor *c); /* an origin of WANT */
int moved_tell(struct worker *w, struct listing *l);
int moved_again(struct worker *w); /* lists the entries once more: no folder is being listed */
void moved_done(struct worker *w);

int walk_answer(struct worker *w, struct listing *l); /* frees it */
/* Are there workers, or soon, that could send a file of f while this one walks on? */
bool walk_may_hand_over(const struct worker *w, const struct folder *f, uint64_t size);
int walk_hand_over(struct worker *w, const struct folder *f, const char *name);
void walk_count(struct worker *w, const struct meta *m, bool linked);
bool walk_leaves_out(const struct worker *w, const struct meta *m); /* by size or age */
void listing_free(struct worker *w, struct listing *l);
/* For a source of its own: what walk.c is made of. */
bool walk_name_left_out(const struct worker *w, const struct folder *f, const char *name,
                        bool is_folder);
struct folder *walk_folder_new(char *path, size_t len, bool fresh); /* owns path */
int walk_push(struct worker *w, const struct folder *f, const char *name, uint32_t flags);
struct listing *walk_listing_new(struct folder *f);
size_t walk_block_begin(struct worker *w, const struct folder *f, uint8_t flags);
int walk_block_send(struct worker *w, struct listing *l, size_t flags_at, size_t count_at,
                    uint8_t flags);
int walk_answers_due(struct worker *w);
void walk_count_unchanged(struct worker *w, const struct item *i);

/* changes.c: a pass that looks only where something changed */
int changes_begin(struct sender *s, bool fresh); /* fills the stack */
void changes_end(struct sender *s, bool well);
void changes_count(const struct sender *s, struct counters *c);
bool changes_descend(const struct sender *s, const struct folder *f, const char *name);
/* A file with other names was seen first here: they have to be looked at as well. */
void changes_linked(struct sender *s, const struct meta *m);
int changes_close(struct worker *w); /* at the end of the walk. 1: there is more to walk */
int changes_found(struct sender *s, struct cursor *c);

/* batch.c */
int batch_flush(struct worker *w);
int batch_at(struct worker *w, struct folder *f, uint8_t flags); /* room for an entry of f in out */
int batch_folder(struct worker *w, struct folder *f); /* its metadata, though it be empty */
/* What the destination has under a name, to which its answer referred. */
struct answered {
    const struct meta
        *meta; /* as listed: metadata alone goes only while the name is of this file */
    const uint8_t *digest;
};
/* The entry name of f, opened anew. links: ask whether another name of it was sent. was: when not
 * NULL, send only the metadata if the content is still that. -errno of the lane only. */
int batch_entry(struct worker *w, struct folder *f, const char *name, bool links,
                const struct answered *was);
/* The same for what is known to be a regular file in a fresh folder. A large one may go onto the
 * stack for a worker that has nothing to do: several files at once write faster than one. */
int batch_file(struct worker *w, struct folder *f, const char *name);
int batch_meta(struct worker *w, struct folder *f, const char *name, const struct meta *listed);

/* large.c */
/* Borrows fd. m: as of fstat(fd). */
int large_send(struct worker *w, struct folder *f, const char *name, int fd, const struct meta *m);
/* The same of a source of its own; file as in struct large. */
int large_send_file(struct worker *w, struct folder *f, const char *name, const void *file,
                    const struct meta *m);
int large_help(struct worker *w); /* 1: sent a piece of some file. 0: nothing to take */
void large_begun(struct worker *w, const struct begun *b);
/* One to send. Whoever is not the owner has another of it, or holds it: else it may be gone. */
bool large_claim(struct sender *s, struct large *g, uint32_t *retpiece);
void large_hold(struct sender *s,
                struct large *g); /* as a piece of it would; is let go of as one */
void large_release(struct sender *s, struct large *g, int err); /* it was sent */
int large_piece_send(struct worker *w, const struct large *g, uint32_t piece, int *reterr);
int large_piece_end(struct worker *w, const struct large *g, uint32_t piece,
                    const uint8_t digest[DIGEST_BYTES]);
/* All n bytes, or -errno; -EBUSY: it got shorter. */
int large_read(struct worker *w, const struct large *g, uint8_t *to, size_t n, uint64_t at);
/* Where the data from at on begins and ends, within end. */
void large_data_range(const struct large *g, uint64_t at, uint64_t end, uint64_t *retfrom,
                      uint64_t *retto);
/* The disk begins with what will be read soon; what is in memory costs next to nothing. */
void large_read_ahead(const struct worker *w, const struct large *g, uint32_t piece);
void large_count(struct sender *s, uint64_t n); /* content that is handed to a lane */

/* near.c: where both ends of the lane are this process. Does it wait for what BEGUN brings? */
bool near_waits(const struct worker *w, const struct large *g);
void near_take(struct worker *w, uint32_t id, struct near *ret);
void near_close(struct near *n);
/* Does this piece go so? Then all of it, from its beginning on. */
bool near_begin(struct worker *w, const struct large *g);
/* *reterr: of the destination's file, for near_piece_end(); once it is set nothing is written. */
int near_write(struct worker *w, const struct large *g, const void *data, size_t n, uint64_t at,
               int *reterr);
int near_piece_end(struct worker *w, const struct large *g, const struct piece_end *p, int err);

/* reflink_send.c */
int reflink_begin(struct sender *s); /* of a session; its workers are not there yet */
void reflink_end(struct sender *s);
/* A file that is to be sent. True: it was put off. False: now; ret->path (for free()) is what the
 * destination has of its blocks, or NULL. */
bool reflink_look(struct worker *w, const struct folder *f, const char *name, int fd,
                  const struct meta *m, struct reflink *ret);
/* One that the destination has. */
void reflink_note(struct worker *w, const struct folder *f, const char *name,
                  const struct meta *listed);
int reflink_close(struct worker *w); /* at the end of the walk. 1: there is more to walk */

/* delta_send.c */
int delta_take(struct worker *w, struct large *g, uint32_t piece); /* and some after it. 1: done */
int delta_answer(struct worker *w, struct cursor *c);
void delta_free(struct worker *w);
