/* longlink: a long link between two network namespaces, for kernels without netem: a TUN device in
 * each, and this process between them, which delays, limits, queues and drops packets. One thread.
 *   longlink NETNS-A NETNS-B DELAY_MS RATE_MBIT QUEUE_KIB LOSS_PPM
 * NETNS is a file such as /proc/PID/ns/net. The devices are called wan0 and have 10.78.0.1 and
 * 10.78.0.2. Prints "ready"; SIGTERM ends it, and then it prints what passed. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MTU 1500
#define SECOND INT64_C(1000000000)
#define AT_ONCE 64 /* packets of one side, then the other's turn */

struct packet {
    struct packet *next;
    int64_t due_ns;
    size_t len;
    uint8_t data[MTU];
};

/* One direction. A packet leaves when those before it have passed the bottleneck, and arrives the
 * delay later. */
struct way {
    int from, to;
    struct packet *first, **last;
    int64_t free_ns; /* when the bottleneck has passed all that it took */
    uint64_t packets, bytes, full, lost;
};

struct link {
    struct way way[2];
    int64_t delay_ns, queue_ns;
    double ns_per_byte;
    unsigned loss_ppm, seed;
    struct packet *spare;
};

static volatile sig_atomic_t stop;

static void on_stop(int signal)
{
    (void)signal;
    stop = 1;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

/* ── devices ── */

static void set_address(struct ifreq *r, const char *text)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    if (inet_pton(AF_INET, text, &a.sin_addr) != 1)
        die(text);
    memcpy(&r->ifr_addr, &a, sizeof a);
}

static void bring_up(const char *address)
{
    struct ifreq r = {.ifr_name = "wan0"};
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0)
        die("socket");
    set_address(&r, address);
    if (ioctl(s, SIOCSIFADDR, &r) < 0)
        die("address of wan0");
    set_address(&r, "255.255.255.0");
    if (ioctl(s, SIOCSIFNETMASK, &r) < 0)
        die("netmask of wan0");
    r.ifr_qlen = 10000; /* the queue is ours, not the device's */
    if (ioctl(s, SIOCSIFTXQLEN, &r) < 0)
        die("queue of wan0");
    r.ifr_flags = IFF_UP;
    if (ioctl(s, SIOCSIFFLAGS, &r) < 0)
        die("wan0");
    (void)close(s);
}

static int device_in(const char *netns, const char *address)
{
    struct ifreq r = {.ifr_name = "wan0"};
    int ns = open(netns, O_RDONLY | O_CLOEXEC);
    if (ns < 0 || setns(ns, CLONE_NEWNET) < 0)
        die(netns);
    (void)close(ns);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        die("/dev/net/tun");
    r.ifr_flags = IFF_TUN | IFF_NO_PI;
    if (ioctl(fd, TUNSETIFF, &r) < 0)
        die("wan0");
    bring_up(address);
    return fd;
}

/* ── packets ── */

static struct packet *packet_new(struct link *l)
{
    struct packet *p = l->spare;
    if (p)
        l->spare = p->next;
    else
        p = malloc(sizeof *p);
    if (!p)
        die("malloc");
    p->next = NULL;
    return p;
}

static void packet_free(struct link *l, struct packet *p)
{
    p->next = l->spare;
    l->spare = p;
}

static void enqueue(struct way *w, struct packet *p)
{
    *w->last = p;
    w->last = &p->next;
}

/* Takes p: queued, lost or refused by a full queue. */
static void take(struct link *l, struct way *w, struct packet *p, int64_t now)
{
    int64_t start = w->free_ns > now ? w->free_ns : now;
    w->packets++;
    if (l->loss_ppm && (unsigned)rand_r(&l->seed) % 1000000U < l->loss_ppm) {
        w->lost++;
        packet_free(l, p);
        return;
    }
    if (start - now > l->queue_ns) {
        w->full++;
        packet_free(l, p);
        return;
    }
    w->bytes += p->len;
    w->free_ns = start + (int64_t)((double)p->len * l->ns_per_byte);
    p->due_ns = w->free_ns + l->delay_ns;
    enqueue(w, p);
}

static void receive(struct link *l, struct way *w)
{
    for (int i = 0; i < AT_ONCE; i++) {
        struct packet *p = packet_new(l);
        ssize_t n = read(w->from, p->data, sizeof p->data);
        if (n <= 0) {
            packet_free(l, p);
            return;
        }
        p->len = (size_t)n;
        take(l, w, p, now_ns());
    }
}

/* Delivers what is due; returns when the next one is. */
static int64_t deliver(struct link *l, struct way *w, int64_t now, int64_t next)
{
    while (w->first && w->first->due_ns <= now) {
        struct packet *p = w->first;
        w->first = p->next;
        if (!w->first)
            w->last = &w->first;
        if (write(w->to, p->data, p->len) < 0)
            w->full++;
        packet_free(l, p);
    }
    return w->first && w->first->due_ns < next ? w->first->due_ns : next;
}

static void relay(struct link *l)
{
    struct pollfd p[2] = {
        {.fd = l->way[0].from, .events = POLLIN},
        {.fd = l->way[1].from, .events = POLLIN}
    };
    while (!stop) {
        int64_t now = now_ns(), next = now + SECOND / 10;
        for (int i = 0; i < 2; i++)
            next = deliver(l, &l->way[i], now, next);
        now = now_ns();
        struct timespec wait = {.tv_nsec = next > now ? next - now : 0};
        if (ppoll(p, 2, &wait, NULL) <= 0)
            continue;
        for (int i = 0; i < 2; i++)
            if (p[i].revents & POLLIN)
                receive(l, &l->way[i]);
    }
}

int main(int argc, char **argv)
{
    if (argc != 7) {
        (void)fprintf(stderr,
                      "usage: longlink NETNS-A NETNS-B DELAY_MS RATE_MBIT QUEUE_KIB LOSS_PPM\n");
        return 2;
    }
    double mbit = strtod(argv[4], NULL);
    struct link l = {.seed = 1, .loss_ppm = (unsigned)strtoul(argv[6], NULL, 10)};
    l.delay_ns = (int64_t)(strtod(argv[3], NULL) * 1e6);
    l.ns_per_byte = mbit > 0 ? 8000.0 / mbit : 0;
    l.queue_ns = (int64_t)(strtod(argv[5], NULL) * 1024 * l.ns_per_byte);
    int a = device_in(argv[1], "10.78.0.1"), b = device_in(argv[2], "10.78.0.2");
    l.way[0] = (struct way){.from = a, .to = b, .last = &l.way[0].first};
    l.way[1] = (struct way){.from = b, .to = a, .last = &l.way[1].first};
    (void)signal(SIGTERM, on_stop);
    (void)signal(SIGINT, on_stop);
    (void)printf("ready\n");
    (void)fflush(stdout);
    relay(&l);
    for (int i = 0; i < 2; i++)
        (void)printf("%c: %llu packets, %llu bytes, %llu lost, %llu refused\n", "ab"[i],
                     (unsigned long long)l.way[i].packets, (unsigned long long)l.way[i].bytes,
                     (unsigned long long)l.way[i].lost, (unsigned long long)l.way[i].full);
    return 0;
}
