/* test_take: a server is read, and another takes its shares over, with programs that stand in for
 * Samba's (fake_server). */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/share/before.h"
#include "agent/share/list.h"
#include "agent/share/smbconf.h"
#include "agent/share/take.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "tests/unit/test.h"

struct host {
    char *dir, *search, *exports, *exports_dir, *usershares, *scratch, *passwd;
    struct server server;
};

static char *base;

static char *at(const struct host *h, const char *name)
{
    return xasprintf("%s/%s", h->dir, name);
}

static void put(const struct host *h, const char *name, const char *text)
{
    CLEANUP(mem_free) char *path = at(h, name);
    assert_int_equal(file_write(path, 0644, text, strlen(text)), 0);
}

static char *get(const struct host *h, const char *name)
{
    CLEANUP(mem_free) char *path = at(h, name);
    char *text = NULL;
    size_t len = 0;
    return file_read(path, 1 << 20, &text, &len) == 0 ? text : xstrdup("");
}

static void folder(const struct host *h, const char *name)
{
    CLEANUP(mem_free) char *path = at(h, name);
    assert_int_equal(file_mkdirs(path, 0755), 0);
}

static void host_init(struct host *h, const char *name)
{
    static const char *const programs[] = {"testparm",   "net",      "sharesec",
                                           "smbcontrol", "exportfs", "smbd"};
    h->dir = xasprintf("%s/%s", base, name);
    folder(h, "bin");
    folder(h, "sddl");
    folder(h, "scratch");
    folder(h, "usershares");
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
        CLEANUP(mem_free) char *link = xasprintf("%s/bin/%s", h->dir, programs[i]);
        (void)unlink(link);
        assert_int_equal(symlink(FAKE_SERVER, link), 0);
    }
    h->search = at(h, "bin");
    h->exports = at(h, "exports");
    h->exports_dir = at(h, "exports.d");
    h->usershares = at(h, "usershares");
    h->scratch = at(h, "scratch");
    h->passwd = at(h, "passwd");
    h->server = (struct server){.search = h->search,
                                .exports = h->exports,
                                .exports_dir = h->exports_dir,
                                .passwd = h->passwd,
                                .usershares = h->usershares,
                                .scratch = h->scratch,
                                .cancel_fd = -1};
}

static void host_done(struct host *h)
{
    char *const all[] = {h->dir,        h->search,  h->exports, h->exports_dir,
                         h->usershares, h->scratch, h->passwd};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        free(all[i]);
}

struct world {
    struct host from, to;
    char *source, *destination;
    Godwit__SharesInventory *inv;
};

static void write_source(const struct world *w)
{
    const struct host *h = &w->from;
    CLEANUP(mem_free) char *include = at(h, "more.conf");
    CLEANUP(mem_free)
    char *conf = xasprintf("[global]\nworkgroup = W\nmap to guest = bad user\ncreate mask = 0664\n"
                           "registry shares = yes\n"
                           "[homes]\npath = %s/homes/%%S\n[printers]\nprintable = Yes\n"
                           "[data]\npath = %s/data\ncomment = 50%% \"of\" %%L\nfrobnicate = 3\n"
                           "root preexec = /bin/x\ninclude = /etc/by-%%U.conf\nread only = No\n"
                           "[gone]\npath = %s/gone\n[far]\npath = /tmp\n"
                           "[dfs]\npath = %s/data\nmsdfs root = Yes\ninclude = %s\n",
                           w->source, w->source, w->source, w->source, include);
    CLEANUP(mem_free) char *more = xasprintf("[more]\npath = %s/data\n", w->source);
    CLEANUP(mem_free)
    char *registry = xasprintf("[reg]\npath = %s/data\nread only = no\n", w->source);
    CLEANUP(mem_free)
    char *exports = xasprintf("%s/data 10.0.0.0/8(rw) *(ro)\n/opt *(ro)\n", w->source);
    CLEANUP(mem_free)
    char *user =
        xasprintf("#VERSION 2\npath=%s/data\nusershare_acl=S-1-1-0:R\nguest_ok=n\n", w->source);
    put(h, "smb.conf", conf);
    put(h, "more.conf", more);
    put(h, "registry.conf", registry);
    put(h, "exports", exports);
    put(h, "usershares/us", user);
    put(h, "sddl/data", "D:(A;;0x001f01ff;;;S-1-5-21-1-2-3-1000)\n");
}

