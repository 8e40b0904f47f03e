/* host_net: network interfaces with their addresses. Worker threads. */
#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/host/host_priv.h"
#include "common/base/mem.h"

static char *sys_line(const char *root, const char *name, const char *what)
{
    CLEANUP(mem_free) char *path = xasprintf("/sys/class/net/%.40s/%s", name, what);
    return host_line(root, path);
}

static uint32_t sys_number(const char *root, const char *name, const char *what)
{
    CLEANUP(mem_free) char *path = xasprintf("/sys/class/net/%.40s/%s", name, what);
    uint64_t n = host_number(root, path);
    return n <= UINT32_MAX ? (uint32_t)n : 0;
}

static Godwit__HostInterface *find(const char *root, Godwit__HostInventory *h, const char *name,
                                   unsigned flags)
{
    CLEANUP(mem_free) char *shown = host_shown(name);
    for (size_t i = 0; i < h->n_interfaces; i++)
        if (strcmp(h->interfaces[i]->name, shown) == 0)
            return h->interfaces[i];
    if (h->n_interfaces == HOST_INTERFACES_MAX)
        return NULL;
    Godwit__HostInterface *i = xcalloc(1, sizeof *i);
    godwit__host_interface__init(i);
    i->name = xstrdup(shown);
    i->mac = sys_line(root, name, "address");
    i->state = xstrdup(flags & IFF_RUNNING ? "up" : "down");
    i->mtu = sys_number(root, name, "mtu");
    i->speed_mbit = sys_number(root, name, "speed");
    i->addresses = xcalloc(HOST_ADDRESSES_MAX, sizeof(char *));
    h->interfaces[h->n_interfaces++] = i;
    return i;
}

static unsigned bits_of(const void *mask, size_t n)
{
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++)
        for (unsigned b = ((const uint8_t *)mask)[i]; b; b &= b - 1)
            bits++;
    return bits;
}

/* "192.0.2.7/24", malloc'd; NULL for what has no such form. */
static char *address_of(const struct ifaddrs *a)
{
    char text[INET6_ADDRSTRLEN];
    const void *at = NULL, *mask = NULL;
    struct sockaddr_in in4, mask4 = {.sin_family = AF_INET};
    struct sockaddr_in6 in6, mask6 = {.sin6_family = AF_INET6};
    if (!a->ifa_addr)
        return NULL;
    if (a->ifa_addr->sa_family == AF_INET) {
        memcpy(&in4, a->ifa_addr, sizeof in4);
        if (a->ifa_netmask)
            memcpy(&mask4, a->ifa_netmask, sizeof mask4);
        at = &in4.sin_addr;
        mask = &mask4.sin_addr;
    } else if (a->ifa_addr->sa_family == AF_INET6) {
        memcpy(&in6, a->ifa_addr, sizeof in6);
        if (a->ifa_netmask)
            memcpy(&mask6, a->ifa_netmask, sizeof mask6);
        at = &in6.sin6_addr;
        mask = &mask6.sin6_addr;
    }
    if (!at || !inet_ntop(a->ifa_addr->sa_family, at, text, sizeof text))
        return NULL;
    return xasprintf("%s/%u", text, bits_of(mask, a->ifa_addr->sa_family == AF_INET ? 4 : 16));
}

bool host_interfaces(const char *root, Godwit__HostInventory *h)
{
    struct ifaddrs *all = NULL;
    bool more = false;
    h->interfaces = xcalloc(HOST_INTERFACES_MAX, sizeof(Godwit__HostInterface *));
    if (getifaddrs(&all) < 0)
        return false;
    for (const struct ifaddrs *a = all; a; a = a->ifa_next) {
        Godwit__HostInterface *i = find(root, h, a->ifa_name, a->ifa_flags);
        char *address = address_of(a);
        bool fits = i && i->n_addresses < HOST_ADDRESSES_MAX;
        more = more || (address && !fits) || !i;
        if (address && fits)
            i->addresses[i->n_addresses++] = address;
        else
            free(address);
    }
    freeifaddrs(all);
    return more;
}
