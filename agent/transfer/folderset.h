/* folderset: which folders something happened in, by a hash of their paths: two may seem to be one,
 * none is forgotten. The caller locks. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FOLDERSET_MAX (4U << 20) /* with more it says yes to all */

struct folderset { /* zeroed: empty */
    uint64_t *slots;
    size_t n, cap;
    bool all;
};

void folderset_add(struct folderset *s, const char *path, size_t len);
bool folderset_has(const struct folderset *s, const char *path, size_t len);
void folderset_clear(struct folderset *s);
void folderset_take(struct folderset *s, struct folderset *from); /* from is empty then */
