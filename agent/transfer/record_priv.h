/* record_priv: parts that records have in common. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/transfer/record.h"

/* There is room; *at moves on. */
void record_put32(uint8_t **at, uint32_t v);
void record_put64(uint8_t **at, uint64_t v);

void record_bytes_put(struct buf *b, struct bytes v);
struct bytes record_bytes_get(struct cursor *c, size_t max);
/* False: not such a thing, or not all of it is there. A path may be that of the root, but for a
 * link's target. */
bool record_path_get(struct cursor *c, struct bytes *ret);
bool record_name_get(struct cursor *c, struct bytes *ret);
bool record_xattrs_get(struct cursor *c, struct bytes *ret);
bool record_link_target_get(struct cursor *c, struct bytes *ret);
