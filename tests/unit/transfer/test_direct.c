/* test_direct: what goes past the page cache, by itself and in whole transfers over lanes: what is
 * in the file and what of it in memory, ends and beginnings that are no whole blocks, what is
 * dropped, what fails there, and file systems that are left alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/transfer/direct.h"
#include "agent/transfer/record.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/grounds.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define MIB (1ULL << 20)
#define NAME "file"

static bool grounds_ready;

/* Writes past the page cache: how many, and what becomes of them. */
static atomic_int writes, ended, fails_with, fails_once, takes_less; /* once: which of them */
static atomic_bool refused; /* the kernel works on nothing while the thread goes on */

void __real_flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at);
void __wrap_flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at);
void __wrap_flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at)
{
    int number = atomic_fetch_add(&writes, 1) + 1;
    int once = atomic_load(&fails_once);
    f->refused = atomic_load(&refused);
    if (atomic_load(&fails_with) && (once == 0 || once == number))
        *f = (struct flight){.context = f->context, .result = -atomic_load(&fails_with)};
    else
        __real_flight_begin(f, fd, data, atomic_load(&takes_less) ? 4096 : n, at);
}

int64_t __real_flight_end(struct flight *f);
int64_t __wrap_flight_end(struct flight *f);
int64_t __wrap_flight_end(struct flight *f)
{
    (void)atomic_fetch_add(&ended, 1);
    return __real_flight_end(f);
}

static int setup(void **state_)
{
    atomic_store(&ended, 0);
    atomic_store(&writes, 0);
    atomic_store(&fails_with, 0);
    atomic_store(&fails_once, 0);
    atomic_store(&takes_less, 0);
    atomic_store(&refused, false);
    return trees_setup(state_);
}

/* ── one file ── */

struct file {
    int folder, fd, direct;
    uint8_t *want;
    size_t len;
    struct direct d;
};

/* Of len bytes, all zeros, on a new file system of that kind. */
static void file_begin(struct file *f, const char *kind, size_t len)
{
    if (!grounds_ready || !grounds_mount(kind, destination, 320))
        skip();
    *f = (struct file){.len = len, .want = xcalloc(len, 1)};
    f->folder = open(destination, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->fd = openat(f->folder, NAME, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(f->folder >= 0 && f->fd >= 0);
    assert_int_equal(ftruncate(f->fd, (off_t)len), 0);
    f->direct = direct_open(f->folder, NAME, f->fd);
}

/* n bytes at a place in parts as a lane brings them, which should then be there. */
static int file_put(struct file *f, uint64_t at, size_t n, unsigned seed)
{
    int rc = 0;
    for (size_t i = 0; i < n; i++) {
        seed = seed * 1103515245U + 12345U;
        f->want[at + i] = (uint8_t)(seed >> 16);
    }
    for (size_t done = 0; rc == 0 && done < n; done += CHUNK_BYTES) {
        size_t part = n - done < CHUNK_BYTES ? n - done : CHUNK_BYTES;
        rc = direct_put(&f->d, f->fd, f->direct, f->want + at + done, part, at + done);
    }
    return rc;
}

static uint64_t cached_bytes(int fd, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), pages = (len + page - 1) / page, n = 0;
    unsigned char *in = xcalloc(pages, 1);
    void *map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(map, MAP_FAILED);
    assert_int_equal(mincore(map, len, in), 0);
    for (size_t i = 0; i < pages; i++)
        n += (in[i] & 1) * page;
    assert_int_equal(munmap(map, len), 0);
    free(in);
    return n;
}

static void file_end(struct file *f)
{
    uint8_t *is = xmalloc(f->len);
    assert_int_equal(pread(f->fd, is, f->len, 0), f->len);
    assert_memory_equal(is, f->want, f->len);
    free(is);
    free(f->want);
    direct_done(&f->d);
    (void)close(f->fd);
    (void)close(f->folder);
    if (f->direct >= 0)
        (void)close(f->direct);
    grounds_unmount(destination);
}

static void it_all_arrives_and_nothing_stays_in_memory(void **state_)
{
    (void)state_;
    static const char *const kinds[] = {"ext4", "xfs"};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct file f;
        file_begin(&f, kinds[i], 16 * MIB + 12345);
        assert_true(f.direct >= 0);
        assert_int_equal(file_put(&f, 8 * MIB, 8 * MIB + 12345, 1), 0); /* and its end */
        assert_int_equal(file_put(&f, 0, 3 * MIB + 100, 2), 0);         /* no whole block */
        assert_int_equal(file_put(&f, 5 * MIB, 512 << 10, 3), 0);
        assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
        assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0); /* nothing waits */
        assert_int_equal(atomic_load(&writes), 12);
        assert_in_range(cached_bytes(f.fd, f.len), 1, 64 << 10);
        atomic_store(&writes, 0);
        file_end(&f);
    }
}

