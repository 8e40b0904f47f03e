/* sha256: for secrets kept hashed and for digest chains of few and short rows; libcrypto does the
 * work. Bulk data has its own, faster digest. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32

void sha256_of(const void *p, size_t n, uint8_t ret[SHA256_LEN]);
/* Of what comes in parts. One owner; a begun one may be begun again. */
struct sha256;
struct sha256 *sha256_new(void);
struct sha256 *sha256_free(struct sha256 *s); /* NULL is fine; returns NULL */
void sha256_begin(struct sha256 *s);
void sha256_add(struct sha256 *s, const void *p, size_t n);
void sha256_end(struct sha256 *s, uint8_t ret[SHA256_LEN]);
/* Takes the same time wherever they differ. */
bool bytes_equal_secret(const void *a, const void *b, size_t n);
