/* digest: SHA-256 for the journal's chain. The one file here that knows OpenSSL. Any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

/* 0 or -EIO. */
int digest_sha256(const void *p, size_t n, uint8_t ret[32]);
