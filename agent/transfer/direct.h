/* direct: content that follows each other in a file, written past the page cache in runs of 2 MiB:
 * memory that the kernel finds, fills and writes back later costs more than the rest of a large
 * file's way, and what others read here stays in memory. One run is under way while the next is
 * filled. One thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "agent/transfer/flight.h"

struct direct {           /* zeros: nothing waits */
    uint8_t *room, *away; /* what is filled, and what is under way */
    uint64_t at, flying_at;
    size_t n, flying;
    struct flight flight;
};

/* A second descriptor of fd's file, for what fd is open for, past the page cache, where that is
 * known to be good: what a large file leaves there nobody wants. name: of fd in that folder. -1:
 * not here. */
int direct_open(int folder_fd, const char *name, int fd);

/* fd and direct_fd are of one file, the second past the page cache; -1: there is none, and all goes
 * by the first at once. 0 or -errno, also of what was put before. */
int direct_put(struct direct *d, int fd, int direct_fd, const void *data, size_t n, uint64_t at);
int direct_flush(struct direct *d, int fd, int direct_fd); /* what waits */
/* Nothing waits any more, nor is under way; the file has some of it or not. */
void direct_drop(struct direct *d);
void direct_done(struct direct *d);
