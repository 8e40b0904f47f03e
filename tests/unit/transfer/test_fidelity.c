/* test_fidelity: what only real file systems can hold (flags, projects, capabilities, unwritten
 * blocks) over whole transfers between ext4, xfs and btrfs in loop devices. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/store/extents.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/grounds.h"
#include "tests/unit/transfer/trees.h"

#define BIG (1 << 20)

static const struct pairing {
    const char *from, *to;
} pairings[] = {
    {"ext4",  "ext4" },
    {"xfs",   "xfs"  },
    {"btrfs", "btrfs"},
    {"ext4",  "xfs"  },
    {"btrfs", "ext4" },
    {"xfs",   "btrfs"},
};

static char *at(const char *dir, const char *name)
{
    return xasprintf("%s/%s", dir, name);
}

static int open_at(const char *dir, const char *name)
{
    char *path = at(dir, name);
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    free(path);
    return fd;
}

static unsigned flags_of(const char *dir, const char *name)
{
    unsigned flags = 0;
    int fd = open_at(dir, name);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, FS_IOC_GETFLAGS, &flags), 0);
    (void)close(fd);
    return flags;
}

static void chattr(const char *dir, const char *name, unsigned add, unsigned take)
{
    int fd = open_at(dir, name);
    assert_true(fd >= 0);
    unsigned flags = (flags_of(dir, name) | add) & ~take;
    assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
    (void)close(fd);
}

static uint32_t project_of(const char *dir, const char *name, bool *retinherit)
{
    struct fsxattr x;
    int fd = open_at(dir, name);
    assert_true(fd >= 0);
    assert_int_equal(ioctl(fd, FS_IOC_FSGETXATTR, &x), 0);
    (void)close(fd);
    *retinherit = x.fsx_xflags & FS_XFLAG_PROJINHERIT;
    return x.fsx_projid;
}

static int project_set(const char *dir, const char *name, uint32_t id, bool inherit)
{
    struct fsxattr x;
    int fd = open_at(dir, name);
    assert_int_equal(ioctl(fd, FS_IOC_FSGETXATTR, &x), 0);
    x.fsx_projid = id;
    x.fsx_xflags |= inherit ? (uint32_t)FS_XFLAG_PROJINHERIT : 0;
    int rc = ioctl(fd, FS_IOC_FSSETXATTR, &x) == 0 ? 0 : -errno;
    (void)close(fd);
    return rc;
}

static bool exists(const char *dir, const char *name)
{
    struct stat st;
    char *path = at(dir, name);
    bool there = lstat(path, &st) == 0;
    free(path);
    return there;
}

static uint64_t blocks_of(const char *dir, const char *name)
{
    struct stat st;
    char *path = at(dir, name);
    assert_int_equal(stat(path, &st), 0);
    free(path);
    return (uint64_t)st.st_blocks;
}

/* ── flags ── */

static const struct flagged {
    const char *name;
    unsigned flags;
} flagged[] = {
    {"immutable",       FS_IMMUTABLE_FL                },
    {"append",          FS_APPEND_FL                   },
    {"nodump",          FS_NODUMP_FL                   },
    {"both",            FS_APPEND_FL | FS_NODUMP_FL    },
    {"large",           FS_IMMUTABLE_FL | FS_NOATIME_FL},
    {"sub/linked",      FS_IMMUTABLE_FL                },
    {"closed/inside",   FS_NODUMP_FL                   },
    {"closed/deep/low", FS_IMMUTABLE_FL                },
    {"closed/deep",     FS_APPEND_FL                   },
    {"closed",          FS_IMMUTABLE_FL                },
};

static void make_flagged(void)
{
    make_dir(source, "sub");
    make_dir(source, "closed");
    make_dir(source, "closed/deep");
    for (size_t i = 0; i < ARRAY_SIZE(flagged); i++) {
        const char *name = flagged[i].name;
        if (!exists(source, name))
            put_random(name, strcmp(name, "large") == 0 ? BIG : 1000 + i, (unsigned)i);
    }
    char *first = in_source("sub/linked");
    IN_SOURCE(link(first, path), "other-name");
    IN_SOURCE(link(first, path), "closed/third");
    free(first);
    for (size_t i = 0; i < ARRAY_SIZE(flagged); i++)
        chattr(source, flagged[i].name, flagged[i].flags, 0);
}

static void unflag(const char *dir)
{
    char *script = xasprintf("chattr -R -i -a '%s' 2>/dev/null; true", dir);
    const char *const argv[] = {"sh", "-c", script, NULL};
    (void)trees_run(argv);
    free(script);
}

#define SEEN                                                                                       \
    ((unsigned)(FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL | FS_NOATIME_FL | FS_NOCOW_FL))

