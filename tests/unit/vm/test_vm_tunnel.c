/* A live move's streams between two agents: each comes out at the other's end, and the destination
 * knows when its source is done, was lost, or never came, whoever else came. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "agent/lane/lane_identity.h"
#include "agent/lane/lane_server.h"
#include "agent/lane/lane_single.h"
#include "agent/vm/note.h"
#include "agent/vm/pump.h"
#include "agent/vm/tunnel.h"
#include "agent/vm/tunnel_priv.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define MOVE "0123456789abcdef.1"
#define LIMIT_MS 20000

static char dir[] = "/tmp/vm-tunnel-XXXXXX";
static struct lane_identity *here, *there;
static struct lane_server *server;
static char endpoint[32], *endpoints[] = {endpoint};
static struct ticket ticket;

static struct lane_identity *identity_new(const char *name)
{
    struct lane_identity *id = NULL;
    CLEANUP(mem_free) char *path = xasprintf("%s/%s.key", dir, name);
    assert_int_equal(lane_identity_load_or_new(path, &id), 0);
    return id;
}

/* Where the socket of a hypervisor is: both hosts are this one, so each has its own home. */
static char *home_of(const char *host)
{
    return xasprintf("%s/%s", dir, host);
}

static int begin(void **state)
{
    (void)state;
    memcpy(dir + sizeof dir - 7, "XXXXXX", 6);
    assert_non_null(mkdtemp(dir));
    here = identity_new("source");
    there = identity_new("destination");
    assert_int_equal(lane_server_start(&server, there, "127.0.0.1", 0), 0);
    (void)snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", (unsigned)lane_server_port(server));
    ticket = (struct ticket){.id = "ticket", .not_after_ms = clock_fleet_ms() + 60000};
    memset(ticket.secret, 7, sizeof ticket.secret);
    (void)snprintf(ticket.pair, sizeof ticket.pair, "%s", MOVE);
    return 0;
}

static int end(void **state)
{
    (void)state;
    server = lane_server_stop(server);
    here = lane_identity_free(here);
    there = lane_identity_free(there);
    tunnel_come_ms = 15000;
    return note_remove_tree(dir);
}

/* tunnel_home is read when the tunnel is made. */
static struct tunnel *serve(void)
{
    struct tunnel *t = NULL;
    static char *home;
    free(home);
    tunnel_home = home = home_of("destination");
    memcpy(ticket.peer_pin, lane_identity_pin(here), LANE_PIN_BYTES);
    const struct tunnel_conf c = {.ticket = &ticket, .lanes = server, .cancel_fd = -1};
    assert_int_equal(tunnel_serve(&c, MOVE, &t), 0);
    return t;
}

static struct tunnel *open_source(void)
{
    struct tunnel *t = NULL;
    static char *home;
    free(home);
    tunnel_home = home = home_of("source");
    memcpy(ticket.peer_pin, lane_identity_pin(there), LANE_PIN_BYTES);
    const struct tunnel_conf c = {.ticket = &ticket,
                                  .identity = here,
                                  .endpoints = endpoints,
                                  .nendpoints = 1,
                                  .cancel_fd = -1};
    assert_int_equal(tunnel_open(&c, MOVE, &t), 0);
    return t;
}

static struct sockaddr_un address_of(const char *host, enum tunnel_way way)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    CLEANUP(mem_free) char *home = home_of(host);
    tunnel_home = home;
    CLEANUP(mem_free) char *path = tunnel_path(MOVE, way);
    assert_true(strlen(path) < sizeof a.sun_path);
    memcpy(a.sun_path, path, strlen(path));
    tunnel_home = "";
    return a;
}

/* The destination's hypervisor. */
static int listens(enum tunnel_way way)
{
    struct sockaddr_un a = address_of("destination", way);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 4), 0);
    return fd;
}

/* The source's. */
static int dials(enum tunnel_way way)
{
    struct sockaddr_un a = address_of("source", way);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void a_stream_comes_out_at_the_other_end(void **state)
{
    (void)state;
    CLEANUP(tunnel_free) struct tunnel *to = serve();
    CLEANUP(tunnel_free) struct tunnel *from = open_source();
    CLEANUP(fd_close) int listener = listens(TUNNEL_MEMORY);
    CLEANUP(fd_close) int fd = dials(TUNNEL_MEMORY);
    char got[4] = "";
    assert_int_equal(write(fd, "ram", 3), 3);
    CLEANUP(fd_close) int peer = accept(listener, NULL, NULL);
    assert_int_equal(recv(peer, got, 3, MSG_WAITALL), 3);
    assert_string_equal(got, "ram");
    assert_int_equal(tunnel_wait(to, 0), -ETIMEDOUT);
    tunnel_finish(from);
    assert_int_equal(tunnel_wait(to, LIMIT_MS), 0);
}

static void a_source_that_is_lost_is_told(void **state)
{
    (void)state;
    CLEANUP(tunnel_free) struct tunnel *to = serve();
    struct tunnel *from = open_source();
    assert_int_equal(tunnel_wait(to, 0), -ETIMEDOUT);
    (void)tunnel_free(from);
    assert_int_equal(tunnel_wait(to, LIMIT_MS), -ECONNRESET);
}

static void a_source_that_does_not_come_is_told(void **state)
{
    (void)state;
    tunnel_come_ms = 50;
    CLEANUP(tunnel_free) struct tunnel *to = serve();
    assert_int_equal(tunnel_wait(to, LIMIT_MS), -ENOTCONN);
}

/* The destination's agent began anew in the middle of a move: the source's first lane was to the
 * one before, and what its hypervisor dials now says nothing of it. */
static void one_of_the_others_alone_is_not_the_source(void **state)
{
    (void)state;
    uint8_t way = TUNNEL_MEMORY;
    struct lane *l = NULL;
    const struct lane_single_way how = {
        .endpoints = endpoints, .nendpoints = 1, .cancel_fd = -1, .answer_ms = LIMIT_MS};
    tunnel_come_ms = 500;
    CLEANUP(tunnel_free) struct tunnel *to = serve();
    CLEANUP(fd_close) int listener = listens(TUNNEL_MEMORY);
    memcpy(ticket.peer_pin, lane_identity_pin(there), LANE_PIN_BYTES);
    assert_int_equal(lane_single_open(here, &ticket, &how, &l), 0);
    assert_int_equal(lane_send_copy(l, PUMP_OPEN, 0, &way, 1), 0);
    CLEANUP(fd_close) int peer = accept(listener, NULL, NULL);
    assert_true(peer >= 0);
    assert_int_equal(tunnel_wait(to, LIMIT_MS), -ENOTCONN);
    lane_close(l);
    (void)lane_free(l);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stream_comes_out_at_the_other_end),
        TEST(a_source_that_is_lost_is_told),
        TEST(a_source_that_does_not_come_is_told),
        TEST(one_of_the_others_alone_is_not_the_source),
    };
    if (geteuid() != 0)
        return 77; /* the sockets' folder is root's */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
