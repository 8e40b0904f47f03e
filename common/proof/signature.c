/* signature: libcrypto's Ed25519 behind our words; the only file that knows its calls. */
#include "common/proof/signature.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/mem.h"

#define KEY_FILE_MAX 4096

struct sign_key {
    EVP_PKEY *key;
    uint8_t public_key[SIGN_PUBLIC_BYTES];
};

static int key_save(const struct sign_key *k, const char *path)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    if (!bio)
        return -ENOMEM;
    int rc = -EIO;
    char *pem = NULL;
    if (PEM_write_bio_PrivateKey(bio, k->key, NULL, NULL, 0, NULL, NULL)) {
        long len = BIO_get_mem_data(bio, &pem);
        rc = file_write(path, 0600, pem, (size_t)len);
    }
    BIO_free_all(bio);
    return rc;
}

static int key_load(struct sign_key *k, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return -errno;
    if (st.st_mode & 077)
        return -EPERM;
    char *pem = NULL;
    size_t len = 0;
    int rc = file_read(path, KEY_FILE_MAX, &pem, &len);
    if (rc < 0)
        return rc;
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    if (bio)
        k->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
    BIO_free(bio);
    OPENSSL_cleanse(pem, len);
    free(pem);
    return k->key && EVP_PKEY_get_base_id(k->key) == EVP_PKEY_ED25519 ? 0 : -EBADMSG;
}

static int public_of(struct sign_key *k)
{
    size_t n = sizeof k->public_key;
    bool ok = EVP_PKEY_get_raw_public_key(k->key, k->public_key, &n) == 1;
    return ok && n == sizeof k->public_key ? 0 : -EBADMSG;
}

int sign_key_load_or_new(const char *path, struct sign_key **ret)
{
    CLEANUP(sign_key_free) struct sign_key *k = xcalloc(1, sizeof *k);
    int rc = key_load(k, path);
    if (rc == -ENOENT) {
        k->key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        rc = k->key ? key_save(k, path) : -ENOMEM;
    }
    if (rc == 0)
        rc = public_of(k);
    if (rc < 0)
        return rc;
    *ret = k;
    k = NULL;
    return 0;
}

struct sign_key *sign_key_free(struct sign_key *k)
{
    if (k) {
        EVP_PKEY_free(k->key);
        free(k);
    }
    return NULL;
}

const uint8_t *sign_key_public(const struct sign_key *k)
{
    return k->public_key;
}

int sign_make(const struct sign_key *k, const void *p, size_t n, uint8_t ret[SIGN_BYTES])
{
    size_t len = SIGN_BYTES;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->key) == 1 &&
              EVP_DigestSign(ctx, ret, &len, p, n) == 1 && len == SIGN_BYTES;
    EVP_MD_CTX_free(ctx);
    return ok ? 0 : -EIO;
}

int sign_check(const uint8_t public_key[SIGN_PUBLIC_BYTES], const void *p, size_t n,
               const uint8_t signature[SIGN_BYTES])
{
    EVP_PKEY *key =
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public_key, SIGN_PUBLIC_BYTES);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = key && ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key) == 1 &&
              EVP_DigestVerify(ctx, signature, SIGN_BYTES, p, n) == 1;
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok ? 0 : -EBADMSG;
}
