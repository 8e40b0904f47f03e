/* dents: reads a folder's entries in large pieces, in the file system's order, without "." and
 * "..". One thread each. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define DENTS_BYTES (64 << 10)

struct dents {
    int fd; /* borrowed */
    size_t at, len;
    _Alignas(8) uint8_t bytes[DENTS_BYTES];
};
struct dents_entry {
    const char *name; /* borrowed until the next call */
    size_t len;
    uint64_t ino;
    uint8_t type; /* DT_*, DT_UNKNOWN on some file systems */
};

void dents_init(struct dents *d, int fd);
int dents_next(struct dents *d, struct dents_entry *ret); /* 1, 0 at the end, -errno */
