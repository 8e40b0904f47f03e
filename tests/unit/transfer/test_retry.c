/* test_retry: a run of only what failed in the last one. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/trees.h"

/* As if these paths, each with a NUL, were what failed. */
static void say_failed(const char *paths, size_t len)
{
    char *list = xasprintf("%s/source/transfer/0123456789abcdef.1.failed", state);
    assert_int_equal(file_write(list, 0600, paths, len), 0);
    free(list);
}

static void remove_there(const char *name)
{
    char *path = xasprintf("%s/%s", destination, name);
    const char *const argv[] = {"rm", "-r", path, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(path);
}

static void what_failed_comes_and_its_folder_keeps_its_time(void **state_)
{
    (void)state_;
    static const struct {
        const char *paths;
        size_t len;
        const char *gone;
        uint64_t files;
    } cases[] = {
        {"one/two",               8,  "one/two",     2},
        {"one",                   4,  "one",         3},
        {"one/a",                 6,  "one/a",       1},
        {"one/two/b\0one/two/c",  20, "one/two/c",   1},
        {"vanished\0one/gone/by", 21, "one/none-of", 0},
    };
    make_dir(source, "one");
    make_dir(source, "one/two");
    put_random("one/a", 1000, 1);
    put_random("one/two/b", 2000, 2);
    put_random("one/two/c", 300000, 3);
    static const struct timespec long_ago[2] = {
        {1000000000, 0},
        {1000000000, 0}
    };
    IN_SOURCE(utimensat(AT_FDCWD, path, long_ago, 0), "one/two");
    IN_SOURCE(utimensat(AT_FDCWD, path, long_ago, 0), "one");
    struct both b;
    transfer(&b, NULL);
    assert_done(&b);
    assert_same_trees();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct transfer_options o = {.only_failed = true};
        if (cases[i].files)
            remove_there(cases[i].gone);
        say_failed(cases[i].paths, cases[i].len);
        transfer(&b, &o);
        assert_done(&b);
        assert_int_equal(b.received.counters.files, cases[i].files);
        assert_same_trees();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_failed_comes_and_its_folder_keeps_its_time,
                                        trees_setup, trees_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
