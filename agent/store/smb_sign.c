/* smb_sign: keys of a session, signatures of messages and their encryption. OpenSSL's adapter for
 * SMB. */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <string.h>

#include "agent/store/smb_priv.h"
#include "common/base/mem.h"

#define SIGNATURE_AT 48

void smb_preauth(uint8_t hash[64], const void *message, size_t n)
{
    unsigned len = 64;
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    if (!c || EVP_DigestInit_ex(c, EVP_sha512(), NULL) != 1 || EVP_DigestUpdate(c, hash, 64) != 1 ||
        EVP_DigestUpdate(c, message, n) != 1 || EVP_DigestFinal_ex(c, hash, &len) != 1)
        memset(hash, 0, 64); /* no key follows from it that the server has too */
    EVP_MD_CTX_free(c);
}

/* SP 800-108 in counter mode, one block of HMAC-SHA256. label and context with their NUL. */
static void derive(const uint8_t key[SMB_KEY], const void *label, size_t label_len,
                   const void *context, size_t context_len, uint8_t ret[SMB_KEY])
{
    uint8_t in[160] = {0, 0, 0, 1}, mac[32];
    unsigned n = sizeof mac;
    size_t at = 4;
    memcpy(in + at, label, label_len);
    at += label_len;
    in[at++] = 0;
    memcpy(in + at, context, context_len);
    at += context_len;
    memcpy(in + at, "\0\0\0\x80", 4);
    at += 4;
    if (!HMAC(EVP_sha256(), key, SMB_KEY, in, at, mac, &n))
        memset(mac, 0, sizeof mac);
    memcpy(ret, mac, SMB_KEY);
    OPENSSL_cleanse(mac, sizeof mac);
}

void smb_sign_done(struct smb *s)
{
    s->gmac = smb_gmac_free(s->gmac);
}

void smb_keys(struct smb *s, const uint8_t key[SMB_KEY])
{
    if (s->dialect < 0x0300) {
        memcpy(s->sign_key, key, SMB_KEY);
    } else if (s->dialect < 0x0311) {
        derive(key, "SMB2AESCMAC", 12, "SmbSign", 8, s->sign_key);
    } else {
        derive(key, "SMBSigningKey", 14, s->preauth, 64, s->sign_key);
        derive(key, "SMBC2SCipherKey", 16, s->preauth, 64, s->seal_key);
        derive(key, "SMBS2CCipherKey", 16, s->preauth, 64, s->open_key);
    }
    smb_sign_done(s);
    if (s->signing == SMB_SIGN_GMAC)
        s->gmac = smb_gmac_new(s->sign_key); /* NULL: no signature is good then */
}

static bool mac_cmac(const uint8_t key[SMB_KEY], const uint8_t *m, size_t n, uint8_t ret[16])
{
    size_t len = 16;
    OSSL_PARAM params[] = {
        {"cipher", OSSL_PARAM_UTF8_STRING, (void *)(uintptr_t) "AES-128-CBC", 11, 0},
        {NULL,     0,                      NULL,                              0,  0}
    };
    EVP_MAC *mac = EVP_MAC_fetch(NULL, "CMAC", NULL);
    EVP_MAC_CTX *c = mac ? EVP_MAC_CTX_new(mac) : NULL;
    bool ok = c && EVP_MAC_init(c, key, SMB_KEY, params) == 1 && EVP_MAC_update(c, m, n) == 1 &&
              EVP_MAC_final(c, ret, &len, 16) == 1;
    EVP_MAC_CTX_free(c);
    EVP_MAC_free(mac);
    return ok;
}

static bool mac_gmac(struct smb_gmac *g, const uint8_t *m, size_t n, uint8_t ret[16])
{
    uint8_t nonce[SMB_NONCE_BYTES] = {0};
    memcpy(nonce, m + 24, 8);
    nonce[8] = le32(m + 16) & SMB_FLAG_RESPONSE ? 1 : 0;
    return g && smb_gmac_of(g, nonce, m, n, ret);
}

