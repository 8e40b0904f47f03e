/* test_faillist: the list of failed paths is whole or not there. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/step.h"
#include "agent/transfer/faillist.h"
#include "agent/transfer/record.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static int count_one(void *arg, const char *path, size_t len)
{
    unsigned *n = arg;
    assert_true(len > 0 && path[0] == 'p');
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
        faillist_list_only(f, name, len);
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
    fill(path, 1200, PATH_BYTES_MAX, -EFBIG);
    assert_int_equal(faillist_each(path, count_one, &n), -ENOENT); /* not the old one either */
    assert_int_not_equal(stat(temp, &st), 0);
    struct faillist *f = NULL; /* a new session forgets that it was too long */
    assert_int_equal(faillist_new(&f, path), 0);
    char *name = xmalloc(PATH_BYTES_MAX);
    memset(name, 'p', PATH_BYTES_MAX);
    for (unsigned i = 0; i < 1200; i++)
        faillist_list_only(f, name, PATH_BYTES_MAX);
    assert_int_equal(stat(temp, &st), 0);
    assert_true(st.st_size <= 64 << 20);
    faillist_restart(f);
    faillist_list_only(f, "p", 1);
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_list_that_grew_too_long_is_none)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
