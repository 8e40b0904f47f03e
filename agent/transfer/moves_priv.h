/* moves_priv: the index of where inodes stand, which moves_find.c looks up, and what a dry run
 * would rename. Under the catalogue's lock but for none. */
#pragma once
#include "agent/transfer/receiver_priv.h"

#define PER_INODE_MAX 16U /* places that are looked at for one */

struct path {
    char *p;
    size_t len;
};

struct spot {
    uint32_t tag; /* of the inode */
    uint32_t folder;
};

struct pair_of { /* of a dry run */
    struct path to, from;
    bool swap;
};

struct moves {
    struct timespec began;
    atomic_bool none; /* nothing can be elsewhere */
    /* under the catalogue's lock */
    bool built;
    struct spot *spots; /* by tag */
    size_t nspots, spots_cap;
    struct path *folders;
    size_t nfolders, folders_cap;
    struct pair_of *dry;
    size_t ndry, dry_cap;
};

/* A folder in which an inode may stand. */
struct lead {
    uint32_t folder;
    void *of; /* the caller's */
};

/* moves_index.c */
void moves_index(struct receiver *r); /* once a session, when something new is listed */
/* Up to PER_INODE_MAX folders of ino. */
size_t moves_leads(const struct moves *m, uint64_t ino, void *of, struct lead *ret);
bool path_is_below(const char *path, size_t len, const char *top, size_t top_len);
/* p, whose first from_len bytes are another path's, gets to in their place. */
void path_rebase(struct path *p, size_t from_len, const char *to, size_t to_len);
