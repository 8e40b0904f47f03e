/* curve: CURVE key pairs, their 0600 files, and the one way a socket is secured. Any thread. */
#pragma once
#include <czmq.h>
#include <stdint.h>

#define CURVE_Z85_LEN 40

struct curve_key {
    uint8_t public_key[32];
    uint8_t secret_key[32];
};

void curve_key_new(struct curve_key *ret);
void curve_key_wipe(struct curve_key *key);
/* 0600, written atomically. Load refuses a file that others may read (-EPERM) or a wrong shape
 * (-EBADMSG). */
int curve_key_save(const struct curve_key *key, const char *path);
int curve_key_load(const char *path, struct curve_key *ret);
int curve_key_load_or_new(const char *path, struct curve_key *ret);
void curve_z85(const uint8_t key[32], char ret[CURVE_Z85_LEN + 1]);
int curve_from_z85(const char *z85, uint8_t ret[32]); /* -EINVAL */

/* Server: domain and ZMQ_ZAP_ENFORCE_DOMAIN are both set, limits, heartbeats and (on a ROUTER)
 * MANDATORY too. Call before bind. -EINVAL: no domain; -ENOTCONN: zap (zap.h) is not running in
 * this process. */
int curve_secure_server(zsock_t *sock, const struct curve_key *key, const char *zap_domain);
int curve_secure_client(zsock_t *sock, const struct curve_key *key, const uint8_t server[32]);
/* The one who holds socket has proved this key; NULL when the frame carries no User-Id: drop it.
 * Z85, borrowed from the frame. */
const char *curve_user(zframe_t *frame);
