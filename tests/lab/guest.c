/* guest: all that runs in a test's machine: its init. Tells a meter every 5 ms that it lives and
 * keeps a ring of numbered, synced records on its disk. Linked statically; nothing else is in the
 * machine but kernel modules. Three threads.
 *
 * The kernel's command line: godwit.address=A.B.C.D/LEN godwit.meter=A.B.C.D:PORT
 * godwit.dirty=MIB (memory that is written all the time; 0: none).
 * A heartbeat: "HB <number> <boot> <last record that the disk has>". A record: "REC <number> <boot>
 * ", 512 bytes, at sector 1 + number % GUEST_RING. */
#include "tests/lab/guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static char boot_id[GUEST_BOOT_LEN + 1];
static atomic_ulong recorded; /* number of the last record that is on the disk */

static void say(const char *what)
{
    (void)printf("guest: %s: %s\n", what, strerror(errno));
    (void)fflush(stdout);
}

static void rest_us(long us)
{
    const struct timespec t = {.tv_nsec = us * 1000};
    (void)nanosleep(&t, NULL);
}

/* Of "name=value" on the kernel's command line; "" when it is not there. */
static void option(const char *name, char *ret, size_t size)
{
    char line[2048] = "";
    int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    (void)close(fd);
    line[n > 0 ? n : 0] = '\0';
    const char *at = strstr(line, name);
    ret[0] = '\0';
    if (at)
        (void)snprintf(ret, size, "%.*s", (int)strcspn(at + strlen(name), " \n"),
                       at + strlen(name));
}

/* Modules in /mods are named so that their order is that of their dependence. */
static void load_modules(void)
{
    char path[64];
    for (int i = 0; i < GUEST_MODULES_MAX; i++) {
        (void)snprintf(path, sizeof path, "/mods/%02d", i);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return;
        if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
            say(path);
        (void)close(fd);
    }
}

static int interface_set(int s, unsigned long request, const char *address)
{
    struct ifreq r = {.ifr_name = "eth0"};
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&r.ifr_addr;
    in->sin_family = AF_INET;
    if (inet_pton(AF_INET, address, &in->sin_addr) != 1)
        return -1;
    return ioctl(s, request, &r);
}

static void network_up(void)
{
    char address[64], mask[INET_ADDRSTRLEN];
    option("godwit.address=", address, sizeof address);
    char *slash = strchr(address, '/');
    unsigned bits = slash ? (unsigned)strtoul(slash + 1, NULL, 10) : 24;
    if (slash)
        *slash = '\0';
    const struct in_addr m = {.s_addr = htonl(bits ? ~0U << (32 - bits) : 0)};
    struct ifreq r = {.ifr_name = "eth0"};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (int tries = 0; tries < 100 && interface_set(s, SIOCSIFADDR, address) < 0; tries++)
        rest_us(50000);
    if (interface_set(s, SIOCSIFNETMASK, inet_ntop(AF_INET, &m, mask, sizeof mask)) < 0)
        say("netmask");
    if (ioctl(s, SIOCGIFFLAGS, &r) == 0)
        r.ifr_flags |= IFF_UP;
    if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
        say("eth0");
    (void)close(s);
}

static void *keep_records(void *arg)
{
    static char record[GUEST_SECTOR];
    int fd = -1;
    (void)arg;
    for (int tries = 0; tries < 200 && fd < 0; tries++) {
        fd = open("/dev/vda", O_RDWR | O_DSYNC | O_CLOEXEC);
        if (fd < 0)
            rest_us(50000);
    }
    if (fd < 0)
        say("/dev/vda");
    for (unsigned long n = 1; fd >= 0; n++) {
        memset(record, '.', sizeof record);
        int len = snprintf(record, sizeof record, "REC %lu %s ", n, boot_id);
        record[len] = ' ';
        off_t at = (off_t)GUEST_SECTOR * (off_t)(1 + n % GUEST_RING);
        if (pwrite(fd, record, sizeof record, at) != (ssize_t)sizeof record) {
            say("a record was not written");
            break; /* the meter sees that no record follows */
        }
        atomic_store(&recorded, n);
        rest_us(GUEST_RECORD_US);
    }
    return NULL;
}

static void *write_memory(void *arg)
{
    size_t bytes = *(const size_t *)arg << 20;
    volatile unsigned char *p = malloc(bytes);
    for (unsigned char round = 1; p; round++)
        for (size_t at = 0; at < bytes; at += 4096)
            p[at] = round;
    return NULL;
}

static void beat(void)
{
    char meter[64], text[GUEST_BEAT_LEN];
    option("godwit.meter=", meter, sizeof meter);
    char *colon = strchr(meter, ':');
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(colon ? (uint16_t)strtoul(colon + 1, NULL, 10) : 0)};
    if (colon)
        *colon = '\0';
    if (inet_pton(AF_INET, meter, &to.sin_addr) != 1)
        say("no meter");
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    for (unsigned long n = 1;; n++) {
        memset(text, 0, sizeof text);
        (void)snprintf(text, sizeof text, "HB %lu %s %lu", n, boot_id, atomic_load(&recorded));
        (void)sendto(s, text, sizeof text, 0, (const struct sockaddr *)&to, sizeof to);
        if (n % 400 == 1)
            (void)printf("guest: beat %lu of %s, record %lu\n", n, boot_id, atomic_load(&recorded));
        (void)fflush(stdout);
        rest_us(GUEST_BEAT_US);
    }
}

int main(void)
{
    static size_t dirty;
    char number[32];
    pthread_t t;
    (void)mkdir("/proc", 0755);
    (void)mkdir("/dev", 0755);
    (void)mount("proc", "/proc", "proc", 0, NULL);
    (void)mount("dev", "/dev", "devtmpfs", 0, NULL);
    int fd = open("/proc/sys/kernel/random/uuid", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, boot_id, GUEST_BOOT_LEN) != GUEST_BOOT_LEN)
        say("no boot id");
    load_modules();
    network_up();
    option("godwit.dirty=", number, sizeof number);
    dirty = strtoul(number, NULL, 10);
    if (pthread_create(&t, NULL, keep_records, NULL) != 0 ||
        (dirty && pthread_create(&t, NULL, write_memory, &dirty) != 0))
        say("threads");
    beat();
    return 0;
}
