/* test_leftover: what stands under a temporary name goes, unless it cannot be ours. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "agent/store/leftover.h"
#include "tests/unit/test.h"

static char top[] = "/tmp/godwit-leftover-XXXXXX";
static int root = -1;

static int setup(void **state)
{
    (void)state;
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

static void file(const char *name)
{
    int fd = openat(root, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
}

static void folder(const char *name, mode_t mode)
{
    assert_int_equal(mkdirat(root, name, 0700), 0);
    assert_int_equal(fchmodat(root, name, mode, 0), 0);
}

static bool is_there(const char *name)
{
    struct stat st;
    return fstatat(root, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

static void what_is_ours_goes(void **state)
{
    (void)state;
    uint64_t gone = 0;
    file("file");
    folder("mine", 02700);
    for (unsigned i = 0; i < 5000; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "mine/f%u", i);
        file(name);
    }
    assert_int_equal(symlinkat("mine", root, "link"), 0);
    assert_int_equal(leftover_remove(root, "link", &gone), 0);
    assert_true(is_there("mine/f0"));
    assert_int_equal(leftover_remove(root, "file", &gone), 0);
    assert_int_equal(leftover_remove(root, "mine", &gone), 0);
    assert_int_equal(gone, 5003);
    assert_false(is_there("mine"));
    assert_int_equal(leftover_remove(root, "mine", &gone), -ENOENT);
}

static void what_others_may_enter_stays(void **state)
{
    (void)state;
    uint64_t gone = 0;
    folder("open", 0750);
    file("open/f");
    assert_int_equal(leftover_remove(root, "open", &gone), -EBUSY);
    assert_true(is_there("open/f"));
    folder("theirs", 0700);
    file("theirs/f");
    if (geteuid() == 0) {
        assert_int_equal(fchownat(root, "theirs", 1234, 1234, 0), 0);
        assert_int_equal(leftover_remove(root, "theirs", &gone), -EBUSY);
        assert_true(is_there("theirs/f"));
    }
    assert_int_equal(gone, 0);
}

/* A lane fills a folder with no folders. */
static void folders_in_it_stay(void **state)
{
    (void)state;
    uint64_t gone = 0;
    folder("deep", 0700);
    folder("deep/home", 0700);
    file("deep/home/letter");
    file("deep/f");
    assert_int_equal(leftover_remove(root, "deep", &gone), -EBUSY);
    assert_true(is_there("deep/home/letter"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_ours_goes),
        cmocka_unit_test(what_others_may_enter_stays),
        cmocka_unit_test(folders_in_it_stay),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
