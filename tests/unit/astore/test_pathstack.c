/* test_pathstack: order, spilling, and that several workers end exactly when the work does. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/store/pathstack.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static void push_number(struct pathstack *s, unsigned n)
{
    char path[64];
    int len = snprintf(path, sizeof path, "some/folder/%u", n);
    assert_int_equal(pathstack_push(s, path, (size_t)len, n), 0);
}

static int pop_number(struct pathstack *s, uint32_t *ret)
{
    char *path = NULL, want[64];
    size_t len = 0;
    int rc = pathstack_pop(s, false, &path, &len, ret);
    if (rc != 1)
        return rc;
    (void)snprintf(want, sizeof want, "some/folder/%u", *ret);
    assert_int_equal(len, strlen(want));
    assert_memory_equal(path, want, len);
    free(path);
    return 1;
}

static void last_in_is_first_out_through_the_spill(void **state)
{
    (void)state;
    enum { MANY = 100000 };
    struct pathstack *s = NULL;
    uint32_t n = 0;
    assert_int_equal(pathstack_new(&s, "/tmp", 8192), 0);
    for (unsigned i = 0; i < MANY; i++)
        push_number(s, i);
    for (unsigned i = MANY; i-- > 0;) {
        assert_int_equal(pop_number(s, &n), 1);
        assert_int_equal(n, i);
        if (i % 1000 == 500) { /* up and down around the edge of the spill */
            for (unsigned k = 0; k < 300; k++)
                push_number(s, k);
            for (unsigned k = 300; k-- > 0;) {
                assert_int_equal(pop_number(s, &n), 1);
                assert_int_equal(n, k);
                pathstack_done(s);
            }
        }
        pathstack_done(s);
    }
    assert_int_equal(pop_number(s, &n), 0);
    (void)pathstack_free(s);
}

static void paths_longer_than_the_bound(void **state)
{
    (void)state;
    enum { LONG = 20000 };
    struct pathstack *s = NULL;
    char *path = xmalloc(LONG), *got = NULL;
    size_t len = 0;
    uint32_t flags = 0;
    memset(path, 'x', LONG);
    assert_int_equal(pathstack_new(&s, "/tmp", 4096), 0);
    assert_int_equal(pathstack_push(s, "", 0, 7), 0);
    for (uint32_t i = 0; i < 5; i++)
        assert_int_equal(pathstack_push(s, path, LONG - i, i), 0);
    for (uint32_t i = 5; i-- > 0;) {
        assert_int_equal(pathstack_pop(s, true, &got, &len, &flags), 1);
        assert_true(len == LONG - i && flags == i && got[len - 1] == 'x');
        free(got);
    }
    assert_int_equal(pathstack_pop(s, true, &got, &len, &flags), 1);
    assert_true(len == 0 && flags == 7);
    free(got);
    free(path);
    (void)pathstack_free(s);
}

static void it_ends_when_nobody_is_busy(void **state)
{
    (void)state;
    struct pathstack *s = NULL;
    uint32_t n = 0;
    assert_int_equal(pathstack_new(&s, "/tmp", 4096), 0);
    assert_int_equal(pop_number(s, &n), 0);
    push_number(s, 1);
    assert_int_equal(pop_number(s, &n), 1);
    assert_int_equal(pop_number(s, &n), -EAGAIN); /* the other may push more */
    pathstack_done(s);
    assert_int_equal(pop_number(s, &n), 0);
    push_number(s, 2);
    pathstack_abort(s);
    assert_int_equal(pop_number(s, &n), -ECANCELED);
    assert_int_equal(pathstack_push(s, "a", 1, 0), -ECANCELED);
    (void)pathstack_free(s);
}

static void a_spill_without_a_folder_says_so(void **state)
{
    (void)state;
    struct pathstack *s = NULL;
    int rc = 0;
    assert_int_equal(pathstack_new(&s, "/no/such/folder", 4096), 0);
    for (unsigned i = 0; rc == 0 && i < 1000; i++)
        rc = pathstack_push(s, "0123456789", 10, 0);
    assert_int_equal(rc, -ENOENT);
    (void)pathstack_free(s);
}

struct tree {
    struct pathstack *s;
    atomic_uint visited;
};

/* A tree of numbers: n has children 3n+1 … 3n+3 below LIMIT. */
static void *worker(void *arg)
{
    enum { LIMIT = 30000 };
    struct tree *t = arg;
    char *path = NULL;
    size_t len = 0;
    uint32_t n = 0;
    while (pathstack_pop(t->s, true, &path, &len, &n) == 1) {
        free(path);
        atomic_fetch_add(&t->visited, 1);
        for (uint32_t k = 3 * n + 1; k <= 3 * n + 3 && k < LIMIT; k++)
            (void)pathstack_push(t->s, "path-of-some-length", 19, k);
        pathstack_done(t->s);
    }
    return NULL;
}

static void workers_visit_all_once_and_end(void **state)
{
    (void)state;
    for (int round = 0; round < 10; round++) {
        struct tree t = {.s = NULL};
        pthread_t threads[6];
        assert_int_equal(pathstack_new(&t.s, "/tmp", 4096), 0);
        assert_int_equal(pathstack_push(t.s, "", 0, 0), 0);
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
            assert_int_equal(pthread_create(&threads[i], NULL, worker, &t), 0);
        for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
            (void)pthread_join(threads[i], NULL);
        assert_int_equal(atomic_load(&t.visited), 30000);
        (void)pathstack_free(t.s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(last_in_is_first_out_through_the_spill),
        cmocka_unit_test(paths_longer_than_the_bound),
        cmocka_unit_test(it_ends_when_nobody_is_busy),
        cmocka_unit_test(a_spill_without_a_folder_says_so),
        cmocka_unit_test(workers_visit_all_once_and_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