static int set_up(void **state)
{
    static unsigned n;
    struct world *w = xcalloc(1, sizeof *w);
    CLEANUP(mem_free) char *from = xasprintf("from%u", n);
    CLEANUP(mem_free) char *to = xasprintf("to%u", n++);
    host_init(&w->from, from);
    host_init(&w->to, to);
    w->source = at(&w->from, "srv");
    w->destination = at(&w->to, "new");
    folder(&w->from, "srv/data/deep");
    folder(&w->from, "srv/homes");
    folder(&w->to, "new/data");
    folder(&w->to, "new/homes");
    CLEANUP(mem_free) char *link = at(&w->from, "srv/data/deep/other");
    assert_int_equal(symlink("msdfs:fs9\\other", link), 0);
    write_source(w);
    put(&w->to, "registry.conf", "");
    put(&w->to, "smb.conf", "[global]\nworkgroup = W\noplocks = No\n[homes]\nread only = Yes");
    *state = w;
    return 0;
}

static void read_source(struct world *w)
{
    struct fault why = {0};
    Godwit__SharesOrder o = GODWIT__SHARES_ORDER__INIT;
    o.path = w->source;
    o.smb = SHARE_PAIR;
    o.nfs = SHARE_PAIR;
    if (w->inv)
        godwit__shares_inventory__free_unpacked(w->inv, NULL);
    w->inv = NULL;
    assert_int_equal(list_shares(&w->from.server, &o, &w->inv, &why), 0);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    if (w->inv)
        godwit__shares_inventory__free_unpacked(w->inv, NULL);
    host_done(&w->from);
    host_done(&w->to);
    free(w->source);
    free(w->destination);
    free(w);
    return 0;
}

static const char *map_text = ""; /* of the job */

static int take(struct world *w, bool dry, Godwit__ShareApplyResult **ret, struct fault *why)
{
    char pair[] = "0123456789abcdef.1", host[] = "fs1";
    Godwit__ShareApplyOrder o = GODWIT__SHARE_APPLY_ORDER__INIT;
    o.pair = pair;
    o.source = w->source;
    o.destination = w->destination;
    o.source_host = host;
    o.smb = SHARE_PAIR;
    o.nfs = SHARE_PAIR;
    o.from = w->inv;
    o.map = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)map_text, .len = strlen(map_text)};
    *ret = NULL;
    return take_over(&w->to.server, &o, dry, ret, why);
}

static const Godwit__Share *share(const struct world *w, const char *name)
{
    for (size_t i = 0; i < w->inv->n_shares; i++)
        if (strcmp(w->inv->shares[i]->name, name) == 0)
            return w->inv->shares[i];
    fail_msg("no share %s", name);
    return NULL;
}

static const char *outcome(const Godwit__ShareApplyResult *r, const char *name)
{
    for (size_t i = 0; i < r->n_outcomes; i++)
        if (strcmp(r->outcomes[i]->name, name) == 0)
            return r->outcomes[i]->outcome;
    return "none";
}

/* All that a destination holds, as one text. */
static char *everything(const struct world *w)
{
    CLEANUP(mem_free)
    char *script =
        xasprintf("cd %s && head -n 999 smb.conf godwit.conf registry.conf exports.d/* sddl/* "
                  "usershares/* 2>/dev/null",
                  w->to.dir);
    const char *const argv[] = {"sh", "-c", script, NULL};
    struct program_call c = {.argv = argv};
    struct program_output o;
    struct fault why = {0};
    assert_int_equal(program_run(&c, &o, &why), 0);
    char *text = xstrdup(o.out);
    program_done(&o);
    return text;
}

