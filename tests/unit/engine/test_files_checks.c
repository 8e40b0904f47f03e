/* test_files_checks: what the checks of one pair before its start make of what they were told. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/workload/workload.h"
#include "tests/unit/test.h"

static json_t *options_of(const char *text)
{
    struct fault why = {.err = 0};
    json_t *o = json_loads(text, 0, NULL);
    assert_int_equal(workload_files.check_options(o, &why), 0);
    return o;
}

static size_t check_of(const char *id)
{
    size_t i = 0;
    for (const struct check_info *c; (c = workload_files.check_info(i)) != NULL; i++)
        if (strcmp(c->id, id) == 0)
            return i;
    fail_msg("no check %s", id);
    return 0;
}

/* Each check by what facts and probes say; "null": that side did not answer. */
static void checks_judge_what_they_were_told(void **state)
{
    (void)state;
    static const struct {
        const char *id, *facts, *source, *destination;
        enum check_result want;
        const char *says;
    } cases[] = {
#define COUNTED                                                                                    \
    "{\"inventory\":{\"bytes\":1000,\"allocated_bytes\":900,\"files\":10,\"folders\":1}}"
#define PLACE(more) "{\"place\":{\"writable\":true," more "}}"
        {"free-space",         COUNTED,                                                "null",                                                PLACE("\"free\":2000,\"empty\":true"),                    CHECK_PASS,    "900 B"                                            },
        {"free-space",         COUNTED,                                                "null",                                                PLACE("\"free\":800,\"empty\":true"),                     CHECK_FAIL,    ""                                                 },
        {"free-space",         COUNTED,                                                "null",                                                PLACE("\"free\":800"),                                    CHECK_WARN,    "not empty"                                        },
        {"free-space",         COUNTED,                                                "null",                                                PLACE("\"free\":950,\"empty\":true"),                     CHECK_WARN,    ""                                                 },
        {"free-space",         "{}",                                                   "null",                                                PLACE("\"free\":1"),                                      CHECK_WARN,    "counted"                                          },
        {"free-space",         COUNTED,                                                "null",                                                "null",                                                   CHECK_UNKNOWN, ""                                                 },
        {"inodes",             COUNTED,                                                "null",                                                PLACE("\"inodes\":50,\"inodes_free\":11,\"empty\":true"),
                                                                      CHECK_PASS,                                                                                                                                                                                                   "11"                                               },
        {"inodes",             COUNTED,                                                "null",                                                PLACE("\"inodes\":50,\"inodes_free\":10,\"empty\":true"),
                                                                      CHECK_FAIL,                                                                                                                                                                                                   ""                                                 },
        {"inodes",             COUNTED,                                                "null",                                                PLACE("\"inodes\":0"),                                    CHECK_PASS,    ""                                                 },
        {"file-system",        "{}",                                                   "null",                                                PLACE("\"has_xattr\":true,\"file_system\":\"xfs\""),
                                                                      CHECK_PASS,                                                                                                                                                                                                   "xfs with xattr"                                   },
        {"file-system",        "{}",                                                   "null",                                                PLACE("\"has_xattr\":true,\"read_only\":true"),           CHECK_FAIL,
                                                                      "read-only"                                                                                                                                                                                                                                                      },
        {"file-system",        "{}",                                                   "null",                                                PLACE("\"has_acl\":true"),                                CHECK_WARN,    "acl"                                              },
        {"clock-skew",         "{}",                                                   "{\"clocks\":true,\"skew_ms\":-30}",                   "null",                                                   CHECK_PASS,
                                                                      "30 ms behind"                                                                                                                                                                                                                                                   },
        {"clock-skew",         "{}",                                                   "{\"clocks\":true,\"skew_ms\":2001}",                  "null",                                                   CHECK_WARN,    "ahead"                                            },
        {"clock-skew",         "{}",                                                   "{\"clocks\":true,\"skew_ms\":-300001}",               "null",                                                   CHECK_FAIL,    ""                                                 },
        {"clock-skew",         "{}",                                                   "{\"clocks\":false}",                                  "null",                                                   CHECK_UNKNOWN, ""                                                 },
        {"lane-port",          "{}",                                                   "{\"tried\":true,\"reached\":true}",                   "null",                                                   CHECK_PASS,    ""                                                 },
        {"lane-port",          "{}",                                                   "{\"tried\":true,\"error\":\"x: refused\"}",           "null",                                                   CHECK_FAIL,
                                                                      "x: refused"                                                                                                                                                                                                                                                     },
        {"lane-port",          "{}",                                                   "{}",                                                  "null",                                                   CHECK_UNKNOWN, ""                                                 },
        {"lane-port",          "{}",                                                   "null",                                                "null",                                                   CHECK_UNKNOWN, ""                                                 },
        {"lane-port-back",     "{}",                                                   "null",                                                "{\"back_tried\":true,\"back_reached\":true}",            CHECK_PASS,
                                                                      ""                                                                                                                                                                                                                                                               },
        {"lane-port-back",     "{}",                                                   "null",                                                "{\"back_tried\":true,\"back_error\":\"x: refused\"}",
                                                                      CHECK_WARN,                                                                                                                                                                                                   "x: refused"                                       },
        {"lane-port-back",     "{}",                                                   "{}",                                                  "{}",                                                     CHECK_WARN,    ""                                                 },
        {"lane-port-back",     "{}",                                                   "{}",                                                  "null",                                                   CHECK_UNKNOWN, ""                                                 },
        {"throughput",         COUNTED,                                                "{\"burst_bytes\":104857600,\"burst_us\":1000000}",    "null",
                                                                      CHECK_PASS,                                                                                                                                                                                                   "100.0 MiB/s"                                      },
        {"throughput",         "{}",                                                   "{\"burst_bytes\":1000,\"burst_us\":1000000}",         "null",                                                   CHECK_WARN,    ""                                                 },
        {"throughput",         "{}",                                                   "{}",                                                  "null",                                                   CHECK_UNKNOWN, ""                                                 },
        {"rights-source",      "{}",                                                   "{\"readable\":true,\"place\":{\"privileged\":true}}", "null",
                                                                      CHECK_PASS,                                                                                                                                                                                                   ""                                                 },
        {"rights-source",      "{}",                                                   "{\"readable\":true,\"place\":{}}",                    "null",                                                   CHECK_WARN,    ""                                                 },
        {"rights-source",      "{}",                                                   "{\"readable\":false}",                                "null",                                                   CHECK_FAIL,    ""                                                 },
        {"rights-destination", "{}",                                                   "null",                                                PLACE("\"privileged\":true"),                             CHECK_PASS,    ""                                                 },
        {"rights-destination", "{}",                                                   "null",                                                PLACE("\"privileged\":false"),                            CHECK_WARN,    ""                                                 },
        {"samba-versions",     "{}",                                                   "{\"host\":{\"samba\":{\"version\":\"2:4.17\"}}}",
                                                                      "{\"host\":{\"samba\":{\"version\":\"2:4.22\"}}}",                                                                                                                                             CHECK_PASS,    ""                                                 },
        {"samba-versions",     "{}",                                                   "{\"host\":{\"samba\":{\"version\":\"2:4.22\"}}}",
                                                                      "{\"host\":{\"samba\":{\"version\":\"2:4.17\"}}}",                                                                                                                                             CHECK_WARN,    ""                                                 },
        {"samba-versions",     "{}",                                                   "{}",                                                  "{}",                                                     CHECK_PASS,    "no Samba"                                         },
        {"samba-versions",     "{}",                                                   "{}",                                                  "null",                                                   CHECK_UNKNOWN, ""                                                 },
        {"losses-accepted",    "{}",                                                   "null",                                                "null",                                                   CHECK_WARN,    ""                                                 },
        {"losses-accepted",    "{\"traits\":[{\"name\":\"verity\",\"count\":1}]}",     "null",                                                "null",
                                                                      CHECK_FAIL,                                                                                                                                                                                                   "verity"                                           },
        {"files-unlocked",     "{\"traits\":[{\"name\":\"locked-now\",\"count\":3}]}", "null",                                                "null",
                                                                      CHECK_WARN,                                                                                                                                                                                                   "0 files were open to clients and 3 locked"        },
        {"files-unlocked",
                                                                      "{\"traits\":[{\"name\":\"open-now\",\"count\":2,\"examples\":[\"a/b\"]}]}",  "null",
                                                                      "null",                                                                                                                                                                                        CHECK_WARN,    "2 files were open to clients and 0 locked, as a/b"},
        {"files-unlocked",     "{}",                                                   "null",                                                "null",                                                   CHECK_PASS,    ""                                                 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[200] = "";
        const char *texts[] = {cases[i].facts, cases[i].source, cases[i].destination};
        json_t *given[3], *options = options_of("{}");
        for (size_t k = 0; k < 3; k++)
            given[k] = strcmp(texts[k], "null") == 0 ? NULL : json_loads(texts[k], 0, NULL);
        struct check_pair p = {.facts = given[0],
                               .options = options,
                               .source = given[1],
                               .destination = given[2],
                               .way_back = given[2]};
        enum check_result got = workload_files.check(check_of(cases[i].id), &p, text, sizeof text);
        if (got != cases[i].want || !strstr(text, cases[i].says))
            fail_msg("case %zu, %s: %d '%s'", i, cases[i].id, (int)got, text);
        for (size_t k = 0; k < 3; k++)
            json_decref(given[k]);
        json_decref(options);
    }
}

/* A server without an agent is asked by its proxy, with the credential. */
static void a_share_is_tried_before_anything_moves(void **state)
{
    (void)state;
    static const struct {
        const char *source;
        enum check_result want;
        const char *says;
    } cases[] = {
        {"null",                                                        CHECK_UNKNOWN, "did not answer"},
        {"{}",                                                          CHECK_PASS,    "its proxy"     },
        {"{\"smb_tried\":true,\"smb_audit\":true}",                     CHECK_PASS,    "may read audit"},
        {"{\"smb_tried\":true}",                                        CHECK_WARN,    "stay behind"   },
        {"{\"smb_tried\":true,\"smb_error\":\"x refuses the log-on\"}", CHECK_FAIL,    "x refuses"     },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char text[200] = "";
        json_t *options = options_of("{}"), *source = json_loads(cases[i].source, 0, NULL);
        struct check_pair p = {.endpoint = true, .options = options, .source = source};
        enum check_result got =
            workload_files.check(check_of("rights-source"), &p, text, sizeof text);
        if (got != cases[i].want || !strstr(text, cases[i].says))
            fail_msg("case %zu: %d '%s'", i, (int)got, text);
        json_decref(source);
        json_decref(options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checks_judge_what_they_were_told),
        cmocka_unit_test(a_share_is_tried_before_anything_moves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
