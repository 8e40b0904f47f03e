/* lane_server: accepts lanes on one thread; each handshake runs on a short thread of its own,
 * bounded in number and time, so that a slow stranger keeps nobody waiting. */
#include "agent/lane/lane_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_priv.h"
#include "agent/lane/lane_socket.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define SHAKING_MAX 64
#define SHAKE_TIMEOUT_MS 5000
#define HELLO_TIMEOUT_MS 5000
#define BACKLOG 256
#define ACCEPT_PAUSE_MS 20

struct lane_server {
    SSL_CTX *ctx;
    struct ticket_book *book;
    int fd, stop_fd;
    uint16_t port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t quiet;
    unsigned shaking;
};

struct newcomer {
    struct lane_server *server;
    int fd;
};

static bool pin_expected(void *arg, const uint8_t pin[LANE_PIN_BYTES])
{
    struct lane_server *s = arg;
    return ticket_pin_expected(s->book, pin);
}

/* The first record decides; on success the lane belongs to the ticket's session. */
static int let_in(struct lane_server *s, struct lane *l)
{
    struct lane_record r;
    struct lane_hello h;
    int rc = lane_receive(l, HELLO_TIMEOUT_MS, &r);
    if (rc <= 0)
        return rc < 0 ? rc : -ETIMEDOUT;
    if (r.type != LANE_REC_HELLO)
        return -EBADMSG;
    rc = lane_hello_parse(r.data, r.len, &h);
    if (rc == 0) {
        struct ticket_claim claim = {h.id, h.pair, h.secret, lane_peer_pin(l)};
        lane_set_cancel(l, -1);
        lane_set_near(l, h.near);
        rc = ticket_enter(s->book, &claim, l, &h.entry);
    }
    OPENSSL_cleanse(&h, sizeof h);
    if (rc < 0) {
        struct fault f;
        (void)fault_set(&f, rc == -EPROTONOSUPPORT ? FAULT_STOP_JOB : FAULT_RETRY, -rc,
                        rc == -EACCES ? "no such ticket" : "this lane does not speak our version");
        (void)lane_refuse(l, &f);
    }
    return rc;
}

static void *newcomer_run(void *arg)
{
    struct newcomer *n = arg;
    struct lane_server *s = n->server;
    struct lane_peer_check check = {.allowed = pin_expected, .arg = s};
    struct lane *l = NULL;
    int rc = lane_shake(&l, s->ctx, n->fd, &check, s->stop_fd, SHAKE_TIMEOUT_MS);
    if (rc == 0) {
        lane_set_cancel(l, s->stop_fd);
        if (let_in(s, l) < 0) {
            lane_close(l);
            (void)lane_free(l);
        }
    }
    free(n);
    (void)pthread_mutex_lock(&s->lock);
    s->shaking--;
    (void)pthread_cond_broadcast(&s->quiet);
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

static bool shaking_begin(struct lane_server *s)
{
    (void)pthread_mutex_lock(&s->lock);
    bool room = s->shaking < SHAKING_MAX;
    if (room)
        s->shaking++;
    (void)pthread_mutex_unlock(&s->lock);
    return room;
}

static void newcomer_start(struct lane_server *s, int fd)
{
    pthread_t thread;
    pthread_attr_t attr;
    struct newcomer *n = xcalloc(1, sizeof *n);
    *n = (struct newcomer){.server = s, .fd = fd};
    lane_socket_tune(fd);
    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    int rc = pthread_create(&thread, &attr, newcomer_run, n);
    (void)pthread_attr_destroy(&attr);
    if (rc == 0)
        return;
    (void)fd_close(fd);
    free(n);
    (void)pthread_mutex_lock(&s->lock);
    s->shaking--;
    (void)pthread_mutex_unlock(&s->lock);
}

static void *accept_run(void *arg)
{
    struct lane_server *s = arg;
    for (;;) {
        struct pollfd p[2] = {
            {.fd = s->stop_fd, .events = POLLIN},
            {.fd = s->fd,      .events = POLLIN}
        };
        if (poll(p, 2, -1) < 0 && errno != EINTR)
            return NULL;
        if (p[0].revents)
            return NULL;
        if (!p[1].revents)
            continue;
        /* Full: the newcomer waits in the kernel's queue until a handshake ended or timed out. */
        if (!shaking_begin(s)) {
            (void)poll(p, 1, ACCEPT_PAUSE_MS);
            continue;
        }
        int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            newcomer_start(s, fd);
            continue;
        }
        (void)pthread_mutex_lock(&s->lock);
        s->shaking--;
        (void)pthread_mutex_unlock(&s->lock);
        (void)poll(p, 1, ACCEPT_PAUSE_MS); /* out of descriptors: do not spin */
    }
}

