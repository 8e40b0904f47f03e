/* test_depot: where Samba's vfs_streams_depot looks for a file's streams, and what stands there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/pull/depot.h"
#include "agent/store/beneath.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static char dir[] = "/tmp/depot-test-XXXXXX";
static int root = -1, depot = -1;

static int setup(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(dir));
    root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(mkdirat(root, "depot", 0700), 0);
    depot = openat(root, "depot", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fchmod(depot, 01777), 0);
    return depot < 0;
}

static int teardown(void **state)
{
    (void)state;
    uint64_t removed = 0;
    (void)beneath_remove(root, "depot", &removed);
    (void)beneath_remove(root, "file", &removed);
    (void)beneath_remove(root, "other", &removed);
    (void)fd_close(depot);
    (void)fd_close(root);
    return rmdir(dir);
}

/* As smbd of Samba 4.17 named them. */
static void the_folder_goes_by_device_and_inode(void **state)
{
    (void)state;
    static const struct {
        uint64_t dev, ino;
        const char *path;
    } cases[] = {
        {0xfd01, 123456789, "78/2F/01FD00000000000015CD5B0700000000"},
        {0xfd01, 2,         "D4/38/01FD0000000000000200000000000000"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct stat st = {.st_dev = cases[i].dev, .st_ino = cases[i].ino};
        char path[DEPOT_PATH_MAX];
        depot_path(&st, path);
        assert_string_equal(path, cases[i].path);
    }
}

static int file_of(const char *name, mode_t mode)
{
    int fd = openat(root, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    return fd;
}

static void a_stream_is_whole_and_its_files(void **state)
{
    (void)state;
    CLEANUP(fd_close) int file = file_of("file", 0664);
    struct stat st, is;
    char path[DEPOT_PATH_MAX];
    assert_int_equal(fstat(file, &st), 0);
    CLEANUP(fd_close) int folder = depot_enter(depot, &st);
    assert_true(folder >= 0);
    CLEANUP(fd_close) int again = depot_enter(depot, &st);
    assert_true(again >= 0);
    depot_path(&st, path);
    assert_int_equal(fstatat(depot, path, &is, 0), 0);
    assert_int_equal(is.st_mode & 07777, 0775);
    path[5] = '\0';
    assert_int_equal(fstatat(depot, path, &is, 0), 0);
    assert_int_equal(is.st_mode & 07777, 01777); /* as open as the depot */
    CLEANUP(fd_close)
    int fd = openat(folder, "temp", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "abc", 3), 3);
    assert_int_equal(depot_place(folder, fd, "temp", ":a:$DATA", file), 0);
    assert_int_equal(fstatat(folder, ":a:$DATA", &is, 0), 0);
    assert_int_equal(is.st_size, 3);
    assert_int_equal(is.st_mode & 07777, 0664);
    assert_int_equal(is.st_uid, st.st_uid);
    assert_int_equal(faccessat(folder, "temp", F_OK, 0), -1);
}

/* Whoever may write to the depot must not lead us elsewhere. */
static void a_link_on_the_way_is_not_followed(void **state)
{
    (void)state;
    CLEANUP(fd_close) int file = file_of("other", 0600);
    struct stat st;
    char path[DEPOT_PATH_MAX];
    assert_int_equal(fstat(file, &st), 0);
    depot_path(&st, path);
    path[2] = '\0';
    (void)unlinkat(depot, path, AT_REMOVEDIR);
    if (symlinkat("/tmp", depot, path) < 0)
        return; /* the other test's file has the same first two digits */
    assert_true(depot_enter(depot, &st) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_folder_goes_by_device_and_inode),
        cmocka_unit_test(a_stream_is_whole_and_its_files),
        cmocka_unit_test(a_link_on_the_way_is_not_followed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
