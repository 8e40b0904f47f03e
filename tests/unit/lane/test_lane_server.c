/* test_lane_server: who gets a lane and who does not; records in both directions at once. */
#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_identity.h"
#include "agent/lane/lane_priv.h"
#include "agent/lane/lane_server.h"
#include "agent/lane/lane_socket.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "proto/files.pb-c.h"
#include "tests/unit/test.h"

static char dir[] = "/tmp/godwit-lane-XXXXXX";
static struct lane_identity *here, *peer, *stranger;
static struct lane_server *server;
static char endpoint[32];

/* The one lane that was let in; the test waits for it. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t came;
    struct lane *lane;
    struct lane_entry entry;
    bool answer;
} got = {.lock = PTHREAD_MUTEX_INITIALIZER, .came = PTHREAD_COND_INITIALIZER};

static bool says_near; /* though nobody asked */

static void on_enter(void *arg, struct lane *l, const struct lane_entry *entry)
{
    (void)arg;
    struct lane_welcome w = {.can = LANE_CAN_SHARE, .credit = 77, .fresh = true};
    if (says_near)
        lane_set_near(l, true);
    (void)lane_welcome_send(l, &w);
    (void)pthread_mutex_lock(&got.lock);
    got.lane = l;
    got.entry = *entry;
    (void)pthread_cond_signal(&got.came);
    (void)pthread_mutex_unlock(&got.lock);
}

static struct lane *take_entered(void)
{
    (void)pthread_mutex_lock(&got.lock);
    while (!got.lane)
        (void)pthread_cond_wait(&got.came, &got.lock);
    struct lane *l = got.lane;
    got.lane = NULL;
    (void)pthread_mutex_unlock(&got.lock);
    return l;
}

static struct lane_identity *identity(const char *name)
{
    char *path = xasprintf("%s/%s", dir, name);
    struct lane_identity *id = NULL;
    assert_int_equal(lane_identity_load_or_new(path, &id), 0);
    free(path);
    return id;
}

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    here = identity("here");
    peer = identity("peer");
    stranger = identity("stranger");
    assert_int_equal(lane_server_start(&server, here, "127.0.0.1", 0), 0);
    (void)snprintf(endpoint, sizeof endpoint, "127.0.0.1:%u", (unsigned)lane_server_port(server));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    server = lane_server_stop(server);
    here = lane_identity_free(here);
    peer = lane_identity_free(peer);
    stranger = lane_identity_free(stranger);
    static const char *const names[] = {"here", "peer", "stranger"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char *path = xasprintf("%s/%s", dir, names[i]);
        (void)unlink(path);
        free(path);
    }
    return rmdir(dir);
}

static void ticket_make(struct ticket *ret, const struct lane_identity *whose)
{
    *ret = (struct ticket){.id = "0123456789abcdef",
                           .not_after_ms = clock_wall_ms() + 60000,
                           .pair = "0000000000000001.1",
                           .enter = on_enter};
    memset(ret->secret, 0x5a, sizeof ret->secret);
    memcpy(ret->peer_pin, lane_identity_pin(whose), LANE_PIN_BYTES);
}

static void hello_make(struct lane_hello *ret)
{
    *ret = (struct lane_hello){
        .id = "0123456789abcdef",
        .pair = "0000000000000001.1",
        .entry = {.session = 9, .lane = 3, .root = "what I am", .root_len = 9}
    };
    memset(ret->secret, 0x5a, sizeof ret->secret);
}

/* What a client with this identity, this hello and this idea of the server's key is told. */
static int attempt(const struct lane_identity *as, const uint8_t *pin, const struct lane_hello *h,
                   struct lane **ret)
{
    struct lane *l = NULL;
    struct lane_welcome w;
    struct fault f;
    int rc = lane_connect(&l, as, endpoint, pin, -1);
    if (rc == 0)
        rc = lane_hello_send(l, h);
    if (rc == 0)
        rc = lane_welcome_receive(l, 3000, &w, &f);
    if (rc == 0) {
        assert_int_equal(w.credit, 77);
        assert_true(w.fresh);
        assert_int_equal(w.can, LANE_CAN_SHARE);
        *ret = l;
        return 0;
    }
    (void)lane_free(l);
    return rc;
}

