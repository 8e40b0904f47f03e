/* test_filter: which names a filter takes, and what it refuses to be made of. */
#include <errno.h>
#include <string.h>

#include "common/base/filter.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static void patterns_take_what_rsync_takes(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *path;
        bool folder, want;
    } cases[] = {
        {"*.tmp",         "a.tmp",         false, true },
        {"*.tmp",         "deep/er/a.tmp", false, true },
        {"*.tmp",         "a.tmp/b",       false, false},
        {"*.tmp",         "a.tmpx",        false, false},
        {"*",             "anything",      false, true },
        {"a*b*c",         "aXbYbZc",       false, true },
        {"a*b*c",         "aXcYb",         false, false},
        {"?",             "x",             false, true },
        {"?",             "xy",            false, false},
        {"cache/",        "x/cache",       true,  true },
        {"cache/",        "x/cache",       false, false},
        {"/top",          "top",           false, true },
        {"/top",          "sub/top",       false, false},
        {"/a/b",          "a/b",           true,  true },
        {"a/b",           "x/a/b",         false, true },
        {"a/b",           "xa/b",          false, false},
        {"a/*/c",         "a/b/c",         false, true },
        {"a/*/c",         "a/b/b/c",       false, false},
        {"a/**/c",        "a/b/b/c",       false, true },
        {"a/**/c",        "a/c",           false, false},
        {"a/**c",         "a/c",           false, true },
        {"/a/**",         "a/x/y",         false, true },
        {"/a/**",         "a",             true,  false},
        {"**x*y**z",      "q/xay/bxcy/dz", false, true },
        {"**/x*y/z",      "p/xq/y/xy/z",   false, true },
        {"[a-c]1",        "b1",            false, true },
        {"[a-c]1",        "d1",            false, false},
        {"[!a-c]1",       "d1",            false, true },
        {"[!a]x",         "/x",            false, false},
        {"[]]",           "]",             false, true },
        {"[a-]",          "-",             false, true },
        {"\\*",           "*",             false, true },
        {"\\*",           "x",             false, false},
        {"\\xff*",        "\xff\xfe",      false, true },
        {"[\\x80-\\xff]", "\xe4",          false, true },
        {"\\xff",         "ff",            false, false},
        {"Desktop.ini",   "desktop.ini",   false, false},
        {"name",          "name",          true,  true },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (filter_matches(cases[i].pattern, cases[i].path, cases[i].folder) != cases[i].want)
            fail_msg("'%s' against '%s': not %d", cases[i].pattern, cases[i].path, cases[i].want);
}

static struct filter *make(const char *const *exclude, size_t n, const char *const *include,
                           size_t m)
{
    struct filter *f = NULL;
    struct fault why = {.err = 0};
    const struct filter_conf conf = {
        .exclude = exclude, .nexclude = n, .include = include, .ninclude = m};
    if (filter_new(&f, &conf, &why) < 0)
        fail_msg("%s", why.text);
    return f;
}

static bool takes(const struct filter *f, const char *folder, const char *name, bool is_folder)
{
    return filter_name(f, folder, strlen(folder), name, strlen(name), is_folder);
}

static void include_excepts_from_exclude(void **state)
{
    (void)state;
    const char *const exclude[] = {"*", "/keep/secret"};
    const char *const include[] = {"*/", "*.jpg"};
    CLEANUP(filter_free) struct filter *f = make(exclude, 2, include, 2);
    assert_true(takes(f, "", "a.txt", false));
    assert_false(takes(f, "", "a.jpg", false));
    assert_false(takes(f, "", "sub", true));
    assert_false(takes(f, "sub/deep", "b.jpg", false));
    assert_true(takes(f, "sub/deep", "b.png", false));
    assert_false(filter_path(f, "sub/deep", 8, true));
}

static void below_what_is_left_out_all_is(void **state)
{
    (void)state;
    const char *const exclude[] = {"/a/b", "old/"};
    CLEANUP(filter_free) struct filter *f = make(exclude, 2, NULL, 0);
    assert_true(filter_path(f, "a/b/c", 5, true));
    assert_true(filter_path(f, "x/old/y/z", 9, false));
    assert_false(filter_path(f, "x/old", 5, false));
    assert_false(filter_path(f, "a", 1, true));
    assert_false(filter_path(f, "", 0, true));
}