/* Behind an odd beginning every place in memory is odd too. */
static void what_begins_within_a_block_goes_through_memory(void **state_)
{
    (void)state_;
    struct file f;
    file_begin(&f, "ext4", 8 * MIB);
    assert_int_equal(file_put(&f, 512, 3 * MIB, 1), 0);
    assert_int_equal(file_put(&f, 4 * MIB, 100 << 10, 2), 0); /* and what is not worth it */
    assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
    assert_int_equal(atomic_load(&writes), 0);
    file_end(&f);
}

static void other_file_systems_are_left_alone(void **state_)
{
    (void)state_;
    static const char *const kinds[] = {"tmpfs", "btrfs"};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        struct file f;
        file_begin(&f, kinds[i], 4 * MIB);
        assert_int_equal(f.direct, -1);
        assert_int_equal(file_put(&f, 0, 3 * MIB, 1), 0);
        assert_null(f.d.memory); /* it is there already */
        assert_int_equal(atomic_load(&writes), 0);
        file_end(&f);
    }
}

/* What is behind the end is room of the reader's, but for the rest of the last block. */
static void reads_end_with_the_file(void **state_)
{
    (void)state_;
    static const struct {
        uint64_t at;
        size_t n, got;
    } cases[] = {
        {0,                    MIB,  MIB         },
        {4096,                 5000, 5000        },
        {2 * MIB,              MIB,  MIB / 2 + 77}, /* somebody cut the file short */
        {2 * MIB + 4096 * 127, 4096, 4096        },
        {2 * MIB + MIB / 2,    4096, 77          },
        {2 * MIB + MIB / 2,    77,   77          },
        {3 * MIB,              4096, 0           },
        {512 + 1,              4096, 0           }, /* not that way */
    };
    struct file f;
    file_begin(&f, "ext4", 2 * MIB + MIB / 2 + 77);
    assert_int_equal(file_put(&f, 0, f.len, 1), 0);
    assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
    void *room = NULL;
    assert_int_equal(posix_memalign(&room, 4096, MIB + 4096), 0);
    uint8_t *p = room;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        memset(p, 'x', MIB + 4096);
        size_t k = direct_read(f.direct, p, cases[i].n, cases[i].at);
        assert_int_equal(k, cases[i].got);
        assert_memory_equal(p, f.want + cases[i].at, k);
        for (size_t at = (cases[i].n + 4095) / 4096 * 4096; at < MIB + 4096; at++)
            assert_int_equal(p[at], 'x');
    }
    assert_int_equal(direct_read(-1, p, 4096, 0), 0);
    free(room);
    file_end(&f);
}

