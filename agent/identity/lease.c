/* lease: networkd's own file of a lease, dhclient's process. Worker thread, or a process of its
 * own. */
#include "agent/identity/lease.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "agent/identity/service.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define TEXT_MAX 65536
#define WORDS_MAX 32
#define END_MS 3000
#define BEGIN_MS 15000

static char *read_text(const struct site *v, const char *path, size_t *retlen)
{
    CLEANUP(mem_free) char *full = xasprintf("%s%s", v->root, path);
    char *text = NULL;
    return file_read(full, TEXT_MAX, &text, retlen) < 0 ? NULL : text;
}

/* ── networkd ── */

static char *networkd_lease(const struct site *v, const char *interface)
{
    CLEANUP(mem_free) char *path = xasprintf("/sys/class/net/%s/ifindex", interface);
    size_t len = 0;
    CLEANUP(mem_free) char *number = read_text(v, path, &len);
    if (!number)
        return NULL;
    CLEANUP(mem_free)
    char *lease = xasprintf("/run/systemd/netif/leases/%ld", strtol(number, NULL, 10));
    return read_text(v, lease, &len);
}

/* Words that mean nothing but themselves in a file of networkd. */
static char *value_of(const char *text, const char *key)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.:- ";
    size_t n = strlen(key);
    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        if (strncmp(at, key, n) != 0)
            continue;
        CLEANUP(mem_free) char *value = xmemdup(at + n, strcspn(at + n, "\n"));
        return *value && strspn(value, plain) == strlen(value) ? xstrdup(value) : NULL;
    }
    return NULL;
}

void lease_names(const struct site *v, const char *interface, char **retdns, char **retdomain)
{
    CLEANUP(mem_free) char *text = networkd_lease(v, interface);
    *retdns = text ? value_of(text, "DNS=") : NULL;
    *retdomain = text ? value_of(text, "DOMAINNAME=") : NULL;
}

/* ── dhclient ── */

/* Of the file that ifupdown has it write; 0: none that runs. */
static pid_t dhclient_of(const struct site *v, const char *interface)
{
    CLEANUP(mem_free) char *path = xasprintf("/run/dhclient.%s.pid", interface);
    size_t len = 0;
    CLEANUP(mem_free) char *number = read_text(v, path, &len);
    long pid = number ? strtol(number, NULL, 10) : 0;
    CLEANUP(mem_free) char *comm = xasprintf("/proc/%ld/comm", pid);
    CLEANUP(mem_free) char *name = pid > 1 ? read_text(v, comm, &len) : NULL;
    /* A number is somebody else's after a while. */
    return name && strncmp(name, "dhclient\n", 9) == 0 ? (pid_t)pid : 0;
}

enum lease_holder lease_find(const struct site *v, const char *interface)
{
    CLEANUP(mem_free) char *text = networkd_lease(v, interface);
    return text ? LEASE_NETWORKD : dhclient_of(v, interface) ? LEASE_DHCLIENT : LEASE_UNKNOWN;
}

void lease_tell(const struct site *v, Godwit__UndoInterface *i)
{
    pid_t pid = dhclient_of(v, i->name);
    CLEANUP(mem_free) char *path = xasprintf("/proc/%ld/cmdline", (long)pid);
    size_t len = 0;
    CLEANUP(mem_free) char *words = pid ? read_text(v, path, &len) : NULL;
    if (!words || i->n_client)
        return;
    i->client = xcalloc(WORDS_MAX, sizeof *i->client);
    for (size_t at = 0; at < len && i->n_client < WORDS_MAX; at += strlen(words + at) + 1)
        i->client[i->n_client++] = xstrdup(words + at);
}

int lease_end(const struct site *v, const char *interface, struct fault *reterr)
{
    int64_t until = clock_mono_ms() + END_MS;
    pid_t pid = dhclient_of(v, interface);
    if (!pid)
        return 0;
    (void)kill(pid, SIGTERM);
    while (kill(pid, 0) == 0) {
        if (clock_mono_ms() > until + END_MS)
            return fault_set(reterr, FAULT_STOP_JOB, ETIMEDOUT,
                             "the DHCP client of %.20s does not end", interface);
        if (clock_mono_ms() > until)
            (void)kill(pid, SIGKILL);
        (void)poll(NULL, 0, 10);
    }
    return 0;
}

/* In a unit of its own: it goes on when this process has ended. Begun before this returns: it is
 * asked for once for each note of the network, and one client is enough. It keeps the address that
 * is there until its server has answered. */
int lease_begin(const struct site *v, const Godwit__UndoInterface *was, struct fault *reterr)
{
    const char *argv[WORDS_MAX + 8] = {"systemd-run", "-q", "--collect", "--service-type=forking"};
    size_t n = 4;
    if (!was->n_client || was->n_client > WORDS_MAX || dhclient_of(v, was->name))
        return 0;
    argv[n++] = was->client[0];
    argv[n++] = "-nw"; /* does not wait for an answer */
    for (size_t i = 1; i < was->n_client; i++)
        argv[n++] = was->client[i];
    return service_tool(v, argv, BEGIN_MS, reterr);
}
