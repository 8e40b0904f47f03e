/* test_meta: what is read from one entry is on the other after applying, on each file system. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include "agent/store/meta.h"
#include "agent/store/meta_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "tests/unit/astore/ground.h"
#include "tests/unit/test.h"

static const uint8_t capability[20] = {1, 0, 0, 2, 0, 0x20};

static int make(int dir, const char *name, mode_t type)
{
    (void)unlinkat(dir, name, 0);
    (void)unlinkat(dir, name, AT_REMOVEDIR);
    if (type == S_IFDIR)
        assert_int_equal(mkdirat(dir, name, 0700), 0);
    else if (type == S_IFLNK)
        assert_int_equal(symlinkat("target", dir, name), 0);
    else
        assert_int_equal(mknodat(dir, name, type | 0600, makedev(1, 3)), 0);
    bool real = type == S_IFREG || type == S_IFDIR;
    int fd = openat(dir, name, (real ? O_RDONLY : O_PATH) | O_NOFOLLOW | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static void set(int fd, const char *key, const void *value, size_t len)
{
    char path[PROC_FD_MAX];
    proc_fd_path(fd, path);
    assert_int_equal(setxattr(path, key, value, len, 0), 0);
}

static void set_acl(int fd, acl_type_t type, const char *text)
{
    char path[PROC_FD_MAX];
    proc_fd_path(fd, path);
    acl_t a = acl_from_text(text);
    assert_int_equal(acl_set_file(path, type, a), 0);
    (void)acl_free(a);
}

static void dress(int fd, mode_t type)
{
    set(fd, "trusted.t", "\0x", 2);
    set(fd, "security.NTACL", "abc", 3);
    if (type == S_IFREG || type == S_IFDIR) {
        set(fd, "user.empty", "", 0);
        set(fd, "user.u", "value", 5);
        set_acl(fd, ACL_TYPE_ACCESS, "u::rwx,u:99:rwx,g::---,m::rwx,o::x");
    }
    if (type == S_IFREG)
        set(fd, "security.capability", capability, sizeof capability);
    if (type == S_IFDIR)
        set_acl(fd, ACL_TYPE_DEFAULT, "u::rwx,u:98:rx,g::-,m::rx,o::-");
}

static struct buf attributes(int fd)
{
    struct buf b;
    buf_init(&b, XATTRS_MAX * 2);
    assert_int_equal(xattrs_read(fd, &b), 0);
    assert_true(xattrs_valid(b.data, b.len));
    return b;
}

/* No file system here has them: what is told is that they could not be kept, and by that name. */
static void an_nfs4_acl_is_a_loss_of_its_own(void **state)
{
    (void)state;
    static const char *const names[] = {"godwit.flags", "system.nfs4_acl", "user.u"};
    static const uint8_t nodump[4] = {0x40};
    struct buf b, others;
    struct stat st;
    struct meta m;
    unsigned losses = 0;
    CLEANUP(fd_close) int dir = ground_open(GROUND_DISK);
    CLEANUP(fd_close) int fd = make(dir, "nfs4", S_IFREG);
    buf_init(&b, 4096);
    buf_init(&others, 4096);
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        buf_put_blob(&b, names[i], strlen(names[i]));
        buf_put_blob(&b, nodump, sizeof nodump);
        if (i == 1)
            continue;
        buf_put_blob(&others, names[i], strlen(names[i]));
        buf_put_blob(&others, nodump, sizeof nodump);
    }
    assert_true(xattrs_valid(b.data, b.len));
    assert_int_equal(xattrs_digest(b.data, b.len), xattrs_digest(others.data, others.len));
    assert_int_equal(fstat(fd, &st), 0);
    meta_from_stat(&st, &m);
    assert_int_equal(meta_apply(fd, &m, b.data, b.len, true, &losses), 0);
    assert_int_equal(losses & ~(unsigned)META_LOSS_FLAGS, META_LOSS_NFS4);
    buf_done(&b);
    buf_done(&others);
}

static void same(int fd, const struct meta *want, const struct buf *xattrs)
{
    struct stat st;
    struct meta got;
    assert_int_equal(fstat(fd, &st), 0);
    meta_from_stat(&st, &got);
    assert_int_equal(got.mode, want->mode);
    assert_int_equal(got.uid, want->uid);
    assert_int_equal(got.gid, want->gid);
    assert_true(got.mtime.tv_sec == want->mtime.tv_sec);
    assert_int_equal(got.mtime.tv_nsec, want->mtime.tv_nsec);
    struct buf b = attributes(fd);
    assert_int_equal(b.len, xattrs->len);
    if (b.len)
        assert_memory_equal(b.data, xattrs->data, b.len);
    buf_done(&b);
}

static struct meta of_type(mode_t type)
{
    struct meta m = {.mode = type | 06771, .uid = 1234, .gid = 4321};
    if (type == S_IFLNK)
        m.mode = S_IFLNK | 0777;
    m.mtime = (struct timespec){.tv_sec = -3, .tv_nsec = 987654321};
    m.atime = (struct timespec){.tv_sec = 1700000000, .tv_nsec = 1};
    return m;
}

