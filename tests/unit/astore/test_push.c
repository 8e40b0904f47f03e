/* test_push: which names go to a server of Windows. */
#include <string.h>

#include "agent/push/push.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static void names_that_a_server_takes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool good;
    } cases[] = {
        {"file",        true },
        {"Gr\xc3\xbc\xc3\x9f"
         "e",  true },
        {".hidden",     true },
        {"a:b",         false},
        {"a?",          false},
        {"back\\slash", false},
        {"dot.",        false},
        {"blank ",      false},
        {"bell\a",      false},
        {"\xff",        false},
        {"",            false},
    };
    char longest[700];
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(push_name_good(cases[i].name, strlen(cases[i].name)), cases[i].good);
    for (size_t i = 0; i < sizeof longest; i += 2)
        memcpy(longest + i, "\xc3\xbc", 2);
    assert_true(push_name_good(longest, 510));
    assert_false(push_name_good(longest, 512));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names_that_a_server_takes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
