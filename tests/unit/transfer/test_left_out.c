/* test_left_out: what a job's filter leaves out is not sent, not deleted, and not forgotten by a
 * pass of the change feed. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/filter.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

static const char *const exclude[] = {"*.tmp", "/cache/", "@windows"};
static const char *const include[] = {"keep.tmp"};

static struct filter *make(struct filter_conf conf)
{
    struct filter *f = NULL;
    assert_int_equal(filter_new(&f, &conf, NULL), 0);
    return f;
}

static bool there(const char *name)
{
    struct stat st;
    char *path = xasprintf("%s/%s", destination, name);
    int rc = lstat(path, &st);
    free(path);
    return rc == 0;
}

static void plant(void)
{
    make_dir(source, "cache");
    make_dir(source, "sub");
    make_dir(source, "sub/cache");
    make_dir(source, "Recycled");
    put(source, "cache/x", "x", 1);
    put(source, "sub/cache/y", "y", 1);
    put(source, "sub/a.tmp", "a", 1);
    put(source, "sub/keep.tmp", "k", 1);
    put(source, "Recycled/z", "z", 1);
    put(source, "plain", "p", 1);
}

static void assert_left_out(void)
{
    assert_false(there("cache"));
    assert_false(there("sub/a.tmp"));
    assert_false(there("Recycled"));
    assert_true(there("sub/cache/y"));
    assert_true(there("sub/keep.tmp"));
    assert_true(there("plain"));
}

/* First into a folder that is fresh, then by listings. */
static void names_are_left_out_in_each_pass(void **state_)
{
    (void)state_;
    struct both b;
    CLEANUP(filter_free)
    struct filter *f = make(
        (struct filter_conf){.exclude = exclude, .nexclude = 3, .include = include, .ninclude = 1});
    const struct transfer_options o = {.filter = f};
    plant();
    transfer(&b, &o);
    assert_done(&b);
    assert_left_out();
    assert_int_equal(b.sent.counters.total_files, 3);
    put(source, "sub/b.tmp", "b", 1);
    put(source, "later", "l", 1);
    transfer(&b, &o);
    assert_done(&b);
    assert_left_out();
    assert_false(there("sub/b.tmp"));
    assert_true(there("later"));
}

/* What stands at the destination under such a name is nobody's extra, also inside one. */
static void what_is_left_out_is_no_extra(void **state_)
{
    (void)state_;
    struct both b;
    CLEANUP(filter_free)
    struct filter *f = make((struct filter_conf){.exclude = exclude, .nexclude = 2});
    const struct transfer_options o = {.filter = f, .delete_extras = true};
    plant();
    make_dir(destination, "");
    make_dir(destination, "gone");
    make_dir(destination, "gone/deep");
    make_dir(destination, "gone/empty");
    make_dir(destination, "cache");
    put(destination, "gone/deep/mine.tmp", "m", 1);
    put(destination, "gone/deep/extra", "e", 1);
    put(destination, "cache/mine", "m", 1);
    put(destination, "extra", "e", 1);
    transfer(&b, &o);
    assert_done(&b);
    assert_true(there("gone/deep/mine.tmp"));
    assert_true(there("cache/mine"));
    assert_false(there("gone/deep/extra"));
    assert_false(there("gone/empty"));
    assert_false(there("extra"));
    const struct transfer_options all = {
        .filter = f, .delete_extras = true, .delete_excluded = true};
    transfer(&b, &all);
    assert_done(&b);
    assert_false(there("gone"));
    assert_false(there("cache"));
    assert_true(there("plain"));
}

static void age(const char *name, int64_t days)
{
    const struct timespec then[2] = {{.tv_sec = clock_wall_ms() / 1000 - days * 86400},
                                     {.tv_sec = clock_wall_ms() / 1000 - days * 86400}};
    IN_SOURCE(utimensat(AT_FDCWD, path, then, 0), name);
}

static void sizes_and_ages_are_left_out(void **state_)
{
    (void)state_;
    struct both b;
    CLEANUP(filter_free)
    struct filter *f = make((struct filter_conf){
        .max_size = 8192, .oldest_ms = clock_wall_ms() - INT64_C(86400000) * 365});
    struct transfer_options o = {.filter = f, .delete_extras = true};
    make_dir(source, "sub");
    put_random("sub/large", 8193, 1);
    put_random("sub/fits", 8192, 2);
    put_random("old", 10, 3);
    age("old", 400);
    make_dir(destination, "");
    make_dir(destination, "sub");
    put(destination, "sub/large", "of before", 9);
    put(destination, "sub/extra", "e", 1);
    transfer(&b, &o);
    assert_done(&b);
    assert_true(there("sub/fits"));
    assert_false(there("old"));
    /* The destination cannot tell what was left out by size: nothing goes from that folder. */
    assert_true(there("sub/large"));
    assert_true(there("sub/extra"));
    o.delete_excluded = true;
    transfer(&b, &o);
    assert_done(&b);
    assert_false(there("sub/large"));
    assert_false(there("sub/extra"));
    assert_true(there("sub/fits"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(names_are_left_out_in_each_pass, trees_setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(what_is_left_out_is_no_extra, trees_setup, trees_teardown),
        cmocka_unit_test_setup_teardown(sizes_and_ages_are_left_out, trees_setup, trees_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
