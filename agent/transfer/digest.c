/* digest: over bytes and over whole files. */
#include "agent/transfer/digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define READ_BYTES (256U << 10)

static void canonical(XXH128_hash_t h, uint8_t ret[DIGEST_BYTES])
{
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, h);
    memcpy(ret, c.digest, DIGEST_BYTES);
}

void digest_bytes(const void *p, size_t n, uint8_t ret[DIGEST_BYTES])
{
    canonical(XXH3_128bits(p, n), ret);
}

void digest_zero_piece(uint8_t ret[DIGEST_BYTES])
{
    CLEANUP(mem_free) void *zeros = xcalloc(1, PIECE_BYTES);
    digest_bytes(zeros, PIECE_BYTES, ret);
}

static int digest_piece(int fd, uint64_t at, uint64_t len, void *space, uint8_t ret[DIGEST_BYTES])
{
    XXH3_state_t *hash = XXH3_createState();
    if (!hash)
        return -ENOMEM;
    (void)XXH3_128bits_reset(hash);
    int rc = 0;
    for (uint64_t end = at + len; rc == 0 && at < end;) {
        ssize_t n = pread(fd, space, end - at < READ_BYTES ? end - at : READ_BYTES, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = n < 0 ? -errno : -EBUSY;
            break;
        }
        (void)XXH3_128bits_update(hash, space, (size_t)n);
        at += (uint64_t)n;
    }
    canonical(XXH3_128bits_digest(hash), ret);
    (void)XXH3_freeState(hash);
    return rc;
}

int digest_file(int fd, uint64_t size, uint8_t ret[DIGEST_BYTES])
{
    uint32_t n = piece_count(size);
    if (n == 0) {
        digest_bytes(NULL, 0, ret);
        return 0;
    }
    CLEANUP(mem_free) void *space = xmalloc(READ_BYTES);
    CLEANUP(mem_free) uint8_t *digests = xcalloc(n, DIGEST_BYTES);
    for (uint32_t i = 0; i < n; i++) {
        int rc = digest_piece(fd, i * PIECE_BYTES, piece_len(size, i), space,
                              digests + (size_t)i * DIGEST_BYTES);
        if (rc < 0)
            return rc;
    }
    if (n == 1)
        memcpy(ret, digests, DIGEST_BYTES);
    else
        digest_bytes(digests, (size_t)n * DIGEST_BYTES, ret);
    return 0;
}
