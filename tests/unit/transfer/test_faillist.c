/* test_faillist: the list of failed paths is whole or not there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/step.h"
#include "agent/transfer/faillist_priv.h"
#include "agent/transfer/record.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static int count_one(void *arg, const char *path, size_t len, const char *code)
{
    unsigned *n = arg;
    assert_true(len > 0 && path[0] == 'p');
    assert_string_equal(code, "EACCES");
    ++*n;
    return 0;
}

static char dir[] = "/tmp/godwit-faillist-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(dir);
}

static void fill(const char *path, unsigned n, size_t len, int want)
{
    struct faillist *f = NULL;
    char *name = xmalloc(len);
    memset(name, 'p', len);
    assert_int_equal(faillist_new(&f, path), 0);
    for (unsigned i = 0; i < n; i++)
        faillist_list_only(f, name, len, "EACCES");
    assert_int_equal(faillist_close_list(f), want);
    (void)faillist_free(f);
    free(name);
}

static void a_list_that_grew_too_long_is_none(void **state)
{
    (void)state;
    char *path = xasprintf("%s/list", dir), *temp = xasprintf("%s.new", path);
    unsigned n = 0;
    struct stat st;
    fill(path, 3, 10, 0);
    assert_int_equal(faillist_each(path, count_one, &n), 0);
    assert_int_equal(n, 3);
    faillist_bytes_max = 64U << 20;
    fill(path, 1200, PATH_BYTES_MAX, -EFBIG);
    assert_int_equal(faillist_each(path, count_one, &n), -ENOENT); /* not the old one either */
    assert_int_not_equal(stat(temp, &st), 0);
    struct faillist *f = NULL; /* a new session forgets that it was too long */
    assert_int_equal(faillist_new(&f, path), 0);
    char *name = xmalloc(PATH_BYTES_MAX);
    memset(name, 'p', PATH_BYTES_MAX);
    for (unsigned i = 0; i < 1200; i++)
        faillist_list_only(f, name, PATH_BYTES_MAX, "EACCES");
    assert_int_equal(stat(temp, &st), 0);
    assert_true(st.st_size <= 64 << 20);
    faillist_restart(f);
    faillist_list_only(f, "p", 1, "EACCES");
    assert_int_equal(faillist_close_list(f), 0);
    (void)faillist_free(f);
    n = 0;
    assert_int_equal(faillist_each(path, count_one, &n), 0);
    assert_int_equal(n, 1);
    (void)unlink(path);
    free(name);
    free(path);
    free(temp);
}

struct seen {
    char path[4][32], code[4][32];
    unsigned n;
};

static int take(void *arg, const char *path, size_t len, const char *code)
{
    struct seen *s = arg;
    (void)snprintf(s->path[s->n], 32, "%.*s", (int)len, path);
    (void)snprintf(s->code[s->n++], 32, "%s", code);
    return 0;
}

static void each_path_has_the_cause_it_failed_by(void **state)
{
    (void)state;
    char *path = xasprintf("%s/list", dir);
    struct faillist *f = NULL;
    struct seen s = {.n = 0};
    assert_int_equal(faillist_new(&f, path), 0);
    struct failure open_one = {"a", "b\nc", 1, 3, EACCES, "open"};
    struct failure changed = {"", "d", 0, 1, ESTALE, "changed at the destination"};
    faillist_add(f, &open_one);
    faillist_add(f, &changed);
    faillist_leave(f, "e", 1, "EIO");
    assert_int_equal(faillist_count(f), 3); /* what is left is not done */
    assert_int_equal(faillist_close_list(f), 0);
    (void)faillist_free(f);
    assert_int_equal(faillist_each(path, take, &s), 0);
    assert_int_equal(s.n, 3);
    assert_string_equal(s.path[0], "a/b\nc");
    assert_string_equal(s.code[0], "EACCES");
    assert_string_equal(s.path[1], "d");
    assert_string_equal(s.code[1], "VERIFY_CHANGED");
    assert_string_equal(s.code[2], "EIO");
    (void)unlink(path);
    free(path);
}

struct order {
    unsigned n, wrong;
};

static int in_order(void *arg, const char *path, size_t len, const char *code)
{
    struct order *x = arg;
    char want[32];
    (void)snprintf(want, sizeof want, "p/%06u", x->n++);
    x->wrong += len != strlen(want) || memcmp(path, want, len) != 0 || strcmp(code, "EIO") != 0;
    return 0;
}

/* Whatever the size of a page, each row comes once and in order. */
static void a_list_is_read_in_pages(void **state)
{
    (void)state;
    static const struct {
        size_t max, rows;
    } sizes[] = {
        {1,       100    },
        {13,      100    },
        {26,      100    },
        {1000,    100    },
        {1000000, 7      },
        {1000000, 1000000}
    };
    char *path = xasprintf("%s/pages", dir);
    struct faillist *f = NULL;
    assert_int_equal(faillist_new(&f, path), 0);
    for (unsigned i = 0; i < 5000; i++) {
        char name[32];
        faillist_list_only(f, name, (size_t)snprintf(name, sizeof name, "p/%06u", i), "EIO");
    }
    assert_int_equal(faillist_close_list(f), 0);
    (void)faillist_free(f);
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        struct order seen = {.n = 0};
        struct faillist_part at = {.max = sizes[i].max, .rows = sizes[i].rows}, next;
        do {
            unsigned before = seen.n;
            assert_int_equal(faillist_page(path, &at, in_order, &seen, &next), 0);
            assert_true(seen.n > before && seen.n - before <= sizes[i].rows);
            at.from = next.from;
            at.list = next.list;
        } while (at.from);
        assert_int_equal(seen.n, 5000);
        assert_int_equal(seen.wrong, 0);
    }
    struct faillist_part other = {.list = 1, .max = 10, .rows = 1}, next;
    struct order seen = {.n = 0};
    assert_int_equal(faillist_page(path, &other, in_order, &seen, &next), -ESTALE);
    (void)unlink(path);
    assert_int_equal(faillist_page(path, &other, in_order, &seen, &next), -ENOENT);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_list_is_read_in_pages),
                                       cmocka_unit_test(a_list_that_grew_too_long_is_none),
                                       cmocka_unit_test(each_path_has_the_cause_it_failed_by)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
