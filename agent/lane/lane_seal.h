/* lane_seal: one direction of a lane after its handshake: records under AES-256-GCM with a key that
 * comes from the TLS session (RFC 5705) and a counter for a nonce. It has no socket. One thread.
 *
 * A frame: {u32 length of the body, little-endian}{sealed: u8 type, u8 flags, u16 0, body}{tag,
 * 16}. The length is authenticated too. The nonce is the key's fixed part xor the number of the
 * record, so that a record that is repeated, left out or moved does not open. After
 * LANE_REKEY_BYTES both ends go on with the next key, which HKDF makes of the present secret. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define SEAL_SECRET_BYTES 32
#define SEAL_LENGTH_BYTES 4
#define SEAL_EXTRA_BYTES 16 /* the tag: what a frame has more than its record */
#define LANE_REKEY_BYTES                                                                           \
    (64ULL << 30) /* 2^32 blocks: far below what AES-GCM allows under one key */

struct lane_seal;

/* rekey_bytes: LANE_REKEY_BYTES but in tests. NULL: the library fails. */
struct lane_seal *lane_seal_new(const uint8_t secret[SEAL_SECRET_BYTES], uint64_t rekey_bytes);
struct lane_seal *lane_seal_free(struct lane_seal *s); /* wipes; NULL is fine */
/* record: header and body (LANE_HEADER_BYTES and len); frame has room for SEAL_EXTRA_BYTES more. */
int lane_seal_put(struct lane_seal *s, const uint8_t *record, size_t len, uint8_t *frame);
/* In place: frame becomes header and body. len: of the body, from the frame's first four bytes.
 * -EBADMSG: not the next frame that the peer sealed. */
int lane_seal_get(struct lane_seal *s, uint8_t *frame, size_t len);
