/* test_claims: a file of the destination stands for one of the source, however many there are. */
#include "agent/transfer/claims.h"
#include "tests/unit/test.h"

static void one_file_stands_for_one(void **state)
{
    (void)state;
    static const struct {
        uint64_t dev, ino, source;
        bool want;
    } cases[] = {
        {1, 7, 100, true },
        {1, 7, 100, true },
        {1, 7, 101, false},
        {2, 7, 101, true },
        {1, 8, 100, true },
        {1, 0, 100, false},
        {1, 7, 100, true },
    };
    struct claims *c = claims_new();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(claims_take(c, cases[i].dev, cases[i].ino, cases[i].source),
                         cases[i].want);
    (void)claims_free(c);
}

static void there_is_a_limit(void **state)
{
    (void)state;
    struct claims *c = claims_new();
    for (uint64_t i = 1; i <= CLAIMS_MAX; i++)
        assert_true(claims_take(c, 1, i, i + 5));
    assert_false(claims_take(c, 1, CLAIMS_MAX + 1, 1));
    for (uint64_t i = 1; i <= CLAIMS_MAX; i += 1000) {
        assert_true(claims_take(c, 1, i, i + 5));
        assert_false(claims_take(c, 1, i, i));
    }
    (void)claims_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_file_stands_for_one),
        cmocka_unit_test(there_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
