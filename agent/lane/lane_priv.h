/* lane_priv: what the files of this room share with each other and with their tests. */
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "agent/lane/lane.h"
#include "agent/lane/lane_pipe.h"

struct lane_identity;

/* Puts key and certificate into a context. */
int lane_identity_use(const struct lane_identity *id, SSL_CTX *ctx);
int lane_pin_of(X509 *cert, uint8_t ret[LANE_PIN_BYTES]);

/* One side's context: TLS 1.3 only, a peer certificate is required; whether its key is wanted is
 * asked of allowed(). */
struct lane_peer_check {
    bool (*allowed)(void *arg, const uint8_t pin[LANE_PIN_BYTES]);
    void *arg;
};
SSL_CTX *lane_context_new(const struct lane_identity *id, bool server);

/* Wraps a session that has shaken hands; fills in the peer's pin. Owns both on success. */
int lane_of(struct lane **ret, SSL *ssl, int fd);
int lane_fd(const struct lane *l); /* its socket: borrowed */

/* From the next record on, both directions are sealed by lane_seal instead of TLS. Both sides call
 * it at the same place: behind the welcome. */
int lane_seal_begin(struct lane *l);

/* Is the other end this very process? Asked and answered by LaneHello and LaneWelcome. */
void lane_set_near(struct lane *l, bool near);
bool lane_is_near(const struct lane *l);
/* In lane_seal_begin()'s place for a lane that is near. Takes p, also when it fails; NULL or a lane
 * that is not near: -EBADMSG. */
int lane_pipe_begin(struct lane *l, struct lane_pipe *p, enum pipe_end end);

/* Takes over the connected, non-blocking fd (closed on failure too) and shakes hands within
 * timeout_ms. cancel_fd: readable ends the wait; -1: none. */
int lane_shake(struct lane **ret, SSL_CTX *ctx, int fd, const struct lane_peer_check *check,
               int cancel_fd, int timeout_ms);
