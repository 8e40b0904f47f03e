/* delta: sums of the blocks of a piece, and which of them differ. A block is always compared with
 * the one at the same place: what was changed in place is found, what moved is not. Pure. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/transfer/record.h"

#define DELTA_OLD_MIN (1U << 20) /* a smaller older file is not worth asking for */
#define DELTA_AHEAD 2U           /* pieces of one lane that are offered and not settled */
#define SUM_BYTES sizeof(uint64_t)

static inline uint32_t delta_blocks(uint64_t len)
{
    return (uint32_t)((len + DELTA_BLOCK - 1) / DELTA_BLOCK);
}
/* SUM_BYTES a block. Sixty-four bits are enough to find what differs: the digest of the whole piece
 * decides whether all was found. Another seed for each file, so that two blocks that look alike
 * once do not the next time. */
void delta_sums(const uint8_t *data, uint64_t len, uint64_t seed, uint8_t *ret);
/* The next run of blocks, from *from on, that are not alike. False: there is none. */
bool delta_differ(const uint8_t *mine, const uint8_t *theirs, uint32_t nblocks, uint32_t *from,
                  uint32_t *to);
