/* test_folderset: no folder is forgotten, what is taken is gone, and there is a limit. */
#include <stdio.h>

#include "agent/transfer/folderset.h"
#include "tests/unit/test.h"

static int name_of(char ret[24], unsigned i)
{
    return snprintf(ret, 24, "a/b%u", i);
}

static void no_folder_is_forgotten(void **state)
{
    (void)state;
    struct folderset s = {.slots = NULL}, taken = {.slots = NULL};
    char name[24];
    assert_false(folderset_has(&s, "", 0));
    folderset_add(&s, "", 0);
    assert_true(folderset_has(&s, "", 0));
    assert_false(folderset_has(&s, "a", 1));
    for (unsigned i = 0; i < 5000; i++) {
        folderset_add(&s, name, (size_t)name_of(name, i % 3000));
        assert_true(folderset_has(&s, name, (size_t)name_of(name, i / 2)));
    }
    assert_int_equal(s.n, 3001);
    assert_false(folderset_has(&s, name, (size_t)name_of(name, 3000)));
    folderset_take(&taken, &s);
    assert_false(folderset_has(&s, "", 0));
    assert_true(folderset_has(&taken, name, (size_t)name_of(name, 2999)));
    folderset_clear(&taken);
    assert_false(folderset_has(&taken, name, (size_t)name_of(name, 2999)));
}

static void beyond_the_limit_it_says_yes(void **state)
{
    (void)state;
    struct folderset s = {.slots = NULL};
    char name[24];
    for (unsigned i = 0; i < FOLDERSET_MAX; i++) {
        assert_false(s.all);
        folderset_add(&s, name, (size_t)name_of(name, i));
    }
    assert_true(folderset_has(&s, "another", 7));
    folderset_clear(&s);
    assert_false(folderset_has(&s, "another", 7));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_folder_is_forgotten),
        cmocka_unit_test(beyond_the_limit_it_says_yes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
