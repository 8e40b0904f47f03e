/* test_steps: inventory, prepare and clean as the agent runs them, on trees made here. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "agent/files/inventory_priv.h"
#include "agent/files/tally.h"
#include "agent/store/beneath.h"
#include "agent/store/catalogue.h"
#include "agent/store/failures.h"
#include "agent/store/pairname.h"
#include "agent/transfer/temp.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "proto/files.pb-c.h"
#include "tests/unit/files/step_stub.h"
#include "tests/unit/test.h"

static char top[64];
static int root = -1;

static int setup(void **state)
{
    (void)state;
    (void)snprintf(top, sizeof top, "/var/tmp/godwit-steps-%d", (int)getpid());
    (void)umask(022);
    if (mkdir(top, 0755) < 0)
        return -1;
    root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return root < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    uint64_t n = 0;
    int dir = open("/var/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)beneath_remove(dir, top + sizeof "/var/tmp/" - 1, &n);
    (void)close(dir);
    (void)close(root);
    return 0;
}

static void folder(const char *name)
{
    bool made = false;
    int fd = beneath_mkdirs(root, name, strlen(name), false, &made);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0755), 0);
    (void)close(fd);
}

static void file(const char *name, size_t bytes)
{
    int fd = beneath_open(root, name, strlen(name), O_WRONLY | O_CREAT, 0644);
    assert_true(fd >= 0);
    for (; bytes > 0; bytes--)
        assert_int_equal(write(fd, "x", 1), 1);
    (void)close(fd);
}

static ProtobufCBinaryData bytes_of(const char *path)
{
    return (ProtobufCBinaryData){.len = strlen(path), .data = (uint8_t *)(uintptr_t)path};
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

static Godwit__InventoryResult *count(const char *path, struct step_result *ret)
{
    Godwit__InventoryOrder o = GODWIT__INVENTORY_ORDER__INIT;
    o.path = bytes_of(path);
    run(files_inventory, &o.base, ret);
    return ret->body ? godwit__inventory_result__unpack(NULL, ret->body_len, ret->body) : NULL;
}

static bool can_flag; /* this file system keeps nodump */

static void make_tree(void)
{
    folder("tree/a/b");
    file("tree/empty", 0);
    file("tree/small", 100);
    file("tree/a/larger", 5000);
    file("tree/a/caf\xe9", 1);
    file("tree/a/gr\xc3\xbc\xc3\x9f", 1);
    assert_int_equal(linkat(root, "tree/small", root, "tree/a/b/small-too", 0), 0);
    assert_int_equal(symlinkat("x", root, "tree/link"), 0);
    assert_int_equal(mkfifoat(root, "tree/fifo", 0600), 0);
    int fd = beneath_open(root, "tree/sparse", 11, O_WRONLY | O_CREAT, 04755);
    assert_int_equal(ftruncate(fd, 1 << 20), 0);
    unsigned flags = FS_NODUMP_FL;
    can_flag = ioctl(fd, FS_IOC_SETFLAGS, &flags) == 0;
    (void)fsetxattr(fd, "user.x", "1", 1, 0);
    (void)close(fd);
}

static void an_inventory_counts_what_is_there(void **state)
{
    (void)state;
    make_tree();
    struct step_result r;
    char *path = xasprintf("%s/tree", top);
    Godwit__InventoryResult *i = count(path, &r);
    assert_int_equal(r.status, STEP_DONE);
    assert_non_null(i);
    assert_int_equal(i->files, 7);
    assert_int_equal(i->folders, 3);
    assert_int_equal(i->symlinks, 1);
    assert_int_equal(i->fifos, 1);
    assert_int_equal(i->bytes, 100 + 100 + 5000 + 2 + (1 << 20));
    assert_int_equal(i->hard_linked, 2);
    assert_int_equal(i->sparse, 1);
    assert_int_equal(i->setid, 1);
    assert_int_equal(i->with_xattr, 1);
    assert_int_equal(i->with_acl, 0);
    assert_int_equal(i->with_flags, can_flag);
    assert_int_equal(i->with_birth, can_flag ? 12 - 1 : i->with_birth); /* all but the root */
    assert_true(i->with_birth == 0 || i->newest_birth_ms >= i->oldest_birth_ms);
    assert_int_equal(i->sealed + i->with_nfs4_acl + i->shared_files, 0);
    assert_int_equal(i->non_utf8, 1);
    assert_int_equal(i->largest_folder, 6);
    assert_int_equal(i->deepest, 3);
    assert_int_equal(i->longest_path, sizeof "a/b/small-too" - 1);
    assert_int_equal(i->n_size_histogram, TALLY_SIZES);
    assert_int_equal(i->size_histogram[0], 1);
    assert_int_equal(i->size_histogram[1], 4);
    assert_int_equal(i->size_histogram[2], 1);
    assert_int_equal(i->unreadable, 0);
    assert_true(i->newest_ms >= i->oldest_ms && i->oldest_ms > 1600000000000);
    assert_true(i->fs_size > 0 && i->file_system[0]);
    assert_int_equal(r.counters.entries, 12);
    godwit__inventory_result__free_unpacked(i, NULL);
    step_result_done(&r);
    free(path);
}

