/* feed: knows which folders of a source changed since its last pass, so that the next one looks
 * only there. Owned by the agent, outlives its steps; one watch a file system, with a thread for
 * all of them. Whatever it cannot be sure of is a full scan. Locks inside; any thread.
 *
 * Why nothing is missed: the kernel tells of a change after it was made. A pass first takes all
 * that was told so far and then begins to look; so a change is either seen by the looking, or told
 * after the taking, and then it belongs to the next pass. What was taken is forgotten only when the
 * pass ended well. What the kernel does not tell at all is in docs/ARCHITECTURE.md. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/feed/feed_list.h"

struct feed;
struct feed_pass;

int feed_new(struct feed **ret, const char *state_dir);
struct feed *feed_free(struct feed *f);

struct feed_ask {
    const char *pair;
    int root;         /* the source's folder */
    uint64_t key;     /* of the options that decide what a pass looks at */
    uint64_t last;    /* the session that the destination finished last; 0: none */
    const char *full; /* why this pass is to be a full scan in any case; NULL: it need not */
};

/* Before the walk reads its first folder. Never fails: without a feed it is a full scan. f may be
 * NULL. */
struct feed_pass *feed_begin(struct feed *f, const struct feed_ask *a);
const struct feed_list *feed_pass_list(const struct feed_pass *p); /* NULL: a full scan */
/* The same, to add what else the pass has to look at, and to be settled again. */
struct feed_list *feed_pass_edit(struct feed_pass *p);
const char *feed_pass_why(const struct feed_pass *p); /* static: why a full scan; "" with a list */
/* well: all that had to be looked at was, and what failed is on the list of failures. session: as
 * the destination knows it. Frees p; NULL is fine. */
void feed_end(struct feed_pass *p, bool well, uint64_t session);

/* While it runs: folders that changed since it began (of the whole file system, so at most), and
 * how long a pass over them takes, about. 0 and 0 without a watch. */
void feed_pass_next(struct feed_pass *p, uint64_t *retfolders, uint64_t *retms);

struct feed_state {
    bool certain;     /* the next pass needs no full scan */
    const char *why;  /* when not certain; static */
    uint64_t folders; /* changed ones that wait, at most */
};
void feed_state(struct feed *f, const char *pair, struct feed_state *ret);
void feed_forget(struct feed *f, const char *pair);
