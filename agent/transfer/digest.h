/* digest: the digest of a file's content: XXH3-128 of it, or of its pieces' digests when it has
 * more than one piece. Blocking; any thread. */
#pragma once
#include <stdint.h>

#include "agent/transfer/record.h"

struct step;

/* -EBUSY: it got shorter. -ECANCELED: the step was, meanwhile. */
int digest_file(int fd, uint64_t size, struct step *s, uint8_t ret[DIGEST_BYTES]);
/* The same, and what is read goes to more in its order as well; it returns 0 or -errno to stop. */
int digest_file_and(int fd, uint64_t size, int (*more)(void *arg, const void *p, size_t n),
                    void *arg, uint8_t ret[DIGEST_BYTES]);
void digest_bytes(const void *p, size_t n, uint8_t ret[DIGEST_BYTES]);
/* Of PIECE_BYTES zeros, as a hole reads. */
extern const uint8_t digest_zero_piece[DIGEST_BYTES];
