/* test_spec: job specs from strangers: what is taken, what is refused, and where the error points.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/wire/limits.h"
#include "orchestrator/engine/engine_priv.h"
#include "tests/unit/test.h"

#define PAIR                                                                                       \
    "{\"source\":{\"host\":\"s\",\"path\":\"/a\"},\"destination\":{\"host\":\"d\",\"path\":\"/"    \
    "b\"}}"
#define HEAD "{\"name\":\"w\",\"workload\":\"files\","
#define WITH_PATH(p)                                                                               \
    HEAD "\"pairs\":[{\"source\":{\"host\":\"s\",\"path\":\"" p                                    \
         "\"},\"destination\":{\"host\":\"d\",\"path\":\"/b\"}}]}"

static const struct {
    const char *name, *text, *error; /* error NULL: taken */
} cases[] = {
    {"least",                        HEAD "\"pairs\":[" PAIR "]}",                                             NULL                                     },
    {"all options",
     HEAD "\"options\":{\"delete\":true,\"dry_run\":false,\"compress\":\"off\",\"lanes\":4,"
          "\"one_file_system\":true,\"checksum\":true,\"verify\":\"sample:2.5%\",\"manifest\":"
          "\"sha256\"},\"limits\":{\"pairs\":8},\"pairs\":[" PAIR "]}",
     NULL                                                                                                                                               },
    {"verify full",                  HEAD "\"options\":{\"verify\":\"full\"},\"pairs\":[" PAIR "]}",           NULL                                     },
    {"verify sample of none",        HEAD "\"options\":{\"verify\":\"sample:0%\"},\"pairs\":[" PAIR "]}",
     "options.verify: must be"                                                                                                                          },
    {"verify sample over all",
     HEAD "\"options\":{\"verify\":\"sample:101%\"},\"pairs\":[" PAIR "]}",
     "options.verify: must be"                                                                                                                          },
    {"verify sample below",          HEAD "\"options\":{\"verify\":\"sample:-5%\"},\"pairs\":[" PAIR "]}",
     "options.verify: must be"                                                                                                                          },
    {"verify sample and more",       HEAD "\"options\":{\"verify\":\"sample:5%%\"},\"pairs\":[" PAIR "]}",
     "options.verify: must be"                                                                                                                          },
    {"verify sample in thousandths",
     HEAD "\"options\":{\"verify\":\"sample:1.234%\"},\"pairs\":[" PAIR "]}",
     "options.verify: must be"                                                                                                                          },
    {"verify is a number",           HEAD "\"options\":{\"verify\":5},\"pairs\":[" PAIR "]}",
     "options.verify: must be"                                                                                                                          },
    {"another manifest",             HEAD "\"options\":{\"manifest\":\"md5\"},\"pairs\":[" PAIR "]}",
     "\"off\" or \"sha256\""                                                                                                                            },
    {"not JSON",                     "name: wave",                                                             "line 1"                                 },
    {"nothing",                      "",                                                                       "line 1"                                 },
    {"not an object",                "[]",                                                                     "must be an object"                      },
    {"key twice",                    HEAD "\"name\":\"x\",\"pairs\":[" PAIR "]}",                              "duplicate"                              },
    {"unknown key",                  HEAD "\"pair\":[],\"pairs\":[" PAIR "]}",                                 "pair: unknown key"                      },
    {"no name",                      "{\"workload\":\"files\",\"pairs\":[" PAIR "]}",                          "name: is missing"                       },
    {"name with a slash",            "{\"name\":\"a/b\",\"workload\":\"files\",\"pairs\":[" PAIR "]}",
     "name:"                                                                                                                                            },
    {"name is a number",             "{\"name\":1,\"workload\":\"files\",\"pairs\":[" PAIR "]}",               "name:"                                  },
    {"unknown workload",             "{\"name\":\"w\",\"workload\":\"vm9\",\"pairs\":[" PAIR "]}",             "workload:"                              },
    {"no pairs",                     HEAD "\"pairs\":[]}",                                                     "pairs: must be"                         },
    {"pairs is an object",           HEAD "\"pairs\":{}}",                                                     "pairs: must be"                         },
    {"second pair is bad",           HEAD "\"pairs\":[" PAIR ",{}]}",                                          "pairs[1].source: is missing"            },
    {"unknown key below",
     HEAD "\"pairs\":[{\"source\":{\"host\":\"s\",\"hots\":1,\"path\":\"/\"},\"destination\":{}}]}",
     "pairs[0].source.hots: unknown key"                                                                                                                },
    {"host with a space",
     HEAD "\"pairs\":[{\"source\":{\"host\":\"a b\",\"path\":\"/\"},\"destination\":{}}]}",
     "pairs[0].source.host:"                                                                                                                            },
    {"relative path",                WITH_PATH("srv"),                                                         "pairs[0].source.path: a path must begin"},
    {"path with ..",                 WITH_PATH("/srv/../etc"),                                                 "must not hold . or .."                  },
    {"path with .",                  WITH_PATH("/./x"),                                                        "must not hold . or .."                  },
    {"escaped ..",                   WITH_PATH("/\\\\x2e\\\\x2e"),                                             "must not hold . or .."                  },
    {"NUL in a path",                WITH_PATH("/a\\\\x00"),                                                   "NUL"                                    },
    {"NUL in JSON",                  WITH_PATH("/a\\u0000b"),                                                  "line 1"                                 },
    {"half an escape",               WITH_PATH("/a\\\\x4"),                                                    "backslash"                              },
    {"lone backslash",               WITH_PATH("/a\\\\b"),                                                     "backslash"                              },
    {"dots in a name are fine",      WITH_PATH("/..a/b.."),                                                    NULL                                     },
    {"unknown option",               HEAD "\"options\":{\"fast\":true},\"pairs\":[" PAIR "]}",
     "options.fast: unknown key"                                                                                                                        },
    {"option of a wrong type",       HEAD "\"options\":{\"delete\":1},\"pairs\":[" PAIR "]}",
     "options.delete:"                                                                                                                                  },
    {"a pattern that is none",
     HEAD "\"options\":{\"exclude\":[\"a\",\"[b\"]},\"pairs\":[" PAIR "]}",
     "options.exclude: the pattern '[b'"                                                                                                                },
    {"patterns that are no texts",   HEAD "\"options\":{\"exclude\":[1]},\"pairs\":[" PAIR "]}",
     "options.exclude: must be a list"                                                                                                                  },
    {"exceptions from nothing",      HEAD "\"options\":{\"include\":[\"a\"]},\"pairs\":[" PAIR "]}",
     "options.exclude: include names"                                                                                                                   },
    {"an age before all",            HEAD "\"options\":{\"max_age\":-1},\"pairs\":[" PAIR "]}",
     "options.max_age: must be a number"                                                                                                                },
    {"too many lanes",               HEAD "\"options\":{\"lanes\":65},\"pairs\":[" PAIR "]}",                  "options.lanes:"                         },
    {"unknown compression",          HEAD "\"options\":{\"compress\":\"zip\"},\"pairs\":[" PAIR "]}",
     "options.compress:"                                                                                                                                },
    {"unknown snapshot",             HEAD "\"options\":{\"snapshot\":\"lvm\"},\"pairs\":[" PAIR "]}",
     "options.snapshot:"                                                                                                                                },
    {"a hook is a name",             HEAD "\"options\":{\"snapshot\":\"hook:/bin/sh\"},\"pairs\":[" PAIR "]}",
     "options.snapshot:"                                                                                                                                },
    {"a hook of a name",             HEAD "\"options\":{\"snapshot\":\"hook:web\"},\"pairs\":[" PAIR "]}",
     NULL                                                                                                                                               },
    {"options is a list",            HEAD "\"options\":[],\"pairs\":[" PAIR "]}",                              "options: must be"                       },
    {"limit of nothing",             HEAD "\"limits\":{\"pairs\":0},\"pairs\":[" PAIR "]}",                    "limits.pairs:"                          },
    {"unknown limit",                HEAD "\"limits\":{\"hosts\":1},\"pairs\":[" PAIR "]}",
     "limits.hosts: unknown key"                                                                                                                        },
};

