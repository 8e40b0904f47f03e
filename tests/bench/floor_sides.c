/* floor_sides: see the header. */
#include "tests/bench/floor_sides.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"

void floor_must(long rc, const char *what)
{
    if (rc >= 0)
        return;
    perror(what);
    exit(1);
}

unsigned floor_threads(int argc, char **argv, const char *program)
{
    unsigned long n = argc > 3 ? strtoul(argv[3], NULL, 10) : 2;
    if (argc >= 3 && n >= 1 && n <= FLOOR_THREADS_MAX)
        return (unsigned)n;
    (void)fprintf(stderr, "usage: %s SOURCE DESTINATION [THREADS]\n", program);
    return 0;
}

static void run(void *(*side)(void *), int *socks, unsigned n)
{
    pthread_t threads[FLOOR_THREADS_MAX];
    for (unsigned i = 0; i < n; i++)
        floor_must(-pthread_create(&threads[i], NULL, side, &socks[i]), "thread");
    for (unsigned i = 0; i < n; i++)
        (void)pthread_join(threads[i], NULL);
}

static void connect_all(int out[], int in[], unsigned n)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    floor_must(bind(listener, (struct sockaddr *)&a, len), "bind");
    floor_must(listen(listener, (int)n), "listen");
    floor_must(getsockname(listener, (struct sockaddr *)&a, &len), "port");
    for (unsigned i = 0; i < n; i++) {
        out[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        floor_must(connect(out[i], (struct sockaddr *)&a, len), "connect");
        in[i] = accept(listener, NULL, NULL);
        floor_must(in[i], "accept");
        (void)setsockopt(out[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    (void)close(listener);
}

static double cpu_of(int who)
{
    struct rusage u;
    (void)getrusage(who, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

int floor_run(unsigned n, void *(*source)(void *), void *(*destination)(void *), int64_t began)
{
    int out[FLOOR_THREADS_MAX], in[FLOOR_THREADS_MAX], status = 0;
    connect_all(out, in, n);
    pid_t pid = fork();
    floor_must(pid, "fork");
    for (unsigned i = 0; i < n; i++)
        (void)close(pid == 0 ? out[i] : in[i]);
    run(pid == 0 ? destination : source, pid == 0 ? in : out, n);
    if (pid == 0)
        exit(0);
    floor_must(waitpid(pid, &status, 0), "wait");
    (void)printf("seconds %.3f cpu %.3f\n", (double)(clock_mono_us() - began) / 1e6,
                 cpu_of(RUSAGE_SELF) + cpu_of(RUSAGE_CHILDREN));
    return status == 0 ? 0 : 1;
}
