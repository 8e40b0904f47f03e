/* test_option: values, command lines, files with the line of each error, help and troff. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/conf/option.h"
#include "tests/unit/test.h"

struct conf {
    char *name, *list, *mode;
    uint32_t port;
    uint64_t size, wait;
    bool flag;
};

static const struct option_row rows[] = {
    {.name = "name",
     .kind = OPT_STRING,
     .off = offsetof(struct conf, name),
     .def = "",
     .help = "N."},
    {.name = "list",
     .kind = OPT_STRING,
     .off = offsetof(struct conf, list),
     .repeat = true,
     .value = "ITEM",
     .help = "L."},
    {.name = "mode",
     .kind = OPT_ENUM,
     .off = offsetof(struct conf, mode),
     .choices = "auto|on|off",
     .def = "auto",
     .letter = 'm',
     .help = "Which way - it goes."},
    {.name = "port",
     .kind = OPT_UINT,
     .off = offsetof(struct conf, port),
     .def = "7401",
     .min = 1,
     .max = 65535,
     .letter = 'p',
     .value = "PORT",
     .help = "P."},
    {.name = "size",
     .kind = OPT_SIZE,
     .off = offsetof(struct conf, size),
     .def = "1M",
     .help = "S."},
    {.name = "wait",
     .kind = OPT_DURATION,
     .off = offsetof(struct conf, wait),
     .def = "15s",
     .help = "W."},
    {.name = "flag",
     .kind = OPT_BOOL,
     .off = offsetof(struct conf, flag),
     .def = "no",
     .letter = 'f',
     .help = ".F"},
    {.name = NULL                          },
};

static void sizes_and_times_have_units(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        uint64_t size;
    } sizes[] =
        {
            {"0",                    0,       0         },
            {"17",                   0,       17        },
            {"64K",                  0,       64 << 10  },
            {"64KiB",                0,       64 << 10  },
            {"1m",                   0,       1 << 20   },
            {"8G",                   0,       8ULL << 30},
            {"2T",                   0,       2ULL << 40},
            {"18446744073709551615", 0,       UINT64_MAX},
            {"18446744073709551616", -EINVAL, 0         },
            {"16777216T",            -EINVAL, 0         },
            {"",                     -EINVAL, 0         },
            {"K",                    -EINVAL, 0         },
            {"-1",                   -EINVAL, 0         },
            {"+1",                   -EINVAL, 0         },
            {" 1",                   -EINVAL, 0         },
            {"1.5G",                 -EINVAL, 0         },
            {"0x10",                 -EINVAL, 0         },
            {"1 K",                  -EINVAL, 0         },
    },
      times[] = {
          {"0", 0, 0},
          {"250ms", 0, 250},
          {"15s", 0, 15000},
          {"15m", 0, 900000},
          {"2h", 0, 7200000},
          {"7d", 0, 604800000},
          {"2w", 0, 1209600000},
          {"15", -EINVAL, 0},
          {"s", -EINVAL, 0},
          {"1y", -EINVAL, 0},
          {"99999999999999999w", -EINVAL, 0},
      };
    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        uint64_t v = 0;
        assert_int_equal(parse_size(sizes[i].text, &v), sizes[i].rc);
        assert_true(v == sizes[i].size);
    }
    for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
        uint64_t v = 0;
        assert_int_equal(parse_duration(times[i].text, &v), times[i].rc);
        assert_true(v == times[i].size);
    }
}

static void a_bad_value_names_option_and_reason(void **state)
{
    (void)state;
    static const struct {
        size_t row;
        const char *value, *error;
    } cases[] = {
        {3, "0",      "port: 0 is below the least, 1"                        },
        {3, "65536",  "port: 65536 is over the most, 65535"                  },
        {3, "12x",    "port: '12x' is not a whole number"                    },
        {3, "",       "port: '' is not a whole number"                       },
        {2, "au",     "mode: 'au' is not one of auto|on|off"                 },
        {2, "",       "mode: '' is not one of auto|on|off"                   },
        {2, "on|off", "mode: 'on|off' is not one of auto|on|off"             },
        {4, "1Q",     "size: '1Q' is not a size such as 64K, 1M or 8G"       },
        {5, "1",      "wait: '1' is not a time such as 250ms, 15s, 15m or 7d"},
        {6, "maybe",  "flag: 'maybe' is not yes or no"                       },
        {0, "a\nb",   "name: 'a\\x0ab' is not text on one line"              },
    };
    struct conf c = {0};
    options_defaults(rows, &c);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault f = {0};
        assert_int_equal(option_set(&rows[cases[i].row], &c, cases[i].value, &f), -EINVAL);
        assert_string_equal(f.text, cases[i].error);
    }
    assert_int_equal(c.port, 7401); /* a refused value changes nothing */
    options_free(rows, &c);
}

static void defaults_come_from_the_table(void **state)
{
    (void)state;
    struct conf c = {0};
    options_defaults(rows, &c);
    assert_string_equal(c.name, "");
    assert_null(c.list);
    assert_string_equal(c.mode, "auto");
    assert_int_equal(c.port, 7401);
    assert_true(c.size == 1 << 20 && c.wait == 15000 && !c.flag);
    options_free(rows, &c);
    assert_null(c.mode);
}

/* line: space-separated words. */
static int parse_line(const char *line, struct conf *c, char *words, struct fault *f)
{
    char *copy = xstrdup(line), *argv[16], *found[16], *save = NULL;
    int argc = 0, n = 0;
    for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    options_defaults(rows, c);
    int rc = options_args(rows, c, argc, argv, found, &n, f);
    words[0] = '\0';
    for (int i = 0; rc == 0 && i < n; i++) {
        (void)strncat(words, found[i], 20);
        (void)strncat(words, ",", 2);
    }
    free(copy);
    return rc;
}

