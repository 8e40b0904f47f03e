/* sha256: libcrypto's, in one call. Any thread. */
#include "common/base/sha256.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct sha256 {
    EVP_MD_CTX *ctx;
    EVP_MD *md; /* looked up once: that costs more than a small file */
};

void sha256_of(const void *p, size_t n, uint8_t ret[SHA256_LEN])
{
    unsigned len = 0;
    if (!EVP_Digest(p, n, ret, &len, EVP_sha256(), NULL) || len != SHA256_LEN)
        abort(); /* a libcrypto without SHA-256: nothing that we keep would be safe */
}

struct sha256 *sha256_new(void)
{
    struct sha256 *s = xcalloc(1, sizeof *s);
    s->ctx = EVP_MD_CTX_new();
    s->md = EVP_MD_fetch(NULL, "SHA256", NULL);
    if (!s->ctx || !s->md)
        abort();
    return s;
}

struct sha256 *sha256_free(struct sha256 *s)
{
    if (s) {
        EVP_MD_CTX_free(s->ctx);
        EVP_MD_free(s->md);
        free(s);
    }
    return NULL;
}

void sha256_begin(struct sha256 *s)
{
    if (!EVP_DigestInit_ex2(s->ctx, s->md, NULL))
        abort();
}

void sha256_add(struct sha256 *s, const void *p, size_t n)
{
    if (n && !EVP_DigestUpdate(s->ctx, p, n))
        abort();
}

void sha256_end(struct sha256 *s, uint8_t ret[SHA256_LEN])
{
    unsigned len = 0;
    if (!EVP_DigestFinal_ex(s->ctx, ret, &len) || len != SHA256_LEN)
        abort();
}

bool bytes_equal_secret(const void *a, const void *b, size_t n)
{
    return CRYPTO_memcmp(a, b, n) == 0;
}
