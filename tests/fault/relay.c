/* relay: passes TCP connections on to another address and, in some of them, flips one bit of what
 * the client sends. A test's bad network card. One process a connection. relay PORT ADDRESS TO-PORT
 * BYTES COUNT: in each of the first COUNT connections that bring as much, the bit at BYTES is
 * flipped; says "flipped" each time. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

static int endpoint(const char *address, const char *port, struct sockaddr_in *ret)
{
    *ret = (struct sockaddr_in){.sin_family = AF_INET};
    ret->sin_port = htons((uint16_t)strtoul(port, NULL, 10));
    return inet_pton(AF_INET, address, &ret->sin_addr) == 1 ? 0 : -EINVAL;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k <= 0)
            return -EPIPE;
        p += k;
        n -= (size_t)k;
    }
    return 0;
}

/* One read's worth; false at the end. */
static int pass(int from, int to, unsigned long *left, int *budget)
{
    char data[65536];
    ssize_t n = read(from, data, sizeof data);
    if (n <= 0)
        return -EPIPE;
    if (left && *left > 0 && *left <= (unsigned long)n &&
        __atomic_sub_fetch(budget, 1, __ATOMIC_SEQ_CST) >= 0) {
        data[*left - 1] ^= 1;
        (void)puts("flipped");
        (void)fflush(stdout);
    }
    if (left)
        *left = *left > (unsigned long)n ? *left - (unsigned long)n : 0;
    return write_all(to, data, (size_t)n);
}

static void relay(int client, const struct sockaddr_in *to, unsigned long bytes, int *budget)
{
    int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (server < 0 || connect(server, (const struct sockaddr *)to, sizeof *to) < 0)
        _exit(1);
    struct pollfd p[2] = {
        {.fd = client, .events = POLLIN},
        {.fd = server, .events = POLLIN}
    };
    int rc = 0;
    while (rc == 0 && poll(p, 2, -1) > 0) {
        if (p[0].revents)
            rc = pass(client, server, &bytes, budget);
        if (rc == 0 && p[1].revents)
            rc = pass(server, client, NULL, NULL);
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    struct sockaddr_in mine, to;
    if (argc != 6 || endpoint("0.0.0.0", argv[1], &mine) < 0 || endpoint(argv[2], argv[3], &to) < 0)
        return 2;
    unsigned long bytes = strtoul(argv[4], NULL, 10);
    int *budget =
        mmap(NULL, sizeof *budget, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (budget == MAP_FAILED || listener < 0)
        return 1;
    *budget = (int)strtol(argv[5], NULL, 10);
    (void)setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (const struct sockaddr *)&mine, sizeof mine) < 0 || listen(listener, 64) < 0)
        return 1;
    (void)signal(SIGCHLD, SIG_IGN);
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client >= 0 && fork() == 0)
            relay(client, &to, bytes, budget);
        if (client >= 0)
            (void)close(client);
    }
}
