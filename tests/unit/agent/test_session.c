/* test_session: the table of session states, and the file that says where home is. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/home.h"
#include "agent/rotate.h"
#include "agent/session.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/wire/curve.h"
#include "tests/unit/agent/temp_dir.h"
#include "tests/unit/test.h"

static void the_table_holds(void **state)
{
    (void)state;
    static const struct {
        enum session_state in;
        enum session_event on;
        int rc;
        enum session_state next;
        enum session_act act;
    } cases[] = {
        {SESSION_OFF,   SESSION_EV_HOME,    0,       SESSION_HELLO, SESSION_ACT_CONNECT   },
        {SESSION_OFF,   SESSION_EV_DUE,     -EPROTO, 0,             0                     },
        {SESSION_OFF,   SESSION_EV_WELCOME, -EPROTO, 0,             0                     },
        {SESSION_WAIT,  SESSION_EV_DUE,     0,       SESSION_HELLO, SESSION_ACT_CONNECT   },
        {SESSION_WAIT,  SESSION_EV_WELCOME, -EPROTO, 0,             0                     }, /* of a connection that is closed */
        {SESSION_WAIT,  SESSION_EV_REFUSED, -EPROTO, 0,             0                     },
        {SESSION_HELLO, SESSION_EV_UP,      0,       SESSION_HELLO, SESSION_ACT_HELLO     },
        {SESSION_HELLO, SESSION_EV_WELCOME, 0,       SESSION_LIVE,  SESSION_ACT_LIVE      },
        {SESSION_HELLO, SESSION_EV_DUE,     0,       SESSION_HELLO, SESSION_ACT_NEXT      },
        {SESSION_HELLO, SESSION_EV_DENIED,  0,       SESSION_WAIT,  SESSION_ACT_PAUSE_NEXT},
        {SESSION_HELLO, SESSION_EV_UNKNOWN, 0,       SESSION_HELLO, SESSION_ACT_NONE      }, /* no hot loop */
        {SESSION_LIVE,  SESSION_EV_UNKNOWN, 0,       SESSION_HELLO, SESSION_ACT_HELLO     },
        {SESSION_LIVE,  SESSION_EV_REFUSED, 0,       SESSION_WAIT,  SESSION_ACT_PAUSE_LONG},
        {SESSION_LIVE,  SESSION_EV_SILENT,  0,       SESSION_WAIT,  SESSION_ACT_PAUSE_NEXT},
        {SESSION_LIVE,  SESSION_EV_DOWN,    0,       SESSION_WAIT,  SESSION_ACT_PAUSE     },
        {SESSION_LIVE,  SESSION_EV_GOODBYE, 0,       SESSION_WAIT,  SESSION_ACT_PAUSE     },
        {SESSION_LIVE,  SESSION_EV_MOVE,    0,       SESSION_HELLO, SESSION_ACT_CONNECT   },
        {SESSION_LIVE,  SESSION_EV_DUE,     -EPROTO, 0,             0                     },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        enum session_state next = 0;
        enum session_act act = 0;
        print_message("%s, event %d\n", session_state_name(cases[i].in), (int)cases[i].on);
        assert_int_equal(session_rule(cases[i].in, cases[i].on, &next, &act), cases[i].rc);
        assert_int_equal(next, cases[i].next);
        assert_int_equal(act, cases[i].act);
    }
}

static void every_state_has_a_way_out(void **state)
{
    (void)state;
    for (int in = SESSION_OFF; in <= SESSION_LIVE; in++) {
        bool leaves = false;
        for (int on = SESSION_EV_HOME; on <= SESSION_EV_MOVE; on++) {
            enum session_state next = (enum session_state)in;
            enum session_act act = SESSION_ACT_NONE;
            leaves |=
                session_rule((enum session_state)in, (enum session_event)on, &next, &act) == 0;
        }
        assert_true(leaves);
    }
}

static void endpoints_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint;
        const char *address; /* NULL: refused */
    } cases[] = {
        {"tcp://orch.example:7401",  "orch.example" },
        {"tcp://[2001:db8::1]:7401", "[2001:db8::1]"},
        {"tcp://*:7401",             "*"            },
        {"tcp://:7401",              NULL           },
        {"tcp://orch.example",       NULL           },
        {"tcp://orch.example:",      NULL           },
        {"tcp://orch.example:0",     NULL           },
        {"tcp://orch.example:65536", NULL           },
        {"tcp://orch.example:74o1",  NULL           },
        {"ipc:///run/godwit",        NULL           },
        {"",                         NULL           },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char address[64] = "";
        print_message("'%s'\n", cases[i].endpoint);
        int rc = home_address_of(cases[i].endpoint, address, sizeof address);
        assert_int_equal(rc, cases[i].address ? 0 : -EINVAL);
        assert_string_equal(address, cases[i].address ? cases[i].address : "");
    }
}

