/* push_priv: what the files of the way to an SMB server share: one run's, and one worker's. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "agent/push/push.h"
#include "agent/step.h"
#include "agent/store/dents.h"
#include "agent/store/meta.h"
#include "agent/transfer/spec.h"

#define PUSH_WORKERS 4U
#define PUSH_WINDOW 16U
#define PUSH_SMALL (128U << 10)
#define PUSH_WRITES 4U
#define PUSH_PATH_MAX (64U << 10)
#define PUSH_DEPTH_MAX 250U
#define PUSH_TEMP ".godwit-"

enum { PUSH_FRESH = 1 }; /* on the stack: the server has nothing in that folder */

struct push { /* of one step */
    struct step *step;
    const struct push_order *order;
    int root;
    uint64_t root_dev;
    struct rootid root_id;
    enum rootid_change root_change; /* since the passes before; UNKNOWN: there were none */
    bool root_empty;
    struct smbacl *smbacl;
    int depot; /* where this host's share keeps streams as files; -1: they are attributes */
    struct failures *failures;
    struct pathstack *stack;
    bool folders_only; /* the second round: metadata of folders, which files no longer change */
    char token[17];
    atomic_uint next_temp;
    atomic_bool noted_samba, noted_audit;
    pthread_mutex_t lock; /* all below */
    struct counters counters;
    int error; /* why the run broke */
    struct fault fault;
};

/* An entry of the folder in hand as the server listed it. */
struct there {
    uint64_t name; /* digest of it, without regard to the case of ASCII */
    uint64_t size;
    struct timespec write;
    uint32_t attributes;
    bool seen; /* it is at the source too */
};

/* What an entry is to be at the server. Borrowed from the worker's buffers. */
struct outgoing {
    struct meta meta;
    struct smb_info info;
    const void *sd; /* NULL: none is known */
    size_t sd_len;
    bool has_streams;
};

struct flying { /* a small file under way */
    struct smb_call *call;
    char *name;
    uint64_t size;
    bool replace, handle; /* handle: it was open before this call; else its open is part 0 */
    unsigned written, described, renamed, basic; /* parts behind the open, from 1; 0: not in it */
};

struct pusher { /* of one worker */
    struct push *p;
    struct smb *smb;
    pthread_t thread;
    struct dents dents;
    struct buf xattrs;
    struct buf mapped; /* a descriptor with other SIDs */
    int streams;       /* the entry's folder in the depot; -1: it has none */
    uint8_t *room;     /* SMB_READ_MAX */
    const char *path;  /* of the folder in hand, below the root */
    size_t path_len;
    int fd;
    struct there *there;
    size_t nthere, there_cap;
    bool stale; /* temporaries of an earlier run lie there */
    struct flying window[PUSH_WINDOW];
    unsigned head, n;
};

/* push.c */
void push_failed(struct pusher *k, const char *name, int err, const char *what);
void push_note(struct pusher *k, const char *name, int err, const char *what);
void push_count(struct pusher *k, size_t off, uint64_t n); /* off: of the counter */
int push_pace(struct pusher *k, uint64_t bytes);           /* as the job's rate allows */
/* From the share's root: the folder in hand, or name in it. malloc'd; NULL: too long. */
char *push_path(const struct pusher *k, const char *name, size_t *retlen);
bool push_is_dry(const struct pusher *k);

/* push_origin.c */
int push_origin_begin(struct push *p, struct fault *reterr); /* -ENODEV: not to be deleted by */
int push_origin_note(const struct push *p);                  /* a pass has ended */

/* push_walk.c */
int push_folder(struct pusher *k, const char *path, size_t len, uint32_t flags);

/* push_there.c */
int push_list(struct pusher *k, const char *path, size_t len,
              int (*each)(struct pusher *k, void *arg, const struct smb_entry *e), void *arg);
int there_read(struct pusher *k); /* -errno of the folder, or of the connection */
struct there *there_find(const struct pusher *k, const char *name, size_t len);
int push_extras(struct pusher *k, bool all); /* all false: temporaries only */

/* push_entry.c */
/* fd: the open entry. 0, or -errno of the entry. */
int push_outgoing(struct pusher *k, int fd, const char *name, struct outgoing *ret);
/* Each stream of the entry that push_outgoing() read, onto path. */
int push_streams(struct pusher *k, const char *path, size_t len);
/* Takes away what the server has more; data: as listed. */
int push_streams_prune(struct pusher *k, const char *path, size_t len, const void *data, size_t n,
                       bool keep_ours);
int push_describe(struct smb_call *c, const struct smb_handle *h, const struct outgoing *x);
/* The descriptor without what only who may restore files can set. */
int push_describe_less(struct pusher *k, const char *name, const struct outgoing *x);

/* push_depot.c */
int push_depot_open(struct push *p);
int push_depot_enter(struct pusher *k, int fd); /* of the entry whose attributes were read */
void push_depot_leave(struct pusher *k);
int push_depot_each(struct pusher *k, const char *path, size_t len);
bool push_depot_has(const struct pusher *k, const struct smb_stream *s);

/* push_send.c */
int push_file(struct pusher *k, const char *name, const struct there *t);
int push_same(struct pusher *k, const char *name); /* all but its content */
int push_drain(struct pusher *k);
void push_forget(struct pusher *k);

/* push_remove.c */
int push_remove(struct pusher *k, const char *path, size_t len, bool folder, unsigned depth);
int push_writable(struct pusher *k, const char *path, size_t len); /* not read only any more */
