/* host_volume: the file systems that are mounted, from mountinfo. Worker threads. */
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "agent/host/host_priv.h"
#include "common/base/mem.h"

#define MOUNTS_MAX_BYTES (4 << 20)

/* What the kernel makes up holds nobody's files. */
static const char *const made_up[] = {
    "proc",      "sysfs",   "devtmpfs", "devpts",   "cgroup",      "cgroup2",  "securityfs",
    "debugfs",   "tracefs", "pstore",   "bpf",      "configfs",    "mqueue",   "hugetlbfs",
    "autofs",    "nsfs",    "fusectl",  "ramfs",    "binfmt_misc", "efivarfs", "rpc_pipefs",
    "selinuxfs", "smackfs", "resctrl",  "squashfs", "nfsd",
};

static bool is_one_of(const char *text, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

/* One that hangs when its server does is not asked. */
static bool may_hang(const char *type)
{
    static const char *const network[] = {"nfs", "nfs4", "cifs", "smb3", "ceph", "9p", "afs"};
    return is_one_of(type, network, ARRAY_SIZE(network)) || strncmp(type, "fuse", 4) == 0;
}

/* \040 and the like, in place. */
static void unescape(char *s)
{
    char *to = s;
    for (const char *p = s; *p; p++) {
        bool octal = p[0] == '\\' && p[1] >= '0' && p[1] <= '3' && p[2] >= '0' && p[2] <= '7' &&
                     p[3] >= '0' && p[3] <= '7';
        char c = *p;
        if (octal) {
            c = (char)((p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0'));
            p += 3;
        }
        *to++ = c;
    }
    *to = '\0';
}

static void measure(const char *root, const char *mount, Godwit__HostVolume *v)
{
    struct statvfs s;
    CLEANUP(mem_free) char *path = xasprintf("%s%s", root, mount);
    if (statvfs(path, &s) < 0)
        return;
    v->measured = true;
    v->size = (uint64_t)s.f_blocks * s.f_frsize;
    v->used = (uint64_t)(s.f_blocks - s.f_bfree) * s.f_frsize;
    v->free = (uint64_t)s.f_bavail * s.f_frsize;
    v->inodes = s.f_files;
    v->inodes_free = s.f_ffree;
}

/* id parent maj:min root mount options [tags…] - type source options. NULL: nothing to show. */
static Godwit__HostVolume *volume_of(const char *root, char *line)
{
    char *field[6] = {NULL}, *rest = line;
    for (size_t i = 0; i < ARRAY_SIZE(field); i++)
        if ((field[i] = strsep(&rest, " ")) == NULL)
            return NULL;
    char *tail = rest && strncmp(rest, "- ", 2) != 0 ? strstr(rest, " - ") : rest;
    if (!tail)
        return NULL;
    tail += *tail == '-' ? 2 : 3;
    char *type = strsep(&tail, " "), *source = strsep(&tail, " "), *own = tail ? tail : NULL;
    if (!source || is_one_of(type, made_up, ARRAY_SIZE(made_up)))
        return NULL;
    Godwit__HostVolume *v = xcalloc(1, sizeof *v);
    godwit__host_volume__init(v);
    unescape(field[4]);
    unescape(source);
    CLEANUP(mem_free) char *options = xasprintf("%s;%s", field[5], own ? own : "");
    v->mount = host_shown(field[4]);
    v->source = host_shown(source);
    v->file_system = host_shown(type);
    v->options = host_shown(options);
    if (!may_hang(type))
        measure(root, field[4], v);
    return v;
}

/* A mount over another hides it: the later line holds. */
static void put(Godwit__HostInventory *h, Godwit__HostVolume *v, bool *retmore)
{
    for (size_t i = 0; i < h->n_volumes; i++) {
        if (strcmp(h->volumes[i]->mount, v->mount) != 0)
            continue;
        godwit__host_volume__free_unpacked(h->volumes[i], NULL);
        h->volumes[i] = v;
        return;
    }
    if (h->n_volumes == HOST_VOLUMES_MAX) {
        *retmore = true;
        godwit__host_volume__free_unpacked(v, NULL);
        return;
    }
    h->volumes[h->n_volumes++] = v;
}

bool host_volumes(const char *root, Godwit__HostInventory *h)
{
    bool more = false;
    CLEANUP(mem_free) char *text = host_read(root, "/proc/self/mountinfo", MOUNTS_MAX_BYTES);
    char *rest = text;
    h->volumes = xcalloc(HOST_VOLUMES_MAX, sizeof(Godwit__HostVolume *));
    for (char *line = text ? strsep(&rest, "\n") : NULL; line; line = strsep(&rest, "\n")) {
        Godwit__HostVolume *v = volume_of(root, line);
        if (v)
            put(h, v, &more);
    }
    return more;
}
