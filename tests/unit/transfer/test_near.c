/* test_near: a source of its own whose lanes lead to this very process writes the pieces of large
 * files itself: what arrives, what is said when that fails, the rate; and that no other peer may
 * claim to have written. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/transfer/sender_priv.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/byhand.h"
#include "tests/unit/transfer/grounds.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define MIB (1U << 20)

static bool grounds_ready;

/* Writes of 1 MiB and more, which none but near_write() makes: bytes, and which write fails, past
 * the page cache (tried once more through it: the same place of the same file) or not. */
static atomic_int written, writes, bad_write, bad_errno;
static _Atomic(struct flight *) bad_flight;
static atomic_ulong bad_ino, bad_at;

static bool is_bad_write(int fd, size_t n, uint64_t at, bool again)
{
    struct stat st;
    /* Which thread comes first is nobody's to say: only "one" is as long. */
    int now = at >= 3 * MIB ? atomic_fetch_add(&writes, 1) + 1 : 0;
    assert_int_equal(fstat(fd, &st), 0);
    if (atomic_load(&bad_write) && now == atomic_load(&bad_write)) {
        atomic_store(&bad_at, at);
        atomic_store(&bad_ino, again ? 0 : st.st_ino);
        return true;
    }
    /* Once: another file may have the inode of one that was given up. */
    unsigned long ino = st.st_ino;
    if (again && at == atomic_load(&bad_at) && atomic_compare_exchange_strong(&bad_ino, &ino, 0))
        return true;
    (void)atomic_fetch_add(&written, (int)n);
    return false;
}

static atomic_int under_way, closed, closed_early; /* files past the page cache */

void __real_flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at);
void __wrap_flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at);
void __wrap_flight_begin(struct flight *f, int fd, const void *data, size_t n, uint64_t at)
{
    if (n >= MIB && is_bad_write(fd, n, at, false))
        atomic_store(&bad_flight, f);
    (void)atomic_fetch_add(&under_way, 1);
    __real_flight_begin(f, fd, data, n, at);
}

int64_t __real_flight_end(struct flight *f);
int64_t __wrap_flight_end(struct flight *f);
int64_t __wrap_flight_end(struct flight *f)
{
    int64_t k = __real_flight_end(f);
    (void)atomic_fetch_sub(&under_way, 1);
    struct flight *bad = f;
    return atomic_compare_exchange_strong(&bad_flight, &bad, NULL) ? -atomic_load(&bad_errno) : k;
}

ssize_t __real_pwrite64(int fd, const void *data, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t at);
ssize_t __wrap_pwrite64(int fd, const void *data, size_t n, off_t at)
{
    if (n >= MIB && is_bad_write(fd, n, (uint64_t)at, true)) {
        errno = atomic_load(&bad_errno);
        return -1;
    }
    return __real_pwrite64(fd, data, n, at);
}

/* What fails past the page cache is tried by the file's descriptor, which is another file's soon.
 */
void __real_near_close(struct near *n);
void __wrap_near_close(struct near *n);
void __wrap_near_close(struct near *n)
{
    if (n->direct_fd >= 0) {
        (void)atomic_fetch_add(&closed, 1);
        (void)atomic_fetch_add(&closed_early, atomic_load(&under_way) > 0);
    }
    __real_near_close(n);
}

/* ── the source: files of the folder `source`, read here ── */

static const char *names[] = {"one", "two", NULL};

static int begin(struct worker *w)
{
    w->own = xmalloc(MIB);
    return 0;
}

static void end(struct worker *w)
{
    free(w->own);
    w->own = NULL;
}

static int session_begin(struct sender *s)
{
    (void)s;
    return 0;
}

static void session_end(struct sender *s)
{
    (void)s;
}

