/* feed_path: where the folder of a handle stands below a root. Any thread. */
#pragma once
#include <limits.h>
#include <stddef.h>

#include "agent/feed/feed_log.h"

struct feed_root {
    int fd;
    char path[PATH_MAX]; /* as the kernel names it now */
    size_t len;
    struct feed_handle handle;
};

/* Borrows fd. -EOPNOTSUPP: this file system has no handles that can be opened. -EPERM: this process
 * may not. */
int feed_root_of(int fd, struct feed_root *ret);
/* 1: below the root (ret is "" for itself). 0: elsewhere, or gone. -errno: it cannot be said. */
int feed_path_of(const struct feed_root *root, const struct feed_handle *h, char ret[PATH_MAX],
                 size_t *retlen);
/* 1: the file of h, not followed. 0: gone, or without a name now. -errno. */
struct stat;
int feed_file_of(const struct feed_root *root, const struct feed_handle *h, struct stat *ret);
/* 1: file systems are mounted below the root. 0: none. -errno. */
int feed_mounts_below(const struct feed_root *root);
