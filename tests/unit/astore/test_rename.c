/* test_rename: a new name spares what has it, also on a file system that knows no such rename; and
 * there too a tree of any depth is removed. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "agent/store/rename.h"
#include "tests/unit/test.h"

static char top[] = "/tmp/godwit-rename-XXXXXX";
static int root = -1;
static int refusal; /* what a rename with flags gets; 0: it is made */
static unsigned refused;

int __real_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    if (!refusal || !flags)
        return __real_renameat2(from, old, to, new, flags);
    refused++;
    errno = refusal;
    return -1;
}

static int setup(void **state)
{
    (void)state;
    refusal = 0;
    refused = 0;
    memcpy(top + sizeof top - 7, "XXXXXX", 6);
    if (!mkdtemp(top))
        return -1;
    root = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return root < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    uint64_t gone = 0;
    (void)close(root);
    int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)beneath_remove(tmp, top + sizeof "/tmp", &gone);
    return close(tmp);
}

static void file(const char *name, off_t size)
{
    int fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    (void)close(fd);
}

static off_t size_of(const char *name)
{
    struct stat st;
    return fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_size : -1;
}

static void spares(void)
{
    file("one", 1);
    file("two", 2);
    assert_int_equal(mkdirat(root, "empty", 0700), 0);
    assert_int_equal(mkdirat(root, "folder", 0700), 0);
    assert_int_equal(symlinkat("nowhere", root, "link"), 0);
    assert_int_equal(rename_new(root, "one", root, "two"), -EEXIST);
    assert_int_equal(rename_new(root, "one", root, "empty"), -EEXIST);
    assert_int_equal(rename_new(root, "one", root, "link"), -EEXIST);
    assert_int_equal(rename_new(root, "folder", root, "empty"), -EEXIST);
    assert_int_equal(size_of("one"), 1);
    assert_int_equal(size_of("two"), 2);
    assert_int_equal(rename_new(root, "none", root, "three"), -ENOENT);
    assert_int_equal(rename_new(root, "one", root, "none/three"), -ENOENT);
    assert_int_equal(rename_new(root, "one", root, "three"), 0);
    assert_int_equal(size_of("one"), -1);
    assert_int_equal(size_of("three"), 1);
    assert_int_equal(rename_new(root, "folder", root, "there"), 0);
    assert_int_equal(faccessat(root, "there", F_OK, 0), 0);
}

static void what_has_the_name_is_spared(void **state)
{
    (void)state;
    spares();
    assert_int_equal(refused, 0);
}

static void also_where_no_rename_can(void **state)
{
    (void)state;
    refusal = EINVAL;
    spares();
    assert_int_equal(refused, 8);
}

static void another_refusal_stays(void **state)
{
    (void)state;
    file("one", 1);
    refusal = EROFS;
    assert_int_equal(rename_new(root, "one", root, "two"), -EROFS);
    assert_int_equal(size_of("one"), 1);
}

/* Deeper than descriptors are held for. */
static void a_deep_tree_is_removed_there(void **state)
{
    (void)state;
    char path[2 * 300];
    bool made = false;
    uint64_t gone = 0;
    for (size_t i = 0; i < sizeof path; i += 2)
        memcpy(path + i, "d/", 2);
    (void)close(beneath_mkdirs(root, path, sizeof path - 1, false, &made));
    assert_true(made);
    refusal = EINVAL;
    assert_int_equal(beneath_remove(root, "d", &gone), 0);
    assert_int_equal(gone, 300);
    assert_true(refused > 0);
    assert_int_equal(faccessat(root, "d", F_OK, AT_SYMLINK_NOFOLLOW), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_has_the_name_is_spared, setup, teardown),
        cmocka_unit_test_setup_teardown(also_where_no_rename_can, setup, teardown),
        cmocka_unit_test_setup_teardown(another_refusal_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(a_deep_tree_is_removed_there, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
