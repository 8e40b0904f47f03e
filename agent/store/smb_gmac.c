/* smb_gmac: two libraries for one sum. The key is set up once for all messages: that costs more
 * than a short message does. */
#include "agent/store/smb_gmac.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "agent/lane/mb.h"

struct smb_gmac {
#ifdef GODWIT_IPSEC_MB
    _Alignas(64) struct gcm_key_data mb; /* the library's header says so to itself alone */
#endif
    EVP_CIPHER_CTX *openssl; /* NULL: by the other one */
};

static struct smb_gmac *room(void)
{
    struct smb_gmac *g = NULL;
    if (posix_memalign((void **)&g, 64, sizeof *g) != 0)
        return NULL;
    memset(g, 0, sizeof *g);
    return g;
}

struct smb_gmac *smb_gmac_new_openssl(const uint8_t key[SMB_GMAC_BYTES])
{
    struct smb_gmac *g = room();
    if (!g)
        return NULL;
    g->openssl = EVP_CIPHER_CTX_new();
    if (!g->openssl || EVP_EncryptInit_ex(g->openssl, EVP_aes_128_gcm(), NULL, key, NULL) != 1)
        return smb_gmac_free(g);
    return g;
}

struct smb_gmac *smb_gmac_free(struct smb_gmac *g)
{
    if (!g)
        return NULL;
    EVP_CIPHER_CTX_free(g->openssl);
    OPENSSL_cleanse(g, sizeof *g);
    free(g);
    return NULL;
}

static bool by_openssl(EVP_CIPHER_CTX *c, const uint8_t nonce[SMB_NONCE_BYTES], const uint8_t *m,
                       size_t n, uint8_t ret[SMB_GMAC_BYTES])
{
    int len = 0;
    return EVP_EncryptInit_ex(c, NULL, NULL, NULL, nonce) == 1 &&
           EVP_EncryptUpdate(c, NULL, &len, m, (int)n) == 1 &&
           EVP_EncryptFinal_ex(c, ret, &len) == 1 &&
           EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, SMB_GMAC_BYTES, ret) == 1;
}

#ifdef GODWIT_IPSEC_MB
struct smb_gmac *smb_gmac_new(const uint8_t key[SMB_GMAC_BYTES])
{
    struct smb_gmac *g = mb_manager() ? room() : NULL;
    if (!g)
        return smb_gmac_new_openssl(key);
    IMB_AES128_GCM_PRE(mb_manager(), key, &g->mb);
    return g;
}

bool smb_gmac_of(struct smb_gmac *g, const uint8_t nonce[SMB_NONCE_BYTES], const uint8_t *m,
                 size_t n, uint8_t ret[SMB_GMAC_BYTES])
{
    struct gcm_context_data c;
    if (n > INT32_MAX)
        return false;
    if (g->openssl)
        return by_openssl(g->openssl, nonce, m, n, ret);
    IMB_AES128_GMAC_INIT(mb_manager(), &g->mb, &c, nonce, SMB_NONCE_BYTES);
    IMB_AES128_GMAC_UPDATE(mb_manager(), &g->mb, &c, m, n);
    IMB_AES128_GMAC_FINALIZE(mb_manager(), &g->mb, &c, ret, SMB_GMAC_BYTES);
    return true;
}
#else
struct smb_gmac *smb_gmac_new(const uint8_t key[SMB_GMAC_BYTES])
{
    return smb_gmac_new_openssl(key);
}

bool smb_gmac_of(struct smb_gmac *g, const uint8_t nonce[SMB_NONCE_BYTES], const uint8_t *m,
                 size_t n, uint8_t ret[SMB_GMAC_BYTES])
{
    return n <= INT32_MAX && by_openssl(g->openssl, nonce, m, n, ret);
}
#endif
