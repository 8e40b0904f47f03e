/* direct: content that follows each other in a file, written past the page cache in runs of 1 MiB:
 * memory that the kernel finds, fills and writes back later costs more than the rest of a large
 * file's way, and what others read here stays in memory. Runs are under way while the next is
 * filled: a disk has nothing to do while nobody asks it for anything. One thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/transfer/flight.h"

#define DIRECT_READ (2U << 20) /* at once: others' writes wait for it, and clones on XFS */
#define DIRECT_ROOMS 4U        /* one is filled, the others are under way */

struct direct_room {
    uint8_t *data;
    uint64_t at;
    size_t n;
    int fd; /* of what is under way: borrowed until it has ended */
    struct flight flight;
};

struct direct {      /* zeros: nothing waits */
    uint8_t *memory; /* of all rooms */
    struct direct_room rooms[DIRECT_ROOMS];
    uint64_t begun, ended; /* runs: those between are under way; the next fills rooms[begun % …] */
    uint64_t left;         /* so many of the first belong to what was left, with this outcome */
    int left_rc;
};

/* A second descriptor of fd's file, for what fd is open for, past the page cache, where that is
 * known to be good: what a large file leaves there nobody wants. name: of fd in that folder. -1:
 * not here. */
int direct_open(int folder_fd, const char *name, int fd);

/* Is most of this in the page cache? Of what this process may not ask about, and of n over
 * PIECE_BYTES: true. */
bool direct_is_cached(int fd, uint64_t at, uint64_t n);
/* As much as goes past the page cache, and no more than n. to and at are multiples of 4,096, and
 * there is room at to up to the next one after n. */
size_t direct_read(int direct_fd, uint8_t *to, size_t n, uint64_t at);

/* fd and direct_fd are of one file, the second past the page cache; -1: there is none, and all goes
 * by the first at once. 0 or -errno, also of what was put before, but for what was left. */
int direct_put(struct direct *d, int fd, int direct_fd, const void *data, size_t n, uint64_t at);
int direct_flush(struct direct *d, int fd, int direct_fd); /* what waits */
/* As direct_flush(), but what is under way may go on while other content is put, until
 * direct_left(), which comes before the next direct_leave(). */
int direct_leave(struct direct *d, int fd, int direct_fd);
bool direct_left_ended(const struct direct *d); /* direct_left() has nothing to wait for */
int direct_left(struct direct *d);
/* Nothing waits any more, nor is under way but what was left; the file has some of it or not. */
void direct_drop(struct direct *d);
void direct_done(struct direct *d);