static void assert_same_flags(void)
{
    for (size_t i = 0; i < ARRAY_SIZE(flagged); i++) {
        if (!exists(source, flagged[i].name))
            continue;
        unsigned from = flags_of(source, flagged[i].name) & SEEN,
                 to = flags_of(destination, flagged[i].name) & SEEN;
        if (from != to)
            (void)fprintf(stderr, "%s: %x there, %x here\n", flagged[i].name, from, to);
        assert_int_equal(from, to);
    }
    assert_same_trees();
}

static void a_second_run_does_nothing(void)
{
    struct both b;
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_int_equal(b.received.counters.files, 0);
    assert_int_equal(b.received.counters.changed_meta, 0);
    assert_int_equal(b.received.counters.skipped_meta, 0);
    assert_same_flags();
}

/* All that an administrator does to flagged files between two passes: takes the flag, changes
 * something, sets it again. */
static void change_flagged(void)
{
    static const char *const touched[] = {"immutable", "large", "closed", "append", "sub/linked"};
    for (size_t i = 0; i < ARRAY_SIZE(touched); i++)
        chattr(source, touched[i], 0, FS_IMMUTABLE_FL | FS_APPEND_FL);
    put_random("immutable", 2000, 91);
    put_random("large", BIG + 5, 92);
    IN_SOURCE(chmod(path, 0600), "append");
    put_random("closed/new", 500, 93);
    make_dir(source, "closed/folder");
    put_random("closed/folder/x", 500, 94);
    IN_SOURCE(unlink(path), "closed/inside");
    char *first = in_source("sub/linked");
    IN_SOURCE(link(first, path), "sub/fourth"); /* met after another name of it */
    free(first);
    chattr(source, "nodump", FS_APPEND_FL, FS_NODUMP_FL);
    chattr(source, "both", 0, FS_APPEND_FL | FS_NODUMP_FL);
    for (size_t i = 0; i < ARRAY_SIZE(touched); i++)
        chattr(source, touched[i], i == 3 ? FS_APPEND_FL : FS_IMMUTABLE_FL, 0);
}

static void remove_flagged(void)
{
    chattr(source, "immutable", 0, FS_IMMUTABLE_FL);
    IN_SOURCE(unlink(path), "immutable");
    unflag(source);
    char *script = xasprintf("rm -rf '%s/closed'", source);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
}

/* The catalogue has gone, so that nothing but its missing name is noticed of an immutable file. */
static void link_flagged(void)
{
    char *script = xasprintf("rm -rf '%s/destination'", state);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
    chattr(source, "sub/linked", 0, FS_IMMUTABLE_FL);
    char *first = in_source("sub/linked");
    IN_SOURCE(link(first, path), "sub/fifth");
    free(first);
    chattr(source, "sub/linked", FS_IMMUTABLE_FL, 0);
}

static void flags_arrive_and_do_not_stand_in_the_way(void)
{
    struct both b;
    make_flagged();
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.received.counters.skipped_meta, 0);
    assert_same_flags();
    a_second_run_does_nothing();
    change_flagged();
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_same_flags();
    a_second_run_does_nothing();
    link_flagged();
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_same_flags();
    remove_flagged();
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_false(exists(destination, "closed"));
    assert_same_flags();
}

/* Two lanes meet an immutable folder at once: when one has been refused and goes to free it, the
 * other has done so already, and there is nothing to free any more. */
static atomic_bool other_lane;

bool __real_attrs_unlock(int dir, const char *name);
bool __wrap_attrs_unlock(int dir, const char *name);
bool __wrap_attrs_unlock(int dir, const char *name)
{
    bool freed = __real_attrs_unlock(dir, name);
    return freed && !atomic_load(&other_lane);
}

static void another_lane_frees_it_first(const struct pairing *p)
{
    (void)p;
    struct both b;
    make_flagged();
    make_dir(source, "shut");
    chattr(source, "shut", FS_IMMUTABLE_FL, 0);
    transfer(&b, NULL);
    assert_done(&b);
    chattr(source, "closed", 0, FS_IMMUTABLE_FL);
    chattr(source, "shut", 0, FS_IMMUTABLE_FL);
    chattr(source, "large", 0, FS_IMMUTABLE_FL);
    put_random("closed/new", 500, 93);
    put_random("shut/new", BIG + 9, 94);
    put_random("large", BIG + 5, 95);
    atomic_store(&other_lane, true);
    transfer(&b, NULL);
    atomic_store(&other_lane, false);
    assert_done(&b);
    transfer(&b, NULL);
    assert_done(&b);
    assert_same_flags();
}

/* ── projects ── */

