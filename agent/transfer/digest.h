/* digest: the digest of a file's content: XXH3-128 of it, or of its pieces' digests when it has
 * more than one piece. Blocking; any thread. */
#pragma once
#include <stdint.h>

#include "agent/transfer/record.h"

int digest_file(int fd, uint64_t size, uint8_t ret[DIGEST_BYTES]); /* -EBUSY: it got shorter */
void digest_bytes(const void *p, size_t n, uint8_t ret[DIGEST_BYTES]);
void digest_zero_piece(uint8_t ret[DIGEST_BYTES]);
