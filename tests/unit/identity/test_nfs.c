/* test_nfs: a source's exports read-only, then none, then as they were; what of its shares'
 * descriptors comes along. On a host of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <tdb.h>
#include <unistd.h>

#include "agent/identity/nfs.h"
#include "agent/identity/share_info.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/sid.h"
#include "tests/unit/test.h"

static char root[] = "/tmp/identity-nfs-XXXXXX";

static char *at(const char *name)
{
    return xasprintf("%s/%s", root, name);
}

static void put(const char *name, const char *text, unsigned mode)
{
    CLEANUP(mem_free) char *path = at(name);
    CLEANUP(mem_free) char *folder = xmemdup(path, (size_t)(strrchr(path, '/') - path));
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    assert_int_equal(file_write(path, mode, text, strlen(text)), 0);
}

static char *get(const char *name)
{
    CLEANUP(mem_free) char *path = at(name);
    char *text = NULL;
    size_t len = 0;
    return file_read(path, 1 << 20, &text, &len) < 0 ? xstrdup("(none)") : text;
}

static void assert_file(const char *name, const char *want)
{
    CLEANUP(mem_free) char *now = get(name);
    assert_string_equal(now, want);
}

static void exports_without_writing(void **state)
{
    (void)state;
    static const struct {
        const char *text, *read_only; /* NULL: no file of exports */
    } cases[] = {
        {"/a 10.0.0.0/8(rw,sync) *(ro)\n",             "/a 10.0.0.0/8(ro,sync) *(ro)\n"            },
        {"/a *(sec=krb5p,rw,fsid=7,no_root_squash)\n",
         "/a *(sec=krb5p,ro,fsid=7,no_root_squash)\n"                                              },
        {"/a *(sec=krb5,rw,sec=sys,ro)\n",             "/a *(sec=krb5,ro,sec=sys,ro)\n"            },
        {"/rw rw.example.org(rw) rwx(async,rw)\n",     "/rw rw.example.org(ro) rwx(async,ro)\n"    },
        {"\"/with space\" -rw,sync a b(ro)\n",         "/with\\040space a(ro,sync) b(ro,sync,ro)\n"},
        {"/a host\n",                                  "/a host\n"                                 },
        {"# nothing\n",                                ""                                          },
        {"no path\n",                                  NULL                                        },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct fault why = {.err = 0};
        CLEANUP(mem_free) char *open = NULL;
        int rc = nfs_render(cases[i].text, strlen(cases[i].text), &open, &why);
        assert_int_equal(rc, cases[i].read_only ? 0 : -EINVAL);
        if (rc < 0)
            continue;
        const char *body = strchr(open, '\n') + 1;
        if (strcmp(body, cases[i].read_only) != 0)
            fail_msg("case %zu: %s", i, body);
    }
}

static const char one[] = "/srv 10.0.0.0/8(rw)\n", two[] = "# only a remark\n",
                  three[] = "/opt *(ro,sec=krb5)\n";

static void forth_and_back(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *search = at("bin");
    CLEANUP(mem_free) char *folder = at("notes");
    CLEANUP(mem_free) char *fence = at("notes/fence.note");
    CLEANUP(mem_free) char *close_note = at("notes/close.note");
    CLEANUP(mem_free) char *program = xasprintf("#!/bin/sh\necho \"$*\" >>%s/calls\n", root);
    struct fault why = {.err = 0};
    put("etc/exports", one, 0644);
    put("etc/exports.d/a.exports", two, 0644);
    put("etc/exports.d/b.exports", three, 0600);
    put("etc/exports.d/c", "/x *(rw)\n", 0644);
    assert_int_equal(file_mkdirs(folder, 0700), 0);
    struct site v = {.root = root, .search = search, .folder = folder};
    assert_int_equal(nfs_raise(&v, false, &why), 0); /* there is no exportfs: nothing is served */
    assert_file("etc/exports", one);
    put("bin/exportfs", program, 0700);

    CLEANUP(undo_free) struct undo *first = NULL;
    CLEANUP(undo_free) struct undo *second = NULL;
    assert_int_equal(undo_open(fence, &first), 0);
    assert_int_equal(undo_open(close_note, &second), 0);
    v.undo = first;
    assert_int_equal(nfs_raise(&v, false, &why), 1);
    assert_int_equal(nfs_raise(&v, false, &why), 0); /* again: the kernel is told all the same */
    CLEANUP(mem_free) char *open = get("etc/exports");
    assert_non_null(strstr(open, "/srv 10.0.0.0/8(ro)\n"));
    assert_file("etc/exports.d/a.exports", two);
    assert_file("etc/exports.d/c", "/x *(rw)\n");
    assert_file("calls", "-ra\n-ra\n");
    v.undo = second;
    assert_int_equal(nfs_raise(&v, true, &why), 1);
    CLEANUP(mem_free) char *closed = get("etc/exports.d/b.exports");
    assert_string_equal(closed, NFS_MARK);
    assert_file("etc/exports.d/a.exports", two);

    struct undo *const notes[] = {second, first};
    for (size_t k = 0; k < ARRAY_SIZE(notes); k++)
        for (size_t i = notes[k]->n; i-- > 0;)
            assert_int_equal(undo_put_file(notes[k]->records[i]->file), 0);
    nfs_reload(&v);
    assert_file("etc/exports", one);
    assert_file("etc/exports.d/a.exports", two);
    assert_file("etc/exports.d/b.exports", three);
    assert_file("calls", "-ra\n-ra\n-ra\n-ra\n");

    put("etc/exports", "what is this\n", 0644); /* what cannot be read cannot be closed either */
    v.undo = first;
    assert_true(nfs_raise(&v, false, &why) < 0);
    assert_non_null(strstr(why.text, "line 1"));
}

