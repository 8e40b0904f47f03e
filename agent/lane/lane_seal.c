/* lane_seal: seals and opens the frames of one direction; keys, nonces and their succession. */
#include "agent/lane/lane_seal.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "agent/lane/lane.h"
#include "agent/lane/lane_gcm.h"
#include "common/base/mem.h"

struct lane_seal {
    const struct gcm_library *gcm;
    struct gcm_key *key;
    uint8_t secret[SEAL_SECRET_BYTES];
    uint8_t iv[GCM_NONCE_BYTES];
    uint64_t number; /* of the next record under this key */
    uint64_t bytes, rekey_bytes;
};

/* HKDF-Expand with SHA-256; label is public. */
static int expand(const uint8_t secret[SEAL_SECRET_BYTES], const char *label, uint8_t *ret,
                  size_t len)
{
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    char digest[] = "SHA256";
    uint8_t key[SEAL_SECRET_BYTES];
    char info[32];
    memcpy(key, secret, sizeof key); /* parameters are of writable things */
    size_t info_len = strlen(label);
    memcpy(info, label, info_len);
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, key, sizeof key),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, info_len),
        OSSL_PARAM_construct_end(),
    };
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
    EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
    bool ok = ctx && EVP_KDF_derive(ctx, ret, len, params) == 1;
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
    OPENSSL_cleanse(key, sizeof key);
    return ok ? 0 : -EIO;
}

/* Key and fixed part of the nonce from the present secret. */
static int key_make(struct lane_seal *s)
{
    uint8_t key[GCM_KEY_BYTES];
    int rc = expand(s->secret, "godwit lane key", key, sizeof key);
    if (rc == 0)
        rc = expand(s->secret, "godwit lane iv", s->iv, sizeof s->iv);
    s->key = s->gcm->key_free(s->key);
    if (rc == 0)
        s->key = s->gcm->key_new(key);
    OPENSSL_cleanse(key, sizeof key);
    s->number = s->bytes = 0;
    return s->key ? 0 : -EIO;
}

static int key_next(struct lane_seal *s)
{
    uint8_t next[SEAL_SECRET_BYTES];
    int rc = expand(s->secret, "godwit lane next", next, sizeof next);
    if (rc == 0)
        memcpy(s->secret, next, sizeof next);
    OPENSSL_cleanse(next, sizeof next);
    return rc == 0 ? key_make(s) : rc;
}

struct lane_seal *lane_seal_new(const uint8_t secret[SEAL_SECRET_BYTES], uint64_t rekey_bytes)
{
    struct lane_seal *s = xcalloc(1, sizeof *s);
    s->gcm = gcm_best();
    s->rekey_bytes = rekey_bytes;
    memcpy(s->secret, secret, sizeof s->secret);
    return key_make(s) == 0 ? s : lane_seal_free(s);
}

struct lane_seal *lane_seal_free(struct lane_seal *s)
{
    if (!s)
        return NULL;
    (void)s->gcm->key_free(s->key);
    OPENSSL_cleanse(s, sizeof *s);
    free(s);
    return NULL;
}

/* Before each record, at both ends alike: a due change of the key, then this record's nonce. */
static int nonce_next(struct lane_seal *s, size_t len, uint8_t ret[GCM_NONCE_BYTES])
{
    int rc = s->bytes >= s->rekey_bytes ? key_next(s) : 0;
    if (rc < 0 || !s->key)
        return -EIO;
    uint64_t number = s->number++;
    memcpy(ret, s->iv, GCM_NONCE_BYTES);
    for (unsigned i = 0; i < sizeof number; i++)
        ret[GCM_NONCE_BYTES - 1 - i] ^= (uint8_t)(number >> (8 * i));
    s->bytes += len;
    return 0;
}

int lane_seal_put(struct lane_seal *s, const uint8_t *record, size_t len, uint8_t *frame)
{
    uint8_t nonce[GCM_NONCE_BYTES];
    size_t sealed = LANE_HEADER_BYTES - SEAL_LENGTH_BYTES + len;
    int rc = nonce_next(s, sealed, nonce);
    if (rc < 0)
        return rc;
    memcpy(frame, record, SEAL_LENGTH_BYTES);
    struct gcm_record r = {
        nonce, frame, SEAL_LENGTH_BYTES, record + SEAL_LENGTH_BYTES, frame + SEAL_LENGTH_BYTES,
        sealed};
    return s->gcm->seal(s->key, &r, frame + SEAL_LENGTH_BYTES + sealed);
}

int lane_seal_get(struct lane_seal *s, uint8_t *frame, size_t len)
{
    uint8_t nonce[GCM_NONCE_BYTES];
    size_t sealed = LANE_HEADER_BYTES - SEAL_LENGTH_BYTES + len;
    int rc = nonce_next(s, sealed, nonce);
    if (rc < 0)
        return rc;
    uint8_t *text = frame + SEAL_LENGTH_BYTES;
    struct gcm_record r = {nonce, frame, SEAL_LENGTH_BYTES, text, text, sealed};
    return s->gcm->open(s->key, &r, text + sealed);
}
