/* lane: records over one connection: TLS until the welcome, sealed from there on; through a pipe to
 * this very process. A send that must wait keeps reading into the inbox, so that two peers which
 * both send never wait for each other.
 * One thread; lane_abort() from any. */
#include "agent/lane/lane.h"

#include <endian.h>
#include <errno.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/lane/lane_inside.h"
#include "agent/lane/lane_priv.h"
#include "agent/lane/lane_seal.h"
#include "common/base/bucket.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"

#define CLOSE_WAIT_MS 2000
#define SMALL_READ 4096 /* taken in at once while the next record's length is not known */
#define FILL_BYTES (LANE_RECORD_MAX + SEAL_EXTRA_BYTES + SMALL_READ)
#define REC_CLOSE 0 /* sealed: the peer says nothing more */
#define EXPORT_LABEL "EXPORTER-godwit-lane-1"

int lane_of(struct lane **ret, SSL *ssl, int fd)
{
    uint8_t pin[LANE_PIN_BYTES];
    X509 *peer = SSL_get1_peer_certificate(ssl);
    int rc = lane_pin_of(peer, pin);
    X509_free(peer);
    if (rc < 0)
        return -EACCES;
    struct lane *l = xcalloc(1, sizeof *l);
    l->ssl = ssl;
    l->fd = fd;
    l->cancel_fd = -1;
    memcpy(l->pin, pin, sizeof pin);
    l->fill = xmalloc(FILL_BYTES);
    l->lent = xmalloc(FILL_BYTES);
    l->inbox_tail = &l->inbox;
    lane_out_attach(&l->out, ssl);
    *ret = l;
    return 0;
}

struct lane *lane_free(struct lane *l)
{
    if (!l)
        return NULL;
    lane_near_done(l);
    SSL_free(l->ssl);
    (void)fd_close(l->fd);
    (void)lane_seal_free(l->seal_out);
    (void)lane_seal_free(l->seal_in);
    lane_out_done(&l->out);
    free(l->fill);
    free(l->lent);
    free(l->lent_item);
    while (l->inbox) {
        struct inbox_item *i = l->inbox;
        l->inbox = i->next;
        free(i);
    }
    free(l);
    return NULL;
}

void lane_set_cancel(struct lane *l, int cancel_fd)
{
    l->cancel_fd = cancel_fd;
}

void lane_wait_when_full(struct lane *l)
{
    l->waits = true;
}

void lane_set_bucket(struct lane *l, struct bucket *b)
{
    l->bucket = b;
}

void lane_abort(struct lane *l)
{
    (void)shutdown(l->fd, SHUT_RDWR);
}

int lane_fd(const struct lane *l)
{
    return l->fd;
}

const uint8_t *lane_peer_pin(const struct lane *l)
{
    return l->pin;
}

uint64_t lane_blocked_us(const struct lane *l)
{
    return atomic_load(&l->blocked_us);
}

uint64_t lane_wire_bytes(const struct lane *l)
{
    return atomic_load(&l->wire_bytes);
}