static void projects_arrive_with_their_inheritance(const struct pairing *p)
{
    struct both b;
    bool inherit = false;
    make_dir(source, "proj");
    make_dir(source, "proj/sub");
    int rc = project_set(source, "proj", 42, true);
    if (rc < 0) {
        print_message("[ note     ] %s holds no projects here\n", p->from);
        return;
    }
    put_random("proj/file", 1000, 1); /* has it from its folder */
    put_random("proj/other", 1000, 2);
    assert_int_equal(project_set(source, "proj/other", 43, false), 0);
    transfer(&b, NULL);
    assert_int_equal(b.received.status, STEP_DONE);
    if (strcmp(p->to, "xfs") != 0) { /* every one of them is counted as not kept */
        assert_true(b.received.counters.skipped_meta >= 3);
        assert_int_equal(b.received.ngroups, 1);
        assert_int_equal(b.received.counters.failed, 0);
        assert_string_equal(b.received.groups[0].what, "keep flags or project");
        assert_int_equal(b.received.groups[0].count, b.received.counters.skipped_meta);
        return;
    }
    assert_int_equal(b.received.counters.skipped_meta, 0);
    assert_int_equal(project_of(destination, "proj", &inherit), 42);
    assert_true(inherit);
    assert_int_equal(project_of(destination, "proj/file", &inherit), 42);
    assert_int_equal(project_of(destination, "proj/other", &inherit), 43);
    assert_int_equal(project_of(destination, "proj/sub", &inherit), 0);
    a_second_run_does_nothing();
}

/* ── the rest ── */

static const uint8_t capability[20] = {1, 0, 0, 2, 0, 0x20};

static void make_special(const struct pairing *p)
{
    put_random("capable", 3000, 4);
    IN_SOURCE(chown(path, 99, 98), "capable");
    IN_SOURCE(setxattr(path, "security.capability", capability, sizeof capability, 0), "capable");
    put(source, "unwritten", "", 0);
    char *full = in_source("unwritten");
    int fd = open(full, O_RDWR | O_CLOEXEC);
    assert_int_equal(fallocate(fd, 0, 0, 40 << 20), 0);
    assert_int_equal(pwrite(fd, "middle", 6, 20 << 20), 6);
    assert_int_equal(fsync(fd), 0);
    (void)close(fd);
    free(full);
    put(source, "holes", "", 0);
    IN_SOURCE(truncate(path, 60 << 20), "holes");
    if (strcmp(p->from, "btrfs") != 0)
        return;
    put(source, "nocow", "", 0);
    chattr(source, "nocow", FS_NOCOW_FL, 0);
    put_random("nocow", BIG, 5);
}

static void blocks_and_capabilities_arrive(const struct pairing *p)
{
    struct both b;
    uint8_t value[32];
    make_special(p);
    transfer(&b, NULL);
    assert_done(&b);
    char *path = at(destination, "capable");
    assert_int_equal(getxattr(path, "security.capability", value, sizeof value), 20);
    assert_memory_equal(value, capability, 20);
    free(path);
    assert_true(blocks_of(source, "unwritten") >= (40 << 20) / 512);
    assert_true(blocks_of(destination, "unwritten") < (1 << 20) / 512);
    assert_true(blocks_of(destination, "holes") < 64);
    assert_true(b.sent.counters.sent_bytes < (4U << 20));
    bool both_cow = strcmp(p->from, "btrfs") == 0 && strcmp(p->to, "btrfs") == 0;
    if (both_cow)
        assert_true(flags_of(destination, "nocow") & (unsigned)FS_NOCOW_FL);
    assert_int_equal(b.received.counters.skipped_meta,
                     !both_cow && strcmp(p->from, "btrfs") == 0 ? 1 : 0);
    assert_same_trees();
}

static int clone_file(const char *from, const char *to)
{
    char *target = in_source(to);
    int in = open_at(source, from), out = open(target, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    int rc = ioctl(out, FICLONE, in);
    (void)close(in);
    (void)close(out);
    free(target);
    return rc;
}

static void shared_blocks_are_told(const struct pairing *p)
{
    (void)p;
    put_random("original", 2 << 20, 7);
    put_random("alone", 2 << 20, 8);
    int dir = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (clone_file("original", "clone") == 0) {
        (void)syncfs(dir);
        assert_int_equal(extents_shared(dir, "original"), 2 << 20);
        assert_int_equal(extents_shared(dir, "clone"), 2 << 20);
    }
    assert_int_equal(extents_shared(dir, "alone"), 0);
    assert_int_equal(extents_shared(dir, "nothing"), 0);
    (void)close(dir);
}

/* ── many, deep, and names of any bytes ── */

#define LINKED 10000
#define DEEP 60 /* folders of 200 bytes: more than PATH_MAX together */

static void make_names(void)
{
    make_dir(source, "names");
    for (int c = 1; c < 256; c++) {
        char name[] = {'n', 'a', 'm', 'e', 's', '/', (char)c, 'x', '\0'};
        if (c != '/')
            put(source, name, name, sizeof name);
    }
}

static void make_deep(void)
{
    char name[201];
    memset(name, 'd', 200);
    name[200] = '\0';
    int at = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < DEEP; i++) {
        assert_int_equal(mkdirat(at, name, 0755), 0);
        int next = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        (void)close(at);
        at = next;
    }
    int fd = openat(at, "bottom", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, "x", 1), 1);
    (void)close(fd);
    (void)close(at);
}

