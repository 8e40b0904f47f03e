/* test_exports: lines of /etc/exports, good and bad. */
#include <errno.h>
#include <string.h>

#include "agent/share/exports.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static const struct {
    const char *line, *path, *clients; /* path NULL: refused; "": no export */
} cases[] = {
    {"/srv *(rw)",                             "/srv",            "*(rw)"                       },
    {"/srv/  10.0.0.0/8(rw,sync)\t@net(ro)",   "/srv",            "10.0.0.0/8(rw,sync) @net(ro)"},
    {"/srv",                                   "/srv",            "*"                           },
    {"/srv (ro)",                              "/srv",            "*(ro)"                       },
    {"/srv a b(rw)",                           "/srv",            "a b(rw)"                     },
    {"/srv -sync,ro a b(rw)",                  "/srv",            "a(sync,ro) b(sync,ro,rw)"    },
    {"/srv -sync",                             "/srv",            "*(sync)"                     },
    {"\"/srv/with space\" *(ro,fsid=7) # why", "/srv/with space", "*(ro,fsid=7)"                },
    {"/srv/with\\040space *(ro)",              "/srv/with space", "*(ro)"                       },
    {"/srv a(rw) \\\n  b(ro)",                 "/srv",            "a(rw) b(ro)"                 },
    {"# nothing",                              "",                ""                            },
    {"   ",                                    "",                ""                            },
    {"/srv -sync() a",                         NULL,              NULL                          },
    {"/srv -",                                 NULL,              NULL                          },
    {"/srv )()",                               NULL,              NULL                          },
    {"srv *(rw)",                              NULL,              NULL                          },
    {"/srv a(rw",                              NULL,              NULL                          },
    {"/srv a rw)",                             NULL,              NULL                          },
    {"/srv a(rw)b",                            NULL,              NULL                          },
    {"\"/srv *(rw)",                           NULL,              NULL                          },
    {"/srv\\000x *(rw)",                       NULL,              NULL                          },
    {"/srv a(rw) \\001(ro)",                   NULL,              NULL                          },
};

static void lines(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct exports e = {.n = 99};
        struct fault why = {0};
        int rc = exports_parse(cases[i].line, strlen(cases[i].line), &e, &why);
        if (!cases[i].path) {
            assert_int_equal(rc, -EINVAL);
            assert_non_null(strstr(why.text, "line 1 "));
            continue;
        }
        assert_int_equal(rc, 0);
        assert_int_equal(e.n, cases[i].path[0] != '\0');
        if (e.n) {
            assert_string_equal(e.list[0].path, cases[i].path);
            assert_string_equal(e.list[0].clients, cases[i].clients);
            assert_int_equal(exports_clients_valid(e.list[0].clients), 0);
        }
        exports_done(&e);
    }
}

static void the_line_is_named(void **state)
{
    (void)state;
    static const char text[] = "/a *\n\n# x\n/b a \\\n b\nbad\n";
    struct exports e;
    struct fault why = {0};
    assert_int_equal(exports_parse(text, strlen(text), &e, &why), -EINVAL);
    assert_non_null(strstr(why.text, "line 6 "));
}

static void paths_come_back(void **state)
{
    (void)state;
    static const char path[] = "/srv/a b\"c\\d#e(f)\xff";
    CLEANUP(mem_free) char *escaped = exports_escape(path);
    CLEANUP(mem_free) char *line = xasprintf("%s *(rw)\n", escaped);
    struct exports e;
    struct fault why = {0};
    assert_null(strpbrk(escaped, " \"#("));
    assert_int_equal(exports_parse(line, strlen(line), &e, &why), 0);
    assert_string_equal(e.list[0].path, path);
    exports_done(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),
        cmocka_unit_test(the_line_is_named),
        cmocka_unit_test(paths_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
