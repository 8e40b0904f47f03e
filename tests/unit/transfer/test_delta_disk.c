/* test_delta_disk: how large files that the destination has in an older state are read and written
 * on real file systems: what of them enters the page cache, what becomes of reads that go past it
 * and end early, and of writes that are under way while the next piece is read. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/transfer/delta.h"
#include "agent/transfer/direct.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/grounds.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define NAME "image"
#define SIZE (5 * PIECE_BYTES + 12345)

static const struct transfer_options on = {.delta = true, .compress = COMPRESS_OFF};
static bool grounds_ready;

/* ── what becomes of a write past it ── */

static atomic_uint writes, fails_at, overlaps, early; /* fails_at: which of them; 0: all */
static atomic_int fails_with;
static atomic_bool refused, takes_less;
static atomic_ulong stands; /* the file that stands there until all is written; 0: of no interest */
static _Thread_local unsigned under_way;

void __real_flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at);
void __wrap_flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at);
void __wrap_flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at)
{
    unsigned number = atomic_fetch_add(&writes, 1) + 1, which = atomic_load(&fails_at);
    int err = atomic_load(&fails_with);
    f->refused = atomic_load(&refused);
    under_way++;
    if (err && (which == 0 || which == number))
        *f = (struct flight){.context = f->context, .result = -err};
    else
        __real_flight_begin(f, fd, data, atomic_load(&takes_less) ? 4096 : n, at);
}

/* So that only who waits for it ends it. */
bool __wrap_flight_is_over(struct flight *f);
bool __wrap_flight_is_over(struct flight *f)
{
    (void)f;
    return false;
}

int64_t __real_flight_end(struct flight *f);
int64_t __wrap_flight_end(struct flight *f);
int64_t __wrap_flight_end(struct flight *f)
{
    struct stat st;
    char *path = xasprintf("%s/image", destination);
    if (under_way > 0 && atomic_load(&stands) > 0 &&
        (stat(path, &st) < 0 || st.st_ino != atomic_load(&stands)))
        (void)atomic_fetch_add(&early, 1);
    free(path);
    under_way -= under_way > 0;
    return __real_flight_end(f);
}

/* ── what a read past the page cache gives ── */

enum way { ALL, NONE, SOME };
static _Atomic enum way way;
static atomic_uint reads;

size_t __real_direct_read(int fd, uint8_t *to, size_t n, uint64_t at);
size_t __wrap_direct_read(int fd, uint8_t *to, size_t n, uint64_t at);
size_t __wrap_direct_read(int fd, uint8_t *to, size_t n, uint64_t at)
{
    (void)atomic_fetch_add(&reads, 1);
    (void)atomic_fetch_add(&overlaps, under_way > 0);
    enum way now = atomic_load(&way);
    size_t k = now == NONE ? 0 : __real_direct_read(fd, to, n, at), some = k > 100 ? k / 2 + 13 : 0;
    if (now != SOME)
        return k;
    memset(to + some, 'x', n - some);
    return some;
}

/* Where the destination's new file, which shares the older one's blocks, cannot be read once. */
static atomic_ulong bad_dev;
static atomic_uint bad_reads;
#define BAD_AT (PIECE_BYTES + 4 * DELTA_BLOCK)

/* The source's file is cut short before its fifth read. */
static atomic_ulong cut_dev;
static atomic_uint cut_reads;

static void cut_short(const struct stat *st)
{
    if (st->st_dev == atomic_load(&cut_dev) && atomic_fetch_add(&cut_reads, 1) == 4)
        IN_SOURCE(truncate(path, (off_t)(PIECE_BYTES + 4097)), NAME);
}

ssize_t __real_pread64(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *to, size_t n, off_t at)
{
    struct stat st;
    bool there = (uint64_t)at <= BAD_AT && (uint64_t)at + n > BAD_AT;
    if ((!atomic_load(&cut_dev) && !atomic_load(&bad_dev)) || fstat(fd, &st) < 0)
        return __real_pread64(fd, to, n, at);
    cut_short(&st);
    if (!there || st.st_dev != atomic_load(&bad_dev))
        return __real_pread64(fd, to, n, at);
    (void)atomic_fetch_add(&bad_reads, 1);
    errno = EIO;
    return -1;
}

/* ── a file here and there ── */

static char *in(const char *dir)
{
    return xasprintf("%s/" NAME, dir);
}

static void change(uint64_t at, size_t len, unsigned seed)
{
    char *path = in(source);
    uint8_t *data = xmalloc(len);
    for (size_t i = 0; i < len; i++) {
        seed = seed * 1103515245U + 12345U;
        data[i] = (uint8_t)(seed >> 16);
    }
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, (off_t)at), len);
    (void)close(fd);
    free(data);
    free(path);
}

/* A file system of that kind, with nothing in it. */
static void ground(const char *kind, const char *path)
{
    if (!grounds_ready || !grounds_mount(kind, path, 512))
        skip();
    char *lost = xasprintf("%s/lost+found", path);
    (void)rmdir(lost);
    free(lost);
}

