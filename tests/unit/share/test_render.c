/* test_render: sections, blocks, descriptors: what is written for another server. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/belong.h"
#include "agent/share/managed.h"
#include "agent/share/render.h"
#include "agent/share/samba.h"
#include "agent/share/sid.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static char notes[4096];

static void say(void *arg, const char *text)
{
    (void)arg;
    size_t n = strlen(notes);
    (void)snprintf(notes + n, sizeof notes - n, "%s\n", text);
}

static struct smbconf *parse(const char *text)
{
    struct smbconf *c = NULL;
    struct fault why = {0};
    assert_int_equal(smbconf_parse(text, strlen(text), &c, &why), 0);
    return c;
}

/* The share's own parameters are taken from text; the result is text. */
static char *render(const char *text, const char *path, const struct render_ground *g)
{
    CLEANUP(smbconf_free) struct smbconf *c = parse(text);
    Godwit__Share s = GODWIT__SHARE__INIT;
    Godwit__ShareParameter p[32], *list[32];
    const struct smbconf_section *from = &c->sections[0];
    struct render_note n = {.say = say};
    struct buf b;
    s.name = from->name;
    s.origin = GODWIT__SHARE_ORIGIN__SHARE_FILE;
    s.parameters = list;
    for (size_t i = 0; i < from->nparams; i++) {
        godwit__share_parameter__init(&p[i]);
        p[i].name = from->params[i].name;
        p[i].value = from->params[i].value;
        list[s.n_parameters++] = &p[i];
    }
    notes[0] = '\0';
    buf_init(&b, 1 << 20);
    render_share(&s, path, g, &n, &b);
    char *ret = xmemdup(b.data, b.len);
    buf_done(&b);
    return ret;
}

static void a_share_means_here_what_it_meant_there(void **state)
{
    (void)state;
    char known[] = "new thing", *unknown[] = {known, NULL};
    CLEANUP(smbconf_free)
    struct smbconf *builtin = parse("create mask = 0744\noplocks = Yes\nread only = Yes\n");
    CLEANUP(smbconf_free)
    struct smbconf *here = parse("[defaults]\noplocks = No\nfruit:aapl = yes\n[same]\nread only = "
                                 "No\npath = /x\noplocks = No\n");
    struct render_ground g = {.defaults = smbconf_find(here, "defaults"),
                              .builtin = smbconf_find(builtin, "global"),
                              .same = smbconf_find(here, "same"),
                              .unknown = unknown};
    CLEANUP(mem_free)
    char *text = render("[data]\npath = /srv/old\ncomment = 50% of %L\ncreate mask = 0744\n"
                        "root preexec = /bin/x %U\nvfs objects = /tmp/evil.so\nNewThing = 3\n"
                        "full_audit:success = mkdir\n",
                        "/srv/new/%S", &g);
    assert_string_equal(text, "[data]\n"
                              "\tpath = /srv/new/%S\n"
                              "\tcomment = 50% of %L\n"
                              "\tcreate mask = 0744\n"
                              "\t# runs code, not taken over: root preexec = /bin/x %U\n"
                              "\t# runs code, not taken over: vfs objects = /tmp/evil.so\n"
                              "\t# unknown to this Samba: NewThing = 3\n"
                              "\tfull_audit:success = mkdir\n"
                              "\toplocks = Yes\n"
                              "\tread only = Yes\n");
    assert_non_null(strstr(notes, "root preexec: runs code"));
    assert_non_null(strstr(notes, "vfs objects: runs code"));
    assert_non_null(strstr(notes, "NewThing: this Samba does not know it"));
    assert_non_null(strstr(notes, "fruit:aapl: is set here"));
}