/* Most of it, and not when in doubt: what is there is read for less than what is not. */
static void what_is_in_memory_is_known(void **state_)
{
    (void)state_;
    static uint8_t some[5 * MIB];
    struct file f;
    file_begin(&f, "ext4", PIECE_BYTES + 5000);
    assert_int_equal(file_put(&f, 0, f.len, 1), 0);
    assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
    assert_int_equal(syncfs(f.fd), 0);
    assert_int_equal(posix_fadvise(f.fd, 0, 0, POSIX_FADV_DONTNEED), 0);
    assert_int_equal(posix_fadvise(f.fd, 0, 0, POSIX_FADV_RANDOM), 0); /* nothing is read ahead */
    assert_false(direct_is_cached(f.fd, 0, PIECE_BYTES));
    assert_int_equal(pread(f.fd, some, 3 * MIB, 0), 3 * MIB);
    assert_false(direct_is_cached(f.fd, 0, PIECE_BYTES));
    assert_int_equal(pread(f.fd, some, 5 * MIB, 0), 5 * MIB);
    assert_true(direct_is_cached(f.fd, 0, PIECE_BYTES));
    assert_false(direct_is_cached(f.fd, PIECE_BYTES, 5000));
    assert_true(direct_is_cached(f.fd, 0, PIECE_BYTES + 1)); /* more than is asked about */
    assert_true(direct_is_cached(-1, 0, PIECE_BYTES));
    file_end(&f);
}

/* Of a piece that is given up: not into its own file any more, and not into the next one. */
static void what_is_dropped_is_written_nowhere(void **state_)
{
    (void)state_;
    struct file f;
    file_begin(&f, "ext4", 8 * MIB);
    assert_int_equal(file_put(&f, 0, MIB / 2, 1), 0);
    direct_drop(&f.d);
    memset(f.want, 0, MIB / 2);
    assert_int_equal(file_put(&f, 4 * MIB, MIB, 2), 0);
    assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
    assert_int_equal(atomic_load(&writes), 1);
    file_end(&f);
}

/* Nor does what is under way come after what is written to that place next. */
static void what_is_under_way_is_over_when_it_is_dropped(void **state_)
{
    (void)state_;
    struct file f;
    file_begin(&f, "ext4", 8 * MIB);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(file_put(&f, 0, 3 * MIB, i), 0);
        direct_drop(&f.d);
        assert_int_equal(atomic_load(&ended), atomic_load(&writes));
        assert_int_equal(file_put(&f, 4096, 2 * MIB, 100 + i), 0);
        assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
    }
    assert_int_equal(file_put(&f, 2 * MIB, MIB, 7), 0);
    assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
    file_end(&f);
}

/* A piece that is whole: neither does the next one wait for it, nor does it go with that. */
static void what_is_left_goes_on(void **state_)
{
    (void)state_;
    struct file f;
    file_begin(&f, "ext4", 16 * MIB);
    for (unsigned i = 0; i < 20; i++) {
        atomic_store(&ended, 0);
        assert_int_equal(file_put(&f, 0, 3 * MIB, i), 0);
        assert_int_equal(direct_leave(&f.d, f.fd, f.direct), 0);
        assert_false(direct_left_ended(&f.d));
        assert_int_equal(file_put(&f, 8 * MIB, MIB / 2, 100 + i), 0);
        direct_drop(&f.d);
        memset(f.want + 8 * MIB, 0, MIB / 2);
        assert_int_equal(atomic_load(&ended), 0);
        assert_int_equal(direct_left(&f.d), 0);
        assert_int_equal(atomic_load(&ended), 3);
        assert_true(direct_left_ended(&f.d));
    }
    assert_int_equal(file_put(&f, 4 * MIB, 3 * MIB, 1), 0);
    assert_int_equal(direct_leave(&f.d, f.fd, f.direct), 0);
    assert_int_equal(file_put(&f, 8 * MIB, 8 * MIB, 2), 0); /* which takes its rooms */
    assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
    assert_int_equal(direct_left(&f.d), 0);
    file_end(&f);
}

/* As that of the piece that it was of, not of the next one's. */
static void what_becomes_of_what_is_left_is_told(void **state_)
{
    (void)state_;
    struct file f;
    file_begin(&f, "ext4", 8 * MIB);
    atomic_store(&fails_with, EIO);
    assert_int_equal(file_put(&f, 0, 3 * MIB, 1), 0);
    memset(f.want, 0, f.len);
    assert_int_equal(direct_leave(&f.d, f.fd, f.direct), 0);
    atomic_store(&fails_with, 0);
    assert_int_equal(file_put(&f, 4 * MIB, 4 * MIB, 2), 0);
    assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
    assert_int_equal(direct_left(&f.d), -EIO);
    assert_int_equal(direct_leave(&f.d, f.fd, f.direct), 0);
    assert_int_equal(direct_left(&f.d), 0);
    file_end(&f);
}

