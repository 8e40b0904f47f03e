/* test_beneath: links on the way are refused, depth has no limit, removing stays inside. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/store/beneath.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/astore/ground.h"
#include "tests/unit/test.h"

#define OPEN(root, path, flags) beneath_open(root, path, strlen(path), flags, 0600)

static int root = -1;
static bool has_mounts;

static int setup(void **state)
{
    (void)state;
    has_mounts = ground_open(GROUND_TMPFS) >= 0; /* first: it gives this process its own mounts */
    root = ground_open(GROUND_DISK);
    return root < 0 ? -1 : 0;
}

static int teardown(void **state)
{
    (void)state;
    (void)close(root);
    ground_remove();
    return 0;
}

static void shapes_of_paths(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        size_t len;
        bool valid;
    } cases[] = {
        {"",       0, true },
        {"a",      1, true },
        {"a/b",    3, true },
        {"...",    3, true },
        {"a/..b",  5, true },
        {"/a",     2, false},
        {"a/",     2, false},
        {"a//b",   4, false},
        {".",      1, false},
        {"..",     2, false},
        {"a/..",   4, false},
        {"a/./b",  5, false},
        {"../a",   4, false},
        {"a\0b",   3, false},
        {"/",      1, false},
        {"\n\xff", 2, true },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (beneath_valid(cases[i].path, cases[i].len) != cases[i].valid)
            fail_msg("'%s'", cases[i].path);
    char name[257];
    memset(name, 'a', sizeof name);
    assert_true(beneath_valid_name(name, 255));
    assert_false(beneath_valid_name(name, 256));
    assert_false(beneath_valid(name, 256));
}

static void links_are_refused(void **state)
{
    (void)state;
    bool made = false;
    (void)close(beneath_mkdirs(root, "real/sub", 8, false, &made));
    assert_true(made);
    (void)close(OPEN(root, "real/sub/file", O_WRONLY | O_CREAT));
    assert_int_equal(symlinkat("real", root, "link"), 0);
    assert_int_equal(symlinkat("file", root, "real/sub/last"), 0);
    assert_int_equal(symlinkat("../..", root, "real/up"), 0);
    assert_int_equal(symlinkat("/etc", root, "abs"), 0);
    static const struct {
        const char *path;
        int flags, rc;
    } cases[] = {
        {"real/sub/file", O_RDONLY,               0       },
        {"real/sub/last", O_RDONLY,               -ELOOP  },
        {"real/sub/last", O_WRONLY | O_CREAT,     -ELOOP  },
        {"real/sub/last", O_PATH,                 0       }, /* the link itself */
        {"link/sub/file", O_RDONLY,               -ELOOP  },
        {"link/sub/file", O_PATH,                 -ELOOP  },
        {"link/new",      O_WRONLY | O_CREAT,     -ELOOP  },
        {"link",          O_RDONLY | O_DIRECTORY, -ENOTDIR},
        {"abs/passwd",    O_RDONLY,               -ELOOP  },
        {"real/up/real",  O_RDONLY,               -ELOOP  },
        {"real/../real",  O_RDONLY,               -EINVAL },
        {"/etc/passwd",   O_RDONLY,               -EINVAL },
        {"real/none",     O_RDONLY,               -ENOENT },
        {"",              O_RDONLY | O_DIRECTORY, 0       },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int fd = OPEN(root, cases[i].path, cases[i].flags);
        if (cases[i].rc == 0 ? fd < 0 : fd != cases[i].rc)
            fail_msg("'%s': %d", cases[i].path, fd);
        (void)close(fd);
    }
}

static void folders_replace_only_when_told(void **state)
{
    (void)state;
    bool made = true;
    (void)close(beneath_mkdirs(root, "f/a/b/c", 7, false, &made));
    assert_true(made);
    int fd = beneath_mkdirs(root, "f/a/b/c", 7, false, &made);
    assert_true(fd >= 0 && !made);
    (void)close(fd);
    (void)close(OPEN(root, "f/file", O_WRONLY | O_CREAT));
    assert_int_equal(symlinkat("/etc", root, "f/link"), 0);
    assert_int_equal(beneath_mkdirs(root, "f/file", 6, false, &made), -ENOTDIR);
    assert_true(beneath_mkdirs(root, "f/link", 6, false, &made) < 0);
    assert_int_equal(beneath_mkdirs(root, "f/link/x", 8, true, &made), -ENOTDIR);
    assert_int_equal(beneath_mkdirs(root, "f/new/../x", 10, true, &made), -EINVAL);
    fd = beneath_mkdirs(root, "f/file", 6, true, &made);
    assert_true(fd >= 0 && made);
    (void)close(fd);
    fd = beneath_mkdirs(root, "f/link", 6, true, &made);
    assert_true(fd >= 0 && made);
    (void)close(fd);
}

