/* test_before: what is looked at before anything moves: names, locks, classes with examples, the
 * host, and what stood at the destination. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "agent/files/traits.h"
#include "agent/host/host.h"
#include "agent/store/beneath.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "proto/files.pb-c.h"
#include "proto/host.pb-c.h"
#include "tests/unit/files/step_stub.h"
#include "tests/unit/test.h"

static char top[64];

static int setup(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof top, "/var/tmp/before-godwit-%d", (int)getpid());
    (void)umask(022);
    return mkdir(top, 0755);
}

static int teardown(void **state)
{
    (void)state;
    uint64_t n = 0;
    int dir = open("/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)beneath_remove(dir, top + sizeof "/var/tmp/" - 1, &n);
    return close(dir);
}

static void put(const char *name, const char *text)
{
    char *path = xasprintf("%s/%s", top, name), *slash = strrchr(path, '/');
    *slash = '\0';
    assert_int_equal(file_mkdirs(path, 0755), 0);
    *slash = '/';
    assert_int_equal(file_write(path, 0644, text, strlen(text)), 0);
    free(path);
}

static bool there(const char *name)
{
    struct stat st;
    char *path = xasprintf("%s/%s", top, name);
    int rc = lstat(path, &st);
    free(path);
    return rc == 0;
}

static void run(void (*fn)(struct step *, struct step_result *), const ProtobufCMessage *order,
                struct step_result *ret)
{
    size_t len = protobuf_c_message_get_packed_size(order);
    uint8_t *packed = xmalloc(len + 1);
    (void)protobuf_c_message_pack(order, packed);
    struct step *s = step_stub_new(top, packed, len);
    memset(ret, 0, sizeof *ret);
    fn(s, ret);
    (void)step_stub_free(s);
    free(packed);
}

static ProtobufCBinaryData bytes_of(const char *path)
{
    return (ProtobufCBinaryData){.len = strlen(path), .data = (uint8_t *)(uintptr_t)path};
}

/* ── names ── */

static void names_that_clients_cannot_open(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool good;
    } cases[] = {
        {"a.txt",      true },
        {"a:b",        false},
        {"a?",         false},
        {"a\x01",      false},
        {"a\\b",       false},
        {"a.",         false},
        {"a ",         false},
        {" a",         true },
        {".a",         true },
        {"CON",        false},
        {"con.txt",    false},
        {"Com1.log",   false},
        {"COM0",       true },
        {"CONS",       true },
        {"lpt9",       false},
        {"nul .x",     false},
        {"gr\xc3\xbc", true },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (name_suits_smb(cases[i].name, strlen(cases[i].name)) != cases[i].good)
            fail_msg("'%s' is not %d", cases[i].name, cases[i].good);
}

