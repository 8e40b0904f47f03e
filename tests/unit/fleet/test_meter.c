/* test_meter: which connections are cut, and that one which has the number of another that is gone
 * is not taken for it. Clients are bytes by hand; the server is libzmq's. */
#include <arpa/inet.h>
#include <czmq.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/fleet/meter.h"
#include "orchestrator/fleet/tcp_count.h"
#include "tests/unit/test.h"

#define BUDGET ((size_t)64 << 10)
#define LIMIT_MS 20000
#define YOUNG 64

struct bench {
    zsock_t *router;
    struct meter *meter;
    uint16_t port;
};

static int begin(void **state)
{
    static unsigned serial;
    struct bench *b = xcalloc(1, sizeof *b);
    char name[16];
    zsys_handler_set(NULL);
    (void)snprintf(name, sizeof name, "test-%u", serial++);
    b->router = zsock_new(ZMQ_ROUTER);
    assert_int_equal(meter_new(&b->meter, b->router, name, BUDGET), 0);
    b->port = (uint16_t)zsock_bind(b->router, "tcp://127.0.0.1:*");
    *state = b;
    return 0;
}

static int end(void **state)
{
    struct bench *b = *state;
    (void)meter_free(b->meter);
    zsock_destroy(&b->router);
    free(b);
    return 0;
}

/* Its own number is high: the low ones are the server's. */
static int client(const struct bench *b)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(b->port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int low = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int fd = fcntl(low, F_DUPFD_CLOEXEC, 500);
    assert_true(fd >= 500 && close(low) == 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static void say(int fd, const void *data, size_t n)
{
    assert_int_equal(send(fd, data, n, MSG_NOSIGNAL), n);
}

static void hear(int fd, uint8_t *ret, size_t n)
{
    assert_int_equal(recv(fd, ret, n, MSG_WAITALL), n);
}

/* A greeting of ZMTP 3.0 without keys, and who comes: until the server has said the same. */
static void greet(int fd)
{
    uint8_t theirs[256];
    static const uint8_t greeting[64] = {0xff, 0, 0, 0,   0,   0,   0,   0, 1,
                                         0x7f, 3, 0, 'N', 'U', 'L', 'L', 0};
    static const uint8_t ready[] = "\x04\x1c\x05READY\x0bSocket-Type\0\0\0\x06"
                                   "DEALER";
    say(fd, greeting, sizeof greeting);
    say(fd, ready, sizeof ready - 1);
    hear(fd, theirs, sizeof greeting + 2); /* and the head of a command: how long it is */
    hear(fd, theirs, theirs[sizeof greeting + 1]);
}

/* One message; the number that its connection has at the server. */
static int message(struct bench *b, int fd, size_t n)
{
    CLEANUP(mem_free) uint8_t *all = xcalloc(1, n + 9);
    all[0] = 2; /* a length of 8 bytes follows */
    for (size_t i = 0; i < 8; i++)
        all[1 + i] = (uint8_t)(n >> (8 * (7 - i)));
    say(fd, all, n + 9);
    zmq_pollitem_t item = {.socket = zsock_resolve(b->router), .events = ZMQ_POLLIN};
    assert_int_equal(zmq_poll(&item, 1, LIMIT_MS), 1);
    zmsg_t *msg = zmsg_recv(b->router);
    assert_int_equal(zmsg_size(msg), 2);
    const char *number = zframe_meta(zmsg_last(msg), "__fd");
    assert_non_null(number);
    meter_read(b->meter); /* it was accepted before */
    meter_took(b->meter, number);
    int ret = (int)strtol(number, NULL, 10);
    zmsg_destroy(&msg);
    return ret;
}

static bool is_open(int number, uint64_t bytes)
{
    uint64_t n = 0;
    return tcp_bytes_received(number, &n) == 0 && n >= bytes;
}

static void wait_until(bool open, int number, uint64_t bytes)
{
    int64_t until = clock_mono_ms() + LIMIT_MS;
    while (is_open(number, bytes) != open) {
        assert_true(clock_mono_ms() < until);
        (void)poll(NULL, 0, 1);
    }
}

static void who_ends_no_message_is_cut(void **state)
{
    struct bench *b = *state;
    static const uint8_t head[9] = {2, 0, 0, 0, 0, 0, 1, 0, 0}; /* 64 KiB are to come */
    CLEANUP(mem_free) uint8_t *much = xcalloc(1, BUDGET);
    CLEANUP(fd_close) int fd = client(b);
    greet(fd);
    int number = message(b, fd, 5000);
    assert_int_equal(meter_sweep(b->meter), 0);
    say(fd, head, sizeof head);
    say(fd, much, BUDGET - sizeof head);
    wait_until(true, number, BUDGET + 5000);
    assert_int_equal(meter_sweep(b->meter), 0); /* just within */
    say(fd, much, 1);
    wait_until(true, number, BUDGET + 5000 + 64 + 30 + 9 + 1);
    assert_int_equal(meter_sweep(b->meter), 1);
    char byte[64];
    ssize_t n = 1;
    while (n > 0)
        n = recv(fd, byte, sizeof byte, 0);
    assert_true(n == 0 || errno == ECONNRESET);
}

/* What is known of a connection is known a little later: the next one may have its number by then,
 * and has said less than that one had. */
static void a_young_one_is_not_taken_for_one_that_is_gone(void **state)
{
    struct bench *b = *state;
    int fd = client(b);
    greet(fd);
    int number = message(b, fd, 5000);
    assert_int_equal(meter_sweep(b->meter), 0);
    (void)close(fd);
    wait_until(false, number, 0);
    int young[YOUNG], n = 0;
    while (!is_open(number, 0)) { /* what else was closed may have left lower numbers */
        assert_true(n < YOUNG);
        young[n] = client(b);
        greet(young[n++]);
    }
    assert_int_equal(meter_sweep(b->meter), 0);
    assert_int_equal(message(b, young[n - 1], 100), number); /* it is served */
    while (n > 0)
        (void)close(young[--n]);
}

/* libzmq takes down later what was closed; a key's gate may be opened again before. */
static void another_of_a_name_begins_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct meter *m = NULL;
        zsock_t *router = zsock_new(ZMQ_ROUTER);
        assert_int_equal(meter_new(&m, router, "again", BUDGET), 0);
        (void)meter_free(m);
        zsock_destroy(&router);
    }
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(who_ends_no_message_is_cut),
        CASE(a_young_one_is_not_taken_for_one_that_is_gone),
        CASE(another_of_a_name_begins_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
