/* delta: XXH3-64 of each block, little-endian. */
#include "agent/transfer/delta.h"

#include <endian.h>
#include <string.h>

#include "common/base/xxh3.h"

void delta_sums(const uint8_t *data, uint64_t len, uint64_t seed, uint8_t *ret)
{
    for (uint64_t at = 0; at < len; at += DELTA_BLOCK, ret += SUM_BYTES) {
        size_t n = len - at < DELTA_BLOCK ? len - at : DELTA_BLOCK;
        uint64_t sum = htole64(XXH3_64bits_withSeed(data + at, n, seed));
        memcpy(ret, &sum, sizeof sum);
    }
}

static bool is_alike(const uint8_t *mine, const uint8_t *theirs, uint32_t block)
{
    return memcmp(mine + block * SUM_BYTES, theirs + block * SUM_BYTES, SUM_BYTES) == 0;
}

bool delta_differ(const uint8_t *mine, const uint8_t *theirs, uint32_t nblocks, uint32_t *from,
                  uint32_t *to)
{
    uint32_t at = *from;
    while (at < nblocks && is_alike(mine, theirs, at))
        at++;
    *from = at;
    while (at < nblocks && !is_alike(mine, theirs, at))
        at++;
    *to = at;
    return *from < nblocks;
}