static void names_that_a_client_takes_for_one(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool same;
    } cases[] = {
        {"Read.me",            "READ.ME",            true },
        {"gr\xc3\xbc\xc3\x9f", "GR\xc3\x9c\xc3\x9f", true },
        {"\xd0\x96",           "\xd0\xb6",           true }, /* Cyrillic */
        {"\xce\xa9",           "\xcf\x89",           true }, /* Greek */
        {"\xc5\xa0",           "\xc5\xa1",           true },
        {"a",                  "b",                  false},
        {"\xe4",               "\xe5",               false},
        {"\xff",               "\xfe",               false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if ((name_fold(cases[i].a, strlen(cases[i].a)) ==
             name_fold(cases[i].b, strlen(cases[i].b))) != cases[i].same)
            fail_msg("'%s' and '%s' are not %d", cases[i].a, cases[i].b, cases[i].same);
}

static void locks_are_read(void **state)
{
    (void)state;
    CLEANUP(locked_free)
    struct locked *l = locked_read("1: POSIX  ADVISORY  WRITE 77 fd:01:789 0 EOF\n"
                                   "2: FLOCK  ADVISORY  WRITE 78 08:02:12 0 EOF\n"
                                   "2: -> POSIX ADVISORY  READ 79 08:03:13 0 EOF\n"
                                   "nonsense\n3: POSIX ADVISORY WRITE 1 zz:1:1 0 EOF\n4: :::\n");
    assert_true(locked_has(l, makedev(0xfd, 1), 789));
    assert_true(locked_has(l, makedev(8, 2), 12));
    assert_true(locked_has(l, makedev(8, 3), 13));
    assert_false(locked_has(l, makedev(8, 2), 13));
    assert_false(locked_has(NULL, makedev(8, 2), 12));
}

static void open_files_are_read(void **state)
{
    (void)state;
    static const char smb[] =
        "{\"open_files\":{\"/srv/"
        "a\":{\"fileid\":{\"devid\":64769,\"inode\":7,\"extid\":0},\"opens\":{}},"
        "\"/srv/\\\"fileid\\\": {\\\"devid\\\": 5, \\\"inode\\\": 6}\": {\"fileid\": {\"devid\": "
        "5, \"inode\": 9}},"
        "\"/srv/b\":{\"fileid\":{\"devid\":\"x\",\"inode\":8}},\"c\":7,\"d\":{\"fileid\":[]}}}";
    static const char nfs[] =
        "- 0x1: { type: open, access: rw, deny: --, superblock: \"fd:10:13649\", filename: \"a\" "
        "}\n"
        "- 0x2: { type: lock, superblock: \"08:02:12\", filename: \"superblock: \\\"\" }\n"
        "- 0x3: { superblock: \"zz\" }\n- 0x4: { superblock: \"8:2:99";
    CLEANUP(locked_free) struct locked *l = locked_new();
    opened_take_smb(l, smb);
    opened_take_smb(l, "[]");
    opened_take_smb(l, "{\"fileid\"");
    opened_take_nfs(l, nfs);
    assert_true(locked_has(l, 64769, 7));
    assert_true(locked_has(l, 5, 9));
    assert_false(locked_has(l, 5, 6));
    assert_false(locked_has(l, 0, 0));
    assert_true(locked_has(l, makedev(0xfd, 0x10), 13649));
    assert_true(locked_has(l, makedev(8, 2), 12));
    assert_false(locked_has(l, makedev(8, 2), 99));
}

/* ── classes ── */

static const Godwit__Trait *trait_of(const Godwit__InventoryResult *r, const char *name)
{
    for (size_t i = 0; i < r->n_traits; i++)
        if (strcmp(r->traits[i]->name, name) == 0)
            return r->traits[i];
    return NULL;
}

static void assert_trait(const Godwit__InventoryResult *r, const char *name, uint64_t count,
                         const char *example)
{
    const Godwit__Trait *t = trait_of(r, name);
    if (!t) {
        fail_msg("%s is not there", name);
        return;
    }
    assert_int_equal(t->count, count);
    if (example)
        assert_string_equal(t->examples[0], example);
}

static void classes_have_a_count_and_an_example(void **state)
{
    (void)state;
    char *tree = xasprintf("%s/tree", top), *path = NULL;
    put("tree/Same", "x");
    put("tree/same", "x");
    put("tree/sub/a:b", "x");
    put("tree/sub/caf\xe9", "x");
    path = xasprintf("%s/tree/dangling", top);
    assert_int_equal(symlink("/no/such/target", path), 0);
    free(path);
    path = xasprintf("%s/tree/fine", top);
    assert_int_equal(symlink("same", path), 0);
    free(path);
    path = xasprintf("%s/tree/sub/a:b", top);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    assert_int_equal(fcntl(fd, F_SETLK, &lock), 0);
    bool xattr = fsetxattr(fd, "user.DosStream.x:$DATA", "1", 1, 0) == 0;
    Godwit__InventoryOrder o = GODWIT__INVENTORY_ORDER__INIT;
    o.path = bytes_of(tree);
    struct step_result r;
    run(files_inventory, &o.base, &r);
    assert_int_equal(r.status, STEP_DONE);
    Godwit__InventoryResult *i = godwit__inventory_result__unpack(NULL, r.body_len, r.body);
    assert_trait(i, "case-collisions", 1, NULL);
    assert_trait(i, "smb-names", 1, "sub/a:b");
    assert_trait(i, "names-not-utf8", 1, "sub/caf\\xe9");
    assert_trait(i, "dangling-links", 1, "dangling");
    if (xattr)
        assert_trait(i, "streams", 1, "sub/a:b");
    assert_null(trait_of(i, "posix-acl"));
    assert_null(trait_of(i, "devices"));
    assert_non_null(i->host);
    godwit__inventory_result__free_unpacked(i, NULL);
    step_result_done(&r);
    (void)close(fd);
    free(path);
    free(tree);
}

/* ── the host ── */

static void a_host_is_read_from_its_files(void **state)
{
    (void)state;
    put("etc/os-release", "NAME=x\nPRETTY_NAME=\"Debian GNU/Linux 12\"\n");
    put("etc/samba/smb.conf", "# no\n[Global]\n  Work Group = EXAMPLE\n realm=AD.EXAMPLE\n"
                              "security = ADS\n[share]\nrealm = no\n");
    put("var/lib/dpkg/status", "Package: other\nVersion: 1\n\nPackage: samba\nStatus: install ok "
                               "installed\nVersion: 2:4.17.12\n\n");
    put("var/lib/samba/private/secrets.tdb", "x");
    put("proc/self/mountinfo",
        "22 1 8:1 / / rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro\n"
        "23 22 0:5 / /proc rw - proc proc rw\nbroken\n"
        "24 22 0:9 / /mnt/a\\040b rw - nfs4 srv:/x rw,addr=192.0.2.1\n"
        "25 22 8:2 / / rw - xfs /dev/sdb rw\n");
    put("sys/block/sda/size", "2048\n");
    put("sys/block/sda/device/model", " MODEL 7  \n");
    put("sys/block/sda/queue/rotational", "1\n");
    put("sys/block/loop0/size", "8\n");
    CLEANUP(host_free) Godwit__HostInventory *h = host_look(top);
    assert_string_equal(h->os, "Debian GNU/Linux 12");
    assert_string_equal(h->samba->version, "2:4.17.12");
    assert_string_equal(h->samba->role, "member server");
    assert_string_equal(h->samba->workgroup, "EXAMPLE");
    assert_string_equal(h->samba->realm, "AD.EXAMPLE");
    assert_true(h->samba->joined);
    assert_int_equal(h->n_volumes, 2);
    assert_string_equal(h->volumes[0]->file_system, "xfs"); /* mounted over ext4 */
    assert_true(h->volumes[0]->measured);
    assert_string_equal(h->volumes[1]->mount, "/mnt/a b");
    assert_false(h->volumes[1]->measured); /* may hang: not asked */
    assert_int_equal(h->n_disks, 1);
    assert_string_equal(h->disks[0]->model, "MODEL 7");
    assert_int_equal(h->disks[0]->size, 2048 * 512);
    assert_true(h->disks[0]->rotational);
    assert_true(h->n_interfaces > 0 && h->interfaces[0]->n_addresses > 0);
}

static void a_bare_host_is_no_error(void **state)
{
    (void)state;
    char *empty = xasprintf("%s/nothing", top);
    CLEANUP(host_free) Godwit__HostInventory *h = host_look(empty);
    assert_string_equal(h->os, "");
    assert_false(h->samba->configured);
    assert_string_equal(h->samba->role, "");
    assert_int_equal(h->n_volumes + h->n_disks, 0);
    free(empty);
}

static void a_place_is_tried_without_a_trace(void **state)
{
    (void)state;
    char *path = xasprintf("%s/place/not/there", top);
    put("place/x", "x");
    Godwit__HostOrder o = GODWIT__HOST_ORDER__INIT;
    o.path = bytes_of(path);
    struct step_result r;
    run(host_inventory, &o.base, &r);
    assert_int_equal(r.status, STEP_DONE);
    Godwit__HostResult *h = godwit__host_result__unpack(NULL, r.body_len, r.body);
    assert_non_null(h->place);
    assert_false(h->place->exists);
    assert_true(h->place->empty && h->place->writable && h->place->free > 0);
    assert_true(h->place->name_max == 255);
    godwit__host_result__free_unpacked(h, NULL);
    step_result_done(&r);
    assert_false(there("place/not"));
    free(path);
}

/* ── what stood there ── */

static enum step_status aside(const char *path, const char *name, uint64_t *retn, bool *retempty)
{
    Godwit__PrepareOrder o = GODWIT__PREPARE_ORDER__INIT;
    struct step_result r;
    o.path = bytes_of(path);
    o.pair = (char *)(uintptr_t) "0123456789abcdef.1";
    o.create = true;
    o.aside = (char *)(uintptr_t)name;
    run(files_prepare, &o.base, &r);
    enum step_status status = r.status;
    if (r.body) {
        Godwit__PrepareResult *p = godwit__prepare_result__unpack(NULL, r.body_len, r.body);
        *retn = p->aside_entries;
        *retempty = p->empty;
        godwit__prepare_result__free_unpacked(p, NULL);
    }
    step_result_done(&r);
    return status;
}

static void what_was_there_goes_aside(void **state)
{
    (void)state;
    static const char date[] = ".pre-existing-2026-11-21T12-00-00Z";
    char *path = xasprintf("%s/dest", top), *half = xasprintf("dest/%s/late", date);
    uint64_t n = 7;
    bool empty = false;
    assert_int_equal(aside(path, date, &n, &empty), STEP_DONE); /* nothing there: no folder */
    assert_int_equal(n, 0);
    assert_false(there("dest/.pre-existing-2026-11-21T12-00-00Z"));
    put("dest/sub/deep", "x");
    put("dest/file", "x");
    put("dest/lost+found/1", "x");
    assert_int_equal(aside(path, date, &n, &empty), STEP_DONE);
    assert_int_equal(n, 2);
    assert_true(empty);
    assert_true(there("dest/.pre-existing-2026-11-21T12-00-00Z/sub/deep"));
    assert_true(there("dest/lost+found/1"));
    assert_false(there("dest/file"));
    put("dest/late", "x"); /* as if it had been cut off: the rest follows */
    assert_int_equal(aside(path, date, &n, &empty), STEP_DONE);
    assert_int_equal(n, 1);
    assert_true(there(half));
    put("dest/late", "y"); /* never over what is there */
    assert_int_equal(aside(path, date, &n, &empty), STEP_FAILED);
    assert_true(there("dest/late"));
    assert_int_equal(aside(path, ".pre-existing-/../x", &n, &empty), STEP_FAILED);
    assert_int_equal(aside(path, "elsewhere", &n, &empty), STEP_FAILED);
    free(path);
    free(half);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_clients_cannot_open),
        cmocka_unit_test(names_that_a_client_takes_for_one),
        cmocka_unit_test(locks_are_read),
        cmocka_unit_test(open_files_are_read),
        cmocka_unit_test(classes_have_a_count_and_an_example),
        cmocka_unit_test(a_host_is_read_from_its_files),
        cmocka_unit_test(a_bare_host_is_no_error),
        cmocka_unit_test(a_place_is_tried_without_a_trace),
        cmocka_unit_test(what_was_there_goes_aside),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
