/* vault: OpenSSL's adapter for secrets at rest: {12 bytes of nonce}{ciphertext}{16 of tag}. */
#include "orchestrator/store/vault.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define KEY_LEN 32U
#define NONCE_LEN 12U
#define TAG_LEN 16U
#define SECRET_MAX (1U << 20)
#define NAME "godwit-vault"

struct vault {
    uint8_t key[KEY_LEN];
};

static int take_key(struct vault *v, const char *path)
{
    CLEANUP(mem_free) char *hex = NULL;
    size_t len = 0;
    int rc = file_read(path, (size_t)2 * KEY_LEN + 1, &hex, &len);
    if (rc < 0)
        return rc;
    if (len > 0 && hex[len - 1] == '\n')
        hex[len - 1] = '\0';
    rc = text_unhex(hex, v->key, KEY_LEN) < 0 ? -EBADMSG : 0;
    explicit_bzero(hex, len);
    return rc;
}

static int new_key(struct vault *v, const char *path)
{
    char hex[2 * KEY_LEN + 1];
    int rc = text_random(v->key, KEY_LEN);
    if (rc < 0)
        return rc;
    text_hex(v->key, KEY_LEN, hex);
    rc = file_write(path, 0600, hex, 2UL * KEY_LEN);
    explicit_bzero(hex, sizeof hex);
    return rc;
}

static int own_key(struct vault *v, const char *path, struct fault *reterr)
{
    struct stat st;
    int rc = stat(path, &st) < 0 ? -errno : 0;
    if (rc == 0 && (st.st_mode & 077))
        return fault_set(reterr, FAULT_STOP_JOB, EPERM,
                         "others may read the key of the credentials '%s': chmod 600 it", path);
    rc = rc == -ENOENT ? new_key(v, path) : rc == 0 ? take_key(v, path) : rc;
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, -rc,
                              "cannot use the key of the credentials '%s'", path)
                  : 0;
}

int vault_open(struct vault **ret, const char *state_dir, struct fault *reterr)
{
    CLEANUP(vault_close) struct vault *v = xcalloc(1, sizeof *v);
    const char *given = getenv("CREDENTIALS_DIRECTORY");
    CLEANUP(mem_free) char *handed = xasprintf("%s/" NAME, given ? given : "");
    CLEANUP(mem_free) char *own = xasprintf("%s/vault.key", state_dir);
    int rc = given ? take_key(v, handed) : -ENOENT;
    if (rc == -ENOENT)
        rc = own_key(v, own, reterr);
    else if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc,
                         "the systemd credential " NAME " must be 64 hex digits");
    if (rc < 0)
        return rc;
    *ret = v;
    v = NULL;
    return 0;
}

struct vault *vault_close(struct vault *v)
{
    if (v)
        explicit_bzero(v, sizeof *v);
    free(v);
    return NULL;
}

int vault_seal(const struct vault *v, const char *label, const void *secret, size_t len, void **ret,
               size_t *retlen)
{
    int n = 0;
    if (len > SECRET_MAX)
        return -E2BIG;
    uint8_t *out = xmalloc(NONCE_LEN + len + TAG_LEN);
    (void)text_random(out, NONCE_LEN);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    bool ok = c && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, v->key, out) == 1 &&
              EVP_EncryptUpdate(c, NULL, &n, (const uint8_t *)label, (int)strlen(label)) == 1 &&
              EVP_EncryptUpdate(c, out + NONCE_LEN, &n, secret, (int)len) == 1 &&
              EVP_EncryptFinal_ex(c, out + NONCE_LEN + n, &n) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, TAG_LEN, out + NONCE_LEN + len) == 1;
    EVP_CIPHER_CTX_free(c);
    if (!ok) {
        free(out);
        return -EIO;
    }
    *ret = out;
    *retlen = NONCE_LEN + len + TAG_LEN;
    return 0;
}

int vault_unseal(const struct vault *v, const char *label, const void *sealed, size_t len,
                 void **ret, size_t *retlen)
{
    int n = 0;
    if (len < NONCE_LEN + TAG_LEN || len > SECRET_MAX + NONCE_LEN + TAG_LEN)
        return -EBADMSG;
    const uint8_t *in = sealed;
    size_t body = len - NONCE_LEN - TAG_LEN;
    uint8_t *out = xmalloc(body + 1), tag[TAG_LEN];
    memcpy(tag, in + NONCE_LEN + body, TAG_LEN);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    bool ok = c && EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, v->key, in) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, TAG_LEN, tag) == 1 &&
              EVP_DecryptUpdate(c, NULL, &n, (const uint8_t *)label, (int)strlen(label)) == 1 &&
              EVP_DecryptUpdate(c, out, &n, in + NONCE_LEN, (int)body) == 1 &&
              EVP_DecryptFinal_ex(c, out + n, &n) == 1;
    EVP_CIPHER_CTX_free(c);
    if (!ok) {
        vault_wipe(out, body);
        return -EBADMSG;
    }
    out[body] = '\0';
    *ret = out;
    *retlen = body;
    return 0;
}

void vault_wipe(void *secret, size_t len)
{
    if (secret)
        explicit_bzero(secret, len);
    free(secret);
}
