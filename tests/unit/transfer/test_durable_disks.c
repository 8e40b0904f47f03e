/* test_durable_disks: each file system that something went to is synced; one that cannot keep what
 * it took ends the transfer. Needs root; skips without. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/grounds.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define BELOW 140U

static bool grounds_ready;
static dev_t broken; /* this file system cannot be synced */
static dev_t synced[2 * BELOW];
static size_t nsynced;

static bool was_synced(dev_t dev)
{
    for (size_t i = 0; i < nsynced; i++)
        if (synced[i] == dev)
            return true;
    return false;
}

int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && broken && st.st_dev == broken) {
        errno = EDQUOT;
        return -1;
    }
    if (nsynced < ARRAY_SIZE(synced) && !was_synced(st.st_dev))
        synced[nsynced++] = st.st_dev;
    return __real_syncfs(fd);
}

static int setup(void **state_)
{
    nsynced = 0;
    broken = 0;
    return trees_setup(state_);
}

static void skip_without_mounts(void)
{
    if (grounds_ready)
        return;
    print_message("skipped: needs root and a mount namespace\n");
    skip();
}

static void a_file_system_below_that_cannot_sync_ends_it(void **state_)
{
    (void)state_;
    skip_without_mounts();
    struct harness h = {.source = source, .destination = destination, .state = state};
    struct step_result sent, received;
    char *below = xasprintf("%s/below", destination);
    struct stat st;
    assert_int_equal(mkdir(destination, 0755), 0);
    if (!grounds_mount("tmpfs", below, 16)) {
        free(below);
        skip();
    }
    assert_int_equal(stat(below, &st), 0);
    broken = st.st_dev;
    make_dir(source, "below");
    put(source, "below/file", "x", 1);
    harness_run(&h, &sent, &received);
    assert_int_equal(received.status, STEP_FAILED);
    assert_int_equal(received.fault.err, EDQUOT);
    assert_int_equal(received.fault.what_next, FAULT_STOP_JOB);
    step_result_done(&sent);
    step_result_done(&received);
    grounds_unmount(below);
    free(below);
}

/* An error can make a file system read-only; from the next sync on it says that all is well, and
 * what it shows of the last run is in memory only. */
static void what_became_read_only_is_not_done(void **state_)
{
    (void)state_;
    struct harness h = {.source = source, .destination = destination, .state = state};
    struct step_result sent, received;
    struct both b;
    if (!grounds_ready || !grounds_mount("ext4", destination, 64)) {
        print_message("skipped: needs root, a mount namespace and mkfs.ext4\n");
        skip();
    }
    put(source, "file", "x", 1);
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(mount(NULL, destination, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    harness_run(&h, &sent, &received);
    assert_int_equal(received.status, STEP_FAILED);
    assert_int_equal(received.fault.err, EROFS);
    step_result_done(&sent);
    step_result_done(&received);
    transfer(&b, &(struct transfer_options){.dry_run = true});
    assert_done(&b);
    grounds_unmount(destination);
}

static char *below(const char *dir, unsigned i)
{
    return xasprintf("%s/m%u", dir, i);
}

static void each_file_system_below_is_synced(void **state_)
{
    (void)state_;
    struct stat st;
    struct both b;
    skip_without_mounts();
    assert_int_equal(mkdir(destination, 0755), 0);
    for (unsigned i = 0; i < BELOW; i++) {
        char *from = below(source, i), *to = below(destination, i);
        assert_int_equal(mkdir(from, 0755), 0);
        assert_int_equal(mkdir(to, 0755), 0);
        assert_int_equal(mount("none", to, "tmpfs", 0, "size=64k"), 0);
        if (i > 0) /* of the first only the folder itself is touched */
            put(from, "file", "x", 1);
        free(from);
        free(to);
    }
    transfer(&b, NULL);
    assert_done(&b);
    for (unsigned i = 0; i < BELOW; i++) {
        char *to = below(destination, i);
        assert_int_equal(stat(to, &st), 0);
        assert_true(was_synced(st.st_dev));
        assert_int_equal(umount(to), 0);
        free(to);
    }
}

int main(void)
{
    const char *const argv[] = {"sh", "-c", "command -v rsync >/dev/null", NULL};
    if (trees_run(argv) != 0) {
        (void)fprintf(stderr, "skipped: rsync is not installed\n");
        return 77;
    }
    grounds_ready = grounds_enter();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_file_system_below_that_cannot_sync_ends_it, setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(what_became_read_only_is_not_done, setup, trees_teardown),
        cmocka_unit_test_setup_teardown(each_file_system_below_is_synced, setup, trees_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
