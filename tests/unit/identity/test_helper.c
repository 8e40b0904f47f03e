/* test_helper: orders to a process of its own, whose manager is a program of the test's: what comes
 * back, who is told that nobody waits, and what is left when somebody dies. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/identity/helper.h"
#include "agent/identity/identity.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "proto/control.pb-c.h"
#include "tests/unit/identity/own_host.h"
#include "tests/unit/test.h"

/* As systemd starts the unit, and ends with it: the unit is this program itself. With @/waits it
 * waits for another host until it hears the bell. */
static const char systemctl[] =
    "#!/bin/sh\nn=${3#godwit-identity?} n=@/cutover/run/${n%.service}\n"
    "echo \"start $(stat -c %a $n.order)\" >>@/calls\n[ ! -e @/dies ] || exit 1\n"
    "if [ -e @/waits ]; then read -r line <$n.bell; echo told >>@/calls; fi\n"
    "cp @/answer $n.result\n";

static int begin(void **state)
{
    (void)state;
    Godwit__Result r = GODWIT__RESULT__INIT;
    Godwit__IdentityResult b = GODWIT__IDENTITY_RESULT__INIT;
    uint8_t body[64], all[128];
    b.acted = true;
    host_begin();
    host_program("systemctl", systemctl);
    r.status = GODWIT__RESULT__STATUS__DONE;
    r.body = (ProtobufCBinaryData){.len = godwit__identity_result__pack(&b, body), .data = body};
    size_t n = godwit__result__pack(&r, all);
    CLEANUP(mem_free) char *path = xasprintf("%s/answer", host_root);
    assert_int_equal(file_write(path, 0600, all, n), 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    host_end();
    return 0;
}

static unsigned left(void)
{
    unsigned n = 0;
    CLEANUP(mem_free) char *path = xasprintf("%s/run", host_home);
    DIR *d = opendir(path);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    if (d)
        (void)closedir(d);
    return n;
}

static int run(int cancel_fd)
{
    const struct site v = {.root = host_root, .search = host_bin, .cancel_fd = cancel_fd};
    Godwit__IdentityOrder o = GODWIT__IDENTITY_ORDER__INIT;
    Godwit__IdentityResult *r = NULL;
    struct fault why = {.err = 0};
    o.stage = host_text("names");
    int rc = helper_run(host_home, &v, &o, &r, &why);
    assert_int_equal(r != NULL, rc == 0);
    if (r) {
        assert_true(r->acted);
        godwit__identity_result__free_unpacked(r, NULL);
    }
    if (rc < 0)
        assert_true(why.err > 0);
    assert_int_equal(left(), 0);
    return rc;
}

static void an_order_is_done_and_leaves_nothing(void **state)
{
    (void)state;
    assert_int_equal(run(0), 0);
    host_assert_file("calls", "start 600\n");
    host_put("dies", "", 0600);
    assert_int_equal(run(0), -EIO);
}

/* The manager is asked again until the unit has ended; the unit is never broken off. */
static void who_waits_in_vain_is_told(void **state)
{
    (void)state;
    int both[2];
    assert_int_equal(pipe(both), 0);
    assert_int_equal(write(both[1], "x", 1), 1);
    host_put("waits", "", 0600);
    assert_int_equal(run(both[0]), 0);
    CLEANUP(mem_free) char *calls = host_get("calls");
    assert_non_null(strstr(calls, "start 600\ntold\n"));
    (void)close(both[0]);
    (void)close(both[1]);
}

static void what_the_dead_leave_goes(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *bell = xasprintf("%s/run/aa.bell", host_home);
    helper_sweep(host_home); /* nothing was ever there */
    host_put("cutover/run/aa.order", "a secret", 0600);
    host_put("cutover/run/aa.result", "x", 0600);
    host_put("cutover/0123456789abcdef.1/guard", "not its", 0600);
    assert_int_equal(mkfifo(bell, 0600), 0);
    assert_int_equal(left(), 3);
    helper_sweep(host_home);
    assert_int_equal(left(), 0);
    host_assert_file("cutover/0123456789abcdef.1/guard", "not its");
}

static void put_order(void)
{
    Godwit__IdentityOrder o = GODWIT__IDENTITY_ORDER__INIT;
    uint8_t packed[128];
    CLEANUP(mem_free) char *folder = xasprintf("%s/run", host_home);
    CLEANUP(mem_free) char *path = xasprintf("%s/aa.order", folder);
    o.cutover = host_text("0123456789abcdef.1");
    o.stage = host_text("nonsense");
    size_t n = godwit__identity_order__pack(&o, packed);
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(file_write(path, 0600, packed, n), 0);
}

/* The process itself: its order is gone before anything else can go wrong. */
static void an_order_is_taken_once(void **state)
{
    (void)state;
    put_order();
    assert_int_equal(identity_helper(host_root, "aa"), 0); /* it has answered */
    host_assert_file("cutover/run/aa.order", "(none)");
    CLEANUP(mem_free) char *said = host_get("cutover/run/aa.result");
    assert_string_not_equal(said, "(none)");
    assert_int_equal(identity_helper(host_root, "aa"), 6);
    assert_int_equal(identity_helper(host_root, "../aa"), 2);
}

/* The agent died while the process waits for its turn, and another has started. */
static void nobody_is_answered_who_is_gone(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *lock = xasprintf("%s/lock", host_home);
    CLEANUP(mem_free) char *path = xasprintf("%s/run/aa.order", host_home);
    CLEANUP(mem_free) char *bell = xasprintf("%s/run/aa.bell", host_home);
    put_order();
    assert_int_equal(mkfifo(bell, 0600), 0);
    int fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && flock(fd, LOCK_EX) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(fd);
        _exit(identity_helper(host_root, "aa"));
    }
    while (access(path, F_OK) == 0)
        (void)poll(NULL, 0, 5);
    helper_sweep(host_home);
    (void)close(fd);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_int_equal(left(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_order_is_done_and_leaves_nothing, begin, end),
        cmocka_unit_test_setup_teardown(who_waits_in_vain_is_told, begin, end),
        cmocka_unit_test_setup_teardown(what_the_dead_leave_goes, begin, end),
        cmocka_unit_test_setup_teardown(an_order_is_taken_once, begin, end),
        cmocka_unit_test_setup_teardown(nobody_is_answered_who_is_gone, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
