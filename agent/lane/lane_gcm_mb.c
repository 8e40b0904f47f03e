/* lane_gcm_mb: AES-256-GCM by the intel-ipsec-mb library (Debian has it for amd64 only). */
#include <errno.h>

#include "agent/lane/lane_gcm.h"
#include "agent/lane/mb.h"

#ifdef GODWIT_IPSEC_MB
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

struct gcm_key {
    struct gcm_key_data data; /* aligned as the library wants it */
};

static struct gcm_key *key_new(const uint8_t key[GCM_KEY_BYTES])
{
    struct gcm_key *k = NULL;
    if (posix_memalign((void **)&k, 64, sizeof *k) != 0)
        return NULL;
    memset(k, 0, sizeof *k);
    IMB_AES256_GCM_PRE(mb_manager(), key, &k->data);
    return k;
}

static struct gcm_key *key_free(struct gcm_key *k)
{
    if (k)
        OPENSSL_cleanse(k, sizeof *k);
    free(k);
    return NULL;
}

static int seal_one(struct gcm_key *k, const struct gcm_record *r, uint8_t rettag[GCM_TAG_BYTES])
{
    struct gcm_context_data c;
    IMB_AES256_GCM_ENC(mb_manager(), &k->data, &c, r->out, r->in, r->len, r->nonce, r->aad,
                       r->aad_len, rettag, GCM_TAG_BYTES);
    return 0;
}

static int open_one(struct gcm_key *k, const struct gcm_record *r, const uint8_t tag[GCM_TAG_BYTES])
{
    struct gcm_context_data c;
    uint8_t right[GCM_TAG_BYTES];
    IMB_AES256_GCM_DEC(mb_manager(), &k->data, &c, r->out, r->in, r->len, r->nonce, r->aad,
                       r->aad_len, right, GCM_TAG_BYTES);
    int rc = CRYPTO_memcmp(right, tag, GCM_TAG_BYTES) == 0 ? 0 : -EBADMSG;
    OPENSSL_cleanse(right, sizeof right); /* of a forged record, it is the forger's missing piece */
    if (rc < 0)
        OPENSSL_cleanse(r->out, r->len);
    return rc;
}

const struct gcm_library *gcm_ipsec_mb(void)
{
    static const struct gcm_library library = {"intel-ipsec-mb", key_new, key_free, seal_one,
                                               open_one};
    return mb_manager() ? &library : NULL;
}
#else
const struct gcm_library *gcm_ipsec_mb(void)
{
    return NULL;
}
#endif