/* Both hold the same before it. */
static void first_copy(void)
{
    struct both b;
    put_random(NAME, SIZE, 1);
    transfer(&b, NULL);
    assert_done(&b);
    atomic_store(&reads, 0);
}

static int opened(const char *dir)
{
    char *path = in(dir);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    free(path);
    return fd;
}

static uint64_t cached_bytes(int fd)
{
    static unsigned char pages[SIZE / 4096 + 1];
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), n = 0;
    void *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mincore(map, SIZE, pages), 0);
    for (uint64_t i = 0; i * page < SIZE; i++)
        n += (pages[i] & 1) * page;
    assert_int_equal(munmap(map, SIZE), 0);
    return n;
}

/* Nothing of it is in memory. */
static void forget(int fd)
{
    assert_int_equal(syncfs(fd), 0);
    assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    assert_int_equal(cached_bytes(fd), 0);
}

static void expect_sent(uint64_t bytes)
{
    struct both b;
    transfer(&b, &on);
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, bytes);
}

/* ── what the page cache is spared ── */

/* An older file that is in no cache is read once, past it: neither it nor what shares its blocks
 * drives out what others have there. */
static void older_is_read_past_the_cache_on(const char *kind)
{
    ground(kind, destination);
    first_copy();
    int older = opened(destination);
    change(3 * PIECE_BYTES + 100, 10, 2);
    change(SIZE - 1, 1, 3);
    forget(older);
    expect_sent(DELTA_BLOCK + SIZE % DELTA_BLOCK);
    assert_in_range(cached_bytes(older), 0, 1 << 20); /* its end is no whole block */
    int newer = opened(destination);
    assert_in_range(cached_bytes(newer), 0, PIECE_BYTES); /* what was written by less */
    (void)close(newer);
    (void)close(older);
    assert_same_trees();
    grounds_unmount(destination);
}

static void older_is_read_past_the_cache_on_ext4(void **state_)
{
    (void)state_;
    older_is_read_past_the_cache_on("ext4");
}

static void older_is_read_past_the_cache_on_xfs(void **state_)
{
    (void)state_;
    older_is_read_past_the_cache_on("xfs");
}

/* ── reads that end early ── */

static void what_cannot_be_read_that_way_is_read_through_memory(void **state_)
{
    (void)state_;
    static const enum way ways[] = {NONE, SOME};
    ground("ext4", source);
    first_copy();
    int fd = opened(source);
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        change(3 * PIECE_BYTES + 100, 10, 2 + (unsigned)i);
        change(SIZE - 1, 1, 4 + (unsigned)i);
        forget(fd);
        atomic_store(&way, ways[i]);
        expect_sent(DELTA_BLOCK + SIZE % DELTA_BLOCK);
        assert_same_trees();
    }
    (void)close(fd);
    grounds_unmount(source);
}

/* What the source has there as zeros is written, though it looks the same as what was not read. */
static void blocks_that_are_shared_and_not_read_are_no_zeros_on(const char *kind)
{
    static const uint8_t zeros[DELTA_BLOCK];
    struct stat st;
    struct both b;
    ground(kind, destination);
    first_copy();
    char *path = in(source);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, (off_t)BAD_AT), sizeof zeros);
    (void)close(fd);
    free(path);
    assert_int_equal(stat(destination, &st), 0);
    atomic_store(&bad_reads, 0);
    atomic_store(&bad_dev, st.st_dev);
    transfer(&b, &on);
    atomic_store(&bad_dev, 0);
    assert_true(atomic_load(&bad_reads) > 0);
    assert_done(&b);
    assert_same_trees();
    grounds_unmount(destination);
}

static void blocks_that_are_shared_and_not_read_are_no_zeros(void **state_)
{
    (void)state_;
    blocks_that_are_shared_and_not_read_are_no_zeros_on("btrfs");
    assert_int_equal(trees_teardown(NULL), 0);
    assert_int_equal(trees_setup(NULL), 0);
    blocks_that_are_shared_and_not_read_are_no_zeros_on("xfs");
}

/* It is sent anew, as it is then. */
static void a_source_that_is_cut_short_meanwhile_arrives_as_it_is_then(void **state_)
{
    (void)state_;
    struct both b;
    struct stat st;
    ground("ext4", source);
    first_copy();
    change(100, 10, 2);
    assert_int_equal(stat(source, &st), 0);
    atomic_store(&cut_reads, 0);
    atomic_store(&cut_dev, st.st_dev);
    transfer(&b, &on);
    atomic_store(&cut_dev, 0);
    assert_true(atomic_load(&cut_reads) > 5);
    assert_done(&b);
    assert_same_trees();
    grounds_unmount(source);
}

/* ── writes that are under way ── */

/* In each piece something is new, or nothing in any. */
static void change_all(bool some, unsigned seed)
{
    for (uint64_t at = 0; some && at < SIZE; at += PIECE_BYTES)
        change(at + 3 * DELTA_BLOCK, 10, seed + (unsigned)at);
    if (!some)
        IN_SOURCE(utimensat(AT_FDCWD, path, NULL, 0), NAME);
}

