/* link: see link.h. */
#include "agent/vm/link.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define SYSFS_NET "/sys/class/net"

const char *link_of(const Godwit__VmHost *h, const Godwit__VmInterface *i)
{
    if (strcmp(i->kind, "bridge") == 0 || strcmp(i->kind, "direct") == 0)
        return i->source;
    for (size_t k = 0; strcmp(i->kind, "network") == 0 && k < h->n_networks; k++)
        if (strcmp(h->networks[k]->name, i->source) == 0)
            return h->networks[k]->bridge;
    return "";
}

bool link_is_there(const char *name, const char *file)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s%s%s", SYSFS_NET, name, *file ? "/" : "", file);
    return *name && !strchr(name, '/') && access(path, F_OK) == 0;
}

uint32_t link_mtu(const char *name)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s/mtu", SYSFS_NET, name);
    char *text = NULL;
    size_t n = 0;
    if (!*name || strchr(name, '/') || file_read(path, 64, &text, &n) < 0)
        return 0;
    unsigned long mtu = strtoul(text, NULL, 10);
    free(text);
    return mtu <= UINT32_MAX ? (uint32_t)mtu : 0;
}
