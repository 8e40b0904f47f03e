/* reflinks: files that hold the same blocks of a disk: which of them the destination has. They are
 * known by their marks (extents.h), the latest million of them: of what was forgotten the others
 * are sent as any file. Paths are on disk. Locks inside; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct reflinks;

struct reflink {
    char *path; /* below the root; malloc'd when found */
    size_t len;
    uint64_t ino;
    bool there; /* was at the destination before this session: nobody sends it now */
};

int reflinks_new(struct reflinks **ret, const char *dir);
struct reflinks *reflinks_free(struct reflinks *r);
/* own has these marks. A mark that another file has already stays that one's. */
int reflinks_add(struct reflinks *r, const uint64_t *marks, unsigned n, const struct reflink *own);
/* 1: another file that has most of these marks. 0: none has any, and own is added. -errno. */
int reflinks_see(struct reflinks *r, const uint64_t *marks, unsigned n, const struct reflink *own,
                 struct reflink *ret);
