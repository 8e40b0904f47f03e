/* look: the digest of an entry's attributes, cheap when it has none. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct idmap;
struct meta;

/* A thread that only looks and places gets a working folder of its own, and a look takes half the
 * time. From then on it lies wherever it looked last: no relative path is safe in this thread. It
 * goes with the thread. False: it may not have one. */
bool look_detach(void);

/* Does not follow name when it is a link. shown: its flags, of which those that both sides can see
 * without an open are part of it. 0 in *ret: no attributes. */
int look_xattrs_digest(int dir, const char *name, uint32_t shown, uint64_t *ret);
/* The same of what an id map makes of them. m: its metadata after remap_meta(). */
int look_mapped_digest(int dir, const char *name, const struct meta *m, const struct idmap *map,
                       uint64_t *ret);
