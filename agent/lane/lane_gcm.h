/* lane_gcm: AES-256-GCM by whichever library is fastest on this processor: intel-ipsec-mb where it
 * was built in and the processor has vector AES (2.4 times as fast as OpenSSL 3.0's on an EPYC with
 * VAES), else OpenSSL. Both make the same bytes. A key belongs to one thread at a time. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define GCM_KEY_BYTES 32
#define GCM_NONCE_BYTES 12
#define GCM_TAG_BYTES 16

struct gcm_key; /* opaque: each library's own */

/* One record. A nonce is used once under one key. */
struct gcm_record {
    const uint8_t *nonce;
    const uint8_t *aad;
    size_t aad_len;
    const uint8_t *in;
    uint8_t *out; /* may be in */
    size_t len;
};

struct gcm_library {
    const char *name;
    struct gcm_key *(*key_new)(const uint8_t key[GCM_KEY_BYTES]);
    struct gcm_key *(*key_free)(struct gcm_key *k); /* wipes; NULL is fine */
    int (*seal)(struct gcm_key *k, const struct gcm_record *r, uint8_t rettag[GCM_TAG_BYTES]);
    /* -EBADMSG: forged or damaged; out is wiped then. */
    int (*open)(struct gcm_key *k, const struct gcm_record *r, const uint8_t tag[GCM_TAG_BYTES]);
};

const struct gcm_library *gcm_openssl(void);
const struct gcm_library *gcm_ipsec_mb(void); /* NULL: not built in, or the processor is too old */
const struct gcm_library *gcm_best(void);
