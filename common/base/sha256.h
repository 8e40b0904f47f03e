/* sha256: FIPS 180-4, for secrets kept hashed and for digest chains of few and short rows. Bulk
 * data has its own, faster digest. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32

struct sha256 {
    uint32_t h[8];
    uint64_t len;
    uint8_t block[64];
};

void sha256_init(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *p, size_t n);
void sha256_end(struct sha256 *s, uint8_t ret[SHA256_LEN]);
void sha256_of(const void *p, size_t n, uint8_t ret[SHA256_LEN]);
/* Takes the same time wherever they differ. */
bool bytes_equal_secret(const void *a, const void *b, size_t n);
