/* meter: hears the heartbeats of one test machine and says how long it was silent; reads its disk
 * and says whether a record is missing. Not installed.
 *
 *   godwit-meter PORT          until SIGTERM; then prints, as at SIGUSR1; SIGUSR2 begins anew:
 *                              {"heard":N,"lost":N,"twice":N,"boots":N,"gap_ms":X,"at":N,"record":N}
 *   godwit-meter check IMAGE   raw image: {"boot":"…","records":N,"first":N,"last":N,"missing":N}
 *
 * gap_ms: the longest silence, as heard here, at: behind which heartbeat; also that which lasts.
 * twice: a number heard again of the same boot: two copies run. record: the last one that the
 * machine knew to be on its disk. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/lab/guest.h"

static volatile sig_atomic_t over, wanted, anew;

struct heard {
    unsigned long heard, lost, twice, boots, last, record, at;
    char boot[GUEST_BOOT_LEN + 1];
    double when, gap;
};

static void on_signal(int sig)
{
    wanted |= sig == SIGUSR1;
    anew |= sig == SIGUSR2;
    over |= sig == SIGTERM;
}

static double now_s(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void silence(struct heard *h, double now)
{
    if (h->heard && now - h->when > h->gap) {
        h->gap = now - h->when;
        h->at = h->last;
    }
}

/* "HB <number> <boot> <record>" */
static void take(struct heard *h, char *text)
{
    char *end = NULL;
    double now = now_s();
    if (strncmp(text, "HB ", 3) != 0)
        return;
    unsigned long n = strtoul(text + 3, &end, 10);
    if (*end != ' ' || strlen(end) < 2 + GUEST_BOOT_LEN || end[1 + GUEST_BOOT_LEN] != ' ')
        return;
    silence(h, now);
    if (memcmp(h->boot, end + 1, GUEST_BOOT_LEN) != 0) {
        memcpy(h->boot, end + 1, GUEST_BOOT_LEN);
        h->boots++;
    } else if (n <= h->last) {
        h->twice++;
    } else {
        h->lost += n - h->last - 1;
    }
    h->last = n;
    h->when = now;
    h->heard++;
    h->record = strtoul(end + 2 + GUEST_BOOT_LEN, NULL, 10);
}

static void tell(struct heard *h)
{
    silence(h, now_s());
    (void)printf(
        "{\"heard\":%lu,\"lost\":%lu,\"twice\":%lu,\"boots\":%lu,\"gap_ms\":%.1f,\"at\":%lu,"
        "\"record\":%lu,\"boot\":\"%s\"}\n",
        h->heard, h->lost, h->twice, h->boots, h->gap * 1e3, h->at, h->record, h->boot);
    (void)fflush(stdout);
}

/* From now on; which boot it was and where it was stays known. */
static void begin_anew(struct heard *h)
{
    h->heard = h->heard ? 1 : 0;
    h->lost = h->twice = h->boots = h->at = 0;
    h->gap = 0;
}

static int listen_at(const char *port)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)strtoul(port, NULL, 10))};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof a) < 0) {
        perror("godwit-meter");
        return 1;
    }
    struct sigaction act = {.sa_handler = on_signal};
    (void)sigaction(SIGTERM, &act, NULL);
    (void)sigaction(SIGUSR1, &act, NULL);
    (void)sigaction(SIGUSR2, &act, NULL);
    struct heard h = {.heard = 0};
    while (!over) {
        char text[256];
        struct pollfd p = {.fd = s, .events = POLLIN};
        ssize_t n = poll(&p, 1, 200) > 0 ? recv(s, text, sizeof text - 1, 0) : 0;
        if (n > 0) {
            text[n] = '\0';
            take(&h, text);
        }
        if (wanted) {
            wanted = 0;
            tell(&h);
        }
        if (anew) {
            anew = 0;
            begin_anew(&h);
        }
    }
    tell(&h);
    return 0;
}

/* ── the disk ── */

struct record {
    unsigned long number;
    char boot[GUEST_BOOT_LEN + 1];
};

static bool record_at(int fd, unsigned long slot, struct record *ret)
{
    char text[GUEST_SECTOR + 1], *end = NULL;
    off_t at = (off_t)GUEST_SECTOR * (off_t)(1 + slot);
    if (pread(fd, text, GUEST_SECTOR, at) != GUEST_SECTOR || strncmp(text, "REC ", 4) != 0)
        return false;
    text[GUEST_SECTOR] = '\0';
    ret->number = strtoul(text + 4, &end, 10);
    if (*end != ' ' || ret->number % GUEST_RING != slot)
        return false;
    (void)snprintf(ret->boot, sizeof ret->boot, "%s", end + 1);
    return true;
}

/* The ring of the boot that wrote last: all numbers from the end back to the ring's length. Which
 * boot that is the highest sequence of it decides, since a boot begins at 1: the one of slot 1. */
static int check(const char *path)
{
    static struct record ring[GUEST_RING];
    struct record newest = {.number = 0};
    unsigned long count = 0, first = 0, last = 0, missing = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        perror(path);
        return 1;
    }
    for (unsigned long i = 0; i < GUEST_RING; i++)
        if (!record_at(fd, i, &ring[i]))
            ring[i].number = 0;
    (void)close(fd);
    newest = ring[1]; /* number 1 of the last boot, or a later round's */
    for (unsigned long i = 0; i < GUEST_RING; i++) {
        if (!ring[i].number || strcmp(ring[i].boot, newest.boot) != 0)
            continue;
        count++;
        last = ring[i].number > last ? ring[i].number : last;
        first = !first || ring[i].number < first ? ring[i].number : first;
    }
    unsigned long from = last > GUEST_RING ? last - GUEST_RING + 1 : 1;
    missing = last ? last - from + 1 - count : 0;
    (void)printf("{\"boot\":\"%s\",\"records\":%lu,\"first\":%lu,\"last\":%lu,\"missing\":%lu}\n",
                 newest.boot, count, first, last, missing);
    return missing || !count ? 1 : 0;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "check") == 0)
        return check(argv[2]);
    if (argc == 2)
        return listen_at(argv[1]);
    (void)fprintf(stderr, "usage: godwit-meter PORT | check IMAGE\n");
    return 2;
}
