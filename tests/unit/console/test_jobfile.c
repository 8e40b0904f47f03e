/* test_jobfile: what job files become, and that each error names its line and column. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "orchestrator/console/jobfile.h"
#include "orchestrator/console/jobspec.h"
#include "tests/unit/test.h"

static void begin(struct jobspec *s)
{
    *s = (struct jobspec){0};
    options_defaults(jobspec_options, s);
}

static void end(struct jobspec *s)
{
    jobspec_done(s);
    options_free(jobspec_options, s);
}

#define PAIRS "pairs:\n"
#define GOOD PAIRS "  - a:/x=b:/y\n"

static void each_yaml_error_names_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error; /* NULL: good */
    } cases[] = {
        {GOOD,                                                                                       NULL                                                               },
        {"name: w\nworkload: files\noptions: {delete: yes, dry-run: on}\nlimits: {pairs: 3}\n" GOOD,
         NULL                                                                                                                                                           },
        {PAIRS "- source: a:/x\n  destination: b:/y\n- {source: 'a:/z', destination: \"b:/z\"}\n",
         NULL                                                                                                                                                           },
        {"pears:\n - a:/x=b:/y\n",                                                                   "F:1:1: unknown key 'pears'"                                       },
        {GOOD "name: w\nname: v\n",                                                                  "F:4:1: given twice: 'name'"                                       },
        {GOOD "name: a b\n",
         "F:3:7: a job name has letters, digits, '.', '_' and '-', at most 63; not 'a b'"                                                                               },
        {GOOD "name: [w]\n",                                                                         "F:3:7: name wants one value, not a list or a map"                 },
        {GOOD "workload: vm\n",                                                                      "F:3:11: there is only the workload files, not 'vm'"               },
        {GOOD "options: yes\n",                                                                      "F:3:10: options wants keys and values, such as delete: yes"       },
        {"options:\n  delte: yes\n" GOOD,                                                            "F:2:3: unknown option 'delte'"                                    },
        {"options:\n  name: w\n" GOOD,                                                               "F:2:3: unknown option 'name'"                                     },
        {"options:\n  delete: perhaps\n" GOOD,                                                       "F:2:11: delete: 'perhaps' is not yes or no"                       },
        {"options:\n  compress: fast\n" GOOD,                                                        "F:2:13: compress: 'fast' is not one of auto|on|off"               },
        {"options:\n  lanes: 99\n" GOOD,                                                             "F:2:10: lanes: 99 is over the most, 64"                           },
        {"options:\n  lanes: {a: b}\n" GOOD,                                                         "F:2:10: lanes wants one value, not a list or a map"               },
        {"options:\n  exclude: ['*.tmp', /a/]\n  include: b.tmp\n  max_size: 10G\n  min-age: "
         "7d\n" GOOD,
         NULL                                                                                                                                                           },
        {"options:\n  exclude: ['*.tmp', '[a']\n" GOOD,
         "F:2:22: the pattern '[a' has a [ without its ]: write \\[ for the character"                                                                                  },
        {"options:\n  exclude: {a: b}\n" GOOD,                                                       "F:2:12: a pattern is one text"                                    },
        {"options:\n  exclude: '@linux'\n" GOOD,
         "F:2:12: the pattern '@linux' is not a set that is known: there is @windows (write \\@ "
         "for the character)"                                                                                                                                           },
        {"options:\n  max_size: big\n" GOOD,
         "F:2:13: max-size: 'big' is not a size such as 64K, 1M or 8G"                                                                                                  },
        {"options:\n  dry_run: yes\n  dry-run: yes\n" GOOD,                                          "F:3:3: given twice: 'dry-run'"                                    },
        {"limits:\n  hosts: 3\n" GOOD,                                                               "F:2:3: unknown key 'hosts'"                                       },
        {"limits:\n  rate: 100 MiB/s\n  calendar:\n    - zone UTC\n    - Mon-Fri 08:00-18:00 "
         "none\n" GOOD,
         NULL                                                                                                                                                           },
        {"limits:\n  rate: fast\n" GOOD,
         "F:2:9: a rate is such as 200MiB/s or 100Mbit/s, none or unlimited; not 'fast'"                                                                                },
        {"limits:\n  calendar: Mon\n" GOOD,
         "F:2:13: calendar wants a list of windows: - Mon-Fri 08:00-18:00 50MiB/s"                                                                                      },
        {"limits:\n  calendar:\n    - [Mon]\n" GOOD,
         "F:3:7: calendar wants a list of windows: - Mon-Fri 08:00-18:00 50MiB/s"                                                                                       },
        {"limits:\n  calendar:\n    - zone UTC\n    - Mon 08:00-25:00 none\n" GOOD,
         "F:4:17: a time is HH:MM, 00:00 to 24:00"                                                                                                                      },
        {"limits:\n  calendar:\n    - 'Mun 08:00-18:00 none'\n" GOOD,
         "F:3:8: a day is Mon, Tue, Wed, Thu, Fri, Sat or Sun (or daily)"                                                                                               },
        {"options:\n  max_source_latency: soon\n" GOOD,
         "F:2:23: max-source-latency: 'soon' is not a whole number"                                                                                                     },
        {"limits:\n  pairs: many\n" GOOD,                                                            "F:2:10: max-pairs: 'many' is not a whole number"                  },
        {"",                                                                                         "F:1:1: the file is empty: it wants at least pairs:"               },
        {"# nothing\n",                                                                              "F:1:1: the file is empty: it wants at least pairs:"               },
        {"just text\n",                                                                              "F:1:1: a job file starts with keys, such as pairs:"               },
        {"name: w\n",                                                                                "F:1:1: there are no pairs"                                        },
        {"pairs: []\n",                                                                              "F:1:1: there are no pairs"                                        },
        {"pairs: a:/x=b:/y\n",                                                                       "F:1:8: pairs wants a list: lines that start with \"- \""          },
        {PAIRS "  - a:/x\n",                                                                         "F:2:5: not HOST:PATH=HOST:PATH: 'a:/x'"                           },
        {PAIRS "  - [a, b]\n",                                                                       "F:2:5: a pair is source: and destination:, or HOST:PATH=HOST:PATH"},
        {PAIRS "  - source: a:/x\n",                                                                 "F:2:5: this pair lacks its 'destination'"                         },
        {PAIRS "  - source: a:/x\n    destination: b:/y\n    option: 1\n",
         "F:4:5: unknown key 'option'"                                                                                                                                  },
        {PAIRS "  - source: a:/x\n    source: a:/x\n",                                               "F:3:5: given twice: 'source'"                                     },
        {PAIRS "  - source: a:/x\n    destination: 'b:'\n",
         "F:3:21: the path '' does not start with /"                                                                                                                    },
        {PAIRS "  - source: 'a:'\n    destination: b:/y\n",
         "F:2:16: the path '' does not start with /"                                                                                                                    },
        {PAIRS "  - source: fs 1:/x\n    destination: b:/y\n",                                       "F:2:13: 'fs 1' is not a host name"                                },
        {PAIRS "  - source: a\n    destination: b:/y\n",                                             "F:2:13: 'a' is not HOST:PATH"                                     },
        {PAIRS "  - source: {}\n    destination: b:/y\n",                                            "F:2:13: source wants HOST:PATH"                                   },
        {PAIRS "  - a:/x/../y=b:/y\n",                                                               "F:2:7: the path '/x/../y' has . or .. in it"                      },
        {PAIRS "  - a:/x=b:/y\n  - a:/z=b:/y/\n",
         "F:3:5: destination 'b:/y' is already that of line 2"                                                                                                          },
        {PAIRS "  - a:/x=a:/x\n",                                                                    "F:2:5: 'a:/x' is both source and destination"                     },
        {PAIRS "  - 'a:/x\\q=b:/y'\n",
         "F:2:10: '\\x5cq': write control bytes, and \\ itself, as \\xNN (two hex digits)"                                                                              },
        {PAIRS "  - 'a:/x\\x00=b:/y'\n",
         "F:2:10: '\\x5cx00': write control bytes, and \\ itself, as \\xNN (two hex digits)"                                                                            },
        {PAIRS "  - \"a:/x\\x1b=b:/y\"\n",
         "F:2:10: '\\x1b': write control bytes, and \\ itself, as \\xNN (two hex digits)"                                                                               },
        {PAIRS "  - &one a:/x=b:/y\n  - *one\n",                                                     "F:3:5: job files have no aliases (*name)"                         },
        {PAIRS "  - [[[[[[[[[[a]]]]]]]]]]\n",                                                        "F:2:11: nested too deep"                                          },
        {PAIRS "\t- a:/x=b:/y\n",                                                                    "F:2:1: found character that cannot start any token"               },
        {"a: b: c\n",                                                                                "F:1:5: mapping values are not allowed in this context"            },
        {"pairs: [a\n",                                                                              "F:2:1: did not find expected ',' or ']'"                          },
        {"name: \xff\n" GOOD,                                                                        "F:1:7: invalid leading UTF-8 octet"                               },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct jobspec s;
        struct fault f = {0};
        begin(&s);
        int rc = jobfile_yaml(&s, "F", cases[i].text, strlen(cases[i].text), &f);
        assert_string_equal(f.text, cases[i].error ? cases[i].error : "");
        assert_int_equal(rc, cases[i].error ? -EINVAL : 0);
        end(&s);
    }
}