static void what_a_server_shares(void **state)
{
    struct world *w = *state;
    read_source(w);
    assert_true(w->inv->has_samba && w->inv->has_nfs);
    assert_string_equal(w->inv->version, "4.17.12-Fake");
    assert_string_equal(w->inv->machine_sid, "S-1-5-21-1-2-3");
    assert_int_equal(w->inv->n_shares, 9);
    const Godwit__Share *data = share(w, "data");
    assert_true(data->inside && !data->missing);
    assert_string_equal(data->below, "data");
    assert_int_equal(data->n_unknown, 1);
    assert_string_equal(data->unknown[0]->value, "3");
    assert_int_equal(data->n_includes, 1);
    assert_string_equal(data->sddl, "D:(A;;0x001f01ff;;;S-1-5-21-1-2-3-1000)");
    assert_string_equal(data->acl, "FAKE\\alice:ALLOWED/0x0/FULL");
    assert_int_equal(share(w, "homes")->kind, GODWIT__SHARE_KIND__SHARE_HOMES);
    assert_string_equal(share(w, "homes")->below, "homes/%S");
    assert_int_equal(share(w, "printers")->kind, GODWIT__SHARE_KIND__SHARE_PRINTER);
    assert_int_equal(share(w, "reg")->origin, GODWIT__SHARE_ORIGIN__SHARE_REGISTRY);
    assert_int_equal(share(w, "us")->origin, GODWIT__SHARE_ORIGIN__SHARE_USER);
    assert_true(share(w, "gone")->missing);
    assert_false(share(w, "far")->inside);
    assert_int_equal(share(w, "far")->n_parameters, 0);
    assert_int_equal(share(w, "dfs")->n_links, 1);
    assert_string_equal(share(w, "dfs")->links[0]->path, "deep/other");
    assert_string_equal(share(w, "dfs")->links[0]->target, "fs9\\other");
    assert_int_equal(w->inv->n_exports, 2);
    assert_true(w->inv->exports[0]->inside && !w->inv->exports[1]->inside);
}

static void taken_over_once_and_the_same_again(void **state)
{
    struct world *w = *state;
    struct fault why = {0};
    Godwit__ShareApplyResult *r = NULL;
    read_source(w);
    CLEANUP(mem_free) char *before = everything(w);
    assert_int_equal(take(w, true, &r, &why), 0);
    CLEANUP(mem_free) char *planned = everything(w);
    assert_string_equal(before, planned);
    assert_true(r->changed);
    godwit__share_apply_result__free_unpacked(r, NULL);

    assert_int_equal(take(w, false, &r, &why), 0);
    assert_string_equal(outcome(r, "data"), "new");
    assert_string_equal(outcome(r, "gone"), "left out");
    assert_string_equal(outcome(r, "homes"), "changed");
    assert_string_equal(outcome(r, "far"), "none");
    godwit__share_apply_result__free_unpacked(r, NULL);
    CLEANUP(mem_free) char *conf = get(&w->to, "godwit.conf");
    CLEANUP(mem_free) char *registry = get(&w->to, "registry.conf");
    CLEANUP(mem_free) char *sddl = get(&w->to, "sddl/data");
    CLEANUP(mem_free) char *exports = get(&w->to, "exports.d/godwit-0123456789abcdef.1.exports");
    CLEANUP(mem_free) char *path = xasprintf("\tpath = %s/data\n", w->destination);
    assert_non_null(strstr(conf, path));
    assert_non_null(strstr(conf, "\tcomment = 50% \"of\" %L\n"));
    assert_non_null(strstr(conf, "\t# runs code, not taken over: root preexec = /bin/x\n"));
    assert_non_null(strstr(conf, "frobnicate = 3\n"));
    assert_non_null(strstr(conf, "\tcreate mask = 0664\n"));
    assert_non_null(strstr(conf, "\toplocks = Yes\n"));
    assert_non_null(strstr(conf, "\tregistry shares = yes\n"));
    assert_non_null(strstr(registry, path));
    assert_string_equal(sddl, "D:(A;;0x001f01ff;;;S-1-5-21-1-2-3-1077)\n");
    assert_non_null(strstr(exports, "/new/data 10.0.0.0/8(rw) *(ro)\n"));

    CLEANUP(mem_free) char *once = everything(w);
    assert_int_equal(take(w, false, &r, &why), 0);
    CLEANUP(mem_free) char *twice = everything(w);
    assert_string_equal(once, twice);
    assert_false(r->changed);
    godwit__share_apply_result__free_unpacked(r, NULL);

    put(&w->from, "registry.conf", "");
    put(&w->from, "exports", "");
    put(&w->from, "smb.conf", "[global]\n");
    read_source(w);
    assert_int_equal(take(w, false, &r, &why), 0);
    assert_string_equal(outcome(r, "reg"), "removed");
    assert_string_equal(outcome(r, "data"), "removed");
    godwit__share_apply_result__free_unpacked(r, NULL);
    CLEANUP(mem_free) char *last = everything(w);
    assert_null(strstr(last, "[reg]"));
    assert_null(strstr(last, "[data]"));
    assert_null(strstr(last, "10.0.0.0"));
}

