/* test_progress: bars, times left, and lines that fit their width whatever the numbers. */
#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/console/progress.h"
#include "orchestrator/console/show.h"
#include "tests/unit/test.h"

static void bars_are_as_full_as_told(void **state)
{
    (void)state;
    static const struct {
        double percent;
        int columns;
        const char *want;
    } cases[] = {
        {0,   12, "[..........]"},
        {50,  12, "[#####.....]"},
        {99,  12, "[#########.]"},
        {100, 12, "[##########]"},
        {250, 12, "[##########]"},
        {-3,  12, "[..........]"},
        {NAN, 4,  "[..]"        },
        {50,  2,  "[]"          },
        {50,  0,  "[]"          },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *bar = progress_bar(cases[i].percent, cases[i].columns, false);
        assert_string_equal(bar, cases[i].want);
        free(bar);
    }
    char *bar = progress_bar(50, 6, true);
    assert_int_equal(show_width(bar), 6);
    free(bar);
}

static void time_left_is_a_range(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"[12000,15000]",     "12-15 s left"      },
        {"[12000,12900]",     "12 s left"         },
        {"[50000,70000]",     "50 s-1 min left"   },
        {"[3600000,3900000]", "1 h-1 h 5 min left"},
        {"[0,500]",           "under 1 s left"    },
        {"[5,3]",             ""                  },
        {"[-1,3]",            ""                  },
        {"[1]",               ""                  },
        {"null",              ""                  },
        {"[\"a\",\"b\"]",     "under 1 s left"    }, /* no numbers: zero */
        {"[0,1e300]",         ""                  },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        json_t *eta = json_loads(cases[i][0], JSON_DECODE_ANY, NULL);
        char *text = progress_eta(eta);
        assert_string_equal(text, cases[i][1]);
        free(text);
        json_decref(eta);
    }
}

static const char running[] =
    "{\"n\":7,\"source\":{\"host\":\"fs1\",\"path\":\"/srv/data\"},\"destination\":{\"host\":"
    "\"new1\",\"path\":\"/srv/data\"},\"state\":\"running\",\"percent\":45,\"doing\":\"Copying\","
    "\"counters\":{\"files\":12000,\"unchanged_files\":345,\"bytes\":1048576000,\"parts_bytes\":"
    "25165824,"
    "\"total_bytes\":2147483648},\"rate\":104857600,\"eta_ms\":[12000,15000],\"stalled\":false}";

static void a_pair_is_one_line_that_fits(void **state)
{
    (void)state;
    static const struct {
        int width;
        const char *want;
    } cases[] = {
        {130, "  7 fs1:/srv/data -> new1:/srv/data              [######........]  45%  "
              "1.0 GiB/2.0 GiB  12,345 files  100.0 MiB/s  12-15 s left"          },
        {80,  "  7 fs1:/srv/da~  45%  1.0 GiB/2.0 GiB  12,345 files  100.0 MiB/s  12-15 s left"},
        {40,  "  7 fs1:/srv/da~  45%  1.0 GiB/2.0 GiB ~"                                       },
    };
    json_t *pair = json_loads(running, 0, NULL);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct look look = {.width = cases[i].width};
        char *line = progress_pair(pair, &look);
        assert_string_equal(line, cases[i].want);
        free(line);
    }
    for (int width = 20; width < 300; width++) {
        struct look look = {.width = width, .utf8 = width % 2};
        char *line = progress_pair(pair, &look);
        assert_true(show_width(line) <= width);
        free(line);
    }
    json_decref(pair);
}

static void marks_and_reasons_are_shown(void **state)
{
    (void)state;
    json_t *pair = json_loads(running, 0, NULL);
    struct look look = {.width = 150, .color = true};
    (void)json_object_set_new(pair, "stalled", json_true());
    char *line = progress_pair(pair, &look);
    assert_non_null(strstr(line, "STALLED"));
    assert_int_equal(strncmp(line, "\033[33m", 5), 0);
    free(line);
    (void)json_object_set_new(pair, "state", json_string("failed"));
    (void)json_object_set_new(pair, "reason", json_string("disk \033[2J full"));
    line = progress_pair(pair, &look);
    assert_non_null(strstr(line, "failed: disk \\x1b[2J full"));
    free(line);
    char *plain = progress_plain(pair);
    assert_string_equal(plain, "pair 7 fs1:/srv/data -> new1:/srv/data: failed 45%, 1.0 GiB of 2.0 "
                               "GiB, 12,345 files: disk \\x1b[2J full");
    free(plain);
    json_decref(pair);
}

static void a_job_is_summed_up(void **state)
{
    (void)state;
    json_t *job = json_loads("{\"job\":\"w\",\"state\":\"running\",\"percent\":38,\"pairs\":["
                             "{\"state\":\"done\"},{\"state\":\"running\"},{\"state\":\"running\"},"
                             "{\"state\":\"waiting\"}]}",
                             0, NULL);
    struct look look = {.width = 100};
    char *line = progress_job(job, &look);
    assert_string_equal(line, "w  running  38%  4 pairs: 1 done, 2 running, 1 waiting");
    free(line);
    json_decref(job);
}

int main(void)
{
    (void)setlocale(LC_CTYPE, "C");
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bars_are_as_full_as_told),
        cmocka_unit_test(time_left_is_a_range),
        cmocka_unit_test(a_pair_is_one_line_that_fits),
        cmocka_unit_test(marks_and_reasons_are_shown),
        cmocka_unit_test(a_job_is_summed_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
