/* test_shared_blocks: files that share blocks at the source share them at the destination, and what
 * is in them is right whatever shares what. On real file systems in loop devices. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/extents.h"
#include "agent/transfer/record.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/byhand.h"
#include "tests/unit/transfer/grounds.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define MIB (1U << 20)
#define SIZE (12 * MIB + 123)

static const struct pairing {
    const char *from, *to;
    bool share;
} pairings[] = {
    {"xfs",   "xfs",   true },
    {"btrfs", "btrfs", true },
    {"btrfs", "ext4",  false},
    {"ext4",  "xfs",   false},
};

/* ── what is made at the source ── */

static int open_in(const char *dir, const char *name, int flags)
{
    char *path = xasprintf("%s/%s", dir, name);
    int fd = open(path, flags | O_CLOEXEC, 0644);
    free(path);
    return fd;
}

/* A copy where nothing can be shared. */
static void clone_of(const char *from, const char *to)
{
    char *script = xasprintf("cp --reflink=auto '%s/%s' '%s/%s'", source, from, source, to);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
}

static void change(const char *dir, const char *name, uint64_t at, size_t len, unsigned seed)
{
    uint8_t *data = xmalloc(len);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245U + 12345U;
        data[i] = (uint8_t)(seed >> 16);
    }
    int fd = open_in(dir, name, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, (off_t)at), len);
    (void)close(fd);
    free(data);
}

/* btrfs tells of what is on the disk. */
static void settle(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(syncfs(fd), 0);
    (void)close(fd);
}

static const char *const family[] = {"a/original", "b/clone", "b/changed",
                                     "b/longer",   "c/small", "c/cut"};

static void make_family(void)
{
    make_dir(source, "a");
    make_dir(source, "b");
    make_dir(source, "c");
    put_random("a/original", SIZE, 1);
    clone_of("a/original", "b/clone");
    clone_of("a/original", "b/changed");
    change(source, "b/changed", 5 * MIB + 50, 100, 2);
    clone_of("a/original", "b/longer");
    change(source, "b/longer", SIZE, MIB, 3);
    put_random("c/small", MIB, 4);
    clone_of("c/small", "c/cut");
    IN_SOURCE(truncate(path, 700001), "c/cut");
    put_random("c/alone", 3 * MIB, 5);
    put_random("c/tiny", 5000, 6);
    clone_of("c/tiny", "c/tiny-too");
    settle(source);
}

static uint64_t size_of(const char *dir, const char *name)
{
    struct stat st;
    char *path = xasprintf("%s/%s", dir, name);
    assert_int_equal(stat(path, &st), 0);
    free(path);
    return (uint64_t)st.st_size;
}

