/* test_text: what people are shown is printable whatever the bytes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/unit/test.h"

static void printable_is_utf8_without_control_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *want;
    } cases[] = {
        {"plain",                  "plain"                    },
        {"gr\xc3\xbc\xc3\x9f",     "gr\xc3\xbc\xc3\x9f"       },
        {"tab\there",              "tab\\x09here"             },
        {"line\nbreak",            "line\\x0abreak"           },
        {"back\\slash",            "back\\x5cslash"           },
        {"latin1 \xfc",            "latin1 \\xfc"             },
        {"cut \xe2\x82",           "cut \\xe2\\x82"           },
        {"overlong \xc0\xaf",      "overlong \\xc0\\xaf"      },
        {"surrogate \xed\xa0\x80", "surrogate \\xed\\xa0\\x80"},
        {"bidi \xe2\x80\xae",      "bidi \\xe2\\x80\\xae"     },
        {"c1 \xc2\x9b",            "c1 \\xc2\\x9b"            },
        {"\x1b[31m",               "\\x1b[31m"                },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *got = text_printable(cases[i].in, strlen(cases[i].in));
        assert_string_equal(got, cases[i].want);
        free(got);
    }
    char *quoted = text_quote("it's", 4);
    assert_string_equal(quoted, "'it\\x27s'");
    free(quoted);
}

static void names_are_a_closed_set(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool ok;
    } cases[] = {
        {"fs1",     true },
        {"a.b-c_d", true },
        {"",        false},
        {".hidden", false},
        {"-flag",   false},
        {"a/b",     false},
        {"a b",     false},
        {"a\n",     false},
        {"12345",   true },
        {"123456",  false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(text_is_name(cases[i].name, i < 8 ? 63 : 5), cases[i].ok);
    assert_false(text_is_name(NULL, 5));
}

static void hex_takes_exactly_its_length(void **state)
{
    (void)state;
    uint8_t raw[4] = {0};
    char hex[9];
    assert_int_equal(text_unhex("00ffA510", raw, 4), 0);
    text_hex(raw, 4, hex);
    assert_string_equal(hex, "00ffa510");
    assert_int_equal(text_unhex("00ffA5", raw, 4), -EINVAL);
    assert_int_equal(text_unhex("00ffA51x", raw, 4), -EINVAL);
    assert_int_equal(text_unhex("00ffA51000", raw, 4), -EINVAL);
}

static void sizes_are_short(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        const char *want;
    } cases[] = {
        {0,          "0 B"     },
        {1023,       "1023 B"  },
        {1024,       "1.0 KiB" },
        {1536,       "1.5 KiB" },
        {UINT64_MAX, "16.0 EiB"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char got[16];
        text_bytes(cases[i].n, got);
        assert_string_equal(got, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(printable_is_utf8_without_control_bytes),
        cmocka_unit_test(names_are_a_closed_set),
        cmocka_unit_test(hex_takes_exactly_its_length),
        cmocka_unit_test(sizes_are_short),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
