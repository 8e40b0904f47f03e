/* links: the hard-linked files of a walk: the first name seen is sent, the others are told of it.
 * An entry goes when all its names were seen. Paths are on disk. Locks inside; any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct links;
struct meta;

int links_new(struct links **ret, const char *dir);
struct links *links_free(struct links *l);
/* 0: the first name, remembered. 1: a later one; *retpath (malloc'd) is the first. -errno. */
int links_see(struct links *l, const struct meta *m, const char *path, size_t len, char **retpath,
              size_t *retlen);
