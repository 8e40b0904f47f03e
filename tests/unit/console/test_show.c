/* test_show: numbers, ages, foreign text and tables as people read them; reports as text and CSV.
 */
#include <locale.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/console/report.h"
#include "orchestrator/console/show.h"
#include "tests/unit/test.h"

static void numbers_are_readable(void **state)
{
    (void)state;
    static const struct {
        uint64_t n;
        const char *count, *duration;
    } cases[] = {
        {0,         "0",           "0 ms"     },
        {999,       "999",         "999 ms"   },
        {1000,      "1,000",       "1 s"      },
        {61000,     "61,000",      "1 min"    },
        {3600000,   "3,600,000",   "1 h"      },
        {3900000,   "3,900,000",   "1 h 5 min"},
        {90000000,  "90,000,000",  "1 d 1 h"  },
        {864000000, "864,000,000", "10 d"     },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[32];
        show_count(cases[i].n, text);
        assert_string_equal(text, cases[i].count);
        show_duration(cases[i].n, text);
        assert_string_equal(text, cases[i].duration);
    }
}

static void control_bytes_never_reach_a_terminal(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"plain \xc3\xa9\n", "plain \xc3\xa9\n"  },
        {"\033[31mred",      "\\x1b[31mred"      },
        {"a\rb\tc\x7f",      "a\\x0db\\x09c\\x7f"},
        {"bad \xff\xc3",     "bad \\xff\\xc3"    },
        {"\xc2\x9b"
         "1m",      "\\xc2\\x9b"
         "1m"             }, /* CSI in one byte */
        {"\xe2\x80\xae"
         "txt",     "\\xe2\\x80\\xae"
         "txt"           }, /* right to left */
        {"back\\x41slash",   "back\\x41slash"    }, /* escapes of JSON stay as they are */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *clean = show_clean(cases[i][0]);
        assert_string_equal(clean, cases[i][1]);
        free(clean);
    }
}

static void text_is_cut_to_columns(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int width;
        const char *want;
    } cases[] = {
        {"short",                    5, "short"        },
        {"longer",                   5, "long~"        },
        {"\xc3\xa9\xc3\xa9\xc3\xa9", 2, "\xc3\xa9~"    },
        {"\xe4\xb8\xad\xe4\xb8\xad", 3, "\xe4\xb8\xad~"}, /* two columns each */
        {"ab",                       1, "~"            },
        {"ab",                       0, "ab"           }, /* no terminal is that narrow */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *text = xstrdup(cases[i].text);
        show_fit(text, cases[i].width);
        assert_string_equal(text, cases[i].want);
        free(text);
    }
}

static char *table_of(const struct column *cols, const char *json)
{
    char *text = NULL;
    size_t len = 0;
    json_t *rows = json_loads(json, 0, NULL);
    FILE *out = open_memstream(&text, &len);
    assert_non_null(rows);
    show_table(out, cols, rows);
    (void)fclose(out);
    json_decref(rows);
    return text;
}

static void tables_line_up(void **state)
{
    (void)state;
    static const struct column cols[] = {
        {"NAME", "name",   CELL_TEXT },
        {"N",    "deep.n", CELL_COUNT},
        {"SIZE", "size",   CELL_BYTES},
        {"AT",   "at",     CELL_PLACE},
        {"LIST", "list",   CELL_LIST },
        {NULL,   NULL,     CELL_TEXT },
    };
    char *text = table_of(cols, "[{\"name\":\"caf\xc3\xa9\",\"deep\":{\"n\":12345},\"size\":1536,"
                                "\"at\":{\"host\":\"a\",\"path\":\"/x\"},\"list\":[\"p\",\"q\"]},"
                                "{\"name\":\"\\u001b[1m\",\"deep\":7,\"size\":null}]");
    assert_string_equal(text, "NAME          N     SIZE  AT    LIST\n"
                              "caf\xc3\xa9     12,345  1.5 KiB  a:/x  p, q\n"
                              "\\x1b[1m       -        -  -     -\n");
    free(text);
    text = table_of(cols, "[]");
    assert_string_equal(text, "");
    free(text);
}

static const char report[] =
    "{\"job\":\"w\",\"run\":1,\"state\":\"partial\",\"totals\":{\"files\":10,\"bytes\":2048,"
    "\"failed\":2,\"skipped_meta\":1500,\"elapsed_ms\":2000},\"pairs\":[{\"n\":1,\"source\":{"
    "\"host\":\"a\",\"path\":\"/=x\\\"y\"},\"destination\":{\"host\":\"b\",\"path\":\"/y\"},"
    "\"state\":\"partial\",\"reason\":\"=2 failed\",\"counters\":{\"files\":10},\"rate\":1024}],"
    "\"failures\":[{\"err\":\"EACCES\",\"what\":\"cannot open\",\"cause\":\"Permission "
    "denied\",\"count\":2,\"examples\":"
    "[\"/a\\u001b\",\"/b\"],\"remedy\":\"run as root\"}]}";

static char *report_by(void (*write)(FILE *, const json_t *))
{
    char *text = NULL;
    size_t len = 0;
    json_t *doc = json_loads(report, 0, NULL);
    FILE *out = open_memstream(&text, &len);
    write(out, doc);
    (void)fclose(out);
    json_decref(doc);
    return text;
}

static void a_report_groups_failures_with_what_to_do(void **state)
{
    (void)state;
    char *text = report_by(report_text);
    assert_non_null(strstr(text, "  2 x cannot open: Permission denied\n      /a\\x1b\n      /b\n"
                                 "    What to do: run as root\n"));
    assert_non_null(strstr(text, "On 1,500 entries something could not be kept"));
    assert_null(strstr(text, "Deleted")); /* zero is not worth a line */
    free(text);
}

static void a_csv_report_is_safe_to_open(void **state)
{
    (void)state;
    char *text = report_by(report_csv);
    assert_non_null(strstr(text, "\n1,\"a:/=x\"\"y\",\"b:/y\",\"partial\",\"'=2 failed\",10,0,"));
    assert_int_equal(strncmp(text, "pair,source,destination,state,reason,files,", 43), 0);
    free(text);
}

static void states_become_exit_codes(void **state)
{
    (void)state;
    static const struct {
        const char *state;
        int code;
    } cases[] = {
        {"done",    0},
        {"partial", 3},
        {"failed",  1},
        {"stopped", 1},
        {"running", 0},
        {"",        0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(report_exit(cases[i].state), cases[i].code);
}

int main(void)
{
    if (!setlocale(LC_CTYPE, "C.UTF-8"))
        return 77;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_readable),
        cmocka_unit_test(control_bytes_never_reach_a_terminal),
        cmocka_unit_test(text_is_cut_to_columns),
        cmocka_unit_test(tables_line_up),
        cmocka_unit_test(a_report_groups_failures_with_what_to_do),
        cmocka_unit_test(a_csv_report_is_safe_to_open),
        cmocka_unit_test(states_become_exit_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