/* 0 or -errno for what SSL_read or SSL_write returned; -EAGAIN: wait for the socket. */
static int tls_error(struct lane *l, int n)
{
    int what = SSL_get_error(l->ssl, n), saved = errno;
    if (what == SSL_ERROR_WANT_READ || what == SSL_ERROR_WANT_WRITE)
        return -EAGAIN;
    l->broken = true;
    unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    if (what == SSL_ERROR_ZERO_RETURN)
        return -EPIPE;
    if (what == SSL_ERROR_SYSCALL)
        return saved > 0 ? -saved : -ECONNRESET;
    /* An alert of the peer says that it did not want us; anything else is damage on the way. */
    int reason = ERR_GET_REASON(code);
    if (reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return -ECONNRESET;
    return reason >= SSL_AD_REASON_OFFSET ? -EACCES : -EBADMSG;
}

static int tls_read(struct lane *l, void *to, size_t len, size_t *retn)
{
    ERR_clear_error();
    errno = 0;
    int n = SSL_read_ex(l->ssl, to, len, retn);
    return n == 1 ? 0 : tls_error(l, n);
}

static int record_len(const struct lane *l, size_t *ret)
{
    uint32_t body = 0;
    memcpy(&body, l->fill, sizeof body);
    body = le32toh(body);
    if (body > LANE_RECORD_MAX - LANE_HEADER_BYTES)
        return -EMSGSIZE;
    *ret = LANE_HEADER_BYTES + body;
    return 0;
}

/* 1: a whole record is in fill. 0: nothing more to read now. */
static int fill_by_tls(struct lane *l)
{
    for (;;) {
        size_t want = LANE_HEADER_BYTES, n = 0;
        int rc = l->filled >= LANE_HEADER_BYTES ? record_len(l, &want) : 0;
        if (rc < 0) {
            l->broken = true;
            return rc;
        }
        if (l->filled >= LANE_HEADER_BYTES && l->filled == want)
            return 1;
        rc = tls_read(l, l->fill + l->filled, want - l->filled, &n);
        if (rc == -EAGAIN)
            return 0;
        if (rc < 0)
            return rc;
        l->filled += n;
    }
}

/* 1: some bytes more. 0: none now. -errno. */
static int socket_read(struct lane *l, size_t want)
{
    ssize_t n;
    do
        n = recv(l->fd, l->fill + l->filled, want - l->filled, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    if (n > 0) {
        l->filled += (size_t)n;
        return 1;
    }
    return n == 0 ? -ECONNRESET : errno == EWOULDBLOCK ? 0 : -errno;
}

static int frame_open(struct lane *l, size_t len)
{
    int rc = lane_seal_get(l->seal_in, l->fill, len - LANE_HEADER_BYTES);
    if (rc < 0)
        return rc;
    return l->fill[SEAL_LENGTH_BYTES] == REC_CLOSE ? -EPIPE : 1;
}

static int fill_sealed(struct lane *l)
{
    int rc = 1;
    while (rc == 1) {
        size_t len = 0, want = SMALL_READ;
        if (l->filled >= SEAL_LENGTH_BYTES) {
            rc = record_len(l, &len);
            want = len + SEAL_EXTRA_BYTES;
            if (rc == 0 && l->filled >= want) {
                rc = frame_open(l, len);
                break;
            }
            /* With the next one's length, which saves a call. */
            want += SEAL_LENGTH_BYTES;
        }
        if (rc >= 0)
            rc = socket_read(l, want);
    }
    l->broken = rc < 0;
    return rc;
}

/* 1: a whole record is in fill. 0: nothing more to read now. */
static int fill_some(struct lane *l)
{
    return l->seal_in ? fill_sealed(l) : fill_by_tls(l);
}

/* The bytes of fill that belong to its record; what is behind them goes to the front of next. */
static size_t fill_take(struct lane *l, uint8_t *next)
{
    size_t len = l->filled, used = l->filled;
    if (l->seal_in && record_len(l, &len) == 0)
        used = len + SEAL_EXTRA_BYTES;
    memmove(next, l->fill + used, l->filled - used);
    l->filled -= used;
    return len;
}

/* No further record may fit. */
static bool is_full(const struct lane *l)
{
    return l->inbox_bytes + LANE_RECORD_MAX > LANE_INBOX_MAX;
}

static int drain(struct lane *l)
{
    int rc = 0;
    while (!(l->waits && is_full(l)) && (rc = fill_some(l)) == 1) {
        size_t all = 0;
        rc = record_len(l, &all);
        if (rc < 0 || l->inbox_bytes + all > LANE_INBOX_MAX)
            return rc < 0 ? rc : -ENOBUFS;
        size_t len = all - LANE_HEADER_BYTES;
        struct inbox_item *i = xmalloc(sizeof *i + len);
        *i = (struct inbox_item){.len = len, .type = l->fill[4], .flags = l->fill[5]};
        memcpy(i->data, l->fill + LANE_HEADER_BYTES, len);
        *l->inbox_tail = i;
        l->inbox_tail = &i->next;
        l->inbox_bytes += all;
        (void)fill_take(l, l->fill);
    }
    return rc;
}

/* Waits for the socket, the cancel, or wake_fd. 0: time is over or wake_fd; 1: the socket. */
static int lane_wait(struct lane *l, short events, int wake_fd, int timeout_ms)
{
    struct pollfd p[3] = {
        {.fd = l->fd,        .events = events},
        {.fd = l->cancel_fd, .events = POLLIN},
        {.fd = wake_fd,      .events = POLLIN}
    };
    int n = poll(p, 3, timeout_ms);
    if (n < 0)
        return errno == EINTR ? 1 : -errno;
    if (n > 0 && p[1].revents)
        return -ECANCELED;
    return n > 0 && p[0].revents ? 1 : 0;
}

/* One portion of what waits. 0: all is out. -EAGAIN: go on after *retms; -1: when the socket takes
 * more. */
static int flush_paced(struct lane *l, int *retms)
{
    int64_t wait_ns = 0;
    *retms = -1;
    size_t n = lane_out_left(&l->out);
    size_t may = bucket_take(l->bucket, n, clock_mono_us() * 1000, &wait_ns), sent = 0;
    if (n > 0 && may == 0) {
        *retms = (int)((wait_ns + 999999) / 1000000);
        return -EAGAIN;
    }
    int rc = lane_out_send(&l->out, l->fd, may, &sent);
    if (sent < may)
        bucket_give(l->bucket, may - sent);
    if (rc == 0 && lane_out_left(&l->out) > 0)
        *retms = 0;
    return rc == 0 && *retms == 0 ? -EAGAIN : rc;
}

/* Hands out to the socket; reads meanwhile. */
static int flush(struct lane *l)
{
    for (;;) {
        int wait_ms = -1;
        bool paced = l->bucket && bucket_is_limited(l->bucket);
        int rc = paced ? flush_paced(l, &wait_ms) : lane_out_flush(&l->out, l->fd);
        if (rc != -EAGAIN)
            return rc;
        int64_t from = clock_mono_us();
        short in = l->waits && is_full(l) ? 0 : POLLIN, out = wait_ms < 0 ? POLLOUT : 0;
        rc = lane_wait(l, (short)(in | out), -1, wait_ms);
        atomic_fetch_add(&l->blocked_us, (uint64_t)(clock_mono_us() - from));
        if (rc >= 0)
            rc = drain(l);
        if (rc < 0)
            return rc;
    }
}

static int send_by_tls(struct lane *l, const uint8_t *head, size_t all)
{
    for (size_t at = 0; at < all;) {
        size_t n = 0;
        ERR_clear_error();
        errno = 0;
        int ok = SSL_write_ex(l->ssl, head + at, all - at, &n);
        int rc = ok == 1 ? 0 : tls_error(l, ok);
        if (rc == -EAGAIN)
            rc = flush(l);
        if (rc < 0)
            return rc;
        at += n;
    }
    return 0;
}

int lane_send(struct lane *l, uint8_t type, uint8_t flags, uint8_t *head, size_t len)
{
    if (l->broken)
        return -ECONNRESET;
    if (len > LANE_RECORD_MAX - LANE_HEADER_BYTES)
        return -EMSGSIZE;
    uint32_t body = htole32((uint32_t)len);
    memcpy(head, &body, sizeof body);
    head[4] = type;
    head[5] = flags;
    head[6] = head[7] = 0;
    size_t all = LANE_HEADER_BYTES + len;
    int rc = 0;
    if (lane_out_left(&l->out) > 0) /* of a send that was cancelled */
        rc = flush(l);
    if (rc < 0)
        return rc;
    if (l->pipe)
        rc = lane_near_send(l, head, all);
    else if (l->seal_out)
        rc = lane_seal_put(l->seal_out, head, len, lane_out_room(&l->out, all + SEAL_EXTRA_BYTES));
    else
        rc = send_by_tls(l, head, all);
    if (rc < 0)
        return rc;
    (void)atomic_fetch_add(&l->wire_bytes, all);
    return flush(l);
}

int lane_send_copy(struct lane *l, uint8_t type, uint8_t flags, const void *body, size_t len)
{
    uint8_t *head = xmalloc(LANE_HEADER_BYTES + len);
    if (len)
        memcpy(head + LANE_HEADER_BYTES, body, len);
    int rc = lane_send(l, type, flags, head, len);
    free(head);
    return rc;
}

static void lend_item(struct lane *l, struct lane_record *ret)
{
    struct inbox_item *i = l->inbox;
    l->inbox = i->next;
    if (!l->inbox)
        l->inbox_tail = &l->inbox;
    l->inbox_bytes -= LANE_HEADER_BYTES + i->len;
    l->lent_item = i;
    *ret = (struct lane_record){i->type, i->flags, i->data, i->len};
}

static void lend_fill(struct lane *l, struct lane_record *ret)
{
    uint8_t *p = l->fill;
    size_t len = fill_take(l, l->lent);
    l->fill = l->lent;
    l->lent = p;
    *ret = (struct lane_record){p[4], p[5], p + LANE_HEADER_BYTES, len - LANE_HEADER_BYTES};
}

int lane_receive_or(struct lane *l, int wake_fd, int timeout_ms, struct lane_record *ret)
{
    free(l->lent_item);
    l->lent_item = NULL;
    if (l->pipe)
        return lane_near_receive(l, wake_fd, timeout_ms, ret);
    if (l->inbox) {
        lend_item(l, ret);
        return 1;
    }
    if (l->broken)
        return -ECONNRESET;
    int64_t until = clock_mono_ms() + timeout_ms;
    for (;;) {
        int rc = fill_some(l);
        if (rc == 1) {
            lend_fill(l, ret);
            return 1;
        }
        if (rc < 0)
            return rc;
        int64_t left = timeout_ms < 0 ? -1 : until - clock_mono_ms();
        if (timeout_ms >= 0 && left < 0)
            left = 0;
        rc = lane_wait(l, POLLIN, wake_fd, (int)left);
        if (rc <= 0)
            return rc;
    }
}

int lane_receive(struct lane *l, int timeout_ms, struct lane_record *ret)
{
    return lane_receive_or(l, -1, timeout_ms, ret);
}

/* What the session's secrets are worth to both sides alike, and to nobody else. */
int lane_seal_begin(struct lane *l)
{
    uint8_t secret[2 * SEAL_SECRET_BYTES];
    if (SSL_has_pending(l->ssl) || l->inbox || l->seal_out)
        return -EBADMSG; /* something was said where nothing may be said */
    if (SSL_export_keying_material(l->ssl, secret, sizeof secret, EXPORT_LABEL,
                                   sizeof EXPORT_LABEL - 1, NULL, 0, 0) != 1)
        return -EIO;
    uint8_t *of_client = secret, *of_server = secret + SEAL_SECRET_BYTES;
    bool server = SSL_is_server(l->ssl);
    l->seal_out = lane_seal_new(server ? of_server : of_client, LANE_REKEY_BYTES);
    l->seal_in = lane_seal_new(server ? of_client : of_server, LANE_REKEY_BYTES);
    OPENSSL_cleanse(secret, sizeof secret);
    l->broken = !l->seal_out || !l->seal_in;
    return l->broken ? -EIO : 0;
}

static void close_say(struct lane *l)
{
    uint8_t head[LANE_HEADER_BYTES] = {0};
    if (l->pipe)
        lane_pipe_say_end(l->pipe, l->end);
    else if (!l->seal_out)
        (void)SSL_shutdown(l->ssl);
    else if (lane_out_left(&l->out) == 0)
        (void)lane_seal_put(l->seal_out, head, 0,
                            lane_out_room(&l->out, sizeof head + SEAL_EXTRA_BYTES));
}

void lane_close(struct lane *l)
{
    if (l->broken)
        return;
    close_say(l);
    int64_t until = clock_mono_ms() + CLOSE_WAIT_MS;
    while (lane_out_flush(&l->out, l->fd) == -EAGAIN && clock_mono_ms() < until)
        (void)lane_wait(l, POLLOUT, -1, 50);
    (void)shutdown(l->fd, SHUT_WR);
}
