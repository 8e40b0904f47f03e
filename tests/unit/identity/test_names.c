/* test_names: /etc/hosts and smb.conf with other names; what is a name. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/names.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "tests/unit/test.h"

static const struct {
    struct hosts_edit e;
    const char *before, *after;
} hosts[] = {
  /* the destination becomes fs1 */
    {{"new1", "fs1", "fs1.lab.test", "192.0.2.7", true, false},
     "127.0.0.1 localhost\n127.0.1.1\tnew1.lab.test new1\n192.0.2.7 fs1\n192.0.2.8 new1\n192.0.2.9 "
     "new10 # new1\n",                                                     "127.0.0.1 localhost\n127.0.1.1\tfs1.lab.test fs1\n192.0.2.7 fs1\n192.0.2.9 new10 # new1\n"},
    {{"new1", "fs1", "fs1.lab.test", "192.0.2.7", true, false},
     "::1 localhost\n192.0.2.8 other new1.lab.test",                       "::1 localhost\n192.0.2.8\tother\n192.0.2.7\tfs1.lab.test fs1\n"                           },
 /* the source: its old name stays the way to the destination */
    {{"fs1", "fs1-7c2d", NULL, "192.0.2.77", false, false},
     "127.0.1.1 fs1\n192.0.2.7 fs1.lab.test fs1\n",                        "127.0.1.1\tfs1-7c2d\n192.0.2.7 fs1.lab.test fs1\n192.0.2.77\tfs1-7c2d\n"                  },
 /* by name only: the old name is at the destination's address, or in DNS alone */
    {{"new1", "fs1", "fs1.lab.test", "198.51.100.8", true, true},
     "127.0.1.1 new1\n192.0.2.7 fs1.lab.test fs1 db\n198.51.100.8 new1\n", "127.0.1.1\tfs1\n192.0.2.7\tdb\n198.51.100.8\tfs1.lab.test fs1\n"                          },
    {{"fs1", "fs1-7c2d", NULL, "192.0.2.7", true, false},
     "127.0.1.1 fs1\n192.0.2.7 fs1.lab.test fs1\n",                        "127.0.1.1\tfs1-7c2d\n192.0.2.7\tfs1-7c2d\n"                                               },
    {{"fs1", "fs1-7c2d", NULL, NULL, false, false},               "",      ""                                                                                         },
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

/* ── a Samba whose registry says otherwise than smb.conf ── */

static char root[] = "/tmp/identity-names-XXXXXX";

static void put(const char *name, const char *text, unsigned mode)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", root, name);
    CLEANUP(mem_free) char *folder = xmemdup(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(file_write(path, mode, text, strlen(text)), 0);
}

static void assert_file(const char *name, const char *want)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", root, name);
    char *text = NULL;
    size_t len = 0;
    if (file_read(path, 1 << 20, &text, &len) < 0)
        text = xstrdup("(none)");
    assert_string_equal(text, want);
    free(text);
}

static void the_registry_is_changed_where_it_counts(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *search = xasprintf("%s/bin", root);
    CLEANUP(mem_free) char *note = xasprintf("%s/names.note", root);
    CLEANUP(mem_free)
    char *testparm =
        xasprintf("#!/bin/sh\nfor a; do case $a in --parameter-name=*) p=${a#*=} ;; esac; done\n"
                  "case $p in state*) echo /state ;; *) cat \"%s/reg/$p\" ;; esac\n",
                  root);
    CLEANUP(mem_free)
    char *net = xasprintf("#!/bin/sh\ncase $2 in setparm) echo \"$5\" >\"%s/reg/$4\" ;; delparm) "
                          "rm \"%s/reg/$4\" ;; esac\n",
                          root, root);
    static const struct conf_set set[] = {
        {"netbios name", "FS1"},
        {"log level",    NULL },
    };
    struct fault why = {.err = 0};
    CLEANUP(undo_free) struct undo *u = NULL;
    put("bin/testparm", testparm, 0700);
    put("bin/net", net, 0700);
    put("reg/netbios name", "NEW1\n", 0600);
    put("state/registry.tdb", "as it was", 0600);
    put("etc/samba/smb.conf", "[global]\n   config backend = registry\n", 0644);
    assert_int_equal(undo_open(note, &u), 0);
    struct site v = {.root = root, .search = search, .folder = root, .undo = u};
    assert_int_equal(names_edit_conf(&v, set, ARRAY_SIZE(set), &why), 1);
    assert_file("reg/netbios name", "FS1\n");
    bool kept = false;
    for (size_t i = 0; i < u->n; i++)
        kept = kept || (u->records[i]->file && strstr(u->records[i]->file->path, "registry.tdb"));
    assert_true(kept);

    /* Nobody's registry: then somebody else's file says otherwise, and nothing is changed. */
    put("reg/netbios name", "OTHER\n", 0600);
    put("etc/samba/smb.conf", "[global]\n   workgroup = W\n", 0644);
    assert_int_equal(names_edit_conf(&v, set, ARRAY_SIZE(set), &why), -EINVAL);
    assert_file("reg/netbios name", "OTHER\n");
    assert_file("etc/samba/smb.conf", "[global]\n   workgroup = W\n");
}

int main(void)
{
    assert_non_null(mkdtemp(root));
    const struct CMUnitTest tests[] = {cmocka_unit_test(hosts_file), cmocka_unit_test(conf),
                                       cmocka_unit_test(names),
                                       cmocka_unit_test(the_registry_is_changed_where_it_counts)};
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    const char *const argv[] = {"rm", "-rf", "--", root, NULL};
    const struct program_call c = {.argv = argv};
    struct program_output o;
    struct fault why = {.err = 0};
    if (program_run(&c, &o, &why) == 0)
        program_done(&o);
    return rc;
}
