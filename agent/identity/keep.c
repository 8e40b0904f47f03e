/* keep: finding the manager, writing its file. Worker thread. */
#include "agent/identity/keep.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/identity/lease.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

const char *keep_name(enum keep_manager m)
{
    static const char *const names[] = {[KEEP_NONE] = "",
                                        [KEEP_NETWORKD] = "networkd",
                                        [KEEP_IFUPDOWN] = "ifupdown",
                                        [KEEP_NETWORKMANAGER] = "NetworkManager",
                                        [KEEP_NETPLAN] = "netplan"};
    return names[m];
}

static char *read_text(const struct site *v, const char *path)
{
    CLEANUP(mem_free) char *full = xasprintf("%s%s", v->root, path);
    char *text = NULL;
    size_t len = 0;
    return file_read(full, KEEP_FILE_MAX, &text, &len) < 0 ? NULL : text;
}

/* The value of "KEY=…" at the beginning of a line; malloc'd, NULL for none. */
static char *value_of(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
        if (strncmp(at, key, n) == 0)
            return xmemdup(at + n, strcspn(at + n, "\n"));
    return NULL;
}

/* The names of a folder's files that end so and fit, the last by name: it counts. "" for none. */
static char *last_file(const struct site *v, const char *folder, const char *end,
                       bool (*fits)(const char *text, const void *arg), const void *arg)
{
    CLEANUP(mem_free) char *full = xasprintf("%s%s", v->root, folder);
    char *found = xstrdup("");
    DIR *d = opendir(full);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name), k = strlen(end);
        CLEANUP(mem_free) char *path = xasprintf("%s/%s", folder, e->d_name);
        if (e->d_name[0] == '.' || n <= k || strcmp(e->d_name + n - k, end) != 0 ||
            strcmp(path, found) < 0)
            continue;
        CLEANUP(mem_free) char *text = read_text(v, path);
        if (!text || !fits(text, arg))
            continue;
        free(found);
        found = path;
        path = NULL;
    }
    if (d)
        (void)closedir(d);
    return found;
}

static bool has_uuid(const char *text, const void *arg)
{
    CLEANUP(mem_free) char *uuid = value_of(text, "uuid=");
    return uuid && strcmp(uuid, arg) == 0;
}

static bool has_interface(const char *text, const void *arg)
{
    return keep_netplan_has(text, arg);
}

/* Below another: then nobody's hand wrote it, and its own file is netplan's. */
static char *netplan_file(const struct site *v, const char *interface)
{
    CLEANUP(mem_free) char *path = xasprintf("/sys/class/net/%s/address", interface);
    CLEANUP(mem_free) char *mac = read_text(v, path);
    if (mac)
        mac[strcspn(mac, "\n")] = '\0';
    const struct net_want w = {.mac = mac ? mac : "", .name = interface};
    return last_file(v, "/etc/netplan", ".yaml", has_interface, &w);
}

static enum keep_manager of_networkd(const struct site *v, const char *interface, char **retfile)
{
    CLEANUP(mem_free) char *path = xasprintf("/sys/class/net/%s/ifindex", interface);
    CLEANUP(mem_free) char *number = read_text(v, path);
    if (!number)
        return KEEP_NONE;
    CLEANUP(mem_free)
    char *state = xasprintf("/run/systemd/netif/links/%ld", strtol(number, NULL, 10));
    CLEANUP(mem_free) char *text = read_text(v, state);
    CLEANUP(mem_free) char *admin = text ? value_of(text, "ADMIN_STATE=") : NULL;
    CLEANUP(mem_free) char *file = text ? value_of(text, "NETWORK_FILE=") : NULL;
    if (!admin || strcmp(admin, "unmanaged") == 0 || !file || *file != '/')
        return KEEP_NONE;
    bool netplan = strncmp(file, "/run/systemd/network/10-netplan-", 32) == 0;
    *retfile = netplan ? netplan_file(v, interface) : xstrdup(file);
    return netplan ? KEEP_NETPLAN : KEEP_NETWORKD;
}

static bool has_stanza(const char *text, const char *interface)
{
    CLEANUP(mem_free) char *copy = xstrdup(text);
    char *save = NULL;
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        char word[8], name[32];
        if (sscanf(line, " %7s %31s", word, name) == 2 && strcmp(word, "iface") == 0 &&
            strcmp(name, interface) == 0)
            return true;
    }
    return false;
}

static bool is_ifupdown_file(const struct site *v, const char *path, const char *interface)
{
    CLEANUP(mem_free) char *text = read_text(v, path);
    return text && has_stanza(text, interface);
}

static enum keep_manager of_ifupdown(const struct site *v, const char *interface, char **retfile)
{
    static const char main_file[] = "/etc/network/interfaces";
    CLEANUP(mem_free) char *folder = xasprintf("%s%s.d", v->root, main_file);
    if (is_ifupdown_file(v, main_file, interface)) {
        *retfile = xstrdup(main_file);
        return KEEP_IFUPDOWN;
    }
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && !*retfile && (e = readdir(d)) != NULL;) {
        char *path = xasprintf("%s.d/%s", main_file, e->d_name);
        if (e->d_name[0] != '.' && is_ifupdown_file(v, path, interface))
            *retfile = path;
        else
            free(path);
    }
    if (d)
        (void)closedir(d);
    return *retfile ? KEEP_IFUPDOWN : KEEP_NONE;
}

