/* pathstack: the folders still to be visited, last in first out, shared by several workers. Bounded
 * in memory: the oldest half goes to an unlinked file when it grows. Locks inside; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pathstack;

/* spill_dir: where the unlinked file is made; max_bytes: kept in memory. */
int pathstack_new(struct pathstack **ret, const char *spill_dir, size_t max_bytes);
struct pathstack *pathstack_free(struct pathstack *s);
int pathstack_push(struct pathstack *s, const char *path, size_t len, uint32_t flags);
/* 1: *retpath is malloc'd. 0: empty and no worker is busy any more: the walk is over. A worker that
 * took one calls pathstack_done() when it has pushed all that it found. With wait false: -EAGAIN
 * instead of waiting for other workers. */
int pathstack_pop(struct pathstack *s, bool wait, char **retpath, size_t *retlen,
                  uint32_t *retflags);
void pathstack_done(struct pathstack *s);
void pathstack_abort(struct pathstack *s); /* wakes all; pop returns -ECANCELED from now on */