static void each_csv_error_names_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t pairs;
        const char *error;
    } cases[] = {
        {"a:/x,b:/y\n",                                 1, NULL                                                           },
        {"source,destination\r\na:/x,b:/y\r\n# c\n\n",  1, NULL                                                           },
        {"\xef\xbb\xbfsource,destination\na:/x , b:/y", 1, NULL                                                           },
        {"\"a:/x,1\",\"b:/\"\"q\"\"\"\na:/b,b:/b",      2, NULL                                                           },
        {"",                                            0, "F:1:1: there are no pairs"                                    },
        {"source,destination\n",                        0, "F:1:1: there are no pairs"                                    },
        {"a:/x\n",                                      0, "F:1:5: a line holds source,destination: the comma is missing" },
        {"a:/x,b:/y,c\n",                               0,
         "F:1:10: a line holds source,destination: there is a field too many (quote a path that "
         "has a comma)"                                                                                                   },
        {"a:/x,b:/y\n  a:,b:/z\n",                      1, "F:2:5: the path '' does not start with /"                     },
        {"a:/x,  b y:/y\n",                             0, "F:1:8: 'b y' is not a host name"                              },
        {"\"a:/x,b:/y\n",                               0, "F:1:1: this quote is not closed"                              },
        {"\"a:/x\"z,b:/y\n",                            0, "F:1:7: a comma or the end of the line should follow the quote"},
        {"a:/x,b:/y\na:/z,b:/y\n",                      1, "F:2:6: destination 'b:/y' is already that of line 1"          },
        {"a:/x,b:/y\nsource,destination\n",             1, "F:2:1: 'source' is not HOST:PATH"                             },
        {"a:/x,\n",                                     0, "F:1:6: '' is not HOST:PATH"                                   },
        {"a:/\xff,b:/y\n",                              0, "F:1:6: 'a:/\\xff' is not UTF-8: write such bytes as \\xNN"    },
        {"a:/x\\,b:/y\n",                               0,
         "F:1:5: '\\x5c': write control bytes, and \\ itself, as \\xNN (two hex digits)"                                  },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct jobspec s;
        struct fault f = {0};
        begin(&s);
        int rc = jobfile_csv(&s, "F", cases[i].text, strlen(cases[i].text), &f);
        assert_string_equal(f.text, cases[i].error ? cases[i].error : "");
        assert_int_equal(rc, cases[i].error ? -EINVAL : 0);
        assert_int_equal(json_array_size(s.pairs), cases[i].pairs);
        end(&s);
    }
    struct jobspec s;
    struct fault f = {0};
    begin(&s);
    assert_int_equal(jobfile_csv(&s, "F", "a:/x\0,b:/y", 10, &f), -EINVAL);
    assert_string_equal(f.text, "F:1:5: a NUL byte has no place here");
    end(&s);
}

