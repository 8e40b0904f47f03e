/* test_touched: who entered a folder keeps it, and those above it, from being renamed; and nobody
 * enters while folders are renamed. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "agent/transfer/touched.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static void enter(struct touched *t, const char *path)
{
    touched_enter(t);
    touched_entered(t, path, path ? strlen(path) : 1);
}

static void a_folder_and_those_above_it(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool has;
    } cases[] = {
        {"a",          true },
        {"a/bc",       true },
        {"a/bc/d",     true },
        {"a/bc/d/e",   false},
        {"a/b",        false},
        {"a/bc/other", false},
        {"bc",         false},
    };
    struct touched *t = touched_new();
    enter(t, NULL); /* it was not there */
    enter(t, "");
    assert_false(touched_has(t, "a", 1));
    enter(t, "a/bc/d");
    enter(t, "a/bc/d");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(touched_has(t, cases[i].path, strlen(cases[i].path)), cases[i].has);
    assert_null(touched_free(t));
    assert_null(touched_free(NULL));
}

static atomic_bool entered;

static void *go_in(void *arg)
{
    touched_enter(arg);
    atomic_store(&entered, true);
    touched_entered(arg, "a", 1);
    return NULL;
}

static void nobody_enters_while_folders_are_renamed(void **state)
{
    (void)state;
    pthread_t thread;
    struct touched *t = touched_new();
    touched_hold(t);
    assert_int_equal(pthread_create(&thread, NULL, go_in, t), 0);
    for (int i = 0; i < 1000; i++) {
        (void)sched_yield();
        assert_false(atomic_load(&entered));
        assert_false(touched_has(t, "a", 1));
    }
    touched_release(t);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(touched_has(t, "a", 1));
    (void)touched_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_folder_and_those_above_it),
        cmocka_unit_test(nobody_enters_while_folders_are_renamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