static void a_count_says_how_far_it_is_at_least(void **state)
{
    (void)state;
    static const struct {
        uint64_t files, allocated, used_inodes, used_bytes;
        unsigned want;
    } cases[] = {
        {0,    0,    1000, 4096, 0 },
        {250,  0,    1000, 4096, 25},
        {999,  0,    1000, 4096, 99},
        {5000, 0,    1000, 4096, 99}, /* names of hard links */
        {250,  1024, 0,    4096, 25}, /* btrfs counts no inodes */
        {250,  1024, 0,    0,    0 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct tally t = {.files = cases[i].files, .allocated = cases[i].allocated};
        assert_int_equal(inventory_percent(&t, cases[i].used_inodes, cases[i].used_bytes),
                         cases[i].want);
    }
}

static void a_missing_source_stops_the_job(void **state)
{
    (void)state;
    static const char *const paths[] = {"/no/such/folder", "", "relative", "/etc/passwd"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        struct step_result r;
        assert_null(count(paths[i], &r));
        assert_int_equal(r.status, STEP_FAILED);
        assert_int_equal(r.fault.what_next, FAULT_STOP_JOB);
        step_result_done(&r);
    }
}

/* "tree/a" and what lies in it, one within another, and one that is not there. */
static void shared_folders_are_counted_by_themselves(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        unsigned files, folders, bytes;
    } want[] = {
        {"",    7, 3, 5202 + (1 << 20)},
        {"a",   4, 2, 5102            },
        {"a/b", 1, 1, 100             },
        {"no",  0, 1, 0               },
        {"sma", 0, 1, 0               }, /* no folder, but the beginning of a name */
    };
    ProtobufCBinaryData parts[ARRAY_SIZE(want)];
    Godwit__InventoryOrder o = GODWIT__INVENTORY_ORDER__INIT;
    struct step_result r;
    char *path = xasprintf("%s/tree", top);
    for (size_t i = 0; i < ARRAY_SIZE(want); i++)
        parts[i] = bytes_of(want[i].path);
    o.path = bytes_of(path);
    o.parts = parts;
    o.n_parts = ARRAY_SIZE(want);
    run(files_inventory, &o.base, &r);
    Godwit__InventoryResult *i = godwit__inventory_result__unpack(NULL, r.body_len, r.body);
    assert_int_equal(i->n_parts, ARRAY_SIZE(want));
    for (size_t k = 0; k < ARRAY_SIZE(want); k++) {
        const Godwit__InventoryPart *p = i->parts[k];
        if (p->files != want[k].files || p->folders != want[k].folders || p->bytes != want[k].bytes)
            fail_msg("'%s' has %u files, %u folders, %u bytes", want[k].path, (unsigned)p->files,
                     (unsigned)p->folders, (unsigned)p->bytes);
    }
    assert_int_equal(i->parts[0]->newest_ms, i->newest_ms);
    assert_memory_equal(i->parts[0]->size_histogram, i->size_histogram,
                        TALLY_SIZES * sizeof *i->size_histogram);
    godwit__inventory_result__free_unpacked(i, NULL);
    step_result_done(&r);
    free(path);
}

