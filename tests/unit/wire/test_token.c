/* test_token: one spelling for a token, and no other text is one. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/wire/token.h"
#include "tests/unit/test.h"

static const struct token sample = {
    .endpoint = "tcp://orch.example:7402",
    .host = "fs1",
    .server_key = {1, 2, 3},
    .id = "0123456789abcdef",
    .secret = {9, 8, 7}
};

static void what_was_formatted_is_parsed(void **state)
{
    (void)state;
    struct token t;
    CLEANUP(mem_free) char *line = token_format(&sample);
    assert_int_equal(token_parse(line, &t), 0);
    assert_string_equal(t.endpoint, sample.endpoint);
    assert_string_equal(t.host, sample.host);
    assert_string_equal(t.id, sample.id);
    assert_memory_equal(t.server_key, sample.server_key, 32);
    assert_memory_equal(t.secret, sample.secret, 32);
}

static void a_cut_or_longer_token_is_none(void **state)
{
    (void)state;
    struct token t;
    CLEANUP(mem_free) char *line = token_format(&sample);
    CLEANUP(mem_free) char *longer = xasprintf("%sA", line);
    assert_int_equal(token_parse(longer, &t), -EINVAL);
    for (size_t n = strlen(line); n-- > 0;) {
        line[n] = '\0';
        assert_int_equal(token_parse(line, &t), -EINVAL);
    }
}

static void other_text_is_none(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "", "godwit1.", "godwit1.!!!!", "godwit2.A", "godwit1.AAAA", "GODWIT1.AAAA", "godwit1. A"};
    struct token t;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(token_parse(cases[i], &t), -EINVAL);
    CLEANUP(mem_free) char *huge = xcalloc(1, 100001);
    memset(huge, 'A', 100000);
    memcpy(huge, "godwit1.", 8);
    assert_int_equal(token_parse(huge, &t), -EINVAL);
}

static void fields_are_checked(void **state)
{
    (void)state;
    static const struct {
        const char *endpoint, *host;
    } cases[] = {
        {"",              "fs1"   },
        {"tcp://a:1",     ""      },
        {"tcp://a:1",     "-fs1"  },
        {"tcp://a:1",     "../etc"},
        {"tcp://a:1",     "fs 1"  },
        {"http://a:1",    "fs1"   },
        {"inproc://x",    "fs1"   },
        {"tcp://a b:1",   "fs1"   },
        {"tcp://a\x1b:1", "fs1"   },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct token t = sample;
        (void)snprintf(t.endpoint, sizeof t.endpoint, "%s", cases[i].endpoint);
        (void)snprintf(t.host, sizeof t.host, "%s", cases[i].host);
        CLEANUP(mem_free) char *line = token_format(&t);
        assert_int_equal(token_parse(line, &t), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_formatted_is_parsed),
        cmocka_unit_test(a_cut_or_longer_token_is_none),
        cmocka_unit_test(other_text_is_none),
        cmocka_unit_test(fields_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
