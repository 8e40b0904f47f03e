/* feed_log: what changed on one file system, in order, in a file: folder handles as the kernel gave
 * them. Offsets only grow; what lies before one may be dropped. One thread at a time: callers lock.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FEED_HANDLE_MAX 128 /* MAX_HANDLE_SZ */
#define FEED_NAME_MAX 255
#define FEED_LOG_MAX (64U << 20) /* bytes that wait; more is a loss */

enum feed_what {                  /* numbers are on disk */
                 FEED_FOLDER = 1, /* something in it, or the folder itself */
                 FEED_WHOLE = 2,  /* the folder of this name in it is another than before */
                 FEED_MOVED = 3,  /* from the second place to the first */
                 FEED_FILE = 4,   /* this file, not a folder; the folder is said beside it */
                 FEED_NAMES = 5,  /* this file got or lost a name, or nobody knows by which one it
                                     changed */
};

struct feed_handle {
    int32_t type;
    uint32_t len;
    uint8_t bytes[FEED_HANDLE_MAX];
};

struct feed_place { /* a name in a folder; the name may be empty */
    struct feed_handle folder;
    char name[FEED_NAME_MAX + 1];
};

struct feed_record {
    enum feed_what what;
    struct feed_place at;
    struct feed_place from; /* MOVED */
};

struct feed_log;
int feed_log_new(struct feed_log **ret, const char *path); /* the file begins empty */
struct feed_log *feed_log_free(struct feed_log *l);        /* and removes the file */

/* Said once for all that was the same since the last feed_log_cut(). An error of the disk is a
 * loss: see feed_log_lost(). */
void feed_log_add(struct feed_log *l, const struct feed_record *r);
/* From here back nothing is certain. why: a static string. */
void feed_log_lost(struct feed_log *l, const char *why);
/* The end of what is there; from now on everything is said anew. */
uint64_t feed_log_cut(struct feed_log *l);
/* Is all there that came after offset? When not, *retwhy says why. */
bool feed_log_certain(const struct feed_log *l, uint64_t offset, const char **retwhy);
bool feed_log_has(const struct feed_log *l, uint64_t from, uint64_t to);
int feed_log_fd(const struct feed_log *l);
/* Without the lock, as long as nothing from `from` on is dropped. fn's value ends it when not 0.
 * -EBADMSG, -errno: nothing of it may be trusted. */
int feed_log_each(int fd, uint64_t from, uint64_t to,
                  int (*fn)(void *arg, const struct feed_record *r), void *arg);
void feed_log_drop(struct feed_log *l, uint64_t before);
uint64_t feed_log_folders(const struct feed_log *l); /* FOLDER records ever, for showing */
