/* digest: SHA-256. Any thread. */
#include "orchestrator/store/digest.h"

#include <errno.h>
#include <openssl/evp.h>

int digest_sha256(const void *p, size_t n, uint8_t ret[32])
{
    unsigned len = 0;
    return EVP_Digest(p, n, ret, &len, EVP_sha256(), NULL) == 1 && len == 32 ? 0 : -EIO;
}
