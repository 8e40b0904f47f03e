/* test_plan: what becomes of each account by each mode of conflict, by the job's map, and once more
 * after a crash. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/account/list.h"
#include "agent/account/plan.h"
#include "agent/account/record.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static char dir[] = "/tmp/account-plan-XXXXXX";

static void put_file(const char *name, const char *text)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", dir, name);
    assert_int_equal(file_write(path, 0644, text, strlen(text)), 0);
}

static struct account_list *host(const char *passwd, const char *group)
{
    struct account_list *l = NULL;
    struct fault f = {0};
    put_file("passwd", passwd);
    put_file("group", group);
    put_file("login.defs", "# x\nUID_MIN\t\t 1000\nUID_MAX 2000\nGID_MIN 1000\nGID_MAX 2000\n");
    assert_int_equal(account_list_read(dir, &l, &f), 0);
    return l;
}

static const char passwd_here[] = "root:x:0:0:root:/root:/bin/bash\n"
                                  "backup:x:34:34::/var:/usr/sbin/nologin\n"
                                  "ann:x:1000:1000::/home/ann:/bin/sh\n"
                                  "bob:x:1001:1001::/home/bob:/bin/sh\n";
static const char group_here[] = "root:x:0:\nusers:x:100:\nbackup:x:34:\nann:x:1000:\n"
                                 "bob:x:1001:\nstaff:x:1500:ann,bob\n";

static const struct account_want_group groups[] = {
    {"ann",   1000, NULL, 0}, /* the same */
    {"staff", 1600, NULL, 0}, /* its name is taken */
    {"crew",  1001, NULL, 0}, /* its id is taken, by bob */
    {"new",   1700, NULL, 0}, /* free */
};
static const struct account_want_user users[] = {
    {"ann",    "ann",   "", "/home/ann", "/bin/sh", 1000, 1000},
    {"bob",    "users", "", "/home/bob", "/bin/sh", 1800, 100 }, /* its name is taken */
    {"carl",   "crew",  "", "/home/c",   "/bin/sh", 1001, 1001}, /* its id is taken */
    {"dora",   "new",   "", "/home/d",   "/bin/sh", 1701, 1700},
    {"backup", "users", "", "/",         "/bin/sh", 1702, 100 }, /* the system's name here */
    {"eve",    "gone",  "", "/",         "/bin/sh", 1703, 101 }, /* no such group here */
};

static struct account_ask ask_of(const struct account_list *here, enum account_conflict c)
{
    return (struct account_ask){.here = here,
                                .conflict = c,
                                .suffix = "fs1",
                                .users = users,
                                .nusers = ARRAY_SIZE(users),
                                .groups = groups,
                                .ngroups = ARRAY_SIZE(groups)};
}

struct want {
    const char *as;
    uint32_t to;
    enum account_fate fate;
};

static void assert_plan(const struct account_ask *a, const struct want *want)
{
    CLEANUP(mem_free) struct account_row *rows = NULL;
    size_t n = account_plan(a, &rows);
    assert_int_equal(n, ARRAY_SIZE(groups) + ARRAY_SIZE(users));
    for (size_t i = 0; i < n; i++) {
        if (rows[i].fate != want[i].fate || strcmp(rows[i].as, want[i].as) != 0 ||
            (want[i].fate != FATE_SKIP && rows[i].to != want[i].to))
            fail_msg("row %zu: %s %u %s %s", i, rows[i].as, rows[i].to,
                     account_fate_name(rows[i].fate), rows[i].reason);
        assert_int_equal(rows[i].fate == FATE_SKIP, rows[i].reason[0] != '\0');
    }
}

static void conflicts_by_each_mode(void **state)
{
    (void)state;
    CLEANUP(account_list_free) struct account_list *l = host(passwd_here, group_here);
    static const struct want renamed[] = {
        {"ann",        1000, FATE_SAME  },
        {"staff-fs1",  1600, FATE_CREATE},
        {"crew",       1002, FATE_CREATE},
        {"new",        1700, FATE_CREATE},
        {"ann",        1000, FATE_SAME  },
        {"bob-fs1",    1800, FATE_CREATE},
        {"carl",       1002, FATE_CREATE},
        {"dora",       1701, FATE_CREATE},
        {"backup-fs1", 1702, FATE_CREATE},
        {"eve",        0,    FATE_SKIP  },
    };
    static const struct want merged[] = {
        {"ann",    1000, FATE_SAME  },
        {"staff",  1500, FATE_MERGE },
        {"crew",   1002, FATE_CREATE},
        {"new",    1700, FATE_CREATE},
        {"ann",    1000, FATE_SAME  },
        {"bob",    1001, FATE_MERGE },
        {"carl",   1002, FATE_CREATE},
        {"dora",   1701, FATE_CREATE},
        {"backup", 0,    FATE_SKIP  },
        {"eve",    0,    FATE_SKIP  },
    };
    static const struct want skipped[] = {
        {"ann",    1000, FATE_SAME  },
        {"staff",  0,    FATE_SKIP  },
        {"crew",   0,    FATE_SKIP  },
        {"new",    1700, FATE_CREATE},
        {"ann",    1000, FATE_SAME  },
        {"bob",    0,    FATE_SKIP  },
        {"carl",   0,    FATE_SKIP  },
        {"dora",   1701, FATE_CREATE},
        {"backup", 0,    FATE_SKIP  },
        {"eve",    0,    FATE_SKIP  },
    };
    static const struct want *const all[] = {renamed, merged, skipped};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        struct account_ask a = ask_of(l, (enum account_conflict)i);
        assert_plan(&a, all[i]);
    }
}