static void command_lines_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words, *error;
        uint32_t port;
        const char *mode, *list;
        bool flag;
    } cases[] = {
        {"",                        "",     NULL,                                7401, "auto", NULL,   false},
        {"a b",                     "a,b,", NULL,                                7401, "auto", NULL,   false},
        {"a --port 9 b",            "a,b,", NULL,                                9,    "auto", NULL,   false},
        {"--port=9 -m off",         "",     NULL,                                9,    "off",  NULL,   false},
        {"-p9 -mon -f",             "",     NULL,                                9,    "on",   NULL,   true },
        {"--flag a",                "a,",   NULL,                                7401, "auto", NULL,   true },
        {"--flag --flag=no",        "",     NULL,                                7401, "auto", NULL,   false},
        {"--list x --list=y -- -f", "-f,",  NULL,                                7401, "auto", "x\ny", false},
        {"- --",                    "-,",   NULL,                                7401, "auto", NULL,   false},
        {"--none",                  "",     "unknown option '--none'",           7401, "auto", NULL,   false},
        {"--por 9",                 "",     "unknown option '--por'",            7401, "auto", NULL,   false},
        {"-x",                      "",     "unknown option '-x'",               7401, "auto", NULL,   false},
        {"-fx",                     "",     "unknown option '-fx'",              7401, "auto", NULL,   false},
        {"--port",                  "",     "--port needs a value (PORT)",       7401, "auto", NULL,   false},
        {"--port z",                "",     "--port: 'z' is not a whole number", 7401, "auto", NULL,   false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf c = {0};
        struct fault f = {0};
        char words[256];
        int rc = parse_line(cases[i].line, &c, words, &f);
        assert_int_equal(rc, cases[i].error ? -EINVAL : 0);
        assert_string_equal(f.text, cases[i].error ? cases[i].error : "");
        assert_string_equal(words, cases[i].words);
        assert_int_equal(c.port, cases[i].port);
        assert_string_equal(c.mode, cases[i].mode);
        assert_true(cases[i].list ? c.list && strcmp(c.list, cases[i].list) == 0 : !c.list);
        assert_int_equal(c.flag, cases[i].flag);
        options_free(rows, &c);
    }
}

static void an_error_in_a_file_names_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"",                                    NULL                                              },
        {"# comment\n\n  port = 9 \r\nflag=on", NULL                                              },
        {"list = a\nlist = b",                  NULL                                              },
        {"name =",                              NULL                                              },
        {"port = 9\nprot = 8",                  "F:2: unknown key 'prot'"                         },
        {"\nport 9",                            "F:2: not a \"key = value\" line: 'port 9'"       },
        {"port = 9\nport = 9",                  "F:2: given twice: 'port'"                        },
        {"\n\nport = 0",                        "F:3: port: 0 is below the least, 1"              },
        {"mode = sometimes",                    "F:1: mode: 'sometimes' is not one of auto|on|off"},
        {"[section]",                           "F:1: not a \"key = value\" line: '[section]'"    },
        {"= 3",                                 "F:1: unknown key ''"                             },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct conf c = {0};
        struct fault f = {0};
        char *text = xstrdup(cases[i].text);
        options_defaults(rows, &c);
        int rc = options_text(rows, &c, "F", text, strlen(text), &f);
        assert_int_equal(rc, cases[i].error ? -EINVAL : 0);
        assert_string_equal(f.text, cases[i].error ? cases[i].error : "");
        free(text);
        options_free(rows, &c);
    }
}

static void a_nul_byte_or_a_missing_file_is_refused(void **state)
{
    (void)state;
    struct conf c = {0};
    struct fault f = {0};
    char text[] = "port = 9\0name = x";
    options_defaults(rows, &c);
    assert_int_equal(options_text(rows, &c, "F", text, sizeof text - 1, &f), -EINVAL);
    assert_int_equal(options_file(rows, &c, "/nonexistent/godwit.conf", &f), -ENOENT);
    assert_int_equal(c.port, 7401);
    options_free(rows, &c);
}

static char *written(void (*write)(const struct option_row *, FILE *))
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    write(rows, out);
    (void)fclose(out);
    return text;
}

static void help_and_manual_show_every_row(void **state)
{
    (void)state;
    char *help = written(options_help), *man = written(options_man);
    for (const struct option_row *r = rows; r->name; r++) {
        assert_non_null(strstr(help, r->name));
        assert_non_null(strstr(man, r->name));
    }
    assert_non_null(
        strstr(help, "-m, --mode auto|on|off      Which way - it goes. Default: auto."));
    assert_non_null(strstr(help, "May be given again."));
    assert_non_null(strstr(man, "\\fB\\-m\\fR, \\fB\\-\\-mode\\fR \\fIauto|on|off\\fR"));
    assert_non_null(strstr(man, "Which way \\- it goes."));
    assert_non_null(strstr(man, "\n\\&.F\n")); /* else troff takes it for a request */
    free(help);
    free(man);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_and_times_have_units),
        cmocka_unit_test(a_bad_value_names_option_and_reason),
        cmocka_unit_test(defaults_come_from_the_table),
        cmocka_unit_test(command_lines_are_taken_apart),
        cmocka_unit_test(an_error_in_a_file_names_its_line),
        cmocka_unit_test(a_nul_byte_or_a_missing_file_is_refused),
        cmocka_unit_test(help_and_manual_show_every_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