static void a_file_becomes_the_canonical_spec(void **state)
{
    (void)state;
    static const char text[] = "name: wave1\noptions: {delete: true, lanes: 4, compress: off}\n"
                               "limits: {pairs: 8, rate: 1.5GiB/s, calendar: [daily 08:00-18:00 "
                               "none]}\npairs:\n"
                               "  - 'fs1:/srv//da\\xffta/=new1:/srv/data'\n";
    struct jobspec s;
    struct fault f = {0};
    char *json = NULL;
    begin(&s);
    assert_int_equal(jobfile_yaml(&s, "F", text, sizeof text - 1, &f), 0);
    assert_int_equal(jobspec_json(&s, &json, &f), 0);
    assert_string_equal(
        json,
        "{\"name\":\"wave1\",\"workload\":\"files\",\"options\":{\"delete\":true,\"dry_run\":"
        "false,\"compress\":\"off\",\"lanes\":4,\"one_file_system\":false,\"checksum\":false,"
        "\"full_scan\":false,"
        "\"verify\":\"in-flight\",\"manifest\":\"off\"},"
        "\"limits\":{\"pairs\":8,\"rate\":\"1.5GiB/s\",\"calendar\":\"daily 08:00-18:00 "
        "none\\n\"},\"pairs\":[{\"source\":{\"host\":\"fs1\",\"path\":"
        "\"/srv/da\\\\xffta\"},\"destination\":{\"host\":\"new1\",\"path\":\"/srv/data\"}}]}");
    free(json);
    end(&s);
}

