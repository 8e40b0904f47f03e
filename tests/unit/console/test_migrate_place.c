/* test_migrate_place: which two folders may be migrated, and what is said of the others. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/fault.h"
#include "common/base/mem.h"
#include "orchestrator/console/migrate_place.h"
#include "tests/unit/test.h"

static void bad_folders_are_named_before_anything_starts(void **state)
{
    (void)state;
    static const struct {
        const char *src, *dst;
        int code;
        const char *want; /* the destination, or a part of the error */
    } cases[] = {
        {"src",        "dst",         0, "/dst"                       },
        {"src",        "new",         0, "/new"                       },
        {"src/",       "./deep/er//", 0, "/deep/er"                   },
        {"src/../src", "link/new",    0, "/dst/new"                   },
        {"src",        "dst/../new",  0, "/new"                       },
        {"none",       "dst",         6, "does not exist"             },
        {"file",       "dst",         2, "is no folder"               },
        {"src",        "file",        2, "is no folder"               },
        {"src",        "file/new",    1, "Not a directory"            },
        {"src",        "src",         2, "are the same"               },
        {"src",        "src/sub/new", 2, "lies inside the source"     },
        {"src/sub",    "src",         2, "lies inside the destination"},
        {"src",        "insrc/new",   2, "lies inside the source"     },
        {"src",        "dangling/x",  1, "is a link to nowhere"       },
        {"src",        "none/../x",   2, "has .. behind"              },
        {"src",        "",            2, "has no name"                },
    };
    char dir[] = "/tmp/godwit-place-XXXXXX";
    assert_non_null(mkdtemp(dir));
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(mkdir("src", 0755) | mkdir("src/sub", 0755) | mkdir("dst", 0755), 0);
    assert_int_equal(symlink("dst", "link") | symlink("src/sub", "insrc"), 0);
    assert_int_equal(symlink("gone", "dangling"), 0);
    (void)fclose(fopen("file", "w"));
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char *src = NULL, *dst = NULL;
        struct fault f = {0};
        int rc = migrate_places(cases[i].src, cases[i].dst, &src, &dst, &f);
        if (rc != cases[i].code)
            fail_msg("%s %s: %d, %s", cases[i].src, cases[i].dst, rc, f.text);
        if (rc == 0) {
            assert_int_equal(strncmp(dst, dir, strlen(dir)), 0);
            assert_string_equal(dst + strlen(dir), cases[i].want);
        } else if (!strstr(f.text, cases[i].want)) {
            fail_msg("%s %s: %s", cases[i].src, cases[i].dst, f.text);
        }
        free(src);
        free(dst);
    }
    assert_int_equal(rmdir("src/sub") | rmdir("src") | rmdir("dst") | unlink("file"), 0);
    assert_int_equal(unlink("link") | unlink("insrc") | unlink("dangling") | chdir("/"), 0);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_folders_are_named_before_anything_starts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
