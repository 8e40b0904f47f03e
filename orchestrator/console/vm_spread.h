/* vm_spread: on which host each machine of a host that is to be emptied would go: by memory that is
 * free, the largest machine first. Pure; whether a host may take it somebody else says. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spread_host {
    const char *name;
    uint64_t free;   /* memory, less what was placed there */
    uint64_t disk;   /* what disks that were placed there may grow to */
    uint64_t memory; /* of machines that were placed there */
    bool tried;      /* for the machine in hand */
};

struct spread {
    struct spread_host *hosts;
    size_t nhosts;
    json_t *machines; /* of the inventory, largest first; borrowed texts live with it */
};

/* inventory: the answer of "vm inventory". from: the host to be emptied; to: the only other one
 * that counts, NULL: all. -ENOENT: from did not answer. */
int spread_new(const json_t *inventory, const char *from, const char *to, struct spread *ret);
void spread_done(struct spread *s);
/* The next host to try for a machine of so much memory: the one with the most free. NULL: none. */
struct spread_host *spread_next(struct spread *s, uint64_t memory);
void spread_begin(struct spread *s); /* another machine */