/* ── descriptors ── */

#define OLD "S-1-5-21-11-12-13"

static size_t descriptor(const char *account, uint8_t *ret)
{
    struct sid s;
    memcpy(ret, "head", 4);
    assert_int_equal(sid_parse(account, strlen(account), &s), 0);
    return 4 + sid_pack(&s, ret + 4);
}

static void store(struct tdb_context *db, const char *key, const char *account)
{
    uint8_t value[4 + SID_BYTES_MAX];
    TDB_DATA k = {.dptr = (uint8_t *)(uintptr_t)key, .dsize = strlen(key) + 1};
    TDB_DATA v = {.dptr = value, .dsize = descriptor(account, value)};
    assert_int_equal(tdb_store(db, k, v, TDB_REPLACE), 0);
}

static bool is(const char *file, const char *key, const char *account)
{
    uint8_t value[4 + SID_BYTES_MAX];
    size_t n = descriptor(account, value);
    struct tdb_context *db = tdb_open(file, 0, TDB_NOLOCK, O_RDONLY, 0);
    TDB_DATA k = {.dptr = (uint8_t *)(uintptr_t)key, .dsize = strlen(key) + 1};
    TDB_DATA had = tdb_fetch(db, k);
    bool same = had.dptr && had.dsize == n && memcmp(had.dptr, value, n) == 0;
    free(had.dptr);
    (void)tdb_close(db);
    return same;
}

static struct tdb_context *data_base(const char *file)
{
    struct tdb_context *db = tdb_open(file, 0, TDB_NOLOCK, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_non_null(db);
    return db;
}

/* Its accounts have their own SIDs again; all else stays as this host has it. */
static void descriptors_of_own_accounts_come(void **state)
{
    (void)state;
    CLEANUP(mem_free) char *from = at("from.tdb");
    CLEANUP(mem_free) char *here = at("here.tdb");
    CLEANUP(mem_free) char *content = NULL;
    CLEANUP(mem_free) char *merged = NULL;
    CLEANUP(mem_free) char *again = NULL;
    size_t len = 0, n = 0;
    struct tdb_context *db = data_base(from);
    store(db, "SECDESC/data", OLD "-1001");
    store(db, "SECDESC/far", OLD "-1002");
    store(db, "SECDESC/lab", "S-1-5-21-1-2-3-1105");
    store(db, "INFO/version", OLD "-1");
    assert_int_equal(tdb_close(db), 0);
    db = data_base(here);
    store(db, "SECDESC/data", "S-1-5-21-7-8-9-1001");
    store(db, "SECDESC/lab", "S-1-5-21-4-5-6-1105"); /* as the job's map says */
    store(db, "SECDESC/own", "S-1-5-21-7-8-9-1003");
    assert_int_equal(tdb_close(db), 0);
    assert_int_equal(file_read(from, 1 << 20, &content, &len), 0);
    assert_int_equal(share_info_merge(here, content, len, OLD, root, &merged, &n), 0);
    assert_non_null(merged);
    assert_true(is(here, "SECDESC/data", "S-1-5-21-7-8-9-1001")); /* not touched by this */
    assert_int_equal(file_write(here, 0600, merged, n), 0);
    assert_true(is(here, "SECDESC/data", OLD "-1001"));
    assert_true(is(here, "SECDESC/far", OLD "-1002"));
    assert_true(is(here, "SECDESC/lab", "S-1-5-21-4-5-6-1105"));
    assert_true(is(here, "SECDESC/own", "S-1-5-21-7-8-9-1003"));
    assert_false(is(here, "INFO/version", OLD "-1"));
    assert_int_equal(share_info_merge(here, content, len, OLD, root, &again, &n), 0);
    assert_null(again);
    assert_int_equal(unlink(here), 0);
    assert_int_equal(share_info_merge(here, content, len, OLD, root, &again, &n), 0);
    assert_non_null(again);
    char *none = NULL;
    assert_int_equal(share_info_merge(here, "rubbish", 7, OLD, root, &none, &n), -EBADMSG);
    assert_int_equal(share_info_merge(here, content, len, "S-1-1-0", root, &none, &n), -EINVAL);
    assert_null(none);
}

int main(void)
{
    assert_non_null(mkdtemp(root));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exports_without_writing),
        cmocka_unit_test(forth_and_back),
        cmocka_unit_test(descriptors_of_own_accounts_come),
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
