/* lane_context: the TLS settings of both sides, the pin check, and the handshake with its time
 * limit. */
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/lane/lane_priv.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"

static int check_slot = -1; /* index of the peer check in an SSL */

__attribute__((constructor)) static void check_slot_make(void)
{
    check_slot = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

/* Replaces chain building: a lane peer is who has the pinned key, whoever signed it. */
static int verify_pin(X509_STORE_CTX *store, void *arg)
{
    (void)arg;
    uint8_t pin[LANE_PIN_BYTES];
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    const struct lane_peer_check *check = ssl ? SSL_get_ex_data(ssl, check_slot) : NULL;
    X509 *cert = X509_STORE_CTX_get0_cert(store);
    if (check && lane_pin_of(cert, pin) == 0 && check->allowed(check->arg, pin))
        return 1;
    X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
    return 0;
}

SSL_CTX *lane_context_new(const struct lane_identity *id, bool server)
{
    SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!ctx)
        return NULL;
    bool ok = SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
              SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
              SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                            "TLS_CHACHA20_POLY1305_SHA256") == 1 &&
              lane_identity_use(id, ctx) == 0;
    if (!ok) {
        SSL_CTX_free(ctx);
        return NULL;
    }
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_cert_verify_callback(ctx, verify_pin, NULL);
    /* No resumption: each lane proves both keys anew; and no early data that could be replayed. */
    (void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(ctx, 0);
    (void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    (void)SSL_CTX_set_mode(ctx,
                           SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    /* The source may not: what follows the welcome is not for OpenSSL. The destination may, and has
     * then read all that a stranger sent when it closes: else a reset would overtake its alert. */
    SSL_CTX_set_read_ahead(ctx, server);
    return ctx;
}

static int wait_io(int fd, short events, int cancel_fd, int64_t until_ms)
{
    for (;;) {
        int64_t left = until_ms - clock_mono_ms();
        if (left <= 0)
            return -ETIMEDOUT;
        struct pollfd p[2] = {
            {.fd = fd,        .events = events},
            {.fd = cancel_fd, .events = POLLIN}
        };
        int n = poll(p, 2, (int)left);
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && p[1].revents)
            return -ECANCELED;
        if (n > 0)
            return 0;
    }
}

static int shake(SSL *ssl, int fd, int cancel_fd, int64_t until_ms)
{
    for (;;) {
        ERR_clear_error();
        errno = 0;
        int n = SSL_do_handshake(ssl);
        if (n == 1)
            return 0;
        int what = SSL_get_error(ssl, n);
        if (what != SSL_ERROR_WANT_READ && what != SSL_ERROR_WANT_WRITE) {
            int rc = what == SSL_ERROR_SYSCALL ? (errno ? -errno : -ECONNRESET) : -EACCES;
            ERR_clear_error();
            return rc;
        }
        int rc = wait_io(fd, what == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, cancel_fd, until_ms);
        if (rc < 0)
            return rc;
    }
}

int lane_shake(struct lane **ret, SSL_CTX *ctx, int fd, const struct lane_peer_check *check,
               int cancel_fd, int timeout_ms)
{
    /* ex_data wants a pointer to non-const; verify_pin only reads. */
    union {
        const void *in;
        void *out;
    } arg = {.in = check};
    SSL *ssl = SSL_new(ctx);
    int rc = -ENOMEM;
    if (ssl && SSL_set_fd(ssl, fd) == 1 && SSL_set_ex_data(ssl, check_slot, arg.out) == 1) {
        if (SSL_is_server(ssl))
            SSL_set_accept_state(ssl);
        else
            SSL_set_connect_state(ssl);
        rc = shake(ssl, fd, cancel_fd, clock_mono_ms() + timeout_ms);
    }
    if (rc == 0) {
        (void)SSL_set_ex_data(ssl, check_slot, NULL);
        rc = lane_of(ret, ssl, fd);
    }
    if (rc < 0) {
        SSL_free(ssl);
        (void)fd_close(fd);
    }
    return rc;
}