static const char *note_of(const Godwit__ShareApplyResult *r, const char *name, const char *has)
{
    for (size_t i = 0; i < r->n_outcomes; i++)
        for (size_t k = 0; k < r->outcomes[i]->n_notes; k++)
            if (strcmp(r->outcomes[i]->name, name) == 0 && strstr(r->outcomes[i]->notes[k], has))
                return r->outcomes[i]->notes[k];
    return NULL;
}

/* Whose smb.conf says "config backend = registry" has nothing of it in force but that. */
static void a_server_that_lives_in_the_registry(void **state)
{
    struct world *w = *state;
    struct fault why = {0};
    Godwit__ShareApplyResult *r = NULL;
    put(&w->to, "smb.conf", "[global]\nconfig backend = Registry\n");
    put(&w->to, "registry.conf", "[global]\nworkgroup = W\n[own]\npath = /tmp\n");
    read_source(w);
    assert_int_equal(take(w, false, &r, &why), 0);
    assert_string_equal(outcome(r, "data"), "new");
    godwit__share_apply_result__free_unpacked(r, NULL);
    CLEANUP(mem_free) char *conf = get(&w->to, "smb.conf");
    CLEANUP(mem_free) char *managed = get(&w->to, "godwit.conf");
    CLEANUP(mem_free) char *registry = get(&w->to, "registry.conf");
    CLEANUP(mem_free) char *path = xasprintf("\tpath = %s/data\n", w->destination);
    assert_string_equal(conf, "[global]\nconfig backend = Registry\n");
    assert_null(strstr(managed, path));
    static const char *const there[] = {"[data]", "[more]", "[reg]", "[homes]", "[own]"};
    for (size_t i = 0; i < ARRAY_SIZE(there); i++)
        if (!strstr(registry, there[i]))
            fail_msg("no %s in the registry", there[i]);
    assert_int_equal(take(w, false, &r, &why), 0);
    assert_false(r->changed);
    godwit__share_apply_result__free_unpacked(r, NULL);
    put(&w->from, "smb.conf", "[global]\n");
    read_source(w);
    assert_int_equal(take(w, false, &r, &why), 0);
    assert_string_equal(outcome(r, "data"), "removed");
    godwit__share_apply_result__free_unpacked(r, NULL);
    CLEANUP(mem_free) char *last = get(&w->to, "registry.conf");
    assert_null(strstr(last, "[data]"));
    assert_non_null(strstr(last, "[own]"));
}

