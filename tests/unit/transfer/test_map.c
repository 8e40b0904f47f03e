/* test_map: whole transfers through an id map: owners, ACLs and NT descriptors arrive mapped, the
 * next pass finds nothing to do, and another map sends no content. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/store/ntacl.h"
#include "common/base/idmap.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/trees.h"

#define LARGE (9 << 20)
#define MIDDLE (300 << 10)

/* A descriptor of version 1 with the owner S-1-22-1-1001 and nothing else. */
static const char descriptor[] = "0100010000000200010000801c00000000000000000000000000000001020000"
                                 "0000001601000000e9030000";

static struct idmap *map_of(const char *text)
{
    struct idmap *m = NULL;
    struct idmap_error e;
    assert_int_equal(idmap_parse(text, strlen(text), &m, &e), 0);
    return m;
}

static char *there(const char *name)
{
    return xasprintf("%s/%s", destination, name);
}

static void put_acl(const char *name, const char *kind, const char *who)
{
    char *path = in_source(name);
    const char *const argv[] = {"setfacl", kind, who, path, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(path);
}

static void put_descriptor(const char *name)
{
    uint8_t p[sizeof descriptor / 2];
    assert_int_equal(text_unhex(descriptor, p, sizeof p), 0);
    IN_SOURCE(setxattr(path, NTACL_NAME, p, sizeof p, 0), name);
}

static const struct owned {
    const char *name;
    uint32_t uid, gid;
} owned[] = {
    {"small",      1001, 1002},
    {"middle",     1001, 7   },
    {"large",      7,    1002},
    {"link",       1001, 1002},
    {"sub",        1001, 1002},
    {"sub/inside", 1003, 1003},
    {"second",     1004, 1004},
};

static void make_owned(void)
{
    make_dir(source, "sub");
    put_random("small", 100, 1);
    put_random("middle", MIDDLE, 2);
    put_random("large", LARGE, 3);
    put_random("sub/inside", 1000, 4);
    put_random("second", 1000, 5);
    IN_SOURCE(symlink("small", path), "link");
    char *first = in_source("second");
    IN_SOURCE(link(first, path), "sub/other-name");
    free(first);
    for (size_t i = 0; i < ARRAY_SIZE(owned); i++)
        IN_SOURCE(lchown(path, owned[i].uid, owned[i].gid), owned[i].name);
    put_acl("small", "-m", "u:1001:r,u:1003:rw,g:1002:r");
    put_acl("sub", "-m", "d:u:1001:rwx,u:1004:rx");
    put_descriptor("small");
    put_descriptor("large");
    put_descriptor("sub");
}

static void assert_acl(const char *name, const char *kind, const char *map_text)
{
    uint8_t from[512], to[512];
    CLEANUP(idmap_free) struct idmap *m = map_of(map_text);
    char *path = in_source(name), *copy = there(name);
    ssize_t n = getxattr(path, kind, from, sizeof from), k = getxattr(copy, kind, to, sizeof to);
    assert_true(n > 4 && n == k);
    for (ssize_t at = 4; at < n; at += 8) {
        uint32_t was, is;
        memcpy(&was, from + at + 4, sizeof was);
        memcpy(&is, to + at + 4, sizeof is);
        if (from[at] == 2)
            was = idmap_uid(m, was);
        else if (from[at] == 8)
            was = idmap_gid(m, was);
        assert_int_equal(is, was);
    }
    free(path);
    free(copy);
}

static void assert_descriptor(const char *name, uint32_t uid)
{
    uint8_t p[sizeof descriptor / 2];
    char *copy = there(name);
    assert_int_equal(getxattr(copy, NTACL_NAME, p, sizeof p), sizeof p);
    assert_int_equal((uint32_t)p[sizeof p - 4] | (uint32_t)p[sizeof p - 3] << 8, uid);
    free(copy);
}

static void assert_mapped(const char *map_text)
{
    CLEANUP(idmap_free) struct idmap *m = map_of(map_text);
    for (size_t i = 0; i < ARRAY_SIZE(owned); i++) {
        struct stat st;
        char *copy = there(owned[i].name);
        assert_int_equal(lstat(copy, &st), 0);
        assert_int_equal(st.st_uid, idmap_uid(m, owned[i].uid));
        assert_int_equal(st.st_gid, idmap_gid(m, owned[i].gid));
        free(copy);
    }
    assert_acl("small", "system.posix_acl_access", map_text);
    assert_acl("sub", "system.posix_acl_access", map_text);
    assert_acl("sub", "system.posix_acl_default", map_text);
    assert_descriptor("small", idmap_uid(m, 1001));
    assert_descriptor("large", idmap_uid(m, 1001));
    assert_descriptor("sub", idmap_uid(m, 1001));
}

static void pass(const char *map_text, struct transfer_options o, struct both *ret)
{
    CLEANUP(idmap_free) struct idmap *m = map_of(map_text);
    o.map = m;
    transfer(ret, &o);
    assert_done(ret);
    assert_int_equal(ret->received.counters.skipped_meta, 0);
}

static const char first_map[] = "uid,1001,5001\nuid,1003-1004,15003\ngid,1002,800\ngid,7,77\n";
static const char second_map[] = "uid,1001,6001\nuid,1003-1004,15003\ngid,1002,800\ngid,7,77\n";

static void ids_arrive_mapped_and_stay(void **state_)
{
    (void)state_;
    if (geteuid() != 0) {
        print_message("skipped: only root may give files away\n");
        skip();
    }
    struct both b;
    make_owned();
    pass(first_map, (struct transfer_options){.delete_extras = true}, &b);
    assert_mapped(first_map);
    static const struct transfer_options again[] = {
        {.delete_extras = true}, {.checksum = true}, {.evidence = true}};
    for (size_t i = 0; i < ARRAY_SIZE(again); i++) {
        pass(first_map, again[i], &b);
        if (!again[i].evidence && !again[i].checksum) { /* those look at the content again */
            assert_int_equal(b.sent.counters.sent_bytes, 0);
            assert_int_equal(b.received.counters.changed_meta, 0);
        }
        assert_mapped(first_map);
    }
}

static void another_map_sends_no_content(void **state_)
{
    (void)state_;
    if (geteuid() != 0) {
        print_message("skipped: only root may give files away\n");
        skip();
    }
    struct both b;
    make_owned();
    pass(first_map, (struct transfer_options){.lanes = 2}, &b);
    pass(second_map, (struct transfer_options){.dry_run = true}, &b);
    assert_int_equal(b.received.counters.changed_meta, 4); /* small, middle, large, link */
    assert_mapped(first_map);
    pass(second_map, (struct transfer_options){.lanes = 2}, &b);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_int_equal(b.received.counters.changed_meta, 5); /* and the folder */
    assert_mapped(second_map);
    transfer(&b, &(struct transfer_options){.lanes = 2}); /* and none brings back what is there */
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, 1000); /* of several names and another owner */
    assert_same_trees();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ids_arrive_mapped_and_stay, trees_setup, trees_teardown),
        cmocka_unit_test_setup_teardown(another_map_sends_no_content, trees_setup, trees_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
