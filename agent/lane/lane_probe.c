/* lane_probe: do packets of the size that a connection there sends arrive, when nobody may cut
 * them? Blocking, cancellable. */
#include <errno.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "agent/lane/lane.h"
#include "agent/lane/lane_socket.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define ROUNDS 3
#define SILENT_ROUNDS 2
#define ANSWER_MS 400
#define RTT_MAX_MS 2000U
#define REST_MS 1200
#define SMALL 64
#define STAMP_BYTES 12 /* of a connection's packets that have the time in them */
#define PACKET_MAX 65000U

struct probe {
    int fd;           /* to the same address and port, in packets that nobody may cut */
    uint32_t headers; /* of each */
    uint32_t packet;  /* what a full one of the connection has, with all headers; 0: not told */
    int wait_ms;      /* for an answer */
    int cancel_fd;
};

static void measure(int connection, bool v6, struct probe *p)
{
    struct tcp_info info = {.tcpi_rtt = 0};
    socklen_t len = sizeof info;
    if (getsockopt(connection, IPPROTO_TCP, TCP_INFO, &info, &len) < 0)
        return;
    uint32_t all = info.tcpi_snd_mss + (v6 ? 60 : 40) +
                   (info.tcpi_options & TCPI_OPT_TIMESTAMPS ? STAMP_BYTES : 0);
    uint32_t rtt_ms = info.tcpi_rtt / 1000;
    p->packet = all < PACKET_MAX ? all : PACKET_MAX;
    p->headers = v6 ? 48 : 28;
    p->wait_ms = ANSWER_MS + (int)(2 * (rtt_ms < RTT_MAX_MS ? rtt_ms : RTT_MAX_MS));
}

static int open_probe(int connection, struct probe *p)
{
    struct sockaddr_storage to;
    socklen_t len = sizeof to;
    int v4 = IP_PMTUDISC_PROBE, v6 = IPV6_PMTUDISC_PROBE;
    if (getpeername(connection, (struct sockaddr *)&to, &len) < 0)
        return -errno;
    p->fd = socket(to.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (p->fd < 0)
        return -errno;
    measure(connection, to.ss_family == AF_INET6, p);
    int rc = to.ss_family == AF_INET6
                 ? setsockopt(p->fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof v6)
                 : setsockopt(p->fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof v4);
    return rc < 0 || connect(p->fd, (struct sockaddr *)&to, len) < 0 ? -errno : 0;
}

/* 1: the other host, or one on the way, said something of it. 0: nobody did. -ECANCELED. */
static int is_answered(const struct probe *p, uint32_t bytes)
{
    static const char zeros[PACKET_MAX];
    struct pollfd on[2] = {
        {.fd = p->fd,        .events = 0     },
        {.fd = p->cancel_fd, .events = POLLIN}
    };
    int err = 0;
    socklen_t len = sizeof err;
    (void)getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &err, &len); /* a late answer to one before */
    if (send(p->fd, zeros, bytes - p->headers, 0) < 0)
        return errno == EMSGSIZE;
    int n = poll(on, 2, p->wait_ms);
    if (n > 0 && on[1].revents)
        return -ECANCELED;
    return n > 0 && on[0].revents != 0;
}

static int rest(const struct probe *p)
{
    struct pollfd on = {.fd = p->cancel_fd, .events = POLLIN};
    return poll(&on, 1, REST_MS) > 0 ? -ECANCELED : 0;
}

/* A host answers once a second and a few times more, whoever asks. So the large one goes first,
 * with a rest before it; that it was lost counts when a small one behind it was not, each time. */
static int probe_path(const struct probe *p, enum lane_path *ret)
{
    int answered = 0, silent = 0;
    *ret = LANE_PATH_SILENT;
    while (answered < ROUNDS && silent < SILENT_ROUNDS) {
        int rc = answered + silent > 0 ? rest(p) : 0;
        int large = rc < 0 ? rc : is_answered(p, p->packet);
        int small = large != 0 ? large : is_answered(p, SMALL);
        if (small < 0)
            return small;
        if (large) {
            *ret = LANE_PATH_WHOLE;
            return 0;
        }
        answered += small;
        silent += !small;
    }
    if (answered == ROUNDS)
        *ret = LANE_PATH_SWALLOWED;
    return 0;
}

int lane_probe(const char *endpoint, int cancel_fd, uint32_t *retpacket, enum lane_path *ret)
{
    struct probe p = {.fd = -1, .cancel_fd = cancel_fd};
    CLEANUP(fd_close) int fd = lane_socket_connect(endpoint, cancel_fd);
    if (fd < 0)
        return fd;
    int rc = open_probe(fd, &p) == 0 && p.packet > SMALL ? probe_path(&p, ret) : 1;
    if (rc <= 0)
        *retpacket = p.packet;
    (void)fd_close(p.fd);
    return rc < 0 ? rc : 0;
}