static void each_case_is_taken_or_refused_with_its_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct spec spec;
        struct fault why = {.err = 0};
        int rc = spec_parse(cases[i].text, strlen(cases[i].text), &spec, &why);
        if (!cases[i].error && rc < 0)
            fail_msg("%s: %s", cases[i].name, why.text);
        if (cases[i].error && (rc != -EINVAL || !strstr(why.text, cases[i].error)))
            fail_msg("%s: %d %s", cases[i].name, rc, why.text);
        if (rc == 0)
            spec_done(&spec);
    }
}

static void paths_take_one_form_and_keep_their_bytes(void **state)
{
    static const struct {
        const char *text, *bytes;
    } paths[] = {
        {WITH_PATH("/"),                "/"        },
        {WITH_PATH("//a///b/"),         "/a/b"     },
        {WITH_PATH("/a\\\\xff\\\\x0a"), "/a\xff\n" },
        {WITH_PATH("/a\\\\x5cb"),       "/a\\b"    },
        {WITH_PATH("/\\u00e4"),         "/\xc3\xa4"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct spec spec, again;
        struct fault why = {.err = 0};
        assert_int_equal(spec_parse(paths[i].text, strlen(paths[i].text), &spec, &why), 0);
        assert_string_equal(spec.pairs[0].path[SIDE_SOURCE], paths[i].bytes);
        /* What is kept reads back as the same. */
        char *text = json_dumps(spec.json, JSON_COMPACT);
        assert_int_equal(spec_parse(text, strlen(text), &again, &why), 0);
        assert_string_equal(again.pairs[0].path[SIDE_SOURCE], paths[i].bytes);
        assert_true(json_equal(spec.json, again.json));
        free(text);
        spec_done(&again);
        spec_done(&spec);
    }
}

static char *many_pairs(unsigned n)
{
    char *text = xmalloc(200 + n * sizeof PAIR);
    static const char head[] = HEAD "\"pairs\":[";
    size_t len = sizeof head - 1;
    memcpy(text, head, sizeof head);
    for (unsigned i = 0; i < n; i++) {
        memcpy(text + len, PAIR ",", sizeof PAIR);
        len += sizeof PAIR;
    }
    memcpy(text + len - 1, "]}", 3);
    return text;
}

static void size_is_bounded(void **state)
{
    (void)state;
    struct spec spec;
    struct fault why = {.err = 0};
    char *text = many_pairs(LIMIT_PAIRS + 1);
    assert_int_equal(spec_parse(text, strlen(text), &spec, &why), -EINVAL);
    free(text);
    text = many_pairs(LIMIT_PAIRS);
    assert_int_equal(spec_parse(text, strlen(text), &spec, &why), 0);
    assert_int_equal(spec.npairs, LIMIT_PAIRS);
    spec_done(&spec);
    free(text);
    char *deep = xmalloc(100001);
    memset(deep, '[', 100000);
    deep[100000] = '\0';
    assert_int_equal(spec_parse(deep, 100000, &spec, &why), -EINVAL);
    free(deep);
}

#define FROM(h)                                                                                    \
    "{\"source\":{\"host\":\"" h                                                                   \
    "\",\"path\":\"/a\"},\"destination\":{\"host\":\"d\",\"path\":\"/b\"}}"
#define SHARES(w) HEAD "\"options\":{\"shares\":\"" w "\"},\"pairs\":["

static void all_shares_move_with_one_pair(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } two[] = {
        {SHARES("all") FROM("s") "]}",                                                  NULL},
        {SHARES("all") FROM("s") "," FROM("t") "]}",                                    NULL},
        {SHARES("pair") FROM("s") "," FROM("s") "]}",                                   NULL},
        {SHARES("all") FROM("s") "," FROM("t") "," FROM("s") "]}",
         "options.shares: all of s cannot move with two pairs of it (1 and 3)"              },
        {HEAD "\"options\":{\"nfs\":\"all\"},\"pairs\":[" FROM("s") "," FROM("s") "]}",
         "options.nfs: all of s"                                                            },
    };
    static const char endpoint[] =
        HEAD "\"options\":{\"accounts\":\"merge\"},\"pairs\":[{\"source\":{\"host\":\"s\","
             "\"path\":\"/a\",\"endpoint\":\"win\"},\"destination\":{\"host\":\"d\",\"path\":"
             "\"/b\"}}]}";
    struct spec win;
    struct fault no = {0};
    assert_int_equal(spec_parse(endpoint, strlen(endpoint), &win, &no), 0);
    assert_int_equal(spec_check_pairs(&win, &no), -EINVAL);
    spec_done(&win);
    for (size_t i = 0; i < ARRAY_SIZE(two); i++) {
        struct spec spec;
        struct fault why = {0};
        assert_int_equal(spec_parse(two[i].text, strlen(two[i].text), &spec, &why), 0);
        assert_int_equal(spec_check_pairs(&spec, &why), two[i].error ? -EINVAL : 0);
        if (two[i].error)
            assert_non_null(strstr(why.text, two[i].error));
        spec_done(&spec);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_case_is_taken_or_refused_with_its_place),
        cmocka_unit_test(paths_take_one_form_and_keep_their_bytes),
        cmocka_unit_test(size_is_bounded),
        cmocka_unit_test(all_shares_move_with_one_pair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
