/* crew: several threads that visit the folders of one tree, each folder once, in no fixed order,
 * with bounded memory. What a visit does is the caller's. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define CREW_MAX 8

struct crew;

struct crew_conf {
    const char *spill_dir; /* for the part of the work list that does not fit in memory */
    unsigned workers;      /* 0: as many as processors, at most CREW_MAX */
    int cancel_fd;         /* readable: give up. -1: none */
    void *arg;
    /* On worker 0 … workers-1. Negative ends the whole walk with that value. */
    int (*visit)(struct crew *c, unsigned worker, const char *rel, size_t len, void *arg);
    void (*tick)(void *arg); /* on the caller's thread, some times a second; NULL is fine */
};

/* From the root ("") on. 0, -ECANCELED, or what a visit returned. */
int crew_run(const struct crew_conf *conf);
unsigned crew_size(unsigned workers); /* how many crew_run() takes for this wish */

/* ── for visit() ── */
int crew_push(struct crew *c, const char *rel, size_t len, const char *name, size_t name_len);
bool crew_cancelled(const struct crew *c);
