/* test_idmap: rows, ranges and domains of SIDs; what is wrong is named with line and column. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static const char sample[] = "\xef\xbb\xbf"
                             "kind,from,to\r\n"
                             "# people\n"
                             "uid,1000,2000\n"
                             "  uid , 100000-199999 , 300000-399999 \n"
                             "uid,5-9,15\n"
                             "\n"
                             "gid,1000,3000\n"
                             "gid,0,0\n"
                             "sid,S-1-5-21-1-2-3-1001,S-1-5-21-7-8-9-500\n"
                             "sid,S-1-5-21-1-2-3-*,S-1-5-21-7-8-9-*\n";

static struct idmap *must_read(const char *text)
{
    struct idmap *m = NULL;
    struct idmap_error e;
    if (idmap_parse(text, strlen(text), &m, &e) < 0)
        fail_msg("line %zu column %zu: %s", e.line, e.column, e.text);
    return m;
}

static void ids_are_mapped(void **state)
{
    (void)state;
    CLEANUP(idmap_free) struct idmap *m = must_read(sample);
    static const struct {
        uint32_t from, uid, gid;
    } cases[] = {
        {0,          0,          0         },
        {4,          4,          4         },
        {5,          15,         5         },
        {9,          19,         9         },
        {10,         10,         10        },
        {1000,       2000,       3000      },
        {1001,       1001,       1001      },
        {99999,      99999,      99999     },
        {100000,     300000,     100000    },
        {199999,     399999,     199999    },
        {200000,     200000,     200000    },
        {4294967294, 4294967294, 4294967294},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(idmap_uid(m, cases[i].from), cases[i].uid);
        assert_int_equal(idmap_gid(m, cases[i].from), cases[i].gid);
    }
    assert_int_equal(idmap_rows(m), 7);
    assert_true(idmap_key(m) != 0);
    assert_int_equal(idmap_uid(NULL, 7), 7);
}

static void sids_are_mapped(void **state)
{
    (void)state;
    CLEANUP(idmap_free) struct idmap *m = must_read(sample);
    static const struct {
        const char *from, *to; /* to NULL: as it is */
    } cases[] = {
        {"S-1-5-21-1-2-3-1001", "S-1-5-21-7-8-9-500" },
        {"S-1-5-21-1-2-3-1002", "S-1-5-21-7-8-9-1002"},
        {"S-1-5-21-1-2-3",      NULL                 },
        {"S-1-5-21-1-2-4-1001", NULL                 },
        {"S-1-5-32-544",        NULL                 },
        {"S-1-1-0",             NULL                 },
        {"S-1-22-1-1000",       "S-1-22-1-2000"      },
        {"S-1-22-2-1000",       "S-1-22-2-3000"      },
        {"S-1-22-2-1001",       NULL                 },
        {"S-1-22-3-1000",       NULL                 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct sid from, to;
        char text[SID_TEXT_MAX];
        assert_int_equal(sid_parse(cases[i].from, strlen(cases[i].from), &from), 0);
        assert_int_equal(idmap_sid(m, &from, &to), cases[i].to != NULL);
        if (!cases[i].to)
            continue;
        sid_text(&to, text);
        assert_string_equal(text, cases[i].to);
    }
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t line, column;
        const char *says;
    } cases[] = {
        {"uid,1000\n",                                 1, 9,  "comma is missing"},
        {"uid\n",                                      1, 4,  "comma is missing"},
        {"uid,1,2,3\n",                                1, 9,  "too many"        },
        {"# x\n\nuser,1,2\n",                          3, 1,  "uid, gid or sid" },
        {"uid,one,2\n",                                1, 5,  "a number"        },
        {"uid, 12x,2\n",                               1, 8,  "a number"        },
        {"uid,,2\n",                                   1, 5,  "a number"        },
        {"uid,-1,2\n",                                 1, 5,  "a number"        },
        {"uid,1,4294967295\n",                         1, 7,  "at most"         },
        {"uid,99999999999999999999,1\n",               1, 5,  "at most"         },
        {"uid,9-5,1\n",                                1, 5,  "ends before"     },
        {"uid,1-5,1-4\n",                              1, 9,  "same length"     },
        {"uid,1-5,4294967294\n",                       1, 9,  "at most"         },
        {"uid,1000,0\n",                               1, 10, "root"            },
        {"uid,0-5,0-5\n",                              1, 9,  "root"            },
        {"uid,1,2\nuid,5,6\nuid,1,3\n",                3, 1,  "line 1"          },
        {"uid,5-9,15\nuid,7,3\n",                      2, 1,  "line 1"          },
        {"gid,7,1\nuid,7,3\ngid,1-8,11\n",             3, 1,  "line 1"          },
        {"sid,S-1-5-21-1,X\n",                         1, 16, "a SID"           },
        {"sid,S-1-5,S-1-5-1\n",                        1, 5,  "a SID"           },
        {"sid,S-2-5-1,S-1-5-1\n",                      1, 5,  "a SID"           },
        {"sid,S-1-5-4294967296,S-1-5-1\n",             1, 5,  "a SID"           },
        {"sid,S-1-5-1-*,S-1-5-2\n",                    1, 15, "both SIDs"       },
        {"sid,S-1-5-1,S-1-5-2\nsid,S-1-5-1,S-1-5-3\n", 2, 1,  "line 1"          },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct idmap *m = NULL;
        struct idmap_error e = {.line = 0};
        assert_int_equal(idmap_parse(cases[i].text, strlen(cases[i].text), &m, &e), -EINVAL);
        assert_null(m);
        if (e.line != cases[i].line || e.column != cases[i].column ||
            !strstr(e.text, cases[i].says))
            fail_msg("case %zu: %zu:%zu: %s", i, e.line, e.column, e.text);
    }
}

static void limits_hold(void **state)
{
    (void)state;
    struct idmap *m = NULL;
    struct idmap_error e;
    CLEANUP(mem_free) char *text = xcalloc(1, IDMAP_TEXT_MAX + 2);
    memset(text, '\n', IDMAP_TEXT_MAX + 1);
    assert_int_equal(idmap_parse(text, IDMAP_TEXT_MAX + 1, &m, &e), -EINVAL);
    assert_int_equal(idmap_parse(text, IDMAP_TEXT_MAX, &m, &e), 0);
    assert_null(m);
    assert_int_equal(idmap_parse("uid,1,2\0", 8, &m, &e), -EINVAL);
    assert_int_equal(e.column, 8);
    size_t n = 0;
    for (unsigned i = 0; i <= IDMAP_ROWS_MAX; i++)
        n += (size_t)snprintf(text + n, IDMAP_TEXT_MAX - n, "uid,%u,%u\n", i + 1, i + 20000);
    assert_int_equal(idmap_parse(text, n, &m, &e), -EINVAL);
    assert_int_equal(e.line, IDMAP_ROWS_MAX + 1);
}

static void another_map_is_another_key(void **state)
{
    (void)state;
    CLEANUP(idmap_free)
    struct idmap *a = must_read("uid,1,2\n"), *b = must_read("uid,1,3\n"),
                 *c = must_read("uid,1,2\n");
    assert_true(idmap_key(a) != idmap_key(b));
    assert_true(idmap_key(a) == idmap_key(c));
    assert_int_equal(idmap_key(NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_mapped),
        cmocka_unit_test(sids_are_mapped),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(another_map_is_another_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
