/* lane_gcm: AES-256-GCM by OpenSSL, and the choice. */
#include "agent/lane/lane_gcm.h"

#include <errno.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct gcm_key {
    EVP_CIPHER_CTX *seal, *open;
};

static struct gcm_key *key_free(struct gcm_key *k)
{
    if (!k)
        return NULL;
    EVP_CIPHER_CTX_free(k->seal); /* cleanses what it holds */
    EVP_CIPHER_CTX_free(k->open);
    free(k);
    return NULL;
}

static struct gcm_key *key_new(const uint8_t key[GCM_KEY_BYTES])
{
    struct gcm_key *k = xcalloc(1, sizeof *k);
    k->seal = EVP_CIPHER_CTX_new();
    k->open = EVP_CIPHER_CTX_new();
    bool ok = k->seal && k->open &&
              EVP_EncryptInit_ex(k->seal, EVP_aes_256_gcm(), NULL, key, NULL) == 1 &&
              EVP_DecryptInit_ex(k->open, EVP_aes_256_gcm(), NULL, key, NULL) == 1;
    return ok ? k : key_free(k);
}

static int seal_one(struct gcm_key *k, const struct gcm_record *r, uint8_t rettag[GCM_TAG_BYTES])
{
    int n = 0;
    bool ok = r->len <= INT_MAX && r->aad_len <= INT_MAX &&
              EVP_EncryptInit_ex(k->seal, NULL, NULL, NULL, r->nonce) == 1 &&
              EVP_EncryptUpdate(k->seal, NULL, &n, r->aad, (int)r->aad_len) == 1 &&
              EVP_EncryptUpdate(k->seal, r->out, &n, r->in, (int)r->len) == 1 &&
              EVP_EncryptFinal_ex(k->seal, r->out + r->len, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(k->seal, EVP_CTRL_AEAD_GET_TAG, GCM_TAG_BYTES, rettag) == 1;
    return ok ? 0 : -EIO;
}

static int open_one(struct gcm_key *k, const struct gcm_record *r, const uint8_t tag[GCM_TAG_BYTES])
{
    int n = 0;
    uint8_t wanted[GCM_TAG_BYTES]; /* OpenSSL takes it as writable */
    for (size_t i = 0; i < sizeof wanted; i++)
        wanted[i] = tag[i];
    bool ok = r->len <= INT_MAX && r->aad_len <= INT_MAX &&
              EVP_DecryptInit_ex(k->open, NULL, NULL, NULL, r->nonce) == 1 &&
              EVP_CIPHER_CTX_ctrl(k->open, EVP_CTRL_AEAD_SET_TAG, GCM_TAG_BYTES, wanted) == 1 &&
              EVP_DecryptUpdate(k->open, NULL, &n, r->aad, (int)r->aad_len) == 1 &&
              EVP_DecryptUpdate(k->open, r->out, &n, r->in, (int)r->len) == 1 &&
              EVP_DecryptFinal_ex(k->open, r->out + r->len, &n) == 1;
    if (ok)
        return 0;
    OPENSSL_cleanse(r->out, r->len);
    return -EBADMSG;
}

const struct gcm_library *gcm_openssl(void)
{
    static const struct gcm_library library = {"OpenSSL", key_new, key_free, seal_one, open_one};
    return &library;
}

const struct gcm_library *gcm_best(void)
{
    const struct gcm_library *mb = gcm_ipsec_mb();
    return mb ? mb : gcm_openssl();
}