static void a_kernel_that_does_nothing_beside_is_as_good(void **state_)
{
    (void)state_;
    struct file f;
    file_begin(&f, "ext4", 8 * MIB);
    atomic_store(&refused, true);
    assert_int_equal(file_put(&f, 0, 7 * MIB + 5, 1), 0);
    assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
    assert_int_equal(atomic_load(&writes), 7);
    assert_true(f.d.rooms[0].flight.context == 0);
    file_end(&f);
}

static void what_cannot_go_past_memory_goes_through_it(void **state_)
{
    (void)state_;
    for (int less = 0; less < 2; less++) {
        struct file f;
        file_begin(&f, "ext4", 8 * MIB);
        atomic_store(&fails_with, less ? 0 : EINVAL);
        atomic_store(&takes_less, less);
        assert_int_equal(file_put(&f, 0, 5 * MIB + 1, 1), 0);
        assert_int_equal(direct_flush(&f.d, f.fd, f.direct), 0);
        assert_int_equal(atomic_load(&writes), 5 * (less + 1));
        file_end(&f);
    }
}

static void a_disk_that_fails_is_told(void **state_)
{
    (void)state_;
    struct file f;
    file_begin(&f, "ext4", 8 * MIB);
    atomic_store(&fails_with, EIO);
    assert_int_equal(file_put(&f, 0, 4 * MIB, 1), -EIO);
    assert_int_equal(atomic_load(&writes), DIRECT_ROOMS);
    memset(f.want, 0, f.len);
    file_end(&f);
}