static void round_trip(int dir, mode_t type)
{
    struct meta m = of_type(type);
    int from = make(dir, "from", type), to = make(dir, "to", type);
    dress(from, type);
    struct buf x = attributes(from), none;
    buf_init(&none, 16);
    unsigned losses = 0;
    assert_int_equal(meta_apply_new(to, &m, x.data, x.len, true, &losses), 0);
    assert_int_equal(losses, 0);
    same(to, &m, &x);
    /* again with nothing: all attributes go, the rest stays */
    m.mode = type == S_IFLNK ? m.mode : (type | 0640);
    m.uid = 7;
    assert_int_equal(meta_apply(to, &m, NULL, 0, true, &losses), 0);
    same(to, &m, &none);
    m.mode = of_type(type).mode;
    /* and back, on an entry with others of its own */
    set(to, "trusted.other", "1", 1);
    assert_int_equal(meta_apply(to, &m, x.data, x.len, true, &losses), 0);
    same(to, &m, &x);
    assert_int_equal(losses, 0);
    buf_done(&x);
    (void)close(from);
    (void)close(to);
}

static void everything_comes_back(void **state)
{
    (void)state;
    static const mode_t types[] = {S_IFREG, S_IFDIR, S_IFLNK, S_IFIFO, S_IFCHR, S_IFBLK, S_IFSOCK};
    for (enum ground g = 0; g < GROUND_COUNT; g++) {
        int dir = ground_open(g);
        for (size_t i = 0; dir >= 0 && i < ARRAY_SIZE(types); i++)
            round_trip(dir, types[i]);
        (void)close(dir);
    }
}

static void wrong_arguments_change_nothing(void **state)
{
    (void)state;
    int dir = ground_open(GROUND_DISK), fd = make(dir, "plain", S_IFREG);
    struct meta m = of_type(S_IFDIR);
    struct buf none;
    buf_init(&none, 16);
    unsigned losses = 0;
    assert_int_equal(meta_apply(fd, &m, NULL, 0, true, &losses), -EINVAL);
    m = of_type(S_IFREG);
    assert_int_equal(meta_apply(fd, &m,
                                "\x7f"
                                "bad",
                                4, true, &losses),
                     -EINVAL);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    assert_int_equal(st.st_uid, 0);
    (void)close(fd);
    (void)close(dir);
}

static void an_unchanged_entry_keeps_its_ctime(void **state)
{
    (void)state;
    int dir = ground_open(GROUND_DISK), fd = make(dir, "still", S_IFREG);
    struct meta m = of_type(S_IFREG);
    unsigned losses = 0;
    assert_int_equal(meta_apply(fd, &m, NULL, 0, true, &losses), 0);
    struct stat before, after;
    assert_int_equal(fstat(fd, &before), 0);
    (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    assert_int_equal(meta_apply(fd, &m, NULL, 0, true, &losses), 0);
    assert_int_equal(fstat(fd, &after), 0);
    assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof before.st_ctim);
    (void)close(fd);
    (void)close(dir);
}

/* Returns the losses, or a negative error. */
static int apply_as_user(int dir)
{
    if (fchdir(dir) < 0 || setgid(1000) < 0 || setuid(1000) < 0)
        return -1;
    int fd = open("mine", O_RDWR | O_CREAT | O_EXCL, 0400);
    struct meta m = of_type(S_IFREG);
    struct buf b;
    buf_init(&b, 1024);
    buf_put_blob(&b, "security.NTACL", 14);
    buf_put_blob(&b, "x", 1);
    buf_put_blob(&b, "user.u", 6);
    buf_put_blob(&b, "y", 1);
    unsigned losses = 0;
    int rc = meta_apply(fd, &m, b.data, b.len, false, &losses);
    char value[4];
    struct stat st;
    if (rc < 0 || fgetxattr(fd, "user.u", value, 4) != 1 || fstat(fd, &st) < 0)
        return -1;
    bool right = st.st_mode == (S_IFREG | 0771) && st.st_mtim.tv_nsec == 987654321;
    return right ? (int)losses : -1;
}

