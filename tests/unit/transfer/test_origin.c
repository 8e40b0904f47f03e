/* test_origin: a source that is not the folder of earlier passes deletes nothing, and one that is
 * deletes what it is told to, also when it has nothing any more. On real file systems in loop
 * devices.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/grounds.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/passes.h"
#include "tests/unit/transfer/trees.h"

static const char *const kinds[] = {"ext4", "xfs", "btrfs"};

static const struct transfer_options deletes = {.delete_extras = true},
                                     meant = {.delete_extras = true, .any_root = true};

/* By another device than before, as a disk after a start of its host. */
static void mount_again(void)
{
    char *other = xasprintf("%s/other", base);
    char *script = xasprintf("mount -o loop '%s.img' '%s'", source, source);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_true(grounds_mount("ext4", other, 4)); /* takes the loop device that was let go */
    assert_int_equal(trees_run(argv), 0);
    grounds_unmount(other);
    free(other);
    free(script);
}

static void unmount(void)
{
    const char *const argv[] = {"umount", source, NULL};
    assert_int_equal(trees_run(argv), 0);
}

static bool ground(const char *kind)
{
    if (!grounds_mount(kind, source, 320))
        return false;
    sh("rm -rf lost+found; mkdir sub; echo 1 >sub/one; echo 2 >two");
    return true;
}

static void is_done(const struct transfer_options *o)
{
    struct both b;
    pass(&b, o);
    assert_done(&b);
}

static void is_refused(const struct transfer_options *o)
{
    struct both b;
    pass(&b, o);
    assert_int_equal(b.received.status, STEP_FAILED);
    assert_int_equal(b.received.fault.err, ENODEV);
    assert_int_equal(b.received.counters.deleted, 0);
    assert_non_null(strstr(b.received.fault.text, "--override source-root"));
    sh_in(destination, "test -f sub/one && test -f two");
}

static void a_disk_that_is_not_mounted(const char *kind)
{
    if (!ground(kind))
        return;
    is_done(&deletes);
    assert_same_trees();
    unmount();
    is_refused(&deletes);
    is_refused(&(struct transfer_options){.delete_extras = true, .dry_run = true});
    sh("echo stray >stray"); /* one file is not the disk */
    is_refused(&deletes);
    is_done(
        &(struct transfer_options){.delta = true}); /* deletes nothing, and is no pass to go by */
    is_refused(&deletes);
    sh("rm stray");
    mount_again();
    is_done(&deletes);
    assert_same_trees();
    sh("rm -r sub two"); /* told to, and it is the same folder */
    is_done(&deletes);
    assert_same_trees();
    grounds_unmount(source);
    sh_in(base, "mkdir -p source");
}

static void a_disk_that_is_not_mounted_deletes_nothing(void **state_)
{
    (void)state_;
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        if (i > 0) {
            assert_int_equal(trees_teardown(state_), 0);
            assert_int_equal(trees_setup(state_), 0);
        }
        a_disk_that_is_not_mounted(kinds[i]);
    }
}

static void another_disk_is_taken_when_it_is_meant(void **state_)
{
    (void)state_;
    if (!ground("ext4"))
        skip();
    is_done(&deletes);
    grounds_unmount(source);
    assert_true(ground("ext4"));
    sh("rm two; echo 3 >three");
    is_refused(&deletes);
    is_done(&meant);
    assert_same_trees();
    sh("rm three");
    is_done(&deletes); /* from now on it is the one */
    assert_same_trees();
    grounds_unmount(source);
    sh_in(base, "mkdir -p source");
}

/* Nothing was ever received from it, so there is nothing to lose. */
static void a_first_pass_without_the_disk_binds_nobody(void **state_)
{
    (void)state_;
    assert_int_equal(mkdir(destination, 0755), 0);
    put(destination, "older", "x", 1);
    is_done(&(struct transfer_options){.delta = true});
    if (!ground("ext4"))
        skip();
    is_done(&deletes);
    is_done(&deletes);
    assert_same_trees();
    unmount();
    is_refused(&deletes);
    sh_in(base, "mkdir -p source");
}

/* On the file system that it was on, as a bind mount that is not there. */
static void another_folder_that_is_empty_deletes_nothing(void **state_)
{
    (void)state_;
    sh("mkdir sub; echo 1 >sub/one; echo 2 >two");
    is_done(&deletes);
    sh_in(base, "mv source away; mkdir source");
    is_refused(&deletes);
    is_refused(&(struct transfer_options){.delete_extras = true, .evidence = true});
    is_done(&(struct transfer_options){.delta = true});
    is_refused(&deletes);
    sh("echo 3 >three"); /* a folder that was put in its place */
    is_done(&deletes);
    assert_same_trees();
    sh("rm three");
    is_done(&deletes);
    assert_same_trees();
    sh_in(base, "rm -r away");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, trees_setup, trees_teardown)

int main(void)
{
    if (!grounds_enter())
        return 77;
    const struct CMUnitTest tests[] = {
        CASE(a_disk_that_is_not_mounted_deletes_nothing),
        CASE(another_disk_is_taken_when_it_is_meant),
        CASE(a_first_pass_without_the_disk_binds_nobody),
        CASE(another_folder_that_is_empty_deletes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
