/* host: what this host is and has. Its lists are in files of their own. Worker threads. */
#include "agent/host/host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "agent/host/host_priv.h"
#include "common/base/clock.h"
#include "common/base/confine.h"
#include "common/base/mem.h"

/* The value of PRETTY_NAME="…", printable. */
static char *os_name(const char *root)
{
    static const char key[] = "PRETTY_NAME=";
    CLEANUP(mem_free) char *text = host_read(root, "/etc/os-release", 64 << 10);
    char *rest = text;
    for (char *line = text ? strsep(&rest, "\n") : NULL; line; line = strsep(&rest, "\n")) {
        if (strncmp(line, key, sizeof key - 1) != 0)
            continue;
        char *v = line + sizeof key - 1;
        size_t n = strlen(v);
        if (n >= 2 && (*v == '"' || *v == '\'') && v[n - 1] == *v) {
            v[n - 1] = '\0';
            v++;
        }
        return host_shown(v);
    }
    return xstrdup("");
}

Godwit__HostInventory *host_look(const char *root)
{
    Godwit__HostInventory *h = xcalloc(1, sizeof *h);
    struct utsname u = {.release = ""};
    godwit__host_inventory__init(h);
    (void)uname(&u);
    long cpus = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_PHYS_PAGES);
    h->os = os_name(root);
    h->kernel = host_shown(u.release);
    h->machine = host_shown(u.machine);
    h->hostname = host_shown(u.nodename);
    h->processors = cpus > 0 ? (uint32_t)cpus : 1;
    h->memory_bytes = pages > 0 ? (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    h->now_ms = clock_wall_ms();
    h->capabilities = confine_caps();
    h->samba = host_samba(root);
    bool more = host_volumes(root, h);
    more = host_disks(root, h) || more;
    h->more = host_interfaces(root, h) || more;
    return h;
}

/* All in it was made with malloc, and no text is protobuf-c's own empty one. */
Godwit__HostInventory *host_free(Godwit__HostInventory *h)
{
    if (h)
        godwit__host_inventory__free_unpacked(h, NULL);
    return NULL;
}