static void the_examples_are_good_and_give_a_name(void **state)
{
    (void)state;
    static const struct {
        const char *file, *name;
        size_t pairs;
    } cases[] = {
        {EXAMPLES "/wave.yaml", "wave1", 4},
        {EXAMPLES "/wave.csv",  "wave",  3},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct jobspec s;
        struct fault f = {0};
        char *json = NULL;
        begin(&s);
        assert_int_equal(jobfile_read(&s, cases[i].file, &f), 0);
        assert_string_equal(s.name, cases[i].name);
        assert_int_equal(json_array_size(s.pairs), cases[i].pairs);
        assert_int_equal(jobspec_json(&s, &json, &f), 0);
        free(json);
        end(&s);
    }
}

static void pairs_split_where_a_place_starts(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        size_t at;
    } cases[] = {
        {"a:/x=b:/y",     0,       4},
        {"a:/x=1=b:/y",   0,       6},
        {"a:/x=b c=b:/y", 0,       8},
        {"a:/x=b:y",      0,       4}, /* a share of an endpoint */
        {"a:/x=b:y=c:/z", 0,       8},
        {"a:/x=b:",       -EINVAL, 0},
        {"a:/x",          -EINVAL, 0},
        {"=b:/y",         0,       0},
        {"",              -EINVAL, 0},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        size_t at = 0;
        assert_int_equal(pair_split(cases[i].text, &at), cases[i].rc);
        assert_int_equal(at, cases[i].at);
    }
}

static void what_cannot_be_a_job_is_refused(void **state)
{
    (void)state;
    struct jobspec s;
    struct fault f = {0};
    char *json = NULL;
    begin(&s);
    s.name = xstrdup("w");
    assert_int_equal(jobspec_json(&s, &json, &f), -EINVAL);
    assert_non_null(strstr(f.text, "no pair"));
    assert_int_equal(jobspec_add(&s, "a:/x", "b:/srv", "--pair 1", &f), 0);
    assert_int_equal(jobspec_add(&s, "a:/y", "b:/srv/in/side", "--pair 2", &f), 0);
    assert_int_equal(jobspec_json(&s, &json, &f), 0); /* nested, but nothing is deleted */
    free(json);
    json = NULL;
    s.delete_extras = true;
    assert_int_equal(jobspec_json(&s, &json, &f), -EINVAL);
    assert_string_equal(f.text,
                        "'b:/srv/in/side' lies inside another destination: that does not go "
                        "together with delete");
    end(&s);
}

/* The limit that is told has to be one that can be reached. */
static void as_many_pairs_as_a_job_may_have_fit_one_request(void **state)
{
    (void)state;
    struct jobspec s;
    struct fault f = {0};
    char *json = NULL;
    begin(&s);
    s.name = xstrdup("w");
    for (int i = 0; i < LIMIT_PAIRS; i++) {
        char *from = xasprintf("fs1:/srv/projects/team-%06d", i);
        char *to = xasprintf("new1:/srv/projects/team-%06d", i);
        assert_int_equal(jobspec_add(&s, from, to, "--pair", &f), 0);
        free(from);
        free(to);
    }
    if (jobspec_json(&s, &json, &f) < 0)
        fail_msg("%s", f.text);
    free(json);
    end(&s);
}

static void names_come_from_files(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"/x/wave 1.yaml", "wave-1" },
        {"wave.csv",       "wave"   },
        {".hidden",        "jhidden"},
        {"-",              "j"      },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *name = jobspec_name_of(cases[i][0]);
        assert_string_equal(name, cases[i][1]);
        free(name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_yaml_error_names_line_and_column),
        cmocka_unit_test(each_csv_error_names_line_and_column),
        cmocka_unit_test(a_file_becomes_the_canonical_spec),
        cmocka_unit_test(the_examples_are_good_and_give_a_name),
        cmocka_unit_test(pairs_split_where_a_place_starts),
        cmocka_unit_test(what_cannot_be_a_job_is_refused),
        cmocka_unit_test(as_many_pairs_as_a_job_may_have_fit_one_request),
        cmocka_unit_test(names_come_from_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