static void windows_keeps_its_names_at_the_root(void **state)
{
    (void)state;
    const char *const exclude[] = {"@windows"};
    CLEANUP(filter_free) struct filter *f = make(exclude, 1, NULL, 0);
    assert_true(takes(f, "", "System Volume Information", true));
    assert_true(takes(f, "", "$RECYCLE.BIN", true));
    assert_true(takes(f, "", "PageFile.sys", false));
    assert_false(takes(f, "", "pagefile.sys", true));
    assert_false(takes(f, "", "Users", false));
    assert_false(takes(f, "shares", "Users", true));
    assert_false(takes(f, "", "Windows 95", true));
}

static void sizes_and_ages_are_limits_of_files(void **state)
{
    (void)state;
    CLEANUP(filter_free) struct filter *f = NULL;
    const struct filter_conf conf = {
        .min_size = 10, .max_size = 100, .oldest_ms = 1000, .newest_ms = 2000};
    assert_int_equal(filter_new(&f, &conf, NULL), 0);
    static const struct {
        uint64_t size;
        int64_t ms;
        bool want;
    } cases[] = {
        {10,  1000, false},
        {100, 2000, false},
        {9,   1500, true },
        {101, 1500, true },
        {50,  999,  true },
        {50,  2001, true },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(filter_file(f, cases[i].size, cases[i].ms), cases[i].want);
    assert_true(filter_has_ages(f));
    assert_false(takes(f, "a", "b", false));
}

static void nothing_left_out_is_no_filter(void **state)
{
    (void)state;
    const struct filter_conf none = {.nexclude = 0};
    struct filter *f = NULL;
    assert_int_equal(filter_new(&f, &none, NULL), 0);
    assert_null(f);
}

static void keys_tell_filters_apart(void **state)
{
    (void)state;
    const char *const a[] = {"/x"}, *const b[] = {"x"}, *const c[] = {"x/"},
                      *const d[] = {"@windows"}, *const e[] = {"x", "y"}, *const g[] = {"xy"};
    const char *const *lists[] = {a, b, c, d, g, e};
    uint64_t keys[ARRAY_SIZE(lists)];
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        CLEANUP(filter_free) struct filter *f = make(lists[i], i == 5 ? 2 : 1, NULL, 0);
        keys[i] = filter_key(f);
        for (size_t k = 0; k < i; k++)
            assert_true(keys[i] != keys[k]);
    }
    CLEANUP(filter_free) struct filter *again = make(e, 2, NULL, 0);
    assert_true(filter_key(again) == keys[5]);
}

static void bad_patterns_are_named(void **state)
{
    (void)state;
    static const char *const cases[] = {"",    "/",      "//",    "a//b", "[a",
                                        "a\\", "@linux", "\\x00", "[",    "[!]"};
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct filter *f = NULL;
        struct fault why = {.err = 0};
        const struct filter_conf conf = {.exclude = &cases[i], .nexclude = 1};
        if (filter_new(&f, &conf, &why) != -EINVAL)
            fail_msg("'%s' was taken", cases[i]);
        assert_non_null(strstr(why.text, "pattern"));
    }
    const char *const include[] = {"x"};
    struct filter *f = NULL;
    const struct filter_conf alone = {.include = include, .ninclude = 1};
    assert_int_equal(filter_new(&f, &alone, NULL), -EINVAL);
    const struct filter_conf empty = {.min_size = 2, .max_size = 1};
    assert_int_equal(filter_new(&f, &empty, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_take_what_rsync_takes),
        cmocka_unit_test(include_excepts_from_exclude),
        cmocka_unit_test(below_what_is_left_out_all_is),
        cmocka_unit_test(windows_keeps_its_names_at_the_root),
        cmocka_unit_test(sizes_and_ages_are_limits_of_files),
        cmocka_unit_test(nothing_left_out_is_no_filter),
        cmocka_unit_test(keys_tell_filters_apart),
        cmocka_unit_test(bad_patterns_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