/* The signature field holds zeros. */
static bool mac_of(const struct smb *s, const uint8_t *m, size_t n, uint8_t ret[16])
{
    uint8_t mac[32];
    unsigned len = sizeof mac;
    if (n > INT32_MAX)
        return false;
    if (s->signing == SMB_SIGN_CMAC)
        return mac_cmac(s->sign_key, m, n, ret);
    if (s->signing == SMB_SIGN_GMAC)
        return mac_gmac(s->gmac, m, n, ret);
    if (!HMAC(EVP_sha256(), s->sign_key, SMB_KEY, m, n, mac, &len))
        return false;
    memcpy(ret, mac, 16);
    return true;
}

void smb_sign(const struct smb *s, uint8_t *m, size_t n)
{
    put32(m + 16, le32(m + 16) | SMB_FLAG_SIGNED);
    memset(m + SIGNATURE_AT, 0, 16);
    uint8_t mac[16] = {0};
    if (mac_of(s, m, n, mac))
        memcpy(m + SIGNATURE_AT, mac, 16);
}

bool smb_signature_good(const struct smb *s, uint8_t *m, size_t n)
{
    uint8_t told[16], mac[16];
    if (!(le32(m + 16) & SMB_FLAG_SIGNED))
        return false;
    memcpy(told, m + SIGNATURE_AT, 16);
    memset(m + SIGNATURE_AT, 0, 16);
    return mac_of(s, m, n, mac) && CRYPTO_memcmp(mac, told, 16) == 0;
}

/* ── encryption: AES-128-GCM; the header from byte 20 on is what is authenticated beside ── */

int smb_seal(struct smb *s, const uint8_t *m, size_t n, struct buf *ret)
{
    uint8_t *h = n < SMB_FRAME_MAX ? buf_reserve(ret, SMB_TRANSFORM + n) : NULL;
    int len = 0;
    if (!h)
        return -EMSGSIZE;
    memset(h, 0, SMB_TRANSFORM);
    memcpy(h, "\xfdSMB", 4);
    put64(h + 20, ++s->seal_nonce); /* the keys are this session's own: a count never repeats */
    put32(h + 36, (uint32_t)n);
    put16(h + 42, 1);
    put64(h + 44, s->session);
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    bool ok = c && EVP_EncryptInit_ex(c, EVP_aes_128_gcm(), NULL, s->seal_key, h + 20) == 1 &&
              EVP_EncryptUpdate(c, NULL, &len, h + 20, 32) == 1 &&
              EVP_EncryptUpdate(c, h + SMB_TRANSFORM, &len, m, (int)n) == 1 &&
              EVP_EncryptFinal_ex(c, h + SMB_TRANSFORM + len, &len) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, 16, h + 4) == 1;
    EVP_CIPHER_CTX_free(c);
    ret->len += SMB_TRANSFORM + n;
    return ok ? 0 : -EIO;
}

int smb_unseal(const struct smb *s, uint8_t *f, size_t n)
{
    int len = 0;
    if (n < SMB_TRANSFORM + SMB_HEADER || n > INT32_MAX || le64(f + 44) != s->session)
        return -EBADMSG;
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    uint8_t *m = f + SMB_TRANSFORM;
    bool ok = c && EVP_DecryptInit_ex(c, EVP_aes_128_gcm(), NULL, s->open_key, f + 20) == 1 &&
              EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, 16, f + 4) == 1 &&
              EVP_DecryptUpdate(c, NULL, &len, f + 20, 32) == 1 &&
              EVP_DecryptUpdate(c, m, &len, m, (int)(n - SMB_TRANSFORM)) == 1 &&
              EVP_DecryptFinal_ex(c, m + len, &len) == 1;
    EVP_CIPHER_CTX_free(c);
    return ok ? 0 : -EBADMSG;
}
