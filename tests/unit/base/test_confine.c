/* test_confine: what a process may, and the command that a helper's unit begins with. */
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/confine.h"
#include "tests/unit/test.h"

static void test_root_may_and_who_is_bound_may_not(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    assert_true(confine_may_set_user());
    pid_t pid = fork();
    if (pid == 0) {
        bool bad = setresuid(65534, 65534, 65534) < 0 || confine_may_set_user() || confine_caps();
        _exit(bad);
    }
    int status = 1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_a_unit_waits_and_gains_nothing(void **state)
{
    (void)state;
    const char *argv[CONFINE_ARGS];
    size_t n = confine_unit(argv);
    bool waits = false, pipes = false, new_rights = true;
    assert_string_equal(argv[0], "systemd-run");
    for (size_t i = 0; i < n; i++) {
        waits = waits || strcmp(argv[i], "--wait") == 0;
        pipes = pipes || strcmp(argv[i], "--pipe") == 0;
        new_rights = new_rights && strcmp(argv[i], "--property=NoNewPrivileges=yes") != 0;
    }
    assert_true(waits && pipes && !new_rights);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_root_may_and_who_is_bound_may_not),
        cmocka_unit_test(test_a_unit_waits_and_gains_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