static uint64_t shared_of(const char *name)
{
    int dir = open(destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    uint64_t bytes = extents_shared(dir, name);
    (void)close(dir);
    return bytes;
}

static void assert_shared(const char *name, bool share)
{
    uint64_t bytes = shared_of(name), size = size_of(destination, name);
    if (share ? bytes < size / 2 : bytes > 0)
        fail_msg("%s: %llu of %llu bytes are shared", name, (unsigned long long)bytes,
                 (unsigned long long)size);
}

/* ── cases ── */

static void a_family_stays_one(const struct pairing *p)
{
    struct both b;
    make_family();
    transfer(&b, NULL);
    assert_done(&b);
    assert_same_trees();
    assert_int_equal(b.sent.counters.again_bytes, 0);
    settle(destination);
    for (size_t i = 0; i < ARRAY_SIZE(family); i++)
        assert_shared(family[i], p->share);
    assert_shared("c/alone", false);
    /* Each piece of content once, and what the copies have of their own. */
    uint64_t all = 4ULL * SIZE + 6ULL * MIB;
    if (p->share)
        assert_in_range(b.sent.counters.sent_bytes, SIZE + 4 * MIB, SIZE + 7 * MIB);
    else
        assert_true(b.sent.counters.sent_bytes > all - MIB);
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_int_equal(b.received.counters.files, 0);
}

/* Of a file that the destination has already. */
static void a_later_clone_shares_too(const struct pairing *p)
{
    struct both b;
    make_family();
    transfer(&b, NULL);
    assert_done(&b);
    clone_of("a/original", "a/later");
    settle(source);
    transfer(&b, NULL);
    assert_done(&b);
    assert_same_trees();
    settle(destination);
    assert_shared("a/later", p->share);
    /* Whichever of the family it is compared with has a block of its own. */
    assert_in_range(b.sent.counters.sent_bytes, p->share ? 0 : SIZE,
                    p->share ? 4 * DELTA_BLOCK : SIZE);
}

/* Somebody wrote to it at the destination and set its time back: what it shares blocks with there
 * is not what the source has, and is not taken for it. */
static void a_damaged_basis_damages_nothing(const struct pairing *p)
{
    struct both b;
    struct stat st;
    make_dir(source, "a");
    put_random("a/original", SIZE, 1);
    transfer(&b, NULL);
    assert_done(&b);
    char *path = xasprintf("%s/a/original", destination);
    assert_int_equal(stat(path, &st), 0);
    change(destination, "a/original", 9 * MIB, 10000, 77);
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
    free(path);
    clone_of("a/original", "a/later");
    settle(source);
    transfer(&b, NULL);
    assert_done(&b);
    char *script = xasprintf("cmp '%s/a/later' '%s/a/later'", source, destination);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
    if (p->share)
        assert_in_range(b.sent.counters.sent_bytes, 10000, 5 * DELTA_BLOCK);
}

/* It has another length there, or is gone: the copy goes as any file. */
static void a_basis_that_is_gone_is_none(const struct pairing *p)
{
    (void)p;
    struct both b;
    make_family();
    transfer(&b, NULL);
    assert_done(&b);
    char *there = xasprintf("%s/a/original", destination);
    assert_int_equal(unlink(there), 0);
    free(there);
    clone_of("a/original", "a/later");
    IN_SOURCE(unlink(path), "b/clone");
    settle(source);
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_same_trees();
}

/* Changed behind the clone and not on the disk yet: the file system tells of the old blocks. */
static void what_is_dirty_is_sent_as_it_is(const struct pairing *p)
{
    (void)p;
    struct both b;
    make_family();
    change(source, "b/clone", 0, SIZE, 11);
    change(source, "a/original", 8 * MIB, 4 * MIB, 12);
    transfer(&b, NULL);
    assert_done(&b);
    assert_same_trees();
}

/* With holes of its own, and several names. */
static void holes_and_names_are_kept(const struct pairing *p)
{
    struct both b;
    make_family();
    int fd = open_in(source, "b/changed", O_WRONLY);
    assert_int_equal(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB, 2 * MIB), 0);
    (void)close(fd);
    char *first = in_source("b/changed");
    IN_SOURCE(link(first, path), "a/linked");
    IN_SOURCE(link(first, path), "c/linked");
    free(first);
    settle(source);
    transfer(&b, NULL);
    assert_done(&b);
    assert_same_trees();
    settle(destination);
    assert_shared("c/linked", p->share);
    fd = open_in(destination, "c/linked", O_RDONLY);
    assert_int_equal(lseek(fd, MIB, SEEK_HOLE), MIB);
    assert_int_equal(lseek(fd, MIB, SEEK_DATA), 3 * MIB);
    (void)close(fd);
}

/* ── a source that lies ── */

static void begin_with(struct lane *l, const struct begin *g, struct begun *ret)
{
    struct lane_record r;
    struct buf b;
    buf_init(&b, LANE_RECORD_MAX);
    begin_put(&b, g);
    assert_int_equal(lane_send_copy(l, REC_BEGIN, 0, b.data, b.len), 0);
    byhand_wait(l, REC_BEGUN, &r);
    struct cursor c = cursor_of(r.data, r.len);
    assert_int_equal(begun_get(&c, ret), 0);
    buf_done(&b);
}

/* It did not hold still. */
static void end_of(struct lane *l, uint32_t id)
{
    const uint8_t record[] = {(uint8_t)id, 0, 0, 0, 0};
    assert_int_equal(lane_send_copy(l, REC_END, 0, record, sizeof record), 0);
}

static uint64_t inode_of(const char *name)
{
    struct stat st;
    IN_SOURCE(stat(path, &st), name);
    return st.st_ino;
}

