/* look: the digest of an entry's attributes, cheap when it has none. Any thread. */
#pragma once
#include <stdint.h>

struct idmap;
struct meta;

/* Does not follow name when it is a link. shown: its flags, of which those that both sides can see
 * without an open are part of it. 0 in *ret: no attributes. */
int look_xattrs_digest(int dir, const char *name, uint32_t shown, uint64_t *ret);
/* The same of what an id map makes of them. m: its metadata after remap_meta(). */
int look_mapped_digest(int dir, const char *name, const struct meta *m, const struct idmap *map,
                       uint64_t *ret);
