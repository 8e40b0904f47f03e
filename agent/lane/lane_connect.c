/* lane_connect: from an endpoint to a lane whose peer has the pinned key. Blocking, cancellable. */
#include <errno.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "agent/lane/lane_priv.h"
#include "agent/lane/lane_socket.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define CONNECT_TIMEOUT_MS 10000
#define SHAKE_TIMEOUT_MS 10000
#define USER_TIMEOUT_MS 60000
#define HURRY_MS 12000
#define LONG_LINK_US 3000 /* round trip */
#define QUEUE_US 50000    /* what a queue may add to it */
#define FORSAKE_MS 500

static int set_congestion(int fd, const char *name)
{
    return setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
}

void lane_socket_tune(int fd)
{
    int on = 1, user = USER_TIMEOUT_MS, idle = 15, interval = 5, count = 4;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user, sizeof user);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    /* Before connect: a socket that BBR has once had stays paced. Where BBR is the host's default,
     * cubic is forbidden to whoever may not configure the network; reno never is. */
    if (set_congestion(fd, "cubic") < 0)
        (void)set_congestion(fd, "reno");
}

void lane_socket_hurry(int fd)
{
    int user = HURRY_MS, idle = 4, interval = 2;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user, sizeof user);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
}

bool lane_socket_is_long(int fd)
{
    struct tcp_info info = {.tcpi_rtt = 0};
    socklen_t len = sizeof info;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
           info.tcpi_min_rtt > LONG_LINK_US && info.tcpi_min_rtt != UINT32_MAX;
}

void lane_socket_loss(int fd, struct lane_loss *ret)
{
    struct tcp_info info = {.tcpi_rtt = 0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        info = (struct tcp_info){.tcpi_rtt = 0};
    *ret =
        (struct lane_loss){.sent = info.tcpi_data_segs_out,
                           .resent = info.tcpi_total_retrans,
                           .queued = info.tcpi_rtt > info.tcpi_min_rtt + info.tcpi_min_rtt / 4 * 3};
}

void lane_loss(const struct lane *l, struct lane_loss *ret)
{
    lane_socket_loss(lane_fd(l), ret);
}

bool lane_is_long(const struct lane *l)
{
    return lane_socket_is_long(lane_fd(l));
}

void lane_hurry(struct lane *l)
{
    lane_socket_hurry(lane_fd(l));
}

/* BBR, where the kernel has it, is several times faster than cubic on a long link that loses
 * packets; on a short one its pacing costs a seventh of the processor for nothing. The shortest of
 * the handshake's round trips tells: a single one is as long as a busy host makes it. */
void lane_socket_choose_congestion(int fd)
{
    if (lane_socket_is_long(fd))
        (void)set_congestion(fd, "bbr");
}

/* Cubic fills whatever queue the link has, and then loses packets, its own and those of the agents'
 * orders, whose few are sent again after ever longer waits. BBR leaves it nearly empty, and where
 * there is such a queue its pacing costs nothing. */
void lane_socket_shorten_queue(int fd)
{
    struct tcp_info info = {.tcpi_rtt = 0};
    socklen_t len = sizeof info;
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
        info.tcpi_min_rtt != UINT32_MAX && info.tcpi_rtt > info.tcpi_min_rtt &&
        info.tcpi_rtt - info.tcpi_min_rtt > QUEUE_US)
        (void)set_congestion(fd, "bbr");
}

/* Else the kernel would fill a slow link for minutes with what nobody wants any more, and the order
 * to stop on its way to the other side would wait for its turn. */