/* What stands below the root and came by nobody's hand is nothing that a source may ask about, nor
 * what came of another file of it. */
static void only_what_was_placed_is_a_basis(const struct pairing *p)
{
    struct step_result received = {0};
    struct lane_record r;
    struct begun begun;
    pthread_t thread;
    struct both b;
    put_random("placed", MIB, 1);
    transfer(&b, NULL);
    assert_done(&b);
    put(destination, "secret", "secret", 6);
    const uint64_t ino = inode_of("placed");
    const struct {
        const char *basis;
        uint64_t ino;
        bool is;
    } cases[] = {
        {"placed",       ino,     p->share},
        {"placed",       ino + 1, false   },
        {"secret",       ino,     false   },
        {"nothing",      ino,     false   },
        {"no/folder",    ino,     false   },
        {"placed/below", ino,     false   },
    };
    assert_int_equal(pthread_create(&thread, NULL, byhand_receive, &received), 0);
    struct lane *l = byhand_lane();
    for (uint32_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct begin g = {
            .id = i + 1, .name = {"new", 3},
                   .basis_ino = cases[i].ino
        };
        g.basis = (struct bytes){cases[i].basis, strlen(cases[i].basis)};
        g.meta = (struct meta){.mode = S_IFREG | 0644, .nlink = 1, .size = MIB};
        begin_with(l, &g, &begun);
        assert_int_equal(begun.old_size, cases[i].is ? MIB : 0);
        end_of(l, g.id);
    }
    assert_int_equal(lane_send_copy(l, REC_FINISH, 0, NULL, 0), 0);
    byhand_wait(l, REC_FINISHED, &r);
    assert_int_equal(lane_send_copy(l, REC_BYE, 0, NULL, 0), 0);
    (void)pthread_join(thread, NULL);
    (void)lane_free(l);
    step_result_done(&received);
}

/* ── on every pairing ── */

/* On the first n of them. */
static void on_each(void (*fn)(const struct pairing *), size_t n)
{
    unsigned ran = 0;
    for (size_t i = 0; i < n; i++) {
        const struct pairing *p = &pairings[i];
        (void)rmdir(source);
        if (grounds_mount(p->from, source, 400) && grounds_mount(p->to, destination, 400)) {
            print_message("[ pairing  ] %s to %s\n", p->from, p->to);
            char *lost = xasprintf("%s/lost+found", source),
                 *found = xasprintf("%s/lost+found", destination);
            (void)rmdir(lost);
            (void)rmdir(found);
            free(lost);
            free(found);
            fn(p);
            ran++;
        }
        grounds_unmount(source);
        grounds_unmount(destination);
        const char *const argv[] = {"sh", "-c", "rm -rf \"$1\"/*", "sh", state, NULL};
        (void)trees_run(argv);
    }
    assert_int_equal(mkdir(source, 0755), 0);
    if (ran == 0)
        skip();
}

#define ON_EACH(name, fn, n)                                                                       \
    static void name(void **state_)                                                                \
    {                                                                                              \
        (void)state_;                                                                              \
        on_each(fn, n);                                                                            \
    }

ON_EACH(families, a_family_stays_one, ARRAY_SIZE(pairings))
ON_EACH(later_clones, a_later_clone_shares_too, 2)
ON_EACH(damaged, a_damaged_basis_damages_nothing, 1)
ON_EACH(gone, a_basis_that_is_gone_is_none, 1)
ON_EACH(dirty, what_is_dirty_is_sent_as_it_is, 1)
ON_EACH(holes_and_names, holes_and_names_are_kept, 2)
ON_EACH(lies, only_what_was_placed_is_a_basis, 1)

/* One that failed left its file systems. */
static int leave(void **state_)
{
    grounds_unmount(source);
    grounds_unmount(destination);
    return trees_teardown(state_);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, trees_setup, leave)

int main(void)
{
    port = (uint16_t)(20000 + getpid() % 12000);
    if (!grounds_enter())
        return 77;
    const struct CMUnitTest tests[] = {
        CASE(families), CASE(later_clones),    CASE(damaged), CASE(gone),
        CASE(dirty),    CASE(holes_and_names), CASE(lies),
    };
    cmocka_set_test_filter(getenv("GODWIT_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
