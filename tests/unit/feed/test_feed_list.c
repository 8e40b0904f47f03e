/* test_feed_list: order, what a whole folder covers, where things came from. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "agent/feed/feed_list.h"
#include "tests/unit/test.h"

static void add(struct feed_list *l, const char *path, bool whole)
{
    assert_int_equal(feed_list_add(l, path, strlen(path), whole), 0);
}

static int write_down(void *arg, const char *path, size_t len, bool whole)
{
    char *to = arg;
    (void)snprintf(to + strlen(to), 256 - strlen(to), "%.*s%s ", (int)len, path, whole ? "*" : "");
    return 0;
}

/* Input and output: words, '*' is whole. */
static void what_lies_below_a_whole_folder_is_left_out(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } cases[] = {
        {"",                    ""              },
        {"b a b",               "a b "          },
        {"a/c a a-b a/b",       "a a/b a/c a-b "},
        {"a* a/b a/b/c* a-b b", "a* a-b b "     },
        {"a/b a",               "a a/b "        },
        {"a a*",                "a* "           },
        {"x/y* x/y/z x/yz x",   "x x/y* x/yz "  },
        {"a* a/b* a/b/c b/a*",  "a* b/a* "      },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct feed_list *l = feed_list_new();
        char in[64], out[256] = "", *save = NULL;
        (void)snprintf(in, sizeof in, "%s", cases[i].in);
        for (char *w = strtok_r(in, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
            size_t n = strlen(w);
            bool whole = w[n - 1] == '*';
            assert_int_equal(feed_list_add(l, w, n - whole, whole), 0);
        }
        feed_list_settle(l);
        assert_int_equal(feed_list_each(l, write_down, out), 0);
        assert_string_equal(out, cases[i].out);
        (void)feed_list_free(l);
    }
}

static void count_inode(void *arg, uint64_t dev, uint64_t ino)
{
    uint64_t *sum = arg;
    *sum += dev * 1000 + ino;
}

static void files_with_several_names_are_kept_within_a_limit(void **state)
{
    (void)state;
    struct feed_list *l = feed_list_new();
    uint64_t sum = 0;
    assert_int_equal(feed_list_add_inode(l, 1, 7), 0);
    assert_int_equal(feed_list_add_inode(l, 1, 7), 0); /* said once */
    assert_int_equal(feed_list_add_inode(l, 2, 7), 0);
    feed_list_inodes(l, count_inode, &sum);
    assert_int_equal(sum, 3014);
    for (uint64_t i = 2; i < FEED_LIST_INODES; i++)
        assert_int_equal(feed_list_add_inode(l, 3, i), 0);
    assert_int_equal(feed_list_add_inode(l, 4, 1), -E2BIG);
    (void)feed_list_free(l);
}

static bool covers(const struct feed_list *l, const char *path)
{
    return feed_list_covers(l, path, strlen(path));
}

static bool whole(const struct feed_list *l, const char *path)
{
    return feed_list_is_whole(l, path, strlen(path));
}

static void a_list_knows_what_the_walk_comes_to(void **state)
{
    (void)state;
    struct feed_list *l = feed_list_new();
    assert_false(covers(l, ""));
    add(l, "a", false);
    add(l, "a/w", true);
    add(l, "b", true);
    add(l, "", false);
    feed_list_settle(l);
    assert_true(covers(l, "") && covers(l, "a") && covers(l, "a/w/x/y") && covers(l, "b/c"));
    assert_false(covers(l, "a/x"));
    assert_false(covers(l, "c"));
    assert_false(covers(l, "bc"));
    assert_true(whole(l, "a/w") && whole(l, "b"));
    assert_false(whole(l, "a"));
    assert_false(whole(l, "a/w/x")); /* what is below is walked because of what is above */
    (void)feed_list_free(l);
}

static void move(struct feed_list *l, const char *from, const char *to)
{
    feed_list_moved(l, from, strlen(from), to, strlen(to));
}

static void expect_origin(const struct feed_list *l, const char *path, const char *want)
{
    size_t len = 0;
    const char *from = feed_list_origin(l, path, strlen(path), &len);
    if (!want) {
        assert_null(from);
        return;
    }
    assert_non_null(from);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(from, want, len);
}

static void moves_are_followed_to_where_they_began(void **state)
{
    (void)state;
    struct feed_list *l = feed_list_new();
    move(l, "a", "b");
    move(l, "b", "c/d");
    expect_origin(l, "c/d", "a");
    expect_origin(l, "b", NULL);
    move(l, "x", "c/d"); /* another took its place */
    expect_origin(l, "c/d", "x");
    move(l, "c/d", "x"); /* and went back */
    expect_origin(l, "x", "x");
    (void)feed_list_free(l);
}

static void too_many_paths_are_refused(void **state)
{
    (void)state;
    struct feed_list *l = feed_list_new();
    for (unsigned i = 0; i < FEED_LIST_PATHS; i++)
        assert_int_equal(feed_list_add(l, "x", 1, false), 0);
    assert_int_equal(feed_list_add(l, "x", 1, false), -E2BIG);
    feed_list_settle(l);
    assert_int_equal(feed_list_count(l), 1);
    (void)feed_list_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_with_several_names_are_kept_within_a_limit),
        cmocka_unit_test(what_lies_below_a_whole_folder_is_left_out),
        cmocka_unit_test(a_list_knows_what_the_walk_comes_to),
        cmocka_unit_test(moves_are_followed_to_where_they_began),
        cmocka_unit_test(too_many_paths_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
