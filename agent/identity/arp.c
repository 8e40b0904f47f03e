/* arp: frames on a packet socket. Worker thread. */
#include "agent/identity/arp.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"

#define ASK_TIMES 3
#define ASK_MS 60 /* for each; an answer on a segment takes under one */
#define ICMP6 58
#define SOLICIT 135
#define ADVERTISE 136

static const uint8_t everybody[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static size_t frame4(const struct arp_target *t, enum arp_kind kind, uint8_t *f)
{
    static const uint8_t head[] = {0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1};
    memcpy(f, everybody, 6);
    memcpy(f + 6, t->mac, 6);
    memcpy(f + 12, head, sizeof head);
    memcpy(f + 22, t->mac, 6);
    memset(f + 28, 0, 14);
    if (kind == ARP_ANNOUNCE)
        memcpy(f + 28, t->ip, 4);
    memcpy(f + 38, t->ip, 4);
    return 42;
}

/* Over the pseudo header and the message, both even in length. */
static uint16_t checksum6(const uint8_t *ip6, size_t n)
{
    uint32_t sum = (uint32_t)n + ICMP6;
    for (size_t i = 8; i < 40 + n; i += 2)
        sum += (uint32_t)ip6[i] << 8 | ip6[i + 1];
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static size_t frame6(const struct arp_target *t, enum arp_kind kind, uint8_t *f)
{
    uint8_t *ip = f + 14, *m = f + 54;
    bool ask = kind == ARP_PROBE;
    size_t n = ask ? 24 : 32; /* one who has no address yet must not name its own */
    memset(f, 0, 54 + n);
    f[0] = f[1] = 0x33;
    f[5] = 1;
    memcpy(f + 6, t->mac, 6);
    f[12] = 0x86;
    f[13] = 0xdd;
    ip[0] = 0x60;
    ip[5] = (uint8_t)n;
    ip[6] = ICMP6;
    ip[7] = 255;
    ip[24] = 0xff;
    ip[25] = 0x02;
    ip[39] = 1; /* all nodes */
    m[0] = ask ? SOLICIT : ADVERTISE;
    memcpy(m + 8, t->ip, 16);
    if (ask) { /* the group of those whose address ends like this one */
        ip[35] = 1;
        ip[36] = 0xff;
        memcpy(ip + 37, t->ip + 13, 3);
        f[2] = 0xff;
        memcpy(f + 3, t->ip + 13, 3);
    } else {
        memcpy(ip + 8, t->ip, 16);
        m[4] = 0x20; /* override */
        m[24] = 2;
        m[25] = 1;
        memcpy(m + 26, t->mac, 6);
    }
    uint16_t sum = checksum6(ip, n);
    m[2] = (uint8_t)(sum >> 8);
    m[3] = (uint8_t)sum;
    return 54 + n;
}

size_t arp_frame(const struct arp_target *t, enum arp_kind kind, uint8_t ret[ARP_FRAME_MAX])
{
    return t->family == AF_INET ? frame4(t, kind, ret) : frame6(t, kind, ret);
}

int arp_answers(const struct arp_target *t, const uint8_t *f, size_t n, uint8_t retmac[6])
{
    bool yes = false;
    if (n < 14 || memcmp(f + 6, t->mac, 6) == 0)
        return 0;
    if (t->family == AF_INET)
        yes = n >= 42 && f[12] == 0x08 && f[13] == 0x06 && memcmp(f + 28, t->ip, 4) == 0;
    else
        yes = n >= 78 && f[12] == 0x86 && f[13] == 0xdd && f[20] == ICMP6 && f[54] == ADVERTISE &&
              memcmp(f + 62, t->ip, 16) == 0;
    if (yes)
        memcpy(retmac, f + 6, 6);
    return yes;
}

static int target_of(int fd, const char *interface, const char *address, struct arp_target *ret)
{
    struct ifreq r = {.ifr_ifindex = 0};
    char host[INET6_ADDRSTRLEN + 1];
    size_t n = strcspn(address, "/");
    if (n >= sizeof host || strlen(interface) >= sizeof r.ifr_name)
        return -EINVAL;
    memcpy(host, address, n);
    host[n] = '\0';
    ret->family = strchr(host, ':') ? AF_INET6 : AF_INET;
    if (inet_pton(ret->family, host, ret->ip) != 1)
        return -EINVAL;
    (void)snprintf(r.ifr_name, sizeof r.ifr_name, "%s", interface);
    if (ioctl(fd, SIOCGIFHWADDR, &r) < 0)
        return -errno;
    memcpy(ret->mac, r.ifr_hwaddr.sa_data, 6);
    return 0;
}

static int open_on(const char *interface, const char *address, struct arp_target *t)
{
    struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    CLEANUP(fd_close) int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    int rc = target_of(fd, interface, address, t);
    if (rc < 0)
        return rc;
    at.sll_ifindex = (int)if_nametoindex(interface);
    at.sll_protocol = htons(t->family == AF_INET ? ETH_P_ARP : ETH_P_IPV6);
    if (bind(fd, (const struct sockaddr *)&at, sizeof at) < 0)
        return -errno;
    int ret = fd;
    fd = -1;
    return ret;
}

/* 1 when somebody answered within the time. */
static int listen_for(int fd, const struct arp_target *t, uint8_t mac[6])
{
    int64_t until = clock_mono_ms() + ASK_MS;
    for (int64_t left = ASK_MS; left > 0; left = until - clock_mono_ms()) {
        uint8_t f[256];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, (int)left) <= 0)
            continue;
        ssize_t n = recv(fd, f, sizeof f, MSG_DONTWAIT);
        if (n > 0 && arp_answers(t, f, (size_t)n, mac))
            return 1;
    }
    return 0;
}

int arp_in_use(const char *interface, const char *address, char mac[18])
{
    struct arp_target t;
    uint8_t f[ARP_FRAME_MAX], who[6];
    CLEANUP(fd_close) int fd = open_on(interface, address, &t);
    if (fd < 0)
        return fd;
    size_t n = arp_frame(&t, ARP_PROBE, f);
    for (int i = 0; i < ASK_TIMES; i++) {
        if (send(fd, f, n, 0) < 0)
            return -errno;
        if (listen_for(fd, &t, who) == 0)
            continue;
        (void)snprintf(mac, 18, "%02x:%02x:%02x:%02x:%02x:%02x", who[0], who[1], who[2], who[3],
                       who[4], who[5]);
        return 1;
    }
    return 0;
}

int arp_announce(const char *interface, const char *address)
{
    struct arp_target t;
    uint8_t f[ARP_FRAME_MAX];
    CLEANUP(fd_close) int fd = open_on(interface, address, &t);
    if (fd < 0)
        return fd;
    size_t n = arp_frame(&t, ARP_ANNOUNCE, f);
    for (int i = 0; i < 3; i++) {
        if (send(fd, f, n, 0) < 0)
            return -errno;
        (void)poll(NULL, 0, 5);
    }
    return 0;
}