/* And one whose shares come out of it: they go into the registry here too. */
static void a_source_that_lives_in_the_registry(void **state)
{
    struct world *w = *state;
    struct fault why = {0};
    Godwit__ShareApplyResult *r = NULL;
    CLEANUP(mem_free)
    char *registry = xasprintf("[global]\nworkgroup = W\n[reg]\npath = %s/data\n", w->source);
    put(&w->from, "smb.conf", "[global]\nconfig backend = registry\n");
    put(&w->from, "registry.conf", registry);
    read_source(w);
    assert_int_equal(share(w, "reg")->origin, GODWIT__SHARE_ORIGIN__SHARE_REGISTRY);
    assert_true(share(w, "reg")->inside);
    assert_int_equal(take(w, false, &r, &why), 0);
    godwit__share_apply_result__free_unpacked(r, NULL);
    CLEANUP(mem_free) char *there = get(&w->to, "registry.conf");
    assert_non_null(strstr(there, "[reg]"));
    assert_null(strstr(there, "workgroup"));
}

/* Entries of accounts that have other SIDs here are theirs. */
static void usershares_name_the_same_people(void **state)
{
    struct world *w = *state;
    struct fault why = {0};
    Godwit__ShareApplyResult *r = NULL;
    CLEANUP(mem_free)
    char *user =
        xasprintf("#VERSION 2\npath=%s/data\nusershare_acl=S-1-1-0:R,S-1-5-21-1-2-3-1001:F,"
                  "S-1-5-21-1-2-3-10011:D\nguest_ok=n\n",
                  w->source);
    put(&w->from, "usershares/us", user);
    put(&w->to, "smb.conf", "[global]\n");
    map_text = "sid,S-1-5-21-1-2-3-1001,S-1-5-21-7-8-9-1005\n";
    read_source(w);
    assert_int_equal(take(w, false, &r, &why), 0);
    map_text = "";
    godwit__share_apply_result__free_unpacked(r, NULL);
    CLEANUP(mem_free) char *there = get(&w->to, "usershares/us");
    assert_non_null(strstr(there, "usershare_acl=S-1-1-0:R,S-1-5-21-7-8-9-1005:F,"
                                  "S-1-5-21-1-2-3-10011:D\n"));
}

static void modules_that_are_not_here_are_named(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *objects, *missing; /* NULL: none */
    } cases[] = {
        {"acl_xattr streams_xattr", "module streams_xattr "},
        {"acl_xattr:one, posixacl", NULL                   },
        {"default",                 NULL                   },
        {"ACL_XATTR",               "module ACL_XATTR "    },
        {"/opt/x.so acl_xattr",     NULL                   },
        {"",                        NULL                   },
    };
    folder(&w->to, "modules/vfs");
    put(&w->to, "modules/vfs/acl_xattr.so", "");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault why = {0};
        Godwit__ShareApplyResult *r = NULL;
        CLEANUP(mem_free)
        char *conf = xasprintf("[global]\n[data]\npath = %s/data\nvfs objects = %s\n", w->source,
                               cases[i].objects);
        put(&w->from, "smb.conf", conf);
        read_source(w);
        assert_int_equal(take(w, true, &r, &why), 0);
        const char *note = note_of(r, "data", "nobody can open it");
        if ((note != NULL) != (cases[i].missing != NULL) ||
            (note && (!strstr(note, cases[i].missing) || !strstr(note, "samba-vfs-modules"))))
            fail_msg("case %zu: %s", i, note ? note : "nothing is said");
        godwit__share_apply_result__free_unpacked(r, NULL);
    }
}

