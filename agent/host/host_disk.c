/* host_disk: the block devices that stand for disks, from /sys/block. Worker threads. */
#include <dirent.h>
#include <stdlib.h>
#include <string.h>

#include "agent/host/host_priv.h"
#include "common/base/mem.h"

#define SECTOR 512U

static bool is_disk(const char *name)
{
    static const char *const not_disks[] = {".", "loop", "ram", "zram", "sr", "fd", "nbd"};
    for (size_t i = 0; i < ARRAY_SIZE(not_disks); i++)
        if (strncmp(name, not_disks[i], strlen(not_disks[i])) == 0)
            return false;
    return true;
}

static uint64_t number_of(const char *root, const char *name, const char *what)
{
    CLEANUP(mem_free) char *path = xasprintf("/sys/block/%.200s/%s", name, what);
    return host_number(root, path);
}

static int by_name(const void *x, const void *y)
{
    const Godwit__HostDisk *const *a = x, *const *b = y;
    return strcmp((*a)->name, (*b)->name);
}

bool host_disks(const char *root, Godwit__HostInventory *h)
{
    bool more = false;
    CLEANUP(mem_free) char *folder = xasprintf("%s/sys/block", root);
    DIR *dir = opendir(folder);
    h->disks = xcalloc(HOST_DISKS_MAX, sizeof(Godwit__HostDisk *));
    for (const struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        uint64_t size = is_disk(e->d_name) ? number_of(root, e->d_name, "size") : 0;
        more = more || (size > 0 && h->n_disks == HOST_DISKS_MAX);
        if (size == 0 || h->n_disks == HOST_DISKS_MAX)
            continue;
        Godwit__HostDisk *d = xcalloc(1, sizeof *d);
        godwit__host_disk__init(d);
        CLEANUP(mem_free) char *model = xasprintf("/sys/block/%.200s/device/model", e->d_name);
        d->name = host_shown(e->d_name);
        d->model = host_line(root, model);
        d->size = size < UINT64_MAX / SECTOR ? size * SECTOR : 0;
        d->rotational = number_of(root, e->d_name, "queue/rotational") == 1;
        d->removable = number_of(root, e->d_name, "removable") == 1;
        h->disks[h->n_disks++] = d;
    }
    if (dir)
        (void)closedir(dir);
    qsort(h->disks, h->n_disks, sizeof h->disks[0], by_name);
    return more;
}