static void only_pin_and_ticket_open_a_lane(void **state)
{
    (void)state;
    struct ticket t, old, foreign;
    struct lane_hello h;
    struct lane *l = NULL;
    const uint8_t *pin = lane_identity_pin(here);
    hello_make(&h);
    assert_int_equal(attempt(peer, pin, &h, &l), -EACCES); /* no ticket at all: not even TLS */

    ticket_make(&t, peer);
    assert_int_equal(ticket_add(lane_server_book(server), &t), 0);
    assert_int_equal(ticket_add(lane_server_book(server), &t), -EEXIST);
    ticket_make(&old, peer);
    (void)snprintf(old.id, sizeof old.id, "old");
    old.not_after_ms = clock_wall_ms() - 1;
    assert_int_equal(ticket_add(lane_server_book(server), &old), 0);
    ticket_make(&foreign, stranger);
    (void)snprintf(foreign.id, sizeof foreign.id, "foreign");
    assert_int_equal(ticket_add(lane_server_book(server), &foreign), 0);

    assert_int_equal(attempt(peer, lane_identity_pin(stranger), &h, &l),
                     -EACCES); /* wrong server */
    h.secret[31] ^= 1;
    assert_int_equal(attempt(peer, pin, &h, &l), -EACCES);
    hello_make(&h);
    h.pair[0] = '9';
    assert_int_equal(attempt(peer, pin, &h, &l), -EACCES);
    hello_make(&h);
    (void)snprintf(h.id, sizeof h.id, "nothing");
    assert_int_equal(attempt(peer, pin, &h, &l), -EACCES);
    (void)snprintf(h.id, sizeof h.id, "old");
    assert_int_equal(attempt(peer, pin, &h, &l), -EACCES);
    (void)snprintf(h.id, sizeof h.id, "foreign"); /* the secret is right, the key another's */
    assert_int_equal(attempt(peer, pin, &h, &l), -EACCES);
    ticket_remove(lane_server_book(server), "foreign");
    assert_int_equal(attempt(stranger, pin, &h, &l), -EACCES); /* its key is expected no longer */

    hello_make(&h);
    assert_int_equal(attempt(peer, pin, &h, &l), 0);
    struct lane *in = take_entered();
    assert_int_equal(got.entry.session, 9);
    assert_int_equal(got.entry.lane, 3);
    assert_int_equal(got.entry.root_len, 9);
    assert_memory_equal(got.entry.root, "what I am", 9);
    (void)lane_free(in);
    (void)lane_free(l);
    ticket_remove(lane_server_book(server), t.id);
    ticket_remove(lane_server_book(server), old.id);
    assert_int_equal(attempt(peer, pin, &h, &l), -EACCES);
}

static int raw_connect(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(lane_server_port(server))};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void silent_strangers_delay_nobody(void **state)
{
    (void)state;
    int fds[40];
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
        fds[i] = raw_connect();
        if (i % 2)
            assert_int_equal(write(fds[i], "\x16\x03\x01\x02", 4), 4); /* half a client hello */
    }
    struct ticket t;
    struct lane_hello h;
    struct lane *l = NULL;
    ticket_make(&t, peer);
    hello_make(&h);
    assert_int_equal(ticket_add(lane_server_book(server), &t), 0);
    int64_t from = clock_mono_ms();
    assert_int_equal(attempt(peer, lane_identity_pin(here), &h, &l), 0);
    assert_true(clock_mono_ms() - from < 2000);
    (void)lane_free(take_entered());
    (void)lane_free(l);
    ticket_remove(lane_server_book(server), t.id);
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        (void)close(fds[i]);
}

static void a_client_without_certificate_is_refused(void **state)
{
    (void)state;
    struct ticket t;
    ticket_make(&t, peer);
    assert_int_equal(ticket_add(lane_server_book(server), &t), 0);
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    int fd = raw_connect();
    (void)SSL_set_fd(ssl, fd);
    char byte;
    assert_true(SSL_connect(ssl) != 1 || SSL_read(ssl, &byte, 1) <= 0);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    (void)close(fd);
    ticket_remove(lane_server_book(server), t.id);
}

#define ROUNDS 64
#define PIECE (256 << 10)

/* Sends ROUNDS large records without reading, then reads as many. */
static void *talk_first(void *arg)
{
    struct lane *l = arg;
    struct lane_record r;
    uint8_t *head = xcalloc(1, LANE_HEADER_BYTES + PIECE);
    intptr_t bad = 0;
    for (uint8_t i = 0; i < ROUNDS; i++) {
        memset(head + LANE_HEADER_BYTES, i, PIECE);
        bad |= lane_send(l, 20, i, head, PIECE);
    }
    for (uint8_t i = 0; i < ROUNDS; i++) {
        bad |= lane_receive(l, 10000, &r) - 1;
        if (!bad)
            bad = r.type != 20 || r.flags != i || r.len != PIECE || r.data[PIECE - 1] != i;
    }
    free(head);
    void *ret = NULL;
    memcpy(&ret, &bad, sizeof ret);
    return ret;
}

