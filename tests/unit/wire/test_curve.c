/* test_curve: key files, and who gets in where, over real sockets. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/wire/curve.h"
#include "common/wire/zap.h"
#include "tests/unit/test.h"

#define QUIET_MS 400 /* long enough for a handshake on loopback */
#define ANSWER_MS 20000

static char folder[] = "/tmp/godwit-curve-XXXXXX";
static char path[64];

static int set_up(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    (void)snprintf(path, sizeof path, "%s/a.key", folder);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)unlink(path);
    return rmdir(folder);
}

static void a_key_file_comes_back_and_is_private(void **state)
{
    (void)state;
    struct curve_key a, b;
    struct stat st;
    assert_int_equal(curve_key_load(path, &a), -ENOENT);
    assert_int_equal(curve_key_load_or_new(path, &a), 0);
    assert_int_equal(curve_key_load_or_new(path, &b), 0);
    assert_memory_equal(&a, &b, sizeof a);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_key_that_others_may_read_is_refused(void **state)
{
    (void)state;
    struct curve_key k;
    static const mode_t modes[] = {0640, 0604, 0620, 0601};
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        assert_int_equal(curve_key_load(path, &k), -EPERM);
        assert_int_equal(curve_key_load_or_new(path, &k), -EPERM);
    }
    assert_int_equal(chmod(path, 0600), 0);
}

static void a_file_of_another_shape_is_refused(void **state)
{
    (void)state;
    struct curve_key k, other;
    char z85[CURVE_Z85_LEN + 1], secret[CURVE_Z85_LEN + 1], text[256];
    curve_key_new(&k);
    curve_key_new(&other);
    curve_z85(k.public_key, z85);
    curve_z85(other.secret_key, secret);
    (void)snprintf(text, sizeof text, "public %s\nsecret %s\n", z85, secret);
    const char *const cases[] = {"", "x", "public", "public a\nsecret b\n", text};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(file_write(path, 0600, cases[i], strlen(cases[i])), 0);
        assert_int_equal(curve_key_load(path, &other), -EBADMSG);
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("/etc/hostname", path), 0);
    assert_int_equal(curve_key_load(path, &other), -ELOOP);
    assert_int_equal(curve_key_load("/tmp", &other), -EBADMSG);
}

static void z85_has_one_length_and_alphabet(void **state)
{
    (void)state;
    uint8_t key[32];
    struct curve_key k;
    char z85[CURVE_Z85_LEN + 1];
    curve_key_new(&k);
    curve_z85(k.public_key, z85);
    assert_int_equal(curve_from_z85(z85, key), 0);
    assert_memory_equal(key, k.public_key, 32);
    z85[3] = '"';
    assert_int_equal(curve_from_z85(z85, key), -EINVAL);
    assert_int_equal(curve_from_z85("", key), -EINVAL);
    assert_int_equal(curve_from_z85(NULL, key), -EINVAL);
    assert_int_equal(curve_from_z85("########################################", key), -EINVAL);
}

/* Whether a client with this key gets a message through to a server on this domain, within so many
 * ms. */
static bool gets_through(zsock_t *server, const char *endpoint, const struct curve_key *sk,
                         const struct curve_key *ck, char *user, int ms)
{
    zsock_t *client = zsock_new(ZMQ_DEALER);
    assert_int_equal(curve_secure_client(client, ck, sk->public_key), 0);
    zsock_set_linger(client, 0);
    assert_int_equal(zsock_connect(client, "%s", endpoint), 0);
    (void)zstr_send(client, "hello");
    zsock_set_rcvtimeo(server, ms);
    zmsg_t *msg = zmsg_recv(server);
    if (msg) {
        const char *u = curve_user(zmsg_last(msg));
        (void)snprintf(user, CURVE_Z85_LEN + 1, "%s", u ? u : "");
    }
    bool through = msg != NULL;
    zmsg_destroy(&msg);
    zsock_destroy(&client);
    return through;
}

