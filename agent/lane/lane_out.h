/* lane_out: what waits for the socket: what TLS made of the first records, later one sealed frame.
 * One thread, the lane's. */
#pragma once
#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

struct lane_out {
    uint8_t *data;
    size_t size;
    size_t at, len; /* data[at … len) waits for the socket */
};

/* From now on ssl writes into o; reading is left as it is. */
void lane_out_attach(struct lane_out *o, SSL *ssl);
/* Room for n bytes, which count as waiting at once; nothing may wait when it is called. */
uint8_t *lane_out_room(struct lane_out *o, size_t n);
void lane_out_done(struct lane_out *o); /* after SSL_free */
/* 0: all is out. -EAGAIN: the socket is full. */
int lane_out_flush(struct lane_out *o, int fd);
/* The same for the next max bytes; *retsent of them went, also when -EAGAIN. */
int lane_out_send(struct lane_out *o, int fd, size_t max, size_t *retsent);
static inline size_t lane_out_left(const struct lane_out *o)
{
    return o->len - o->at;
}
