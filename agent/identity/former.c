/* former: a file of addresses and cards in a cutover's folder, and the question on the segment. */
#include "agent/identity/former.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/identity/arp.h"
#include "agent/identity/net.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define FILE_MAX 4096U
#define CARD_MS 5000 /* for a card to appear, and to have its link */
#define ASKED 3      /* so often, each as often as arp asks */
#define PAUSE_MS 200

/* ── the file ── */

int former_note(const char *folder, const Godwit__IdentityPlan *p)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/" FORMER_FILE, folder);
    struct buf b;
    size_t all = 0;
    buf_init(&b, FILE_MAX);
    for (size_t m = 0; m < p->n_moves; m++)
        for (size_t i = 0; i < p->moves[m]->n_addresses && all < FORMER_MAX; i++) {
            const char *a = p->moves[m]->addresses[i]->address;
            if (!net_address_valid(a))
                continue;
            CLEANUP(mem_free)
            char *line = xasprintf("%.*s %.17s %.17s\n", (int)strcspn(a, "/"), a,
                                   p->moves[m]->from_mac, p->moves[m]->to_mac);
            buf_put(&b, line, strlen(line));
            all++;
        }
    int rc = b.overflow ? -E2BIG : all ? file_write(path, 0600, b.data, b.len) : 0;
    buf_done(&b);
    return rc;
}

static bool is_mac(char *text)
{
    for (size_t i = 0; i < 17; i++) {
        if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
            return false;
        text[i] = (char)tolower((unsigned char)text[i]);
    }
    return text[17] == '\0';
}

size_t former_parse(const char *text, struct former ret[FORMER_MAX])
{
    size_t n = 0;
    for (const char *at = text; *at && n < FORMER_MAX; at += strcspn(at, "\n"), at += *at == '\n') {
        struct former f;
        char line[128] = "";
        size_t len = strcspn(at, "\n");
        if (len >= sizeof line)
            continue;
        memcpy(line, at, len);
        if (sscanf(line, "%63s %17s %17s", f.address, f.theirs, f.mine) == 3 &&
            net_host_valid(f.address) && is_mac(f.theirs) && is_mac(f.mine))
            ret[n++] = f;
    }
    return n;
}

/* ── the question ── */

static bool has_mac(const char *interface, const char *mac)
{
    CLEANUP(mem_free) char *path = xasprintf("/sys/class/net/%s/address", interface);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    return file_read(path, 64, &text, &len) == 0 && strncasecmp(text, mac, 17) == 0;
}

static bool find_card(const char *mac, char ret[IF_NAMESIZE])
{
    bool found = false;
    DIR *d = opendir("/sys/class/net");
    for (const struct dirent *e; d && !found && (e = readdir(d)) != NULL;) {
        found = strlen(e->d_name) < IF_NAMESIZE && has_mac(e->d_name, mac);
        if (found)
            (void)snprintf(ret, IF_NAMESIZE, "%.15s", e->d_name);
    }
    if (d)
        (void)closedir(d);
    return found;
}

/* Set up when it is not; 1: it has its link. */
static int link_of(const char *interface)
{
    struct ifreq r = {.ifr_ifindex = 0};
    CLEANUP(fd_close) int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    (void)snprintf(r.ifr_name, sizeof r.ifr_name, "%s", interface);
    if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &r) < 0)
        return -errno;
    if (r.ifr_flags & IFF_RUNNING)
        return 1;
    r.ifr_flags |= IFF_UP;
    return ioctl(fd, SIOCSIFFLAGS, &r) < 0 ? -errno : 0;
}

static bool await_card(const char *mac, int64_t until, char ret[IF_NAMESIZE])
{
    for (;;) {
        if (find_card(mac, ret) && link_of(ret) > 0)
            return true;
        if (clock_mono_ms() > until)
            return false;
        (void)poll(NULL, 0, 50);
    }
}

static bool answers(const struct former *f, const char *interface)
{
    char who[18] = "";
    return arp_in_use(interface, f->address, who) > 0 && strcasecmp(who, f->theirs) == 0;
}

bool former_is_back(const char *folder)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/" FORMER_FILE, folder);
    CLEANUP(mem_free) char *text = NULL;
    struct former all[FORMER_MAX];
    char interface[IF_NAMESIZE] = "";
    size_t len = 0;
    if (file_read(path, FILE_MAX, &text, &len) < 0)
        return false;
    size_t n = former_parse(text, all);
    int64_t until = clock_mono_ms() + CARD_MS;
    for (int round = 0; round < ASKED; round++) {
        for (size_t i = 0; i < n; i++)
            if (await_card(all[i].mine, until, interface) && answers(&all[i], interface))
                return true;
        (void)poll(NULL, 0, round + 1 < ASKED && n ? PAUSE_MS : 0);
    }
    return false;
}
