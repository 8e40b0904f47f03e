/* test_beside: what belongs to accounts and stays behind, told in words. */
#include <stdlib.h>
#include <string.h>

#include "agent/account/beside.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "tests/unit/test.h"

static char root[] = "/tmp/account-beside-XXXXXX";

static void put(const char *name, const char *text, unsigned mode)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", root, name);
    CLEANUP(mem_free) char *folder = xmemdup(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(file_write(path, mode, text, strlen(text)), 0);
}

static struct account_list *people(void)
{
    CLEANUP(mem_free) char *etc = xasprintf("%s/etc", root);
    struct account_list *l = NULL;
    struct fault why = {.err = 0};
    put("etc/passwd",
        "root:x:0:0::/root:/bin/sh\nalice:x:1001:2001::/:/bin/sh\nbob:x:1002:2001::/:/bin/sh\n"
        "first last:x:1003:2001::/:/bin/sh\nm\xc3\xbcller:x:1004:2001::/:/bin/sh\n"
        "DOM\\eva:x:1005:2001::/:/bin/sh\nlost:x:1006:9999::/:/bin/sh\ndaemon:x:2:2::/:/bin/sh\n",
        0644);
    put("etc/group", "root:x:0:\nstaff:x:2001:alice\nbig team:x:2002:bob\n", 0644);
    assert_int_equal(account_list_read(etc, &l, &why), 0);
    return l;
}

static bool says(const struct beside *b, const char *text)
{
    for (size_t i = 0; i < b->n; i++)
        if (strstr(b->lines[i], text))
            return true;
    return false;
}

static void what_stays_is_named(void **state)
{
    (void)state;
    CLEANUP(account_list_free) struct account_list *l = people();
    CLEANUP(mem_free) char *search = xasprintf("%s/bin", root);
    struct beside b;
    put("etc/sudoers", "# alice ALL\nroot ALL=(ALL) ALL\n", 0600);
    put("etc/sudoers.d/team", "%staff,alice ALL=(bob:staff) !/bin/sh\nUser_Alias X = alice\n",
        0600);
    put("etc/sudoers.d/old.bak", "bob ALL=ALL\n", 0600);
    put("var/spool/cron/crontabs/bob", "", 0600);
    put("var/spool/cron/crontabs/root", "", 0600);
    put("bin/pdbedit",
        "#!/bin/sh\ncase \"$2\" in 'min password length') v=8 ;; 'password history') v=x ;; *age) "
        "exit 1 ;;\n"
        "'lockout duration') v=30 ;; *) v=0 ;; esac\necho \"account policy \\\"$2\\\" description: "
        "d\"\n"
        "echo \"account policy \\\"$2\\\" value is: $v\"\n",
        0700);
    beside_look(root, search, true, l, &b);
    static const char *const lines[] = {
        "user first last (1003) stays behind",
        "(1004) stays behind",
        "eva (1005) stays behind",
        "user lost (1006) stays behind",
        "group big team (2002) stays behind",
        "/etc/sudoers.d/team gives rights to %staff, alice, bob: rules of sudo do not move",
        "the crontab of bob does not move",
        "\"min password length\" is 8: set it there by pdbedit -P \"min password length\" -C 8",
        "\"reset count minutes\" is 0",
        "\"disconnect time\" is 0",
    };
    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        if (!says(&b, lines[i]))
            fail_msg("nothing says: %s", lines[i]);
    assert_int_equal(b.n, ARRAY_SIZE(lines));
    beside_done(&b);
    beside_look(root, search, false, l, &b);
    assert_int_equal(b.n, ARRAY_SIZE(lines) - 3);
    beside_done(&b);
}

static void lists_are_bounded(void **state)
{
    (void)state;
    CLEANUP(account_list_free) struct account_list *l = people();
    struct beside b = {.n = 0};
    for (unsigned i = 0; i < 2 * BESIDE_MAX; i++)
        beside_take_sudoers(&b, "f", "alice", l);
    assert_int_equal(b.n, BESIDE_MAX);
    beside_done(&b);
    beside_take_sudoers(&b, "f", "", l);
    beside_take_sudoers(&b, "f", "# alice", l);
    beside_take_sudoers(&b, "f", "%alice staff alicex root %root", l);
    assert_int_equal(b.n, 0);
}

int main(void)
{
    assert_non_null(mkdtemp(root));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stays_is_named),
        cmocka_unit_test(lists_are_bounded),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    const char *const argv[] = {"rm", "-rf", "--", root, NULL};
    const struct program_call c = {.argv = argv};
    struct program_output o;
    struct fault why = {.err = 0};
    if (program_run(&c, &o, &why) == 0)
        program_done(&o);
    return rc;
}