static void what_is_refused_changes_nothing(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *file, *text;
        int want;
        const char *says;
    } cases[] = {
        {"smb.conf",      "[global]\n[DATA]\npath = /elsewhere\n", -EEXIST,
         "share 'data' is on the destination already"                                                    },
        {"smb.conf",      "[global]\n[broken\n",                   -EINVAL, "line 2: a section without ]"},
        {"fail-sharesec", "",                                      -EIO,    "sharesec is told to fail"   },
        {"fail-exportfs", "",                                      -EIO,    "exportfs is told to fail"   },
        {"fail-net",      "",                                      -EIO,    "net is told to fail"        },
    };
    read_source(w);
    CLEANUP(mem_free) char *conf = get(&w->to, "smb.conf");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault why = {0};
        Godwit__ShareApplyResult *r = NULL;
        put(&w->to, cases[i].file, cases[i].text);
        CLEANUP(mem_free) char *before = everything(w);
        assert_int_equal(take(w, false, &r, &why), cases[i].want);
        CLEANUP(mem_free) char *after = everything(w);
        assert_non_null(strstr(why.text, cases[i].says));
        assert_string_equal(before, after);
        CLEANUP(mem_free) char *path = at(&w->to, cases[i].file);
        (void)unlink(path);
        put(&w->to, "smb.conf", conf);
    }
    struct fault why = {0};
    Godwit__ShareApplyResult *r = NULL;
    CLEANUP(mem_free) char *data = at(&w->to, "new/data");
    assert_int_equal(rmdir(data), 0);
    assert_int_equal(take(w, true, &r, &why), 0); /* copying will bring it */
    godwit__share_apply_result__free_unpacked(r, NULL);
    assert_int_equal(take(w, false, &r, &why), -ENOENT);
    assert_non_null(strstr(why.text, "is not there on the destination"));
}

/* What a dead agent left is undone, but not what somebody else did since. */
static void a_record_is_undone(void **state)
{
    struct world *w = *state;
    CLEANUP(mem_free) char *a = at(&w->to, "a.conf");
    CLEANUP(mem_free) char *b = at(&w->to, "b.conf");
    CLEANUP(mem_free) char *c = at(&w->to, "c.conf");
    put(&w->to, "a.conf", "old a\n");
    put(&w->to, "c.conf", "old c\n");
    Godwit__ShareBefore *before = before_new();
    assert_int_equal(before_file(before, a, "new a\n", 0644), 0);
    assert_int_equal(before_file(before, b, "new b\n", 0644), 0);
    assert_int_equal(before_file(before, c, "new c\n", 0644), 0);
    assert_int_equal(before_save(&w->to.server, "p.1", before), 0);
    assert_int_equal(before_write_files(before), 0);
    godwit__share_before__free_unpacked(before, NULL);
    put(&w->to, "c.conf", "theirs\n");
    before_recover(&w->to.server);
    CLEANUP(mem_free) char *is_a = get(&w->to, "a.conf");
    CLEANUP(mem_free) char *is_c = get(&w->to, "c.conf");
    CLEANUP(mem_free) char *record = at(&w->to, "scratch/p.1.before");
    assert_string_equal(is_a, "old a\n");
    assert_int_equal(access(b, F_OK), -1);
    assert_string_equal(is_c, "theirs\n");
    assert_int_equal(access(record, F_OK), -1);
}

int main(void)
{
    char dir[] = "/tmp/gw-share-XXXXXX";
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_a_server_shares, set_up, tear_down),
        cmocka_unit_test_setup_teardown(taken_over_once_and_the_same_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_server_that_lives_in_the_registry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_source_that_lives_in_the_registry, set_up, tear_down),
        cmocka_unit_test_setup_teardown(usershares_name_the_same_people, set_up, tear_down),
        cmocka_unit_test_setup_teardown(modules_that_are_not_here_are_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_refused_changes_nothing, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_record_is_undone, set_up, tear_down),
    };
    base = mkdtemp(dir);
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    const char *const argv[] = {"rm", "-rf", dir, NULL};
    struct program_call c = {.argv = argv};
    struct program_output o;
    struct fault why = {0};
    if (program_run(&c, &o, &why) == 0)
        program_done(&o);
    return rc;
}
