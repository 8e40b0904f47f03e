/* test_file: small files are old or new, never half; reads are bounded. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static char dir[] = "/tmp/godwit-file-XXXXXX";

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char *path = xasprintf("%s/a", dir);
    (void)unlink(path);
    free(path);
    return rmdir(dir);
}

static void what_is_written_comes_back_with_its_mode(void **state)
{
    (void)state;
    char *path = xasprintf("%s/a", dir), *text = NULL;
    size_t len = 0;
    mode_t before = umask(0077);
    assert_int_equal(file_write(path, 0640, "hello", 5), 0);
    (void)umask(before);
    assert_int_equal(file_read(path, 100, &text, &len), 0);
    assert_int_equal(len, 5);
    assert_string_equal(text, "hello");
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0640);
    free(text);
    free(path);
}

static void a_longer_file_is_refused(void **state)
{
    (void)state;
    char *path = xasprintf("%s/a", dir), *text = NULL;
    size_t len = 0;
    assert_int_equal(file_write(path, 0600, "0123456789", 10), 0);
    assert_int_equal(file_read(path, 9, &text, &len), -EFBIG);
    assert_null(text);
    assert_int_equal(file_read(path, 10, &text, &len), 0);
    free(text);
    assert_int_equal(file_read("/no/such/file", 9, &text, &len), -ENOENT);
    free(path);
}

static void folders_are_made_or_the_error_is_told(void **state)
{
    (void)state;
    char *path = xasprintf("%s/x/y/z", dir);
    assert_int_equal(file_mkdirs(path, 0700), 0);
    assert_int_equal(file_mkdirs(path, 0700), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rmdir(path), 0);
        *strrchr(path, '/') = '\0';
    }
    free(path);
    path = xasprintf("%s/a", dir);
    assert_int_equal(file_write(path, 0600, "", 0), 0);
    assert_int_equal(file_mkdirs(path, 0700), -ENOTDIR);
    free(path);
}

static void a_process_gets_the_descriptors_that_it_may_have(void **state)
{
    (void)state;
    struct rlimit before, now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = 64;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    file_raise_limit();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &now), 0);
    assert_int_equal(now.rlim_cur, before.rlim_max < 65536 ? before.rlim_max : 65536);
    assert_int_equal(now.rlim_max, before.rlim_max);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void writes_go_to_their_place(void **state)
{
    (void)state;
    char path[] = "/tmp/writes-at-XXXXXX";
    char got[8] = "";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(file_write_at(fd, "end", 3, 4), 0);
    assert_int_equal(file_write_at(fd, "0123", 4, 0), 0);
    assert_int_equal(file_write_at(fd, "", 0, 100), 0);
    assert_int_equal(pread(fd, got, sizeof got, 0), 7);
    assert_string_equal(got, "0123end");
    (void)close(fd);
    fd = open(path, O_RDONLY);
    assert_int_equal(file_write_at(fd, "x", 1, 0), -EBADF);
    (void)close(fd);
    fd = open("/dev/full", O_WRONLY);
    assert_int_equal(file_write_at(fd, "x", 1, 0), -ENOSPC);
    (void)close(fd);
    (void)unlink(path);
}

/* By both ways: only where nothing is, files and folders; cut short by a crash it goes on. */
static void a_new_name_takes_nobodys_place(void **state_)
{
    (void)state_;
    int (*const ways[])(const char *, const char *) = {file_rename_new, file_rename_by_link};
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        char at[] = "/tmp/new-name-XXXXXX";
        assert_non_null(mkdtemp(at));
        CLEANUP(mem_free) char *a = xasprintf("%s/a", at), *b = xasprintf("%s/b", at);
        assert_int_equal(file_write(a, 0600, "a", 1), 0);
        assert_int_equal(ways[i](a, b), 0);
        assert_int_equal(access(a, F_OK), -1);
        assert_int_equal(file_write(a, 0600, "other", 5), 0);
        assert_int_equal(ways[i](a, b), -EEXIST);
        assert_int_equal(access(a, F_OK), 0);
        assert_int_equal(unlink(a), 0);
        assert_int_equal(mkdir(a, 0700), 0);
        assert_int_equal(ways[i](a, b), -EEXIST);
        assert_int_equal(unlink(b), 0);
        assert_int_equal(ways[i](a, b), 0);
        assert_int_equal(rmdir(b), 0);
        assert_int_equal(ways[i](a, b), -ENOENT);
        assert_int_equal(file_write(a, 0600, "a", 1), 0);
        assert_int_equal(link(a, b), 0);
        assert_int_equal(file_rename_by_link(a, b), 0);
        assert_int_equal(access(a, F_OK), -1);
        assert_int_equal(unlink(b), 0);
        assert_int_equal(rmdir(at), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_go_to_their_place),
        cmocka_unit_test(a_new_name_takes_nobodys_place),
        cmocka_unit_test(what_is_written_comes_back_with_its_mode),
        cmocka_unit_test(a_longer_file_is_refused),
        cmocka_unit_test(folders_are_made_or_the_error_is_told),
        cmocka_unit_test(a_process_gets_the_descriptors_that_it_may_have),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
