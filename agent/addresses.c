/* addresses: a netlink socket. Main thread. */
#include "agent/addresses.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "common/base/cleanup.h"

int addresses_watch(void)
{
    const struct sockaddr_nl all = {.nl_family = AF_NETLINK,
                                    .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    CLEANUP(fd_close)
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&all, sizeof all) < 0)
        return -errno;
    int ret = fd;
    fd = -1;
    return ret;
}

/* Of those that a connection may come from: containers that end take link-local ones with them. */
static bool is_loss(const struct nlmsghdr *h)
{
    struct ifaddrmsg m;
    if (h->nlmsg_type != RTM_DELADDR || h->nlmsg_len < NLMSG_LENGTH(sizeof m))
        return false;
    memcpy(&m, (const char *)h + NLMSG_HDRLEN, sizeof m);
    return m.ifa_scope == RT_SCOPE_UNIVERSE;
}

bool addresses_lost(int fd)
{
    _Alignas(struct nlmsghdr) char room[8192];
    bool lost = false;
    for (;;) {
        ssize_t n = recv(fd, room, sizeof room, MSG_DONTWAIT);
        if (n < 0 && errno == ENOBUFS)
            lost = true; /* more happened than it could keep: better once too often */
        else if (n <= 0)
            return lost;
        unsigned left = n > 0 ? (unsigned)n : 0;
        for (const struct nlmsghdr *h = (const struct nlmsghdr *)(const void *)room;
             NLMSG_OK(h, left); h = NLMSG_NEXT(h, left))
            lost = lost || is_loss(h);
    }
}