static void forget_older(void)
{
    struct stat st;
    int fd = opened(destination);
    forget(fd);
    assert_int_equal(fstat(fd, &st), 0);
    atomic_store(&stands, st.st_ino);
    (void)close(fd);
    atomic_store(&writes, 0);
    atomic_store(&overlaps, 0);
}

/* A piece is on its way to the disk while the next is read, and the file gets its name behind the
 * last. */
static void the_next_piece_is_read_while_one_is_written(void **state_)
{
    (void)state_;
    ground("ext4", destination);
    first_copy();
    for (int some = 0; some < 2; some++) {
        struct both b;
        struct transfer_options o = on;
        o.lanes = 1;
        change_all(some, 2);
        forget_older();
        transfer(&b, &o);
        assert_done(&b);
        assert_same_trees();
        assert_int_equal(atomic_load(&writes), 5); /* the sixth is a short one */
        /* Of each piece but the first, and with blocks to come but the first two: 4 reads. */
        assert_in_range(atomic_load(&overlaps), some ? 12 : 16, 20);
        assert_int_equal(atomic_load(&early), 0);
        step_result_done(&b.sent);
        step_result_done(&b.received);
    }
    grounds_unmount(destination);
}

static void several_lanes_write_one_file(void **state_)
{
    (void)state_;
    ground("ext4", destination);
    first_copy();
    for (unsigned i = 0; i < 4; i++) {
        struct both b;
        struct transfer_options o = on;
        o.lanes = 2 + i;
        change_all(i % 2, 2 + i);
        forget_older();
        transfer(&b, &o);
        assert_done(&b);
        assert_same_trees();
        assert_int_equal(atomic_load(&early), 0);
        step_result_done(&b.sent);
        step_result_done(&b.received);
    }
    grounds_unmount(destination);
}

/* The file is named, the older one stands, and no temporary one does. */
static void a_disk_that_fails_is_told(void **state_)
{
    (void)state_;
    char *script = xasprintf("test \"$(ls -A '%s')\" = " NAME, destination);
    const char *const argv[] = {"sh", "-c", script, NULL};
    ground("ext4", destination);
    first_copy();
    for (unsigned which = 1; which <= 5; which++) {
        struct both b;
        struct stat st;
        change_all(which % 2, 2 + which);
        forget_older();
        atomic_store(&fails_with, EIO);
        atomic_store(&fails_at, which);
        transfer(&b, &on);
        assert_int_equal(b.received.status, STEP_FAILED);
        assert_non_null(strstr(b.received.fault.text, "cannot write 'image': Input/output error"));
        step_result_done(&b.sent);
        step_result_done(&b.received);
        int fd = opened(destination);
        assert_int_equal(fstat(fd, &st), 0);
        assert_int_equal(st.st_ino, atomic_load(&stands));
        (void)close(fd);
        assert_int_equal(trees_run(argv), 0);
    }
    free(script);
    grounds_unmount(destination);
}

static void what_cannot_be_written_that_way_is_written_through_memory(void **state_)
{
    (void)state_;
    ground("ext4", destination);
    first_copy();
    for (unsigned i = 0; i < 3; i++) {
        change_all(true, 2 + i);
        forget_older();
        atomic_store(&fails_with, i == 0 ? EINVAL : 0);
        atomic_store(&takes_less, i == 1);
        atomic_store(&refused, i == 2); /* the kernel works on nothing while the thread goes on */
        expect_sent(5 * DELTA_BLOCK + SIZE % DELTA_BLOCK);
        assert_same_trees();
        assert_int_equal(atomic_load(&writes), 5);
        assert_int_equal(atomic_load(&early), 0);
    }
    grounds_unmount(destination);
}

static int setup(void **state_)
{
    atomic_store(&writes, 0);
    atomic_store(&fails_at, 0);
    atomic_store(&fails_with, 0);
    atomic_store(&overlaps, 0);
    atomic_store(&early, 0);
    atomic_store(&stands, 0);
    atomic_store(&refused, false);
    atomic_store(&takes_less, false);
    atomic_store(&way, ALL);
    atomic_store(&reads, 0);
    return trees_setup(state_);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, trees_teardown)

int main(void)
{
    port = (uint16_t)(20000 + getpid() % 12000);
    const char *const argv[] = {"sh", "-c", "command -v rsync >/dev/null", NULL};
    if (trees_run(argv) != 0) {
        (void)fprintf(stderr, "skipped: rsync is not installed\n");
        return 77;
    }
    grounds_ready = grounds_enter();
    const struct CMUnitTest tests[] = {
        CASE(older_is_read_past_the_cache_on_ext4),
        CASE(older_is_read_past_the_cache_on_xfs),
        CASE(what_cannot_be_read_that_way_is_read_through_memory),
        CASE(blocks_that_are_shared_and_not_read_are_no_zeros),
        CASE(a_source_that_is_cut_short_meanwhile_arrives_as_it_is_then),
        CASE(the_next_piece_is_read_while_one_is_written),
        CASE(several_lanes_write_one_file),
        CASE(a_disk_that_fails_is_told),
        CASE(what_cannot_be_written_that_way_is_written_through_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