static int folder(struct worker *w, char *path, size_t len, uint32_t flags)
{
    struct folder *f = walk_folder_new(path, len, flags & WALK_FRESH);
    int rc = 0;
    struct stat st;
    if (stat(source, &st) == 0)
        meta_from_stat(&st, &f->meta);
    rc = batch_folder(w, f);
    for (size_t i = 0; rc == 0 && names[i]; i++) {
        CLEANUP(mem_free) char *from = in_source(names[i]);
        struct meta m;
        if (stat(from, &st) < 0)
            continue;
        meta_from_stat(&st, &m);
        walk_count(w, &m, false);
        buf_clear(&w->xattrs);
        rc = large_send_file(w, f, names[i], from, &m);
    }
    folder_unref(w, f);
    return rc;
}

static int answer(struct worker *w, struct listing *l)
{
    listing_free(w, l);
    return 0;
}

static int later(struct worker *w)
{
    (void)w;
    return 0;
}

static atomic_bool cut; /* "one" cannot be read to the end of a piece */

static int piece(struct worker *w, struct large *g, uint32_t n, int *reterr)
{
    uint64_t at = n * PIECE_BYTES, to = at + piece_len(g->meta.size, n);
    CLEANUP(fd_close) int fd = open(g->file, O_RDONLY | O_CLOEXEC);
    int err = 0, rc = 0;
    struct piece_end p = {.id = g->id, .piece = n};
    XXH128_canonical_t c;
    assert_true(near_begin(w, g));
    (void)XXH3_128bits_reset(w->hash);
    for (; rc == 0 && at < to; at += MIB) {
        size_t len = to - at < MIB ? (size_t)(to - at) : MIB;
        *reterr = pread(fd, w->own, len, (off_t)at) == (ssize_t)len ? 0 : -EBUSY;
        (void)XXH3_128bits_update(w->hash, w->own, len);
        rc = near_write(w, g, w->own, len, at, &err);
        if (atomic_load(&cut) && at % PIECE_BYTES == 3 * MIB && g->meta.size > 3 * MIB)
            *reterr = -EREMOTEIO;
        if (*reterr < 0)
            return rc;
    }
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(w->hash));
    memcpy(p.digest, c.digest, DIGEST_BYTES);
    return rc < 0 ? rc : near_piece_end(w, g, &p, err);
}

static bool held_still(struct worker *w, const struct large *g)
{
    (void)w;
    (void)g;
    return true;
}

static int finish(struct worker *w)
{
    (void)w;
    return 0;
}

static const struct source_ops ops = {session_begin, session_end, begin, end,        folder,
                                      answer,        later,       piece, held_still, finish};

static int64_t run(uint64_t rate, struct both *b)
{
    struct harness h = {.source = source,
                        .destination = destination,
                        .state = state,
                        .rate = rate,
                        .own_source = &ops};
    int64_t began = clock_mono_ms();
    atomic_store(&writes, 0);
    atomic_store(&written, 0);
    atomic_store(&bad_ino, 0);
    harness_run(&h, &b->sent, &b->received);
    return clock_mono_ms() - began;
}

static void done(struct both *b)
{
    step_result_done(&b->sent);
    step_result_done(&b->received);
    atomic_store(&bad_write, 0);
}

static bool is_there(const char *name)
{
    CLEANUP(mem_free) char *path = xasprintf("%s/%s", destination, name);
    return access(path, F_OK) == 0;
}

/* ── tests ── */

static void what_the_source_writes_arrives(void **state_)
{
    (void)state_;
    struct both b;
    put_random("one", 20 * MIB + 12345, 1);
    put_random("two", 3 * MIB, 2);
    (void)run(0, &b);
    assert_done(&b);
    assert_same_trees();
    assert_int_equal(atomic_load(&written), 23 * MIB); /* nothing went by the lane */
    assert_int_equal(b.received.counters.bytes, 23 * MIB + 12345);
    assert_int_equal(b.sent.counters.sent_bytes, 0); /* a source of its own counts itself */
    assert_true(b.sent.counters.wire_bytes >= 23 * MIB);
    done(&b);
}

