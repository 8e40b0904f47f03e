/* test_packed: console arguments that are larger than a message. */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "common/wire/packed.h"
#include "tests/unit/test.h"

/* As a wave of so many pairs has it. */
static char *wave(unsigned pairs)
{
    static const char form[] =
        "{\"source\":{\"host\":\"fs-%03u\",\"path\":\"/srv/projects/team-%05u/%.200s\"}},";
    char deep[201];
    memset(deep, 'd', 200);
    deep[200] = '\0';
    size_t len = 0, room = pairs * (sizeof form + 220ULL) + 1;
    char *text = xmalloc(room);
    text[0] = '\0';
    for (unsigned i = 0; i < pairs; i++)
        len += (size_t)snprintf(text + len, room - len, form, i % 300, i * 7919 % 100000, deep);
    return text;
}

static void a_wave_of_thousands_fits_one_message(void **state)
{
    (void)state;
    Godwit__ConsoleArg a = GODWIT__CONSOLE_ARG__INIT, *list[] = {&a};
    Godwit__ConsoleRequest req = GODWIT__CONSOLE_REQUEST__INIT;
    char *text = wave(LIMIT_PAIRS);
    req.n_args = 1;
    req.args = list;
    assert_int_equal(packed_put(&a, text), 0);
    assert_in_range(a.packed.len, 1, LIMIT_CONSOLE_PACKED);
    assert_int_equal(packed_open(&req), 0);
    assert_string_equal(a.value, text);
    free(a.packed.data);
    free(a.value);
    free(text);
}

static void what_is_not_as_it_says_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int size_off, len_off;
        uint32_t size; /* 0: the right one */
        bool value, twice, zero;
        int want;
    } cases[] = {
        {"as it is",             0,  0,  0,                        false, false, false, 0        },
        {"says more",            1,  0,  0,                        false, false, false, -EBADMSG },
        {"says less",            -1, 0,  0,                        false, false, false, -EBADMSG },
        {"is cut",               0,  -1, 0,                        false, false, false, -EBADMSG },
        {"says too much",        0,  0,  LIMIT_CONSOLE_OPENED + 1, false, false, false, -EMSGSIZE},
        {"says all there is",    0,  0,  UINT32_MAX,               false, false, false, -EMSGSIZE},
        {"has a value too",      0,  0,  0,                        true,  false, false, -EBADMSG },
        {"is there twice",       0,  0,  0,                        false, true,  false, -EBADMSG },
        {"is of no size at all", 0,  0,  0,                        false, false, true,  -EMSGSIZE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        Godwit__ConsoleArg a = GODWIT__CONSOLE_ARG__INIT, b, *list[] = {&a, &b};
        Godwit__ConsoleRequest req = GODWIT__CONSOLE_REQUEST__INIT;
        char *text = wave(10);
        req.n_args = cases[i].twice ? 2 : 1;
        req.args = list;
        assert_int_equal(packed_put(&a, text), 0);
        b = a;
        a.packed_size = cases[i].zero   ? 0
                        : cases[i].size ? cases[i].size
                                        : (uint32_t)((int)a.packed_size + cases[i].size_off);
        a.packed.len = (size_t)((int)a.packed.len + cases[i].len_off);
        if (cases[i].value)
            a.value = xstrdup("x");
        int rc = packed_open(&req);
        if (rc != cases[i].want)
            fail_msg("%s: %d", cases[i].name, rc);
        if (a.value != protobuf_c_empty_string)
            free(a.value);
        free(a.packed.data);
        free(text);
    }
}

static void what_does_not_fit_is_refused_before_it_is_sent(void **state)
{
    (void)state;
    Godwit__ConsoleArg a = GODWIT__CONSOLE_ARG__INIT;
    char *text = xmalloc(LIMIT_CONSOLE_OPENED + 2);
    memset(text, 'x', LIMIT_CONSOLE_OPENED + 1);
    text[LIMIT_CONSOLE_OPENED + 1] = '\0';
    assert_int_equal(packed_put(&a, text), -E2BIG);
    unsigned seed = 1;
    for (size_t i = 0; i < 2U << 20; i++) /* does not compress */
        text[i] = (char)(1 + rand_r(&seed) % 255);
    text[2U << 20] = '\0';
    assert_int_equal(packed_put(&a, text), -E2BIG);
    assert_int_equal(packed_put(&a, ""), -E2BIG);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wave_of_thousands_fits_one_message),
        cmocka_unit_test(what_is_not_as_it_says_is_refused),
        cmocka_unit_test(what_does_not_fit_is_refused_before_it_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
