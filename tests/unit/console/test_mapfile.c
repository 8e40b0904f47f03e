/* test_mapfile: id maps in both forms become the same text; what is wrong is named with file, line
 * and column. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/console/mapfile.h"
#include "tests/unit/test.h"

static void both_forms_say_the_same(void **state)
{
    (void)state;
    static const char csv[] = "\xef\xbb\xbfuid,1000,2000\r\n# caf\xe9\n\n  gid,5-9,15\n"
                              "sid,S-1-5-21-1-2-3-*,S-1-5-21-4-5-6-*\n";
    static const char yaml[] =
        "- kind: uid\n  from: 1000\n  to: 2000\n"
        "- {kind: gid, from: 5-9, to: 15}\n"
        "- {to: 'S-1-5-21-4-5-6-*', from: \"S-1-5-21-1-2-3-*\", kind: sid}\n";
    CLEANUP(mem_free) char *a = NULL;
    CLEANUP(mem_free) char *b = NULL;
    struct fault f = {0};
    assert_int_equal(mapfile_parse("m.csv", csv, sizeof csv - 1, &a, &f), 0);
    assert_int_equal(mapfile_parse("m.yaml", yaml, sizeof yaml - 1, &b, &f), 0);
    assert_string_equal(a, "uid,1000,2000\r\ngid,5-9,15\n"
                           "sid,S-1-5-21-1-2-3-*,S-1-5-21-4-5-6-*\n");
    assert_string_equal(b, "uid,1000,2000\ngid,5-9,15\n"
                           "sid,S-1-5-21-1-2-3-*,S-1-5-21-4-5-6-*\n");
}

static void each_error_has_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *file, *text, *says;
    } cases[] = {
        {"m.csv",  "uid,1,2\nuid,x,2\n",                                             "m.csv:2:5: wants a number"          },
        {"m.csv",  "uid,1,2\nuid,1,3\n",                                             "m.csv:2:1: line 1 says"             },
        {"m.csv",  "uid,1\n",                                                        "m.csv:1:6: "                        },
        {"m",      "uid,5,0\n",                                                      "m:1:7: nothing may be given to root"},
        {"m.yaml", "uid: 1\n",                                                       "m.yaml:1:1: a map is a list"        },
        {"m.yaml", "",                                                               "m.yaml:1:1: a map is a list"        },
        {"m.yml",  "- uid\n",                                                        "m.yml:1:3: a row is"                },
        {"m.yml",  "- {kind: uid, from: 1}\n",                                       "m.yml:1:3: a row has"               },
        {"m.yml",  "- {kind: uid, from: 1, to: 2, too: 3}\n",                        "m.yml:1:31: a row has"              },
        {"m.yml",  "- {kind: uid, from: 1, from: 2, to: 3}\n",                       "m.yml:1:24: a row has"              },
        {"m.yml",  "- {kind: uid, from: 1, to: [2]}\n",                              "m.yml:1:28: wants one word"         },
        {"m.yml",  "- {kind: uid, from: one, to: 2}\n",                              "m.yml:1:21: wants a number"         },
        {"m.yml",  "- {kind: uid, from: 1, to: 4294967295}\n",                       "m.yml:1:28: an id is at most"       },
        {"m.yml",  "- {kind: user, from: 1, to: 2}\n",                               "m.yml:1:10: the first field"        },
        {"m.yml",  "- {kind: kind, from: from, to: to}\n",                           "m.yml:1:10: kind is"                },
        {"m.yml",  "- {kind: uid, from: 1, to: 2}\n- {kind: uid, from: 1, to: 3}\n",
         "m.yml:2:3: an earlier row"                                                                                      },
        {"m.yml",  "- {kind: uid, from: 'a\n",                                       "m.yml:"                             },
        {"m.yml",  "- &a {kind: uid, from: 1, to: 2}\n- *a\n",
         "m.yml:2:3: job files have no aliases"                                                                           },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *text = NULL;
        struct fault f = {0};
        assert_int_equal(
            mapfile_parse(cases[i].file, cases[i].text, strlen(cases[i].text), &text, &f), -EINVAL);
        assert_null(text);
        if (strncmp(f.text, cases[i].says, strlen(cases[i].says)) != 0)
            fail_msg("case %zu: %s", i, f.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms_say_the_same),
        cmocka_unit_test(each_error_has_its_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
