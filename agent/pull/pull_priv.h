/* pull_priv: what the files of the SMB source share: one run's, and one worker's. */
#pragma once
#include "agent/pull/pull.h"
#include "agent/pull/smbacl.h"
#include "agent/transfer/sender_priv.h"

#define WINDOW_FILES 32U
#define WINDOW_BYTES (4U << 20)
#define STREAM_BYTES_MAX PULL_STREAM_MAX
#define STREAMS_MAX 64U
#define LOCKED_MAX 10000U

struct handed; /* pull_hand.c */

struct pull { /* of one step */
    struct sender *s;
    const struct pull_source *from;
    struct smbacl *smbacl;
    struct smb *first; /* made by session_begin() for the first worker; under the lock */
    unsigned refused;  /* sessions in a row that found no server */
    atomic_bool noted_audit, noted_samba;
    atomic_bool tells_change; /* the server's change times are more than the write times */
    struct step *step;
    int depot;             /* the destination's folder for streams; -1: they are attributes */
    struct spool *streams; /* entries that have some, when there is a depot */
    int root;              /* the destination, while pull_depot_finish() runs; one worker */
    struct handed *handed; /* likewise, under the lock */
    pthread_mutex_t lock;
};

/* NEW: the walk has not counted it yet. META: all but its content. */
enum fetch_want { FETCH_NEW = 1, FETCH_DATA, FETCH_META };

/* A file whose answer is on its way. */
struct fetch {
    struct smb_call *call;
    struct folder *folder;
    char *name;
    uint64_t size, id; /* as its folder's list or the last try had it */
    enum fetch_want want;
    unsigned tries, lock_tries;
    bool check; /* content goes only when it differs from digest */
    uint8_t digest[DIGEST_BYTES];
};

struct locked { /* a file that is tried again later */
    struct locked *next;
    struct fetch fetch;
    int64_t at_ms;
};

struct look { /* an entry of a listing whose attributes are asked for */
    struct smb_entry e;
    struct smb_call *call; /* NULL: not asked */
};

struct puller { /* of one worker */
    struct pull *p;
    struct smb *smb;
    struct fetch window[WINDOW_FILES];
    unsigned head, n;
    uint64_t bytes;
    struct locked *locked;
    unsigned nlocked;
    struct buf xattrs, path;
    struct buf mapped;  /* a descriptor with other SIDs */
    struct look *looks; /* WINDOW_FILES */
    uint32_t open_id;   /* of the large file that this worker has open; 0: none */
    struct smb_handle open;
};

/* pull_root.c. -errno of the connection; else 0, and type is 0 when the server does not tell. */
int pull_root_of(struct smb *smb, const struct pull_source *from, struct rootid *ret);

/* pull.c */
struct pull *pull_of(const struct worker *w);
int pull_wait(struct worker *w, struct smb_call *c);           /* the time counts as the source's */
int pull_ask(struct worker *w, struct smb_call *c, int built); /* smb_ask() likewise */
/* From the share's root; borrowed until the next call. -ENAMETOOLONG. */
int pull_path(struct worker *w, const struct folder *f, const char *name, const char **ret,
              size_t *retlen);

/* pull_walk.c */
int pull_folder(struct worker *w, char *path, size_t len, uint32_t flags);
int pull_answer(struct worker *w, struct listing *l);

/* pull_window.c: many files under way at once, taken in their order */
int pull_fetch(struct worker *w, struct folder *f, const char *name, const struct smb_info *info,
               enum fetch_want want, const uint8_t *digest);
bool pull_reads(const struct fetch *f); /* its content comes with the rest */
int pull_drain(struct worker *w);
int pull_later(struct worker *w);
void pull_forget(struct worker *w);
/* Again after a while, or a failure when it was tried often enough. Takes from what f holds. */
int pull_locked(struct worker *w, struct fetch *f);

/* pull_hand.c: large files that one worker met and another takes */
bool pull_may_hand(const struct worker *w, const struct fetch *f, const struct meta *m);
int pull_hand(struct worker *w, const struct fetch *f);
int pull_handed(struct worker *w, char *path, size_t len, uint32_t flags); /* owns path */
void pull_hand_forget(struct pull *p);

/* pull_file.c */
/* f was answered. *reterr: of the file: -EBUSY when it changed meanwhile, -ETXTBSY when locked. */
int pull_emit(struct worker *w, struct fetch *f, int *reterr);
int pull_count_sent(struct worker *w, uint64_t n);

/* pull_attrs.c: descriptor, DOS attributes and streams as attributes of the destination */
struct pull_entry { /* answered parts of one chain */
    const struct smb_call *call;
    unsigned open, descriptor, streams;
    const char *path;
    size_t path_len;
    const struct folder *folder;
    const char *name;
};
/* Into b (cleared) and *ret. 0, or -errno of the entry. */
int pull_attrs(struct worker *w, const struct pull_entry *e, const struct smb_info *info,
               bool folder, struct meta *ret, struct buf *b);
void pull_meta(const struct smb_info *i, bool folder, struct meta *ret);

/* pull_depot.c */
int pull_depot_open(struct pull *p, struct fault *reterr);
void pull_depot_close(struct pull *p);
int pull_depot_note(struct worker *w, const struct pull_entry *e); /* it has streams */
int pull_depot_finish(struct worker *w);

/* pull_large.c */
int pull_large(struct worker *w, struct folder *f, const char *name, const struct meta *m);
int pull_piece(struct worker *w, struct large *g, uint32_t piece, int *reterr);
bool pull_held_still(struct worker *w, const struct large *g);
void pull_large_close(struct worker *w);