static void an_ordinary_user_is_told_what_was_lost(void **state)
{
    (void)state;
    int dir = ground_open(GROUND_DISK), status = 0;
    (void)mkdirat(dir, "user", 0755);
    int sub = openat(dir, "user", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(fchmod(sub, 0777), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(apply_as_user(sub) & 0xff);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    /* setuid without the owner would run as somebody else: it goes, and that is said */
    assert_int_equal(WEXITSTATUS(status), META_LOSS_OWNER | META_LOSS_MODE | META_LOSS_XATTR);
    (void)close(sub);
    (void)close(dir);
}

/* ramfs holds no attributes at all. */
static void a_lost_acl_does_not_widen_the_group(void **state)
{
    (void)state;
    int disk = ground_open(GROUND_DISK), from = make(disk, "acl", S_IFREG);
    int tmp = ground_open(GROUND_TMPFS);
    if (tmp < 0 || mount("none", ground_path(GROUND_TMPFS), "ramfs", 0, NULL) < 0)
        skip();
    int dir = open(ground_path(GROUND_TMPFS), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int to = make(dir, "acl", S_IFREG);
    set(from, "user.u", "1", 1);
    set_acl(from, ACL_TYPE_ACCESS, "u::rw,u:99:rwx,g::r,m::rwx,o::-");
    struct buf x = attributes(from);
    struct meta m = of_type(S_IFREG);
    struct stat st;
    unsigned losses = 0;
    m.mode = S_IFREG | 0670;
    assert_int_equal(meta_apply(to, &m, x.data, x.len, true, &losses), 0);
    assert_int_equal(losses, META_LOSS_ACL | META_LOSS_XATTR);
    assert_int_equal(fstat(to, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0640);
    buf_done(&x);
    (void)close(to);
    (void)close(dir);
    (void)umount2(ground_path(GROUND_TMPFS), MNT_DETACH);
    (void)close(from);
    (void)close(tmp);
    (void)close(disk);
}

static void packed_attributes_are_checked(void **state)
{
    (void)state;
#define PAIR(name, value)                                                                          \
    {                                                                                              \
        name, sizeof name - 1, value, sizeof value - 1                                             \
    }
    static const struct {
        const char *what;
        struct {
            const char *name;
            size_t name_len;
            const char *value;
            size_t len;
        } pair[2];
        bool valid;
    } cases[] = {
        {"two in order",    {PAIR("user.a", "1"), PAIR("user.b", "")},                  true },
        {"wrong order",     {PAIR("user.b", "1"), PAIR("user.a", "")},                  false},
        {"twice",           {PAIR("user.a", "1"), PAIR("user.a", "")},                  false},
        {"prefix first",    {PAIR("user.a", "1"), PAIR("user.ab", "")},                 true },
        {"prefix last",     {PAIR("user.ab", "1"), PAIR("user.a", "")},                 false},
        {"no namespace",    {PAIR("nodot", "1"), PAIR("user.b", "")},                   false},
        {"only namespace",  {PAIR("user.", "1"), PAIR("user.b", "")},                   false},
        {"NUL in a name",   {PAIR("user.\0a", "1"), PAIR("user.b", "")},                false},
        {"an ACL",          {PAIR("system.posix_acl_access", "1"), PAIR("user.b", "")}, true },
        {"an NFSv4 ACL",    {PAIR("system.nfs4_acl", "1"), PAIR("user.b", "")},         true },
        {"other of system", {PAIR("system.nothing", "1"), PAIR("user.b", "")},          false},
        {"flags of ours",   {PAIR("godwit.flags", "1"), PAIR("user.b", "")},            true },
        {"no name of ours", {PAIR("godwit.other", "1"), PAIR("user.b", "")},            false},
        {"empty name",      {PAIR("", "1"), PAIR("user.b", "")},                        false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct buf b;
        buf_init(&b, 1024);
        for (size_t p = 0; p < 2; p++) {
            buf_put_blob(&b, cases[i].pair[p].name, cases[i].pair[p].name_len);
            buf_put_blob(&b, cases[i].pair[p].value, cases[i].pair[p].len);
        }
        if (xattrs_valid(b.data, b.len) != cases[i].valid)
            fail_msg("%s", cases[i].what);
        assert_false(xattrs_valid(b.data, b.len - 1) && cases[i].pair[1].len);
        buf_done(&b);
    }
    assert_true(xattrs_valid(NULL, 0));
    assert_int_equal(xattrs_digest(NULL, 0), 0);
}

static void content_is_the_same_by_size_time_and_type(void **state)
{
    (void)state;
    struct meta a = {.mode = S_IFREG | 0600, .size = 5, .ino = 1};
    a.mtime = a.ctime = (struct timespec){.tv_sec = 1, .tv_nsec = 2};
    struct meta b = a;
    b.mode = S_IFREG | 0644;
    assert_true(meta_same_content(&a, &b, true));
    b.ino = 2;
    assert_true(meta_same_content(&a, &b, false));
    assert_false(meta_same_content(&a, &b, true));
    b = a;
    b.mtime.tv_nsec++;
    assert_false(meta_same_content(&a, &b, false));
    b = a;
    b.mode = S_IFLNK | 0777;
    assert_false(meta_same_content(&a, &b, false));
    b = a;
    b.size++;
    assert_false(meta_same_content(&a, &b, false));
}

static int teardown(void **state)
{
    (void)state;
    ground_remove();
    return 0;
}

int main(void)
{
    if (geteuid() != 0) {
        (void)printf("skipped: owners and trusted attributes need root\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_nfs4_acl_is_a_loss_of_its_own),
        cmocka_unit_test(everything_comes_back),
        cmocka_unit_test(wrong_arguments_change_nothing),
        cmocka_unit_test(an_unchanged_entry_keeps_its_ctime),
        cmocka_unit_test(an_ordinary_user_is_told_what_was_lost),
        cmocka_unit_test(a_lost_acl_does_not_widen_the_group),
        cmocka_unit_test(packed_attributes_are_checked),
        cmocka_unit_test(content_is_the_same_by_size_time_and_type),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
