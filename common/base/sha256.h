/* sha256: for secrets kept hashed and for digest chains of few and short rows; libcrypto does the
 * work. Bulk data has its own, faster digest. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_LEN 32

void sha256_of(const void *p, size_t n, uint8_t ret[SHA256_LEN]);
/* Takes the same time wherever they differ. */
bool bytes_equal_secret(const void *a, const void *b, size_t n);