static void a_cancelled_inventory_stops(void **state)
{
    (void)state;
    Godwit__InventoryOrder o = GODWIT__INVENTORY_ORDER__INIT;
    o.path = bytes_of("/usr");
    uint8_t packed[64];
    size_t len = godwit__inventory_order__pack(&o, packed);
    struct step *s = step_stub_new(top, packed, len);
    struct step_result r = {.status = 0};
    step_stub_cancel(s);
    files_inventory(s, &r);
    assert_int_equal(r.status, STEP_STOPPED);
    (void)step_stub_free(s);
    step_result_done(&r);
}

/* In a child: the lab of an ordinary user. Returns 0 when all was as it should be. */
static int count_as_user(const char *path)
{
    struct step_result r;
    if (setgid(1000) < 0 || setuid(1000) < 0)
        return 1;
    Godwit__InventoryResult *i = count(path, &r);
    if (!i || r.status != STEP_PARTIAL || r.ngroups != 1 || i->unreadable != 1)
        return 2;
    if (r.groups[0].err != EACCES || strcmp(r.groups[0].examples[0], "closed") != 0)
        return 3;
    return i->files == 1 ? 0 : 4;
}

static void an_unreadable_folder_is_named(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    folder("user");
    folder("user/closed");
    file("user/closed/file", 1);
    file("user/open", 1);
    assert_int_equal(fchmodat(root, "user/closed", 0, 0), 0);
    char *path = xasprintf("%s/user", top);
    int status = 0;
    assert_int_equal(chmod(top, 0777), 0); /* the spill file goes there */
    pid_t pid = fork();
    if (pid == 0)
        _exit(count_as_user(path));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    free(path);
}

static enum step_status prepare(const char *path, bool create, bool *retempty)
{
    Godwit__PrepareOrder o = GODWIT__PREPARE_ORDER__INIT;
    struct step_result r;
    o.path = bytes_of(path);
    o.pair = (char *)(uintptr_t) "0123456789abcdef.1";
    o.create = create;
    run(files_prepare, &o.base, &r);
    enum step_status status = r.status;
    if (r.body) {
        Godwit__PrepareResult *p = godwit__prepare_result__unpack(NULL, r.body_len, r.body);
        *retempty = p->empty;
        assert_true(p->fs_free > 0 && p->file_system[0]);
        assert_true(p->privileged == (geteuid() == 0));
        godwit__prepare_result__free_unpacked(p, NULL);
    }
    step_result_done(&r);
    return status;
}

static void a_destination_is_looked_at(void **state)
{
    (void)state;
    struct stat st;
    bool empty = false;
    char *path = xasprintf("%s/new/deep", top), *full = xasprintf("%s/tree", top);
    assert_int_equal(prepare(path, false, &empty), STEP_DONE);
    assert_true(empty);
    assert_int_equal(stat(path, &st), -1); /* looking makes nothing */
    assert_int_equal(prepare(path, true, &empty), STEP_DONE);
    assert_true(empty);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(prepare(path, true, &empty), STEP_DONE); /* again */
    assert_int_equal(prepare(full, true, &empty), STEP_DONE);
    assert_false(empty);
    assert_int_equal(prepare("/proc", true, &empty), STEP_FAILED);
    assert_int_equal(prepare("/etc/passwd", true, &empty), STEP_FAILED);
    free(path);
    free(full);
}

