/* digest: over bytes and over whole files. */
#include "agent/transfer/digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/step.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

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

/* Worked out once for all: to hash a piece of fresh memory at each start costs milliseconds of page
 * faults. */
const uint8_t digest_zero_piece[DIGEST_BYTES] = {0x9d, 0x6b, 0xf1, 0xa4, 0xe9, 0x2d, 0xf0, 0x2c,
                                                 0xe8, 0x81, 0xa2, 0x5e, 0x37, 0xe3, 0x7b, 0x19};

struct reader {
    int fd;
    void *space;
    int (*more)(void *arg, const void *p, size_t n);
    void *arg;
};

static int digest_piece(const struct reader *r, uint64_t at, uint64_t len,
                        uint8_t ret[DIGEST_BYTES])
{
    XXH3_state_t *hash = XXH3_createState();
    if (!hash)
        return -ENOMEM;
    (void)XXH3_128bits_reset(hash);
    int rc = 0;
    for (uint64_t end = at + len; rc == 0 && at < end;) {
        ssize_t n =
            pread(r->fd, r->space, end - at < READ_BYTES ? end - at : READ_BYTES, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = n < 0 ? -errno : -EBUSY;
            break;
        }
        (void)XXH3_128bits_update(hash, r->space, (size_t)n);
        rc = r->more ? r->more(r->arg, r->space, (size_t)n) : 0;
        at += (uint64_t)n;
    }
    canonical(XXH3_128bits_digest(hash), ret);
    (void)XXH3_freeState(hash);
    return rc;
}

static int unless_cancelled(void *step, const void *p, size_t n)
{
    (void)p;
    (void)n;
    return step_cancelled(step) ? -ECANCELED : 0;
}

int digest_file(int fd, uint64_t size, struct step *s, uint8_t ret[DIGEST_BYTES])
{
    return digest_file_and(fd, size, unless_cancelled, s, ret);
}

int digest_file_and(int fd, uint64_t size, int (*more)(void *arg, const void *p, size_t n),
                    void *arg, uint8_t ret[DIGEST_BYTES])
{
    uint32_t n = piece_count(size);
    if (n == 0) {
        digest_bytes(NULL, 0, ret);
        return 0;
    }
    CLEANUP(mem_free) void *space = xmalloc(READ_BYTES);
    const struct reader r = {.fd = fd, .space = space, .more = more, .arg = arg};
    CLEANUP(mem_free) uint8_t *digests = xcalloc(n, DIGEST_BYTES);
    for (uint32_t i = 0; i < n; i++) {
        int rc = digest_piece(&r, i * PIECE_BYTES, piece_len(size, i),
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
