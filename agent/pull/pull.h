/* pull: a server without an agent as the source of a transfer: its share is read over SMB in place
 * of a local folder; all else is agent/transfer. */
#pragma once
#include "agent/store/smb.h"

struct step;
struct step_result;
struct transfer_spec;

#define PULL_STREAM_MAX 65535U /* bytes of a stream that an attribute holds, with smbd's zero */

struct pull_source {
    struct smb_place place; /* cancel_fd is set by pull_run() */
    const char *base;       /* folder below the share, "" for its root; not NUL-terminated */
    size_t base_len;
    unsigned lock_tries;     /* of a file that somebody has locked */
    unsigned lock_wait_ms;   /* between two of them */
    const char *destination; /* folder whose smbd is to read the descriptors; NULL: none here */
};

/* May the account read the folder? -errno with a sentence. */
int pull_try(const struct pull_source *from, bool *retaudit, struct fault *reterr);

/* A tree is only looked at: names, sizes, times, and what opening each file tells. */
struct pull_seen {
    bool held; /* somebody keeps others from reading it */
    uint32_t links;
    uint32_t streams, large; /* large: of those, what no attribute holds */
};
struct pull_counted {
    const struct smb_entry *entry;
    const char *folder; /* below the base; not NUL-terminated */
    size_t folder_len, path_len, depth;
    struct pull_seen seen; /* zeros of what was not opened: folders, reparse points */
};
struct pull_counting {
    bool (*leaves_out)(void *arg, const struct pull_counted *x);
    void (*entry)(void *arg, const struct pull_counted *x);
    void (*descriptor)(void *arg, const void *sd, size_t len); /* of each file and folder */
    void (*folder)(void *arg, uint64_t entries);
    void (*failed)(void *arg, const char *path, size_t len, int err);
    void *arg;
};
int pull_count(struct step *step, const struct pull_source *from, const struct pull_counting *how,
               struct fault *reterr);

void pull_run(struct step *step, struct transfer_spec *spec, struct pull_source *from,
              struct step_result *ret);
