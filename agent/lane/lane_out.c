/* lane_out: a BIO that appends to a bounded buffer, and its way to the socket. */
#include "agent/lane/lane_out.h"

#include <errno.h>
#include <openssl/bio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/mem.h"

#define OUT_MAX (64 << 10) /* of what TLS makes: only the handshake and the first records */

static BIO_METHOD *method;

static int out_write(BIO *bio, const char *p, int n)
{
    struct lane_out *o = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    size_t room = OUT_MAX - o->len;
    if (room == 0) {
        BIO_set_retry_write(bio);
        return -1;
    }
    size_t take = (size_t)n < room ? (size_t)n : room;
    memcpy(o->data + o->len, p, take);
    o->len += take;
    return (int)take;
}

static long out_ctrl(BIO *bio, int cmd, long num, void *ptr)
{
    (void)bio;
    (void)num;
    (void)ptr;
    return cmd == BIO_CTRL_FLUSH ? 1 : 0;
}

__attribute__((constructor)) static void method_make(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "lane out");
    if (!method || !BIO_meth_set_write(method, out_write) || !BIO_meth_set_ctrl(method, out_ctrl))
        abort();
}

void lane_out_attach(struct lane_out *o, SSL *ssl)
{
    *o = (struct lane_out){.data = xmalloc(OUT_MAX), .size = OUT_MAX};
    BIO *bio = BIO_new(method);
    if (!bio)
        abort();
    BIO_set_data(bio, o);
    BIO_set_init(bio, 1);
    SSL_set0_wbio(ssl, bio);
}

uint8_t *lane_out_room(struct lane_out *o, size_t n)
{
    if (n > o->size) {
        free(o->data);
        o->size = n + n / 4;
        o->data = xmalloc(o->size);
    }
    o->at = 0;
    o->len = n;
    return o->data;
}

void lane_out_done(struct lane_out *o)
{
    free(o->data);
    *o = (struct lane_out){0};
}

int lane_out_send(struct lane_out *o, int fd, size_t max, size_t *retsent)
{
    size_t from = o->at, end = o->len - from < max ? o->len : from + max;
    int rc = 0;
    while (rc == 0 && o->at < end) {
        ssize_t n = send(fd, o->data + o->at, end - o->at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n >= 0)
            o->at += (size_t)n;
        else if (errno != EINTR)
            rc = errno == EWOULDBLOCK ? -EAGAIN : -errno;
    }
    *retsent = o->at - from;
    if (o->at == o->len)
        o->at = o->len = 0;
    return rc;
}

int lane_out_flush(struct lane_out *o, int fd)
{
    size_t sent = 0;
    return lane_out_send(o, fd, SIZE_MAX, &sent);
}