static void home_is_kept_and_a_damaged_one_refused(void **state)
{
    (void)state;
    static const char *const damaged[] = {
        "",
        "{",
        "[]",
        "{\"schema\":2}",
        "{\"schema\":1,\"agent_id\":\"a\",\"host\":\"h\"}",
        "{\"schema\":1,\"agent_id\":\"a\",\"host\":\"h\",\"address\":\"x\",\"keys\":[]}",
        ("{\"schema\":1,\"agent_id\":\"a\",\"host\":\"h\",\"address\":\"x\",\"keys\":"
         "[{\"public_key\":\"short\",\"endpoint\":\"tcp://*:7401\",\"not_after_ms\":0}]}"),
    };
    char *dir = temp_dir_new();
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", dir, HOME_FILE);
    struct home h = {.agent_id = "a1", .host = "fs1", .address = "[::1]", .nkeys = 1}, got = {0};
    char endpoint[64];
    struct stat st;
    memset(h.keys[0].key, 7, 32);
    (void)snprintf(h.keys[0].endpoint, sizeof h.keys[0].endpoint, "tcp://*:7403");
    assert_int_equal(home_load(path, &got), -ENOENT);
    assert_int_equal(home_save(&h, path), 0);
    assert_int_equal(home_load(path, &got), 0);
    assert_memory_equal(got.keys[0].key, h.keys[0].key, 32);
    assert_string_equal(got.host, "fs1");
    assert_int_equal(home_endpoint(&got, 0, endpoint, sizeof endpoint), 0);
    assert_string_equal(endpoint, "tcp://[::1]:7403");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    for (size_t i = 0; i < ARRAY_SIZE(damaged); i++) {
        assert_int_equal(file_write(path, 0600, damaged[i], strlen(damaged[i])), 0);
        assert_int_equal(home_load(path, &got), -EBADMSG);
    }
    temp_dir_free(dir);
}

static void a_malformed_list_of_keys_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        size_t key_len;
        const char *endpoint;
        int64_t not_after;
        int rc;
    } cases[] = {
        {31, "tcp://*:7401", 0, -EINVAL},
        {32, "ipc://x",      0, -EINVAL},
        {32, "tcp://*:7401", 1, -EINVAL}, /* over long ago: none is left */
        {32, "tcp://*:7403", 0, 1      },
        {32, "tcp://*:7403", 0, 0      },
    };
    uint8_t key[32] = {1};
    struct home h = {.nkeys = 1};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct home before = h;
        Godwit__ServerKey k = GODWIT__SERVER_KEY__INIT;
        Godwit__ServerKey *list[] = {&k};
        Godwit__ServerKeys keys = GODWIT__SERVER_KEYS__INIT;
        k.public_key = (ProtobufCBinaryData){.len = cases[i].key_len, .data = key};
        k.endpoint = (char *)(uintptr_t)cases[i].endpoint;
        k.not_after_ms = cases[i].not_after;
        keys.n_keys = 1;
        keys.keys = list;
        assert_int_equal(home_take_keys(&h, &keys), cases[i].rc);
        if (cases[i].rc <= 0)
            assert_memory_equal(&h, &before, sizeof h);
    }
    Godwit__ServerKeys none = GODWIT__SERVER_KEYS__INIT;
    assert_int_equal(home_take_keys(&h, &none), -EINVAL);
}

static void a_key_that_is_over_is_trusted_only_when_there_is_no_other(void **state)
{
    (void)state;
    struct home h = {
        .nkeys = 2, .keys = {{.not_after_ms = 0}, {.not_after_ms = 1000}}
    };
    assert_true(home_usable(&h, 1, 999));
    assert_false(home_usable(&h, 1, 1000));
    assert_true(home_usable(&h, 0, 1000));
    h.keys[0].not_after_ms = 500;
    assert_false(home_usable(&h, 0, 700));
    assert_true(home_usable(&h, 0, 1000)); /* both are: or this clock is wrong */
}

static void a_rotation_survives_a_kill_at_any_point(void **state)
{
    (void)state;
    char *dir = temp_dir_new();
    CLEANUP(mem_free) char *path = xasprintf("%s/agent.key", dir);
    struct keyring *k = NULL;
    struct curve_key old;
    uint8_t next[32], again[32];
    assert_int_equal(keyring_load(dir, &k), -ENOENT);
    assert_int_equal(curve_key_load_or_new(path, &old), 0);
    assert_int_equal(keyring_load(dir, &k), 0);
    (void)keyring_take(k);
    assert_int_equal(keyring_rotate(k, next), 0);
    assert_int_equal(keyring_welcomed(k),
                     0);   /* on the old connection: says nothing of the next key */
    (void)keyring_free(k); /* killed before anybody said yes */
    assert_int_equal(keyring_load(dir, &k), 0);
    assert_memory_equal(keyring_take(k)->public_key, next, 32); /* the next one is tried first */
    keyring_refused(k);
    assert_memory_equal(keyring_take(k)->public_key, old.public_key, 32);
    assert_int_equal(keyring_welcomed(k), 0); /* with the old one: nothing is thrown away */
    assert_int_equal(keyring_rotate(k, again), 0);
    assert_memory_equal(again, next, 32); /* asked twice: the same next key */
    (void)keyring_take(k);
    assert_int_equal(keyring_welcomed(k), 1);
    (void)keyring_free(k);
    assert_int_equal(keyring_load(dir, &k), 0);
    assert_memory_equal(keyring_take(k)->public_key, next, 32);
    assert_false(keyring_has_next(k));
    (void)keyring_free(k);
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_table_holds),
        cmocka_unit_test(every_state_has_a_way_out),
        cmocka_unit_test(endpoints_are_taken_apart),
        cmocka_unit_test(home_is_kept_and_a_damaged_one_refused),
        cmocka_unit_test(a_malformed_list_of_keys_changes_nothing),
        cmocka_unit_test(a_key_that_is_over_is_trusted_only_when_there_is_no_other),
        cmocka_unit_test(a_rotation_survives_a_kill_at_any_point),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
