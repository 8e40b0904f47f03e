/* look: the digest of an entry's attributes, cheap when it has none. Any thread. */
#pragma once
#include <stdint.h>

/* Does not follow name when it is a link. 0 in *ret: no attributes. */
int look_xattrs_digest(int dir, const char *name, uint64_t *ret);