static void nothing_breaks_out_of_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        bool plain;
    } cases[] = {
        {"comment",     "ok # ; [x]",           true },
        {"comment",     "",                     true },
        {"comment",     "a\nroot preexec = /x", false},
        {"comment",     "a\r",                  false},
        {"comment",     "ends with \\",         false},
        {"a\n[global]", "x",                    false},
        {"[global]",    "x",                    false},
        {"# x",         "x",                    false},
        {"a = b",       "x",                    false},
        {"",            "x",                    false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(render_is_plain(cases[i].name, cases[i].value), cases[i].plain);
    assert_true(render_is_program("Root PreExec", "x"));
    assert_true(render_is_program("full_x:mount command", "x"));
    assert_true(render_is_program("magicscript", "x"));
    assert_false(render_is_program("preexec", ""));
    assert_false(render_is_program("vfs objects", "acl_xattr streams_xattr"));
    assert_false(render_is_program("preexec close", "yes"));
}

static void blocks_are_kept_apart(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *one = managed_with("", "a.1", "[x]\n");
    CLEANUP(mem_free) char *two = managed_with(one, "a.10", "[y]\n");
    CLEANUP(mem_free) char *block = managed_block(two, "a.1");
    CLEANUP(mem_free) char *rest = managed_without(two, "a.1");
    CLEANUP(mem_free) char *other = managed_block(rest, "a.10");
    CLEANUP(mem_free) char *gone = managed_block(rest, "a.1");
    CLEANUP(mem_free) char *again = managed_with(rest, "a.1", "[z]\n");
    assert_string_equal(block, "[x]\n");
    assert_string_equal(other, "[y]\n");
    assert_string_equal(gone, "");
    assert_non_null(strstr(again, "[y]"));
    assert_null(strstr(again, "[x]"));
    assert_ptr_equal(strstr(again, "# Shares that"), again);
    assert_null(strstr(again + 1, "# Shares that"));
}

static void the_include_stands_once(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *one = managed_include("[global]\n x = y", "/etc/samba/godwit.conf");
    CLEANUP(mem_free) char *two = managed_include(one, "/etc/samba/godwit.conf");
    CLEANUP(mem_free) char *by_hand = managed_include("  Include=/e/g  \n", "/e/g");
    CLEANUP(mem_free) char *to = managed_redirect(one, "/etc/samba/godwit.conf", "/tmp/x");
    assert_non_null(strstr(one, "x = y\n"));
    assert_string_equal(one, two);
    assert_string_equal(by_hand, "  Include=/e/g  \n");
    assert_non_null(strstr(to, "include = /tmp/x\n"));
    assert_null(strstr(to, "/etc/samba/godwit.conf"));
}

static void paths_belong(void **state)
{
    (void)state;
    static const struct {
        const char *root, *path, *below; /* NULL: does not */
    } cases[] = {
        {"/no/srv",  "/no/srv",         ""       },
        {"/no/srv/", "/no//srv/a/",     "a"      },
        {"/no/srv",  "/no/srv/home/%S", "home/%S"},
        {"/no/srv",  "/no/srv/%U",      "%U"     },
        {"/no/srv",  "/no/srv%U/x",     NULL     },
        {"/no/srv",  "/no/srvx",        NULL     },
        {"/no/srv",  "/no/srv/../etc",  NULL     },
        {"/no/srv",  "/no/%S/x",        NULL     },
        {"/",        "/no/srv",         "no/srv" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        CLEANUP(mem_free) char *below = NULL;
        CLEANUP(mem_free) char *real = NULL;
        assert_int_equal(belong_inside(cases[i].root, cases[i].path, &below, &real),
                         cases[i].below != NULL);
        if (below)
            assert_string_equal(below, cases[i].below);
    }
    CLEANUP(mem_free) char *a = belong_map("/new", "x/%S");
    CLEANUP(mem_free) char *b = belong_map("/", "x");
    CLEANUP(mem_free) char *c = belong_map("/new", "");
    assert_string_equal(a, "/new/x/%S");
    assert_string_equal(b, "/x");
    assert_string_equal(c, "/new");
}

static void descriptors(void **state)
{
    (void)state;
    static const char text[] =
        "[plain]\nREVISION:1\nCONTROL:SR|DP\nOWNER:\nGROUP:\n"
        "ACL:S-1-1-0:ALLOWED/0x0/FULL\n\n[a b]\nREVISION:1\n"
        "ACL:FS1\\alice:ALLOWED/0x0/FULL\nACL:S-1-5-32-546:DENIED/0x0/CHANGE\n";
    struct samba_acls a;
    samba_acls_parse(text, strlen(text), &a);
    assert_int_equal(a.n, 1);
    assert_string_equal(a.list[0].share, "a b");
    assert_string_equal(a.list[0].text,
                        "FS1\\alice:ALLOWED/0x0/FULL,S-1-5-32-546:DENIED/0x0/CHANGE");
    CLEANUP(mem_free) char *first = sid_name(a.list[0].text, 0);
    CLEANUP(mem_free) char *second = sid_name(a.list[0].text, 1);
    assert_string_equal(first, "FS1\\alice");
    assert_string_equal(second, "S-1-5-32-546");
    assert_null(sid_name(a.list[0].text, 2));
    samba_acls_done(&a);
    assert_true(samba_sddl_valid("D:(A;;0x001f01ff;;;WD)(D;OICI;FA;;;S-1-5-21-1-2-3-500)"));
    assert_false(samba_sddl_valid("D:(A;;FA;;;WD) --configfile=/tmp/x"));
    assert_false(samba_sddl_valid(""));
}

static void keep_note(void *arg, const char *text)
{
    (void)text;
    (*(int *)arg)++;
}

static void sids_of_descriptors_follow_the_map(void **state)
{
    (void)state;
    static const char text[] = "sid,S-1-5-21-1-2-3-1000,S-1-5-21-7-8-9-2000\n"
                               "sid,S-1-5-21-4-4-4-*,S-1-5-21-5-5-5-*\ngid,100,200\n";
    static const struct {
        const char *from, *to;
    } cases[] = {
        {"",                                               ""                                },
        {"D:(A;;FA;;;WD)",                                 "D:(A;;FA;;;WD)"                  },
        {"D:(A;;FA;;;S-1-5-21-1-2-3-1000)",                "D:(A;;FA;;;S-1-5-21-7-8-9-2000)" },
        {"D:(A;;FA;;;S-1-5-21-1-2-3-10001)",               "D:(A;;FA;;;S-1-5-21-1-2-3-10001)"},
        {"O:S-1-5-21-4-4-4-7G:S-1-22-2-100S:(A;;FA;;;WD)",
         "O:S-1-5-21-5-5-5-7G:S-1-22-2-200S:(A;;FA;;;WD)"                                    },
        {"D:(D;;FA;;;S-1-5-21-4-4-4-1)(A;;FA;;;S-1-x)",
         "D:(D;;FA;;;S-1-5-21-5-5-5-1)(A;;FA;;;S-1-x)"                                       },
    };
    CLEANUP(idmap_free) struct idmap *map = NULL;
    struct idmap_error e;
    char machine[] = "S-1-5-21-1-2-3", none[] = "";
    int said = 0;
    Godwit__SharesInventory from = GODWIT__SHARES_INVENTORY__INIT;
    assert_int_equal(idmap_parse(text, sizeof text - 1, &map, &e), 0);
    from.machine_sid = machine;
    const struct sid_ask ask = {.from = &from, .map = map, .say = keep_note, .arg = &said};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Godwit__Share s = GODWIT__SHARE__INIT;
        CLEANUP(mem_free) char *sddl = xstrdup(cases[i].from);
        s.sddl = sddl;
        s.acl = none;
        CLEANUP(mem_free) char *got = sid_translate(&ask, &s);
        assert_string_equal(got, cases[i].to);
    }
    assert_int_equal(said, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_share_means_here_what_it_meant_there),
        cmocka_unit_test(nothing_breaks_out_of_its_line),
        cmocka_unit_test(blocks_are_kept_apart),
        cmocka_unit_test(the_include_stands_once),
        cmocka_unit_test(paths_belong),
        cmocka_unit_test(descriptors),
        cmocka_unit_test(sids_of_descriptors_follow_the_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