static int listen_on(const struct addrinfo *a)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    int on = 1, off = 0;
    lane_socket_tune(fd); /* for those that it accepts: see there */
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(fd, a->ai_addr, a->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
        return fd;
    int rc = -errno;
    (void)fd_close(fd);
    return rc;
}

static int listen_any(const char *address, uint16_t port)
{
    char service[8];
    struct addrinfo *list = NULL;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    (void)snprintf(service, sizeof service, "%u", (unsigned)port);
    bool all = !address || !*address;
    if (getaddrinfo(all ? NULL : address, service, &hints, &list) != 0)
        return -EADDRNOTAVAIL;
    int rc = -EADDRNOTAVAIL;
    /* For every address an IPv6 socket serves both families: try it first. */
    for (int pass = 0; pass < 2 && rc < 0; pass++)
        for (const struct addrinfo *a = list; a && rc < 0; a = a->ai_next)
            if ((a->ai_family == AF_INET6) == (pass == 0))
                rc = listen_on(a);
    freeaddrinfo(list);
    return rc;
}

static uint16_t bound_port(int fd)
{
    struct sockaddr_storage at = {0};
    socklen_t len = sizeof at;
    (void)getsockname(fd, (struct sockaddr *)&at, &len);
    in_port_t port = 0; /* at the same place in both families */
    memcpy(&port, (const char *)&at + offsetof(struct sockaddr_in, sin_port), sizeof port);
    return ntohs(port);
}

int lane_server_start(struct lane_server **ret, const struct lane_identity *id, const char *address,
                      uint16_t port)
{
    int fd = listen_any(address, port);
    if (fd < 0)
        return fd;
    struct lane_server *s = xcalloc(1, sizeof *s);
    s->fd = fd;
    s->port = bound_port(fd);
    s->stop_fd = eventfd(0, EFD_CLOEXEC);
    s->ctx = lane_context_new(id, true);
    s->book = ticket_book_new();
    (void)pthread_mutex_init(&s->lock, NULL);
    (void)pthread_cond_init(&s->quiet, NULL);
    int rc = s->ctx && s->stop_fd >= 0 ? 0 : -ENOMEM;
    if (rc == 0)
        rc = -pthread_create(&s->thread, NULL, accept_run, s);
    if (rc == 0) {
        *ret = s;
        return 0;
    }
    SSL_CTX_free(s->ctx);
    (void)ticket_book_free(s->book);
    (void)fd_close(s->fd);
    if (s->stop_fd >= 0)
        (void)fd_close(s->stop_fd);
    free(s);
    return rc;
}

uint16_t lane_server_port(const struct lane_server *s)
{
    return s->port;
}

struct ticket_book *lane_server_book(struct lane_server *s)
{
    return s->book;
}

struct lane_server *lane_server_stop(struct lane_server *s)
{
    if (!s)
        return NULL;
    (void)eventfd_write(s->stop_fd, 1);
    (void)pthread_join(s->thread, NULL);
    (void)pthread_mutex_lock(&s->lock);
    while (s->shaking > 0)
        (void)pthread_cond_wait(&s->quiet, &s->lock);
    (void)pthread_mutex_unlock(&s->lock);
    (void)fd_close(s->fd);
    (void)fd_close(s->stop_fd);
    SSL_CTX_free(s->ctx);
    (void)ticket_book_free(s->book);
    (void)pthread_mutex_destroy(&s->lock);
    (void)pthread_cond_destroy(&s->quiet);
    free(s);
    return NULL;
}