static void cleaning_takes_only_the_pairs_own(void **state)
{
    (void)state;
    static const char pair[] = "0123456789abcdef.2";
    char token[PAIR_TOKEN_LEN + 1], other[PAIR_TOKEN_LEN + 1], mine[PAIR_TEMP_MAX],
        filled[PAIR_TEMP_MAX], theirs[PAIR_TEMP_MAX];
    pair_token(pair, token);
    pair_token("0123456789abcdef.3", other);
    pair_temp_name(token, 17, mine);
    pair_temp_name(token, 18, filled);
    pair_temp_name(other, 17, theirs);
    folder("clean/sub");
    char *a = xasprintf("clean/sub/%s", mine), *b = xasprintf("clean/sub/%s", theirs),
         *c = xasprintf("clean/%sx", mine), *path = xasprintf("%s/clean", top),
         *dir = xasprintf("%s/catalogue", top), *db = pair_catalogue_path(top, pair),
         *d = xasprintf("clean/%s", filled), *e = xasprintf("clean/%s/f", filled);
    folder(d);
    assert_int_equal(fchmodat(root, d, 0700, 0), 0); /* as it is while it is filled */
    file(e, 1);
    file(a, 1);
    file(b, 1);
    file(c, 1);
    assert_int_equal(file_mkdirs(dir, 0700), 0);
    struct catalogue *cat = NULL;
    assert_int_equal(catalogue_open(&cat, db), 0);
    (void)catalogue_close(cat);
    char *failed = temp_state_path(top, pair, "failed"), *sent = temp_state_path(top, pair, "sent");
    assert_int_equal(file_write(failed, 0600, "x", 2), 0);
    assert_int_equal(file_write(sent, 0600, "x", 2), 0);
    Godwit__CleanOrder o = GODWIT__CLEAN_ORDER__INIT;
    o.pair = (char *)(uintptr_t)pair;
    o.path = bytes_of(path);
    for (int i = 0; i < 2; i++) { /* again: nothing left to do */
        struct step_result r;
        run(files_clean, &o.base, &r);
        assert_int_equal(r.status, STEP_DONE);
        assert_int_equal(r.counters.deleted, i == 0 ? 3 : 0);
        step_result_done(&r);
    }
    assert_int_equal(faccessat(root, a, F_OK, 0), -1);
    assert_int_equal(faccessat(root, b, F_OK, 0), 0);
    assert_int_equal(faccessat(root, c, F_OK, 0), 0);
    assert_int_equal(access(db, F_OK), -1);
    assert_int_equal(access(failed, F_OK), -1);
    assert_int_equal(access(sent, F_OK), -1);
    assert_int_equal(faccessat(root, d, F_OK, 0), -1);
    char *all[] = {a, b, c, d, e, path, dir, db, failed, sent};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        free(all[i]);
}

static void a_bad_order_is_refused(void **state)
{
    (void)state;
    static void (*const steps[])(struct step *, struct step_result *) = {
        files_inventory, files_prepare, files_clean};
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        struct step_result r = {.status = 0};
        struct step *s = step_stub_new(top, "\xff\xff\xff", 3);
        steps[i](s, &r);
        assert_int_equal(r.status, STEP_FAILED);
        (void)step_stub_free(s);
        step_result_done(&r);
    }
    Godwit__CleanOrder o = GODWIT__CLEAN_ORDER__INIT;
    struct step_result r;
    o.pair = (char *)(uintptr_t) "../../etc";
    run(files_clean, &o.base, &r);
    assert_int_equal(r.status, STEP_FAILED);
    step_result_done(&r);
}

static void failures_are_grouped_within_bounds(void **state)
{
    (void)state;
    struct failures *f = failures_new();
    struct step_result r = {.status = 0};
    for (int i = 0; i < 100; i++)
        failures_add(f, EACCES, "open", "caf\xe9", 4);
    for (int err = 1; err <= 60; err++)
        failures_add(f, err, "read", "x", 1);
    assert_int_equal(failures_count(f), 160);
    failures_take(f, &r);
    assert_int_equal(r.ngroups, 32);
    assert_int_equal(r.groups[0].count, 100);
    assert_int_equal(r.groups[0].nexamples, 5);
    assert_string_equal(r.groups[0].examples[0], "caf\\xe9");
    assert_string_equal(r.groups[31].what, "other");
    assert_int_equal(r.groups[31].count, 60 - 30);
    step_result_done(&r);
    (void)failures_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_inventory_counts_what_is_there),
        cmocka_unit_test(shared_folders_are_counted_by_themselves),
        cmocka_unit_test(a_count_says_how_far_it_is_at_least),
        cmocka_unit_test(a_missing_source_stops_the_job),
        cmocka_unit_test(a_cancelled_inventory_stops),
        cmocka_unit_test(an_unreadable_folder_is_named),
        cmocka_unit_test(a_destination_is_looked_at),
        cmocka_unit_test(cleaning_takes_only_the_pairs_own),
        cmocka_unit_test(a_bad_order_is_refused),
        cmocka_unit_test(failures_are_grouped_within_bounds),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