static void the_map_goes_first(void **state)
{
    (void)state;
    CLEANUP(account_list_free) struct account_list *l = host(passwd_here, group_here);
    CLEANUP(idmap_free) struct idmap *m = NULL;
    struct idmap_error e;
    static const char text[] = "uid,1001,1900\nuid,1701,1000\ngid,1001,1901\n";
    assert_int_equal(idmap_parse(text, sizeof text - 1, &m, &e), 0);
    struct account_ask a = ask_of(l, CONFLICT_MERGE);
    a.map = m;
    static const struct want want[] = {
        {"ann",    1000, FATE_SAME  },
        {"staff",  1500, FATE_MERGE },
        {"crew",   1901, FATE_CREATE},
        {"new",    1700, FATE_CREATE},
        {"ann",    1000, FATE_SAME  },
        {"bob",    1001, FATE_MERGE },
        {"carl",   1900, FATE_CREATE},
        {"dora",   0,    FATE_SKIP  }, /* the map gives it ann's */
        {"backup", 0,    FATE_SKIP  },
        {"eve",    0,    FATE_SKIP  },
    };
    assert_plan(&a, want);
}

static void a_decision_stands_after_a_crash(void **state)
{
    (void)state;
    CLEANUP(account_list_free) struct account_list *l = host(passwd_here, group_here);
    struct account_records *r = NULL;
    CLEANUP(mem_free) struct account_row *rows = NULL;
    CLEANUP(mem_free) struct account_row *again = NULL;
    struct account_ask a = ask_of(l, CONFLICT_RENAME);
    assert_int_equal(account_records_open(dir, "fs1", &r), 0);
    size_t n = account_plan(&a, &rows);
    assert_int_equal(account_records_save(r, rows, n, "op1"), 0);
    (void)account_records_free(r);
    /* Killed when crew and bob-fs1 were made. */
    CLEANUP(account_list_free)
    struct account_list *now = host("ann:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\n"
                                    "bob-fs1:x:1800:100::/:/bin/sh\nbackup:x:34:34::/:/bin/sh\n",
                                    "users:x:100:\nann:x:1000:\nbob:x:1001:\nstaff:x:1500:\n"
                                    "crew:x:1002:\n");
    assert_int_equal(account_records_open(dir, "fs1", &r), 0);
    a.here = now;
    a.record = account_records_get(r, &a.nrecord);
    assert_int_equal(account_plan(&a, &again), n);
    for (size_t i = 0; i < n; i++) {
        bool made = strcmp(rows[i].as, "crew") == 0 || strcmp(rows[i].as, "bob-fs1") == 0;
        assert_string_equal(again[i].as, rows[i].as);
        if (rows[i].fate == FATE_CREATE)
            assert_int_equal(again[i].to, rows[i].to);
        assert_int_equal(again[i].fate, made ? FATE_SAME : rows[i].fate);
        assert_int_equal(account_record_is_of(r, &again[i], "op1"), rows[i].fate == FATE_CREATE);
        assert_false(account_record_is_of(r, &again[i], "op2"));
    }
    (void)account_records_free(r);
}

static void lines_that_no_host_takes(void **state)
{
    (void)state;
    CLEANUP(account_list_free)
    struct account_list *l = host("a:x:1:1::/:/x\nb:x:1\nc:x:-1:1::/:/x\nd:x:4294967295:1::/:/x\n"
                                  "+nis::::::\n# no\n\n:x:7:7::/:/x\ne:x:1:1::/:/x:more\n",
                                  "g:x:5:a,,b\nh:x:x:\n");
    assert_int_equal(l->nusers, 1);
    assert_int_equal(l->ngroups, 1);
    assert_int_equal(l->groups[0].nmembers, 2);
    assert_int_equal(l->unfit, 6);
    static const char *const bad[] = {
        "",     "-a",   "a b", "a:b", "a\n",
        "1000", "../x", "$",   "a/b", "abcdefghijklmnopqrstuvwxyz0123456"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_false(account_name_fits(bad[i]));
    assert_true(account_name_fits("Anne.Marie_2-x"));
    assert_true(account_name_fits("pc1$"));
    assert_false(account_text_fits("a:b"));
    assert_false(account_text_fits("a\nroot:x:0:0"));
}

static int enter(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int leave(void **state)
{
    (void)state;
    CLEANUP(mem_free)
    char *names =
        xasprintf("%s/passwd\n%s/group\n%s/login.defs\n%s/accounts/fs1\n%s/accounts/.lock", dir,
                  dir, dir, dir, dir);
    char *save = NULL;
    for (char *p = strtok_r(names, "\n", &save); p; p = strtok_r(NULL, "\n", &save))
        (void)unlink(p);
    CLEANUP(mem_free) char *sub = xasprintf("%s/accounts", dir);
    (void)rmdir(sub);
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(conflicts_by_each_mode),
        cmocka_unit_test(the_map_goes_first),
        cmocka_unit_test(a_decision_stands_after_a_crash),
        cmocka_unit_test(lines_that_no_host_takes),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
