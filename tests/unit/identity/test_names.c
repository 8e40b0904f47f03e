/* test_names: /etc/hosts and smb.conf with other names; what is a name. */
#include <string.h>

#include "agent/identity/names.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static const struct {
    struct hosts_edit e;
    const char *before, *after;
} hosts[] = {
  /* the destination becomes fs1 */
    {{"new1", "fs1", "fs1.lab.test", "192.0.2.7", true},
     "127.0.0.1 localhost\n127.0.1.1\tnew1.lab.test new1\n192.0.2.7 fs1\n192.0.2.8 new1\n192.0.2.9 "
     "new10 # new1\n",                                       "127.0.0.1 localhost\n127.0.1.1\tfs1.lab.test fs1\n192.0.2.7 fs1\n192.0.2.9 new10 # new1\n"},
    {{"new1", "fs1", "fs1.lab.test", "192.0.2.7", true},
     "::1 localhost\n192.0.2.8 other new1.lab.test",         "::1 localhost\n192.0.2.8\tother\n192.0.2.7\tfs1.lab.test fs1\n"                           },
 /* the source: its old name stays the way to the destination */
    {{"fs1", "fs1-7c2d", NULL, "192.0.2.77", false},
     "127.0.1.1 fs1\n192.0.2.7 fs1.lab.test fs1\n",          "127.0.1.1\tfs1-7c2d\n192.0.2.7 fs1.lab.test fs1\n192.0.2.77\tfs1-7c2d\n"                  },
    {{"fs1", "fs1-7c2d", NULL, NULL, false},             "", ""                                                                                         },
};

static void hosts_file(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
        CLEANUP(mem_free) char *once = names_hosts(hosts[i].before, &hosts[i].e);
        CLEANUP(mem_free) char *twice = names_hosts(once, &hosts[i].e);
        assert_string_equal(once, hosts[i].after);
        assert_string_equal(twice, once);
    }
}

static const struct conf_set sets[] = {
    {"netbios name",    "FS1"  },
    {"netbios aliases", "A1 A2"},
    {"log level",       NULL   },
};

static const struct {
    const char *before, *after;
} confs[] = {
    {"[global]\n\tNetBIOS Name = NEW1\n log level=3\n workgroup = X\n[data]\n netbios name = y\n",
     "[global]\n   netbios name = FS1\n   netbios aliases = A1 A2\n workgroup = X\n[data]\n "
     "netbios "
     "name = y\n"                                                                                                                                                 },
    {"netbios aliases = a \\\n  b\n# netbios name = c \\\n[ Global ]\nx = 1",
     "# netbios name = c \\\n[ Global ]\n   netbios name = FS1\n   netbios aliases = A1 A2\nx = "
     "1\n"                                                                                                                                                        },
    {"",                                                                                           "[global]\n   netbios name = FS1\n   netbios aliases = A1 A2\n"},
};

static void conf(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(confs); i++) {
        CLEANUP(mem_free) char *once = names_globals(confs[i].before, sets, ARRAY_SIZE(sets));
        CLEANUP(mem_free) char *twice = names_globals(once, sets, ARRAY_SIZE(sets));
        assert_string_equal(once, confs[i].after);
        assert_string_equal(twice, once);
    }
}

static void names(void **state)
{
    (void)state;
    assert_true(names_host_valid("fs1-7c2d"));
    assert_true(names_netbios_valid("FS1-7C2D"));
    assert_true(names_full_valid("fs1.lab.test"));
    static const char *const bad[] = {"", "-x", "a b", "a\nb", "a;b", "fs1..test", "a/b", "x.-y"};
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        assert_false(names_host_valid(bad[i]));
        assert_false(names_full_valid(bad[i]));
    }
    assert_false(names_host_valid("fs1.lab.test"));
    assert_false(names_netbios_valid("SIXTEEN-LETTERS-"));
    assert_false(names_netbios_valid("-x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hosts_file), cmocka_unit_test(conf),
                                       cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