static void a_made_folder_inherits_no_acl(void **state)
{
    (void)state;
    bool made = false;
    int parent = beneath_mkdirs(root, "acl", 3, false, &made);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", parent);
    acl_t a = acl_from_text("u::rwx,u:9:rwx,g::rx,m::rwx,o::-");
    assert_int_equal(acl_set_file(path, ACL_TYPE_DEFAULT, a), 0);
    (void)acl_free(a);
    int fd = beneath_mkdirs(root, "acl/sub", 7, false, &made);
    assert_true(fd >= 0 && made);
    assert_int_equal(fgetxattr(fd, "system.posix_acl_default", NULL, 0), -1);
    assert_int_equal(errno, ENODATA);
    (void)close(fd);
    (void)close(parent);
}

/* More than PATH_MAX bytes, and more levels than descriptors a process gets. */
static char *deep_path(size_t levels, size_t *retlen)
{
    static const char level[] = "folder-of-20-bytes-/";
    char *path = xmalloc(levels * (sizeof level - 1));
    for (size_t i = 0; i < levels; i++)
        memcpy(path + i * (sizeof level - 1), level, sizeof level - 1);
    *retlen = levels * (sizeof level - 1) - 1;
    return path;
}

static void depth_beyond_path_max(void **state)
{
    (void)state;
    size_t len = 0;
    bool made = false;
    struct rlimit few, before;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = 256;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    char *path = deep_path(1500, &len);
    int fd = beneath_mkdirs(root, path, len, false, &made);
    assert_true(fd >= 0 && made);
    assert_int_equal(symlinkat("x", fd, "link"), 0);
    (void)close(openat(fd, "file", O_WRONLY | O_CREAT | O_CLOEXEC, 0));
    (void)close(fd);
    fd = beneath_open(root, path, len, O_RDONLY | O_DIRECTORY, 0);
    assert_true(fd >= 0);
    assert_int_equal(faccessat(fd, "file", F_OK, 0), 0);
    (void)close(fd);
    char *more = xasprintf("%.*s/link", (int)len, path);
    assert_int_equal(beneath_open(root, more, strlen(more), O_RDONLY, 0), -ELOOP);
    free(more);
    uint64_t removed = 0;
    assert_int_equal(beneath_remove(root, "folder-of-20-bytes-", &removed), 0);
    assert_int_equal(removed, 1502);
    assert_int_equal(faccessat(root, "folder-of-20-bytes-", F_OK, AT_SYMLINK_NOFOLLOW), -1);
    free(path);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static bool after_three(const void *arg)
{
    static unsigned asked;
    (void)arg;
    return ++asked > 3;
}

static void removing_stops_when_told_to(void **state)
{
    (void)state;
    uint64_t removed = 0;
    bool made = false;
    int fd = beneath_mkdirs(root, "many", 4, false, &made);
    for (char name[2] = "a"; name[0] < 'k'; name[0]++)
        (void)close(openat(fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    (void)close(fd);
    assert_int_equal(beneath_remove_unless(root, "many", after_three, NULL, &removed), -ECANCELED);
    assert_int_equal(removed, 3);
    assert_int_equal(beneath_remove(root, "many", &removed), 0);
    assert_int_equal(removed, 11);
}

static void removing_follows_no_link(void **state)
{
    (void)state;
    bool made = false;
    uint64_t removed = 0;
    (void)close(beneath_mkdirs(root, "keep/sub", 8, false, &made));
    (void)close(beneath_mkdirs(root, "gone/sub/sub", 12, false, &made));
    assert_int_equal(symlinkat("../../keep", root, "gone/sub/link"), 0);
    (void)close(OPEN(root, "gone/file", O_WRONLY | O_CREAT));
    assert_int_equal(beneath_remove(root, "gone", &removed), 0);
    assert_int_equal(removed, 5);
    assert_int_equal(faccessat(root, "keep/sub", F_OK, 0), 0);
    assert_int_equal(beneath_remove(root, "gone", &removed), 0); /* not there: nothing to do */
    assert_int_equal(removed, 5);
    assert_int_equal(beneath_remove(root, "..", &removed), -EINVAL);
    assert_int_equal(beneath_remove(root, "a/b", &removed), -EINVAL);
}

static void removing_stays_on_its_file_system(void **state)
{
    (void)state;
    bool made = false;
    uint64_t removed = 0;
    if (!has_mounts)
        skip();
    (void)close(beneath_mkdirs(root, "top/mnt", 7, false, &made));
    char *path = xasprintf("%s/top/mnt", ground_path(GROUND_DISK));
    assert_int_equal(mount("none", path, "tmpfs", 0, "size=1m"), 0);
    (void)close(OPEN(root, "top/mnt/precious", O_WRONLY | O_CREAT));
    assert_int_equal(beneath_remove(root, "top", &removed), -EBUSY);
    assert_int_equal(faccessat(root, "top/mnt/precious", F_OK, 0), 0);
    assert_int_equal(umount(path), 0);
    free(path);
}

static int remove_as_user(int dir)
{
    uint64_t removed = 0;
    if (setgid(1000) < 0 || setuid(1000) < 0 || mkdirat(dir, "mine", 0700) < 0 ||
        mkdirat(dir, "mine/closed", 0700) < 0 || mkdirat(dir, "mine/closed/in", 0555) < 0 ||
        fchmodat(dir, "mine/closed", 0, 0) < 0 || fchmodat(dir, "mine", 0555, 0) < 0)
        return 1;
    return beneath_remove(dir, "mine", &removed) == 0 && removed == 3 ? 0 : 2;
}

static void a_user_removes_closed_folders_of_his_own(void **state)
{
    (void)state;
    bool made = false;
    int status = 0, dir = beneath_mkdirs(root, "user", 4, false, &made);
    assert_int_equal(fchmod(dir, 0777), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(remove_as_user(dir));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 0);
    (void)close(dir);
}

static atomic_bool stop;

/* Swaps a folder and a link to the outside as fast as it can. */
static void *swap(void *arg)
{
    (void)arg;
    while (!atomic_load(&stop))
        (void)renameat2(root, "race/x", root, "race/y", RENAME_EXCHANGE);
    return NULL;
}

static void a_swap_never_leads_outside(void **state)
{
    (void)state;
    bool made = false;
    pthread_t thread;
    unsigned inside = 0, refused = 0;
    (void)close(beneath_mkdirs(root, "race/x", 6, false, &made));
    (void)close(beneath_mkdirs(root, "outside", 7, false, &made));
    assert_int_equal(symlinkat("../outside", root, "race/y"), 0);
    assert_int_equal(pthread_create(&thread, NULL, swap, NULL), 0);
    int64_t until = clock_mono_ms() + 20000; /* for it to have had its turn on a busy machine */
    for (int i = 0; i < 20000 || (!(inside && refused) && clock_mono_ms() < until); i++) {
        int fd = OPEN(root, "race/x/file", O_WRONLY | O_CREAT);
        inside += fd >= 0;
        refused += fd == -ELOOP;
        (void)close(fd);
    }
    atomic_store(&stop, true);
    (void)pthread_join(thread, NULL);
    assert_int_equal(faccessat(root, "outside/file", F_OK, 0), -1);
    assert_true(inside > 0 && refused > 0);
}

static void the_root_is_made_and_found(void **state)
{
    (void)state;
    char *path = xasprintf("%s/r1/r2/r3", ground_path(GROUND_DISK));
    assert_int_equal(beneath_root(path, strlen(path), false), -ENOENT);
    int fd = beneath_root(path, strlen(path), true);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(beneath_root("rel", 3, true), -EINVAL);
    assert_int_equal(beneath_root("/etc/passwd", 11, true), -ENOTDIR);
    free(path);
}

int main(void)
{
    if (geteuid() != 0) {
        (void)printf("skipped: needs root for mounts\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes_of_paths),
        cmocka_unit_test(links_are_refused),
        cmocka_unit_test(folders_replace_only_when_told),
        cmocka_unit_test(a_made_folder_inherits_no_acl),
        cmocka_unit_test(depth_beyond_path_max),
        cmocka_unit_test(removing_stops_when_told_to),
        cmocka_unit_test(removing_follows_no_link),
        cmocka_unit_test(a_user_removes_closed_folders_of_his_own),
        cmocka_unit_test(removing_stays_on_its_file_system),
        cmocka_unit_test(a_swap_never_leads_outside),
        cmocka_unit_test(the_root_is_made_and_found),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