static zsock_t *open_server(const struct curve_key *key, const char *domain, char endpoint[64])
{
    zsock_t *server = zsock_new(ZMQ_ROUTER);
    assert_int_equal(curve_secure_server(server, key, domain), 0);
    int port = zsock_bind(server, "tcp://127.0.0.1:*");
    assert_true(port > 0);
    (void)snprintf(endpoint, 64, "tcp://127.0.0.1:%d", port);
    return server;
}

static void only_allowed_keys_enter_a_domain(void **state)
{
    (void)state;
    struct curve_key sk, known, stranger;
    char endpoint[64], user[CURVE_Z85_LEN + 1] = "", want[CURVE_Z85_LEN + 1];
    struct zap *zap = NULL, *second = NULL;
    curve_key_new(&sk);
    curve_key_new(&known);
    curve_key_new(&stranger);
    curve_z85(known.public_key, want);
    assert_int_equal(zap_start(&zap), 0);
    assert_int_equal(zap_start(&second), -EADDRINUSE);
    zsock_t *server = open_server(&sk, "agents", endpoint);
    assert_false(gets_through(server, endpoint, &sk, &known, user, QUIET_MS));
    zap_allow(zap, "agents", known.public_key);
    zap_allow(zap, "console", stranger.public_key); /* of another domain */
    assert_true(gets_through(server, endpoint, &sk, &known, user, ANSWER_MS));
    assert_string_equal(user, want);
    assert_false(gets_through(server, endpoint, &sk, &stranger, user, QUIET_MS));
    zap_deny(zap, "agents", known.public_key);
    assert_false(gets_through(server, endpoint, &sk, &known, user, QUIET_MS));
    zsock_destroy(&server);
    server = open_server(&sk, "enrol", endpoint);
    assert_false(gets_through(server, endpoint, &sk, &stranger, user, QUIET_MS));
    zap_open_domain(zap, "enrol");
    assert_true(gets_through(server, endpoint, &sk, &stranger, user, ANSWER_MS));
    zsock_destroy(&server);
    (void)zap_stop(zap);
}

static void a_server_without_domain_or_handler_is_not_made(void **state)
{
    (void)state;
    struct curve_key sk;
    struct zap *zap = NULL;
    curve_key_new(&sk);
    zsock_t *server = zsock_new(ZMQ_ROUTER);
    assert_int_equal(curve_secure_server(server, &sk, "agents"), -ENOTCONN);
    assert_int_equal(zap_start(&zap), 0);
    assert_int_equal(curve_secure_server(server, &sk, ""), -EINVAL);
    assert_int_equal(curve_secure_server(server, &sk, NULL), -EINVAL);
    assert_int_equal(curve_secure_server(server, &sk, "agents"), 0);
    zsock_destroy(&server);
    (void)zap_stop(zap);
    assert_false(zap_running());
}

static void a_server_whose_handler_ended_admits_nobody(void **state)
{
    (void)state;
    struct curve_key sk, known;
    char endpoint[64], user[CURVE_Z85_LEN + 1];
    struct zap *zap = NULL;
    curve_key_new(&sk);
    curve_key_new(&known);
    assert_int_equal(zap_start(&zap), 0);
    zap_allow(zap, "agents", known.public_key);
    zsock_t *server = open_server(&sk, "agents", endpoint);
    (void)zap_stop(zap);
    assert_false(gets_through(server, endpoint, &sk, &known, user, QUIET_MS));
    zsock_destroy(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_file_comes_back_and_is_private),
        cmocka_unit_test(a_key_that_others_may_read_is_refused),
        cmocka_unit_test(a_file_of_another_shape_is_refused),
        cmocka_unit_test(z85_has_one_length_and_alphabet),
        cmocka_unit_test(only_allowed_keys_enter_a_domain),
        cmocka_unit_test(a_server_without_domain_or_handler_is_not_made),
        cmocka_unit_test(a_server_whose_handler_ended_admits_nobody),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