/* What concerns one file fails that file; what concerns all ends the run, as any write does. */
static void a_write_that_fails_is_the_destinations(void **state_)
{
    (void)state_;
    static const struct {
        int err;
        enum step_status status;
        const char *says;
    } cases[] = {
        {EFBIG,  STEP_PARTIAL, NULL                },
        {ENOSPC, STEP_FAILED,  "cannot write 'one'"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct both b;
        assert_int_equal(trees_teardown(NULL), 0);
        assert_int_equal(trees_setup(NULL), 0);
        put_random("one", 20 * MIB, 1);
        put_random("two", 3 * MIB, 2);
        atomic_store(&bad_errno, cases[i].err);
        atomic_store(&bad_write, 3);
        (void)run(0, &b);
        assert_int_equal(b.received.status, cases[i].status);
        assert_false(is_there("one"));
        if (cases[i].says)
            assert_non_null(strstr(b.received.fault.text, cases[i].says));
        if (cases[i].err == EFBIG) {
            assert_true(is_there("two"));
            assert_int_equal(b.received.ngroups, 1);
            assert_string_equal(b.received.groups[0].what, "write");
            assert_string_equal(b.received.groups[0].examples[0], "one");
        }
        done(&b);
    }
}

/* Nothing of it is under way any more when its descriptors are let go of. */
static void a_piece_that_is_not_read_is_over(void **state_)
{
    (void)state_;
    struct both b;
    if (!grounds_ready || !grounds_mount("ext4", destination, 320))
        skip();
    put_random("one", 20 * MIB, 1);
    put_random("two", 3 * MIB, 2);
    atomic_store(&closed, 0);
    atomic_store(&cut, true);
    (void)run(0, &b);
    atomic_store(&cut, false);
    assert_int_equal(b.sent.status, STEP_PARTIAL);
    assert_false(is_there("one"));
    assert_true(is_there("two"));
    assert_int_equal(atomic_load(&closed), 1);
    assert_int_equal(atomic_load(&closed_early), 0);
    done(&b);
    grounds_unmount(destination);
}

static void the_rate_holds_for_it_too(void **state_)
{
    (void)state_;
    struct both b;
    put_random("one", 6 * MIB, 1);
    int64_t took = run(3 * MIB, &b);
    assert_done(&b);
    assert_same_trees();
    if (took < 1700 || took > 6000)
        fail_msg("6 MiB at 3 MiB/s took %lld ms", (long long)took);
    done(&b);
}

/* Over a connection nobody is believed: the file would be zeros. */
static void no_other_peer_has_written(void **state_)
{
    (void)state_;
    struct both keys;
    struct step_result received = {0};
    pthread_t thread;
    struct lane_record r;
    struct buf b;
    transfer(&keys, &(struct transfer_options){.dry_run = true}); /* makes the keys */
    assert_int_equal(pthread_create(&thread, NULL, byhand_receive, &received), 0);
    struct lane *l = byhand_lane();
    struct begin g = {
        .id = 1, .name = {"big", 3}
    };
    g.meta = (struct meta){.mode = S_IFREG | 0644, .nlink = 1, .size = PIECE_BYTES};
    buf_init(&b, LANE_RECORD_MAX);
    begin_put(&b, &g);
    assert_int_equal(lane_send_copy(l, REC_BEGIN, 0, b.data, b.len), 0);
    byhand_wait(l, REC_BEGUN, &r);
    buf_clear(&b);
    piece_end_put(&b, &(struct piece_end){.id = 1});
    buf_put_u32(&b, 0);
    assert_int_equal(lane_send_copy(l, REC_WRITTEN, 0, b.data, b.len), 0);
    int rc;
    do
        rc = lane_receive(l, 10000, &r);
    while (rc == 1);
    assert_true(rc < 0 && rc != -ETIMEDOUT); /* the lane is ended */
    (void)lane_free(l);
    harness_cancel();
    (void)pthread_join(thread, NULL);
    assert_false(is_there("big"));
    assert_int_equal(received.counters.bytes, 0);
    step_result_done(&received);
    buf_done(&b);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_the_source_writes_arrives, trees_setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(a_write_that_fails_is_the_destinations, trees_setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(a_piece_that_is_not_read_is_over, trees_setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(the_rate_holds_for_it_too, trees_setup, trees_teardown),
        cmocka_unit_test_setup_teardown(no_other_peer_has_written, trees_setup, trees_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