static void both_send_at_once(bool near)
{
    struct ticket t;
    struct lane_hello h;
    struct lane *l = NULL;
    pthread_t thread;
    void *bad = NULL;
    ticket_make(&t, peer);
    hello_make(&h);
    h.near = near;
    assert_int_equal(ticket_add(lane_server_book(server), &t), 0);
    assert_int_equal(attempt(peer, lane_identity_pin(here), &h, &l), 0);
    struct lane *in = take_entered();
    assert_int_equal(lane_is_piped(l), near);
    assert_int_equal(lane_is_piped(in), near);
    assert_int_equal(pthread_create(&thread, NULL, talk_first, in), 0);
    assert_null(talk_first(l));
    (void)pthread_join(thread, &bad);
    assert_null(bad);

    struct lane_record r;
    lane_close(l);
    assert_int_equal(lane_receive(in, 1000, &r), -EPIPE);
    (void)lane_free(l);
    (void)lane_free(in);
    ticket_remove(lane_server_book(server), t.id);
}

static void both_may_send_at_once(void **state)
{
    (void)state;
    both_send_at_once(false);
    both_send_at_once(true); /* within one process */
}

/* Nobody talks a source out of its seal: only who knows this process's secret may answer near. */
static void near_only_when_asked_and_known(void **state)
{
    (void)state;
    struct ticket t;
    struct lane_hello h;
    struct lane *l = NULL;
    ticket_make(&t, peer);
    hello_make(&h);
    assert_int_equal(ticket_add(lane_server_book(server), &t), 0);
    says_near = true;
    assert_int_equal(attempt(peer, lane_identity_pin(here), &h, &l), -EBADMSG);
    says_near = false;
    (void)lane_free(take_entered());
    ticket_remove(lane_server_book(server), t.id);

    Godwit__LaneHello m = GODWIT__LANE_HELLO__INIT;
    uint8_t another[32] = {1}, secret[LANE_SECRET_BYTES] = {2}, out[256];
    m.version = LANE_VERSION;
    m.ticket_id = h.id;
    m.pair = h.pair;
    m.ticket_secret = (ProtobufCBinaryData){sizeof secret, secret};
    m.process = (ProtobufCBinaryData){sizeof another, another};
    size_t len = godwit__lane_hello__pack(&m, out);
    h.near = true;
    assert_int_equal(lane_hello_parse(out, len, &h), 0);
    assert_false(h.near);

    uint8_t long_root[LANE_ROOT_MAX + 1] = {3}; /* is none */
    uint8_t large[512];
    m.root = (ProtobufCBinaryData){sizeof long_root, long_root};
    len = godwit__lane_hello__pack(&m, large);
    assert_int_equal(lane_hello_parse(large, len, &h), 0);
    assert_int_equal(h.entry.root_len, 0);
}

/* ── a peer that says more than an inbox holds ── */

static bool any_key(void *arg, const uint8_t pin[LANE_PIN_BYTES])
{
    (void)arg;
    (void)pin;
    return true;
}

/* A client of the hand-made server below. */
static void *connect_small(void *arg)
{
    struct lane_peer_check check = {.allowed = any_key};
    struct lane *l = NULL;
    int fd = 0;
    memcpy(&fd, arg, sizeof fd);
    SSL_CTX *ctx = lane_context_new(peer, false);
    (void)lane_shake(&l, ctx, fd, &check, -1, 5000);
    SSL_CTX_free(ctx);
    return l;
}

#define OWN_ROUNDS 8

static void *send_own(void *arg)
{
    struct lane *l = arg;
    uint8_t *head = xcalloc(1, LANE_HEADER_BYTES + PIECE);
    intptr_t rc = 0;
    for (int i = 0; rc == 0 && i < OWN_ROUNDS; i++)
        rc = lane_send(l, 20, 0, head, PIECE);
    free(head);
    void *ret = NULL;
    memcpy(&ret, &rc, sizeof ret);
    return ret;
}