static enum keep_manager of_networkmanager(const struct site *v, const char *interface,
                                           char **retfile)
{
    CLEANUP(mem_free) char *path = xasprintf("/sys/class/net/%s/ifindex", interface);
    CLEANUP(mem_free) char *number = read_text(v, path);
    CLEANUP(mem_free)
    char *state =
        xasprintf("/run/NetworkManager/devices/%ld", number ? strtol(number, NULL, 10) : 0);
    CLEANUP(mem_free) char *text = number ? read_text(v, state) : NULL;
    CLEANUP(mem_free) char *managed = text ? value_of(text, "managed=") : NULL;
    CLEANUP(mem_free) char *uuid = text ? value_of(text, "connection-uuid=") : NULL;
    if (!managed || (strcmp(managed, "true") != 0 && strcmp(managed, "1") != 0))
        return KEEP_NONE;
    *retfile = last_file(v, "/etc/NetworkManager/system-connections", ".nmconnection", has_uuid,
                         uuid ? uuid : "");
    if (**retfile)
        return KEEP_NETWORKMANAGER;
    free(*retfile);
    *retfile = netplan_file(v, interface);
    return **retfile ? KEEP_NETPLAN : KEEP_NETWORKMANAGER;
}

enum keep_manager keep_find(const struct site *v, const char *interface, char **retfile)
{
    char *file = NULL;
    enum keep_manager m = of_networkd(v, interface, &file);
    if (m == KEEP_NONE)
        m = of_networkmanager(v, interface, &file);
    if (m == KEEP_NONE)
        m = of_ifupdown(v, interface, &file);
    *retfile = file ? file : xstrdup("");
    return m;
}

/* What lies in /usr/lib belongs to a package: a copy in /etc takes its place. */
static char *own_path(const char *file)
{
    const char *name = strrchr(file, '/');
    bool ours = strncmp(file, "/etc/", 5) == 0 || !name;
    return ours ? xstrdup(file) : xasprintf("/etc/systemd/network%s", name);
}

static int edit(enum keep_manager m, const char *text, const struct net_want *w, char **ret,
                struct fault *reterr)
{
    if (m == KEEP_NETWORKD)
        return keep_networkd(text, w, ret, reterr);
    if (m == KEEP_IFUPDOWN)
        return keep_ifupdown(text, w, ret, reterr);
    if (m == KEEP_NETWORKMANAGER && *text)
        return keep_networkmanager(text, w, ret, reterr);
    if (m == KEEP_NETPLAN && *text)
        return keep_netplan(text, w, ret, reterr);
    return fault_set(reterr, FAULT_STOP_JOB, EOPNOTSUPP,
                     "%s has interface %.20s: its files have to be changed by hand",
                     m == KEEP_NONE ? "nobody that is known" : keep_name(m), w->name);
}

/* The manager's file as it is and as it would be; all malloc'd. */
static int render(const struct site *v, const struct net_want *w, char **retfile, char **retnow,
                  char **retafter, struct fault *reterr)
{
    enum keep_manager m = keep_find(v, w->name, retfile);
    *retnow = **retfile ? read_text(v, *retfile) : xstrdup("");
    if (!*retnow)
        return fault_set(reterr, FAULT_STOP_JOB, EIO, "cannot read %.100s", *retfile);
    struct net_want own = *w;
    CLEANUP(mem_free) char *dns = NULL;
    CLEANUP(mem_free) char *domain = NULL;
    lease_names(v, w->name, &dns, &domain);
    own.dns = dns;
    own.domain = domain;
    return edit(m, *retnow, &own, retafter, reterr);
}

int keep_try(const struct site *v, const struct net_want *w, struct fault *reterr)
{
    CLEANUP(mem_free) char *file = NULL;
    CLEANUP(mem_free) char *text = NULL;
    CLEANUP(mem_free) char *after = NULL;
    return render(v, w, &file, &text, &after, reterr);
}

int keep_write(const struct site *v, const struct net_want *w, struct fault *reterr)
{
    CLEANUP(mem_free) char *file = NULL;
    CLEANUP(mem_free) char *text = NULL;
    CLEANUP(mem_free) char *after = NULL;
    int rc = render(v, w, &file, &text, &after, reterr);
    if (rc < 0 || strcmp(text, after) == 0)
        return rc;
    CLEANUP(mem_free) char *mine = own_path(file);
    CLEANUP(mem_free) char *full = xasprintf("%s%s", v->root, mine);
    struct stat st = {.st_mode = 0644};
    (void)stat(full, &st);
    rc = undo_keep_file(v->undo, full);
    if (rc == 0)
        rc = file_write(full, st.st_mode & 07777, after, strlen(after));
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write %.100s: %s", full,
                         strerror(-rc));
    return 1;
}

static void tell(const struct site *v, const char *const *argv)
{
    const struct program_call c = {.argv = argv, .search = v->search, .timeout_ms = 10000};
    struct program_output o;
    struct fault unused = {.err = 0};
    if (program_run(&c, &o, &unused) == 0)
        program_done(&o);
}

void keep_reload(const struct site *v, const char *interface)
{
    CLEANUP(mem_free) char *file = NULL;
    static const char *const networkd[] = {"networkctl", "reload", NULL};
    static const char *const nm[] = {"nmcli", "connection", "reload", NULL};
    static const char *const netplan[] = {"netplan", "generate", NULL};
    enum keep_manager m = keep_find(v, interface, &file);
    if (m == KEEP_NETPLAN)
        tell(v, netplan);
    if (m == KEEP_NETWORKD || m == KEEP_NETPLAN)
        tell(v, networkd);
    if (m == KEEP_NETWORKMANAGER)
        tell(v, nm);
}