/* A full one tells it of the write through memory, which is the second try. */
static void a_full_disk_is_told(void **state_)
{
    (void)state_;
    struct file f;
    file_begin(&f, "ext4", 16 * MIB);
    int filler = openat(f.folder, "filler", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(filler >= 0);
    off_t full = 0;
    while (fallocate(filler, 0, full, MIB) == 0)
        full += MIB;
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(ftruncate(filler, full - (off_t)(4 * MIB)), 0);
    assert_int_equal(file_put(&f, 0, 16 * MIB, 1), -ENOSPC);
    assert_true(atomic_load(&writes) >= 2);
    (void)close(filler);
    f.len = 0; /* of no interest */
    file_end(&f);
}

/* ── whole transfers over lanes ── */

static int on_destination(const char *name)
{
    char *path = xasprintf("%s/%s", destination, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    free(path);
    assert_true(fd >= 0);
    return fd;
}

static void put_sparse(void)
{
    static uint8_t data[MIB];
    memset(data, 'x', sizeof data);
    int fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int file = openat(fd, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    static const uint64_t at[] = {0, 3 * MIB + 4096, 8 * MIB - MIB, 20 * MIB + 77, 33 * MIB};
    for (size_t i = 0; i < ARRAY_SIZE(at); i++)
        assert_int_equal(pwrite(file, data, sizeof data, (off_t)at[i]), sizeof data);
    assert_int_equal(ftruncate(file, 40 * MIB + 1), 0);
    (void)close(file);
    (void)close(fd);
}

static void large_files_arrive(const char *kind, bool past)
{
    struct both b;
    struct stat st;
    if (!grounds_ready || !grounds_mount(kind, destination, 512))
        skip();
    char *lost = xasprintf("%s/lost+found", destination);
    (void)rmdir(lost);
    free(lost);
    put_random("one", 20 * MIB + 12345, 1);
    put_random("two", 8 * MIB + 1, 2);
    put_random("piece", 8 * MIB, 3); /* grows as it comes: not past */
    put_sparse();
    transfer(&b, &(struct transfer_options){.lanes = 3});
    assert_done(&b);
    assert_same_trees();
    step_result_done(&b.sent);
    step_result_done(&b.received);
    assert_int_equal(atomic_load(&writes) > 0, past);
    int fd = on_destination("sparse");
    assert_int_equal(fstat(fd, &st), 0);
    assert_true((uint64_t)st.st_blocks < 12 * MIB / 512); /* its holes are holes */
    (void)close(fd);
    grounds_unmount(destination);
}

static void large_files_arrive_on_ext4(void **state_)
{
    (void)state_;
    large_files_arrive("ext4", true);
}

static void large_files_arrive_on_xfs(void **state_)
{
    (void)state_;
    large_files_arrive("xfs", true);
}

static void large_files_arrive_on_btrfs(void **state_)
{
    (void)state_;
    large_files_arrive("btrfs", false);
}

static void large_files_arrive_on_tmpfs(void **state_)
{
    (void)state_;
    large_files_arrive("tmpfs", false);
}

static void a_large_file_leaves_nothing_in_memory(void **state_)
{
    (void)state_;
    struct both b;
    if (!grounds_ready || !grounds_mount("ext4", destination, 320))
        skip();
    put_random("one", 20 * MIB + 12345, 1);
    transfer(&b, NULL);
    assert_done(&b);
    step_result_done(&b.sent);
    step_result_done(&b.received);
    int fd = on_destination("one");
    assert_in_range(cached_bytes(fd, 20 * MIB + 12345), 0, 64 << 10);
    (void)close(fd);
    grounds_unmount(destination);
}

/* The file is named, and neither it nor a temporary one stands there. */
static void disk_fails(int which)
{
    struct both b;
    if (!grounds_ready || !grounds_mount("ext4", destination, 320))
        skip();
    put_random("one", 20 * MIB, 1);
    atomic_store(&fails_with, EIO);
    atomic_store(&fails_once, which);
    transfer(&b, &(struct transfer_options){.lanes = 1});
    assert_int_equal(b.received.status, STEP_FAILED);
    assert_non_null(strstr(b.received.fault.text, "cannot write 'one': Input/output error"));
    step_result_done(&b.sent);
    step_result_done(&b.received);
    char *script = xasprintf("test -z \"$(find '%s' -type f)\"", destination);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
    grounds_unmount(destination);
}

static void a_disk_that_fails_ends_the_transfer(void **state_)
{
    (void)state_;
    disk_fails(0);
}

/* The last of a piece, which is under way while the next one comes; and the last of all. */
static void a_disk_that_fails_once_ends_it_too(void **state_)
{
    (void)state_;
    static const int which[] = {8, 9, 16, 20};
    for (size_t i = 0; i < ARRAY_SIZE(which); i++) {
        atomic_store(&writes, 0);
        disk_fails(which[i]);
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
    port = (uint16_t)(20000 + getpid() % 12000);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, trees_teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_all_arrives_and_nothing_stays_in_memory),
        TEST(what_begins_within_a_block_goes_through_memory),
        TEST(other_file_systems_are_left_alone),
        TEST(reads_end_with_the_file),
        TEST(what_is_in_memory_is_known),
        TEST(what_is_dropped_is_written_nowhere),
        TEST(what_is_under_way_is_over_when_it_is_dropped),
        TEST(what_is_left_goes_on),
        TEST(what_becomes_of_what_is_left_is_told),
        TEST(a_kernel_that_does_nothing_beside_is_as_good),
        TEST(what_cannot_go_past_memory_goes_through_it),
        TEST(a_disk_that_fails_is_told),
        TEST(a_full_disk_is_told),
        TEST(large_files_arrive_on_ext4),
        TEST(large_files_arrive_on_xfs),
        TEST(large_files_arrive_on_btrfs),
        TEST(large_files_arrive_on_tmpfs),
        TEST(a_large_file_leaves_nothing_in_memory),
        TEST(a_disk_that_fails_ends_the_transfer),
        TEST(a_disk_that_fails_once_ends_it_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
