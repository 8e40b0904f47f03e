/* lane_identity: the ECDSA P-256 key of this agent and its self-signed certificate, together in one
 * 0600 file (PEM). Nobody looks at the certificate but for its key. */
#include "agent/lane/lane_identity.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/lane/lane_priv.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define IDENTITY_FILE_MAX (64 << 10)
#define IDENTITY_YEARS 50 /* expiry means nothing: the pin decides */

struct lane_identity {
    EVP_PKEY *key;
    X509 *cert;
    uint8_t pin[LANE_PIN_BYTES];
};

int lane_pin_of(X509 *cert, uint8_t ret[LANE_PIN_BYTES])
{
    uint8_t *der = NULL;
    int len = cert ? i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der) : -1;
    if (len <= 0)
        return -EBADMSG;
    (void)SHA256(der, (size_t)len, ret);
    OPENSSL_free(der);
    return 0;
}

static X509 *cert_make(EVP_PKEY *key)
{
    X509 *cert = X509_new();
    if (!cert)
        return NULL;
    X509_NAME *name = X509_get_subject_name(cert);
    bool ok = X509_set_version(cert, 2) && ASN1_INTEGER_set(X509_get_serialNumber(cert), 1) &&
              X509_gmtime_adj(X509_getm_notBefore(cert), -86400) &&
              X509_time_adj_ex(X509_getm_notAfter(cert), IDENTITY_YEARS * 365, 0, NULL) &&
              X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const uint8_t *)"godwit lane",
                                         -1, -1, 0) &&
              X509_set_issuer_name(cert, name) && X509_set_pubkey(cert, key) &&
              X509_sign(cert, key, EVP_sha256()) > 0;
    if (ok)
        return cert;
    X509_free(cert);
    return NULL;
}

static int identity_save(const struct lane_identity *id, const char *path)
{
    BIO *bio = BIO_new(BIO_s_secmem());
    if (!bio)
        return -ENOMEM;
    int rc = -EIO;
    char *pem = NULL;
    if (PEM_write_bio_PrivateKey(bio, id->key, NULL, NULL, 0, NULL, NULL) &&
        PEM_write_bio_X509(bio, id->cert)) {
        long len = BIO_get_mem_data(bio, &pem);
        rc = file_write(path, 0600, pem, (size_t)len);
    }
    BIO_free_all(bio);
    return rc;
}

static int identity_load(struct lane_identity *id, const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return -errno;
    if (st.st_mode & 077)
        return -EPERM;
    char *pem = NULL;
    size_t len = 0;
    int rc = file_read(path, IDENTITY_FILE_MAX, &pem, &len);
    if (rc < 0)
        return rc;
    BIO *bio = BIO_new_mem_buf(pem, (int)len);
    if (bio) {
        id->key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        id->cert = id->key ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    }
    BIO_free(bio);
    OPENSSL_cleanse(pem, len);
    free(pem);
    return id->cert && X509_check_private_key(id->cert, id->key) == 1 ? 0 : -EBADMSG;
}

int lane_identity_load_or_new(const char *path, struct lane_identity **ret)
{
    struct lane_identity *id = xcalloc(1, sizeof *id);
    int rc = identity_load(id, path);
    if (rc == -ENOENT) {
        id->key = EVP_EC_gen("P-256");
        id->cert = id->key ? cert_make(id->key) : NULL;
        rc = id->cert ? identity_save(id, path) : -ENOMEM;
    }
    if (rc == 0)
        rc = lane_pin_of(id->cert, id->pin);
    if (rc < 0) {
        (void)lane_identity_free(id);
        return rc;
    }
    *ret = id;
    return 0;
}

struct lane_identity *lane_identity_free(struct lane_identity *id)
{
    if (!id)
        return NULL;
    EVP_PKEY_free(id->key);
    X509_free(id->cert);
    free(id);
    return NULL;
}

const uint8_t *lane_identity_pin(const struct lane_identity *id)
{
    return id->pin;
}

int lane_identity_use(const struct lane_identity *id, SSL_CTX *ctx)
{
    bool ok =
        SSL_CTX_use_certificate(ctx, id->cert) == 1 && SSL_CTX_use_PrivateKey(ctx, id->key) == 1;
    return ok ? 0 : -EIO;
}