void lane_socket_forsake(int fd)
{
    static const struct linger at_once = {.l_onoff = 1};
    struct tcp_info info = {.tcpi_rtt = 0};
    socklen_t len = sizeof info;
    int left = 0;
    if (ioctl(fd, TIOCOUTQ, &left) == 0 &&
        getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
        (uint64_t)left * 1000 > info.tcpi_delivery_rate * FORSAKE_MS)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void lane_shorten_queue(struct lane *l)
{
    lane_socket_shorten_queue(lane_fd(l));
}

void lane_forsake(struct lane *l)
{
    lane_socket_forsake(lane_fd(l));
}

/* "host:port" or "[host]:port" into two strings in one allocation. */
static int endpoint_split(const char *endpoint, char **rethost, const char **retport)
{
    char *host = xstrdup(endpoint), *colon = strrchr(host, ':');
    if (!colon || colon == host || !colon[1]) {
        free(host);
        return -EINVAL;
    }
    *colon = '\0';
    *retport = colon + 1;
    if (host[0] == '[' && colon[-1] == ']') {
        colon[-1] = '\0';
        memmove(host, host + 1, strlen(host)); /* with the NUL */
    }
    *rethost = host;
    return 0;
}

static int connect_wait(int fd, int cancel_fd)
{
    struct pollfd p[2] = {
        {.fd = fd,        .events = POLLOUT},
        {.fd = cancel_fd, .events = POLLIN }
    };
    int n;
    do
        n = poll(p, 2, CONNECT_TIMEOUT_MS);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : -ETIMEDOUT;
    if (p[1].revents)
        return -ECANCELED;
    int err = 0;
    socklen_t len = sizeof err;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) != 0)
        return -errno;
    return -err;
}

static int connect_one(const struct addrinfo *a, int cancel_fd)
{
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    lane_socket_tune(fd);
    int rc = connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : -errno;
    if (rc == -EINPROGRESS)
        rc = connect_wait(fd, cancel_fd);
    if (rc < 0) {
        (void)fd_close(fd);
        return rc;
    }
    return fd;
}

int lane_socket_connect(const char *endpoint, int cancel_fd)
{
    char *host = NULL;
    const char *port = NULL;
    struct addrinfo *list = NULL, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    int rc = endpoint_split(endpoint, &host, &port);
    if (rc < 0)
        return rc;
    if (getaddrinfo(host, port, &hints, &list) != 0)
        rc = -EHOSTUNREACH;
    free(host);
    for (const struct addrinfo *a = list; a; a = a->ai_next) {
        rc = connect_one(a, cancel_fd);
        if (rc >= 0 || rc == -ECANCELED)
            break;
    }
    if (list)
        freeaddrinfo(list);
    return rc;
}

int lane_dial(const char *endpoint, int cancel_fd, uint32_t *retrtt_us)
{
    struct tcp_info info = {.tcpi_rtt = 0};
    socklen_t len = sizeof info;
    int fd = lane_socket_connect(endpoint, cancel_fd);
    bool known = fd >= 0 && getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0;
    *retrtt_us = known && info.tcpi_min_rtt != UINT32_MAX ? info.tcpi_min_rtt : 0;
    return fd;
}

int lane_reach(const char *endpoint, int cancel_fd)
{
    int fd = lane_socket_connect(endpoint, cancel_fd);
    if (fd >= 0)
        (void)fd_close(fd);
    return fd < 0 ? fd : 0;
}

static bool is_pinned(void *arg, const uint8_t pin[LANE_PIN_BYTES])
{
    return memcmp(arg, pin, LANE_PIN_BYTES) == 0;
}

int lane_connect_on(struct lane **ret, int fd, const struct lane_identity *id,
                    const uint8_t pin[LANE_PIN_BYTES], int cancel_fd)
{
    SSL_CTX *ctx = lane_context_new(id, false);
    if (!ctx) {
        (void)fd_close(fd);
        return -ENOMEM;
    }
    uint8_t want[LANE_PIN_BYTES];
    memcpy(want, pin, sizeof want);
    struct lane_peer_check check = {.allowed = is_pinned, .arg = want};
    int rc = lane_shake(ret, ctx, fd, &check, cancel_fd, SHAKE_TIMEOUT_MS);
    SSL_CTX_free(ctx);
    if (rc == 0) {
        lane_socket_choose_congestion(fd);
        lane_set_cancel(*ret, cancel_fd);
    }
    return rc;
}

int lane_connect(struct lane **ret, const struct lane_identity *id, const char *endpoint,
                 const uint8_t pin[LANE_PIN_BYTES], int cancel_fd)
{
    int fd = lane_socket_connect(endpoint, cancel_fd);
    return fd < 0 ? fd : lane_connect_on(ret, fd, id, pin, cancel_fd);
}