/* Writes records until the other side takes no more for a while; the number of bytes it took. */
static size_t flood(SSL *ssl, int fd, size_t most)
{
    static uint8_t record[LANE_HEADER_BYTES + PIECE];
    uint32_t len = htole32(PIECE);
    size_t at = 0, all = 0;
    memcpy(record, &len, sizeof len);
    record[4] = 44;
    while (all < most) {
        size_t n = 0;
        if (SSL_write_ex(ssl, record + at, sizeof record - at, &n) == 1) {
            at = (at + n) % sizeof record;
            all += n;
            continue;
        }
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (poll(&p, 1, 500) <= 0)
            break;
    }
    return all;
}

/* A hand-made server that does not read while it says far more than an inbox holds, to a client
 * that is in the middle of a send. */
static void a_full_inbox_waits_and_ends_nothing(void **state)
{
    (void)state;
    int fds[2], small = 64 << 10;
    pthread_t thread;
    void *made = NULL, *bad = NULL;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    for (int i = 0; i < 2; i++)
        (void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    SSL_CTX *ctx = lane_context_new(here, true);
    SSL *ssl = SSL_new(ctx);
    (void)SSL_set_fd(ssl, fds[0]);
    SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
    assert_int_equal(pthread_create(&thread, NULL, connect_small, &fds[1]), 0);
    while (SSL_accept(ssl) != 1) {
        struct pollfd p = {.fd = fds[0], .events = POLLIN};
        assert_int_equal(poll(&p, 1, 5000), 1);
    }
    (void)pthread_join(thread, &made);
    struct lane *l = made;
    assert_non_null(l);
    lane_wait_when_full(l);
    assert_int_equal(pthread_create(&thread, NULL, send_own, l), 0);
    size_t said = flood(ssl, fds[0], 2UL * LANE_INBOX_MAX);
    assert_true(said > LANE_INBOX_MAX / 2 && said < 2UL * LANE_INBOX_MAX);
    static uint8_t space[PIECE];
    for (size_t all = 0, n = 0; all < (size_t)OWN_ROUNDS * (PIECE + LANE_HEADER_BYTES); all += n) {
        struct pollfd p = {.fd = fds[0], .events = POLLIN};
        n = 0;
        if (SSL_read_ex(ssl, space, sizeof space, &n) != 1)
            assert_int_equal(poll(&p, 1, 5000), 1);
    }
    (void)pthread_join(thread, &bad);
    assert_null(bad);
    struct lane_record r;
    for (size_t i = 0; i < said / (PIECE + LANE_HEADER_BYTES); i++)
        assert_int_equal(lane_receive(l, 5000, &r), 1);
    (void)lane_free(l);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    (void)close(fds[0]);
}

static void the_key_file_is_private_and_stays(void **state)
{
    (void)state;
    struct lane_identity *again = identity("peer");
    assert_memory_equal(lane_identity_pin(again), lane_identity_pin(peer), LANE_PIN_BYTES);
    assert_memory_not_equal(lane_identity_pin(again), lane_identity_pin(here), LANE_PIN_BYTES);
    (void)lane_identity_free(again);
    char *path = xasprintf("%s/peer", dir);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(lane_identity_load_or_new(path, &again), -EPERM);
    assert_int_equal(chmod(path, 0600), 0);
    free(path);
}

/* As an agent is, which may not configure the network: some hosts have BBR as their default and
 * allow such a program nothing but that and reno. */
static int congestion_of_a_user(void)
{
    char name[16] = "";
    socklen_t len = sizeof name - 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || (geteuid() == 0 && setuid(65534) < 0))
        return 2;
    lane_socket_tune(fd);
    if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &len) < 0)
        return 2;
    return strcmp(name, "cubic") == 0 || strcmp(name, "reno") == 0 ? 0 : 1;
}

static void a_short_link_is_not_paced(void **state)
{
    (void)state;
    int status = -1;
    pid_t pid = fork();
    if (pid == 0)
        _exit(congestion_of_a_user());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_pin_and_ticket_open_a_lane),
        cmocka_unit_test(silent_strangers_delay_nobody),
        cmocka_unit_test(a_client_without_certificate_is_refused),
        cmocka_unit_test(both_may_send_at_once),
        cmocka_unit_test(near_only_when_asked_and_known),
        cmocka_unit_test(a_full_inbox_waits_and_ends_nothing),
        cmocka_unit_test(the_key_file_is_private_and_stays),
        cmocka_unit_test(a_short_link_is_not_paced),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