/* Each file has its other name in another folder, and is met in no order. */
static void make_linked(void)
{
    make_dir(source, "one");
    make_dir(source, "two");
    int one = open_at(source, "one"), two = open_at(source, "two");
    for (unsigned i = 0; i < LINKED; i++) {
        char name[32], other[32];
        (void)snprintf(name, sizeof name, "%u", i);
        (void)snprintf(other, sizeof other, "%u", (i * 7919U) % LINKED);
        int fd = openat(one, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        (void)close(fd);
        assert_int_equal(linkat(one, name, two, other, 0), 0);
    }
    (void)close(one);
    (void)close(two);
}

static uint64_t inode_of(int dir, const char *name, nlink_t *retnames)
{
    struct stat st;
    assert_int_equal(fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW), 0);
    *retnames = st.st_nlink;
    return st.st_ino;
}

static void links_names_and_depth(void **state_)
{
    (void)state_;
    struct both b;
    make_names();
    make_deep();
    make_linked();
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.received.counters.files, 254 + 1 + 2 * LINKED);
    int one = open_at(destination, "one"), two = open_at(destination, "two");
    for (unsigned i = 0; i < LINKED; i++) {
        char name[32], other[32];
        nlink_t a = 0, c = 0;
        (void)snprintf(name, sizeof name, "%u", i);
        (void)snprintf(other, sizeof other, "%u", (i * 7919U) % LINKED);
        assert_int_equal(inode_of(one, name, &a), inode_of(two, other, &c));
        assert_int_equal(a + c, 4);
    }
    (void)close(one);
    (void)close(two);
    char *names = xasprintf("diff -r '%s/names' '%s/names'", source, destination);
    const char *const argv[] = {"sh", "-c", names, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(names);
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_int_equal(b.received.counters.files + b.received.counters.deleted +
                         b.received.counters.changed_meta,
                     0);
}

/* ── on every pairing ── */

static void on_each(void (*fn)(const struct pairing *))
{
    unsigned ran = 0;
    for (size_t i = 0; i < ARRAY_SIZE(pairings); i++) {
        const struct pairing *p = &pairings[i];
        (void)rmdir(source);
        if (grounds_mount(p->from, source, 400) && grounds_mount(p->to, destination, 400)) {
            print_message("[ pairing  ] %s to %s\n", p->from, p->to);
            char *lost = at(source, "lost+found"), *found = at(destination, "lost+found");
            (void)rmdir(lost);
            (void)rmdir(found);
            free(lost);
            free(found);
            fn(p);
            ran++;
        }
        unflag(source);
        unflag(destination);
        grounds_unmount(source);
        grounds_unmount(destination);
        const char *const argv[] = {"sh", "-c", "rm -rf \"$1\"/*", "sh", state, NULL};
        (void)trees_run(argv);
    }
    assert_int_equal(mkdir(source, 0755), 0);
    if (ran == 0)
        skip();
}

static void flags_on(const struct pairing *p)
{
    (void)p;
    flags_arrive_and_do_not_stand_in_the_way();
}

static void inode_flags(void **state_)
{
    (void)state_;
    on_each(flags_on);
}

static void flags_that_another_lane_took(void **state_)
{
    (void)state_;
    on_each(another_lane_frees_it_first);
}

static void projects(void **state_)
{
    (void)state_;
    on_each(projects_arrive_with_their_inheritance);
}

static void blocks_and_capabilities(void **state_)
{
    (void)state_;
    on_each(blocks_and_capabilities_arrive);
}

static void shared_blocks(void **state_)
{
    (void)state_;
    on_each(shared_blocks_are_told);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, trees_setup, trees_teardown)

int main(void)
{
    port = (uint16_t)(20000 + getpid() % 12000);
    if (!grounds_enter())
        return 77;
    const struct CMUnitTest tests[] = {
        CASE(inode_flags),   CASE(flags_that_another_lane_took),
        CASE(projects),      CASE(blocks_and_capabilities),
        CASE(shared_blocks), CASE(links_names_and_depth),
    };
    cmocka_set_test_filter(getenv("GODWIT_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
