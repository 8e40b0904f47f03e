/* test_pairname: temporary names keep their shape, and only a pair's own are taken for its own. */
#include <string.h>

#include "agent/store/pairname.h"
#include "tests/unit/test.h"

static void names_have_their_shape(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        const char *want;
    } cases[] = {
        {0,                      ".godwit-0123456789ab-0"                   },
        {9,                      ".godwit-0123456789ab-9"                   },
        {10,                     ".godwit-0123456789ab-10"                  },
        {1234567890123ULL,       ".godwit-0123456789ab-1234567890123"       },
        {9223372036854775807ULL, ".godwit-0123456789ab-9223372036854775807" },
        {UINT64_MAX,             ".godwit-0123456789ab-18446744073709551615"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[PAIR_TEMP_MAX];
        memset(name, 'x', sizeof name);
        pair_temp_name("0123456789ab", cases[i].n, name);
        assert_string_equal(name, cases[i].want);
        assert_true(pair_is_temp("0123456789ab", name, strlen(name)));
        assert_false(pair_is_temp("0123456789ac", name, strlen(name)));
    }
}

static void others_are_not_taken(void **state)
{
    (void)state;
    static const char *const others[] = {
        "",
        ".godwit-",
        ".godwit-0123456789ab",
        ".godwit-0123456789ab-",
        ".godwit-0123456789ab-1x",
        ".godwit-0123456789ab-x1",
        ".godwit-0123456789ab-123456789012345678901",
        "godwit-0123456789ab-1",
        ".godwit-0123456789ab.1",
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(pair_is_temp("0123456789ab", others[i], strlen(others[i])));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_have_their_shape),
        cmocka_unit_test(others_are_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
