/* test_program: children that speak, are silent, hang, flood and fail. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "tests/unit/test.h"

static int sh(const char *script, struct program_call c, struct program_output *ret)
{
    struct fault f = {0};
    const char *const argv[] = {"sh", "-c", script, NULL};
    c.argv = argv;
    int rc = program_run(&c, ret, &f);
    assert_true(rc == 0 || (f.err == -rc && f.text[0]));
    return rc;
}

static void test_speaks(void **state)
{
    (void)state;
    struct program_output o;
    assert_int_equal(sh("echo out; echo no >&2; echo \"really not\" >&2; cat; exit 3",
                        (struct program_call){.max_out = 0}, &o),
                     0);
    CLEANUP(mem_free) char *words = program_words(&o);
    assert_string_equal(o.out, "out\n");
    assert_string_equal(words, "really not");
    assert_int_equal(o.code, 3);
    program_done(&o);
    assert_int_equal(sh("echo $LC_ALL; kill -9 $$", (struct program_call){.max_out = 0}, &o), 0);
    assert_string_equal(o.out, "C\n");
    assert_int_equal(o.code, 128 + 9);
    program_done(&o);
}

static void test_surplus_is_dropped_when_told_to(void **state)
{
    (void)state;
    struct program_output o;
    static const char *const env[] = {"WHO=me", "WHAT=that", NULL};
    assert_int_equal(sh("echo $WHO $WHAT $LC_ALL; yes | head -c 300000; exit 1",
                        (struct program_call){.env = env, .max_out = 15, .drop = true}, &o),
                     0);
    assert_string_equal(o.out, "me that C\ny\ny\ny");
    assert_int_equal(o.code, 1);
    CLEANUP(mem_free) char *words = program_words(&o); /* standard error is silent */
    assert_string_equal(words, "y");
    program_done(&o);
}

static void test_limits(void **state)
{
    (void)state;
    struct program_output o;
    assert_int_equal(sh("sleep 100", (struct program_call){.timeout_ms = 50}, &o), -ETIMEDOUT);
    assert_int_equal(sh("yes", (struct program_call){.max_out = 100000}, &o), -E2BIG);
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "", 1), 1);
    assert_int_equal(sh("sleep 100", (struct program_call){.cancel_fd = fds[0]}, &o), -ECANCELED);
    (void)fd_close(fds[0]);
    (void)fd_close(fds[1]);
    /* Standard error is only looked at: a flood there ends nothing. */
    assert_int_equal(
        sh("yes | head -c 300000 >&2; echo end", (struct program_call){.max_out = 8}, &o), 0);
    assert_string_equal(o.out, "end\n");
    assert_int_equal(strlen(o.err), 64 << 10);
    program_done(&o);
    /* What it leaves running holds nobody up. */
    int64_t before = clock_mono_ms();
    assert_int_equal(sh("sleep 9 & echo left", (struct program_call){.max_out = 0}, &o), 0);
    assert_string_equal(o.out, "left\n");
    assert_true(clock_mono_ms() - before < 8000);
    program_done(&o);
}

static void test_input(void **state)
{
    (void)state;
    enum { LONG = 300000 }; /* more than a pipe holds, for somebody who does not read it */
    CLEANUP(mem_free) char *text = xmalloc(LONG);
    struct program_output o;
    memset(text, 'x', LONG);
    struct program_call c = {.input = text, .input_len = LONG};
    assert_int_equal(sh("wc -c", c, &o), 0);
    assert_string_equal(o.out, "300000\n");
    program_done(&o);
    assert_int_equal(sh("exit 3", c, &o), 0);
    assert_int_equal(o.code, 3);
    program_done(&o);
    c.input_len = 0;
    assert_int_equal(sh("cat; echo end", c, &o), 0);
    assert_string_equal(o.out, "end\n");
    program_done(&o);
}

static void test_absent(void **state)
{
    (void)state;
    struct fault f = {0};
    struct program_output o;
    const char *const argv[] = {"no-such-program", NULL};
    struct program_call c = {.argv = argv, .search = "/usr/bin:/nowhere"};
    assert_int_equal(program_run(&c, &o, &f), -ENOENT);
    assert_non_null(strstr(f.text, "no-such-program"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_speaks), cmocka_unit_test(test_surplus_is_dropped_when_told_to),
        cmocka_unit_test(test_limits), cmocka_unit_test(test_input),
        cmocka_unit_test(test_absent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
