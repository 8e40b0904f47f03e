/* test_ticket: a user's ticket by programs of the test's own: the password is told to them on their
 * standard input alone. */
#include <errno.h>
#include <string.h>

#include "agent/identity/ticket.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "tests/unit/identity/own_host.h"
#include "tests/unit/test.h"

#define PASSWORD "Very Secret=1"

static int begin(void **state)
{
    (void)state;
    host_begin();
    host_program("kinit", "#!/bin/sh\necho \"kinit $*\" >>@/calls\ncat >@/input\n"
                          "[ ! -e @/refuse ] || { echo 'kinit: no such user' >&2; exit 1; }\n");
    host_program("kvno", "#!/bin/sh\necho \"kvno $*\" >>@/calls\n[ \"$4\" = cifs/FS1 ]\n");
    host_put("cred", "username = alice\npassword = " PASSWORD "\ndomain = LAB\n", 0600);
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_end();
    return 0;
}

static int take(const char *file, const char *user, struct fault *why)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", host_root, file);
    const struct site v = {.root = host_root, .search = host_bin};
    return ticket_take(&v, path, user, "LAB.TEST", "/run/cache", why);
}

static void the_password_is_no_argument(void **state)
{
    (void)state;
    struct fault why = {.err = 0};
    assert_int_equal(take("cred", "first.last", &why), 0);
    host_assert_file("input", PASSWORD "\n");
    assert_true(host_called("kinit -c /run/cache -- first.last@LAB.TEST"));
    assert_false(host_called("Secret"));
    host_put("refuse", "", 0600);
    assert_int_equal(take("cred", "alice", &why), -EACCES);
    assert_non_null(strstr(why.text, "no such user"));
    assert_null(strstr(why.text, "Secret"));
}

static void what_is_no_user_is_not_asked_for(void **state)
{
    static const char *const bad[] = {"", "-c", "a/admin", "a@OTHER", "LAB\\alice", "a\nb"};
    (void)state;
    struct fault why = {.err = 0};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(take("cred", bad[i], &why), -EINVAL);
    host_put("empty", "username = alice\n", 0600);
    assert_int_equal(take("empty", "alice", &why), -ENOKEY);
    assert_int_equal(take("none", "alice", &why), -ENOKEY);
    host_assert_file("calls", "(none)");
}

static void a_name_without_a_service_is_told(void **state)
{
    (void)state;
    const struct site v = {.root = host_root, .search = host_bin};
    assert_int_equal(ticket_service(&v, "/run/cache", "cifs/FS1"), 1);
    assert_int_equal(ticket_service(&v, "/run/cache", "cifs/files"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_password_is_no_argument, begin, end),
        cmocka_unit_test_setup_teardown(what_is_no_user_is_not_asked_for, begin, end),
        cmocka_unit_test_setup_teardown(a_name_without_a_service_is_told, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
