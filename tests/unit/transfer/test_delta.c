/* test_delta: large files that the destination has in an older state: what differs is sent, and no
 * more, and what arrives is the same as ever. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/transfer/delta.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/grounds.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define NAME "image"
#define SIZE (5 * PIECE_BYTES + 12345)
#define PIECES 6U
/* An offer and its answer beside the blocks: 64 bytes each, with headers. */
#define OFFER_WIRE 64U
#define RECORD_WIRE 32U

static const struct transfer_options on = {.delta = true, .compress = COMPRESS_OFF};
static char fault_file[64];

/* Pieces that a worker claimed of a file of which it had none: that may be gone with its owner. */
static atomic_int claimed, claimed_unheld;

bool __real_large_claim(struct sender *s, struct large *g, uint32_t *retpiece);
bool __wrap_large_claim(struct sender *s, struct large *g, uint32_t *retpiece);
bool __wrap_large_claim(struct sender *s, struct large *g, uint32_t *retpiece)
{
    (void)pthread_mutex_lock(&s->lock);
    atomic_fetch_add(&claimed, 1);
    atomic_fetch_add(&claimed_unheld, g->inflight == 0);
    (void)pthread_mutex_unlock(&s->lock);
    return __real_large_claim(s, g, retpiece);
}

static void change(const char *dir, uint64_t at, size_t len, unsigned seed)
{
    char *path = xasprintf("%s/" NAME, dir);
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

static void punch(uint64_t at, uint64_t len)
{
    char *path = in_source(NAME);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)len), 0);
    (void)close(fd);
    free(path);
}

/* Both hold the same before it. */
static void first_copy(void)
{
    struct both b;
    put_random(NAME, SIZE, 1);
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, SIZE);
    assert_int_equal(b.sent.counters.delta_saved, 0);
}

/* A run that sends so many bytes of content in so many runs of blocks, and leaves the same. */
static void expect_sent(uint64_t bytes, unsigned records)
{
    struct both b;
    transfer(&b, &on);
    assert_done(&b);
    assert_same_trees();
    const struct counters *c = &b.sent.counters;
    assert_int_equal(c->sent_bytes, bytes);
    assert_int_equal(c->again_bytes, 0);
    assert_int_equal(b.received.counters.files, 1);
    uint64_t most = bytes + 2000 + PIECES * OFFER_WIRE + records * RECORD_WIRE;
    if (c->wire_bytes > most)
        fail_msg("%llu bytes on the wire", (unsigned long long)c->wire_bytes);
}

static uint64_t blocks_of(const char *dir)
{
    char *path = xasprintf("%s/" NAME, dir);
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    free(path);
    return (uint64_t)st.st_blocks * 512;
}

/* But for what the file system takes to say where the extents are. */
static void assert_as_sparse(void)
{
    assert_true(blocks_of(destination) <= blocks_of(source) + 16384);
    assert_true(blocks_of(source) <= blocks_of(destination) + 16384);
}

static void what_was_changed_in_place_is_sent_and_no_more(void **state_)
{
    (void)state_;
    first_copy();
    change(source, 0, DELTA_BLOCK, 2);                             /* the first block */
    change(source, 3 * DELTA_BLOCK + 100, 10, 3);                  /* within one */
    change(source, PIECE_BYTES - 10, 20, 4);                       /* over the edge of a piece */
    change(source, 3 * PIECE_BYTES + 9 * DELTA_BLOCK, 1 << 20, 5); /* more than a record */
    change(source, SIZE - 1, 1, 6);                                /* the last, a short one */
    expect_sent(4 * DELTA_BLOCK + (1 << 20) + SIZE % DELTA_BLOCK, 9);
    struct both b;
    transfer(&b, &on);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_int_equal(b.received.counters.files, 0);
}

static void what_was_only_touched_is_not_sent(void **state_)
{
    (void)state_;
    first_copy();
    IN_SOURCE(utimensat(AT_FDCWD, path, NULL, 0), NAME);
    expect_sent(0, 0);
}

static void the_report_says_what_was_saved(void **state_)
{
    (void)state_;
    struct both b;
    first_copy();
    change(source, 0, DELTA_BLOCK, 2);
    transfer(&b, &on);
    assert_int_equal(b.sent.counters.delta_saved, SIZE - DELTA_BLOCK);
    change(source, 0, DELTA_BLOCK, 3);
    transfer(&b, NULL); /* not asked for */
    assert_int_equal(b.sent.counters.sent_bytes, SIZE);
    assert_int_equal(b.sent.counters.delta_saved, 0);
    assert_same_trees();
}

/* Whoever inserts pays for what follows, but not for sums of each block of it. */
static void what_moved_is_sent_whole(void **state_)
{
    (void)state_;
    first_copy();
    put_random(NAME, SIZE, 99);
    expect_sent(SIZE, PIECES * (PIECE_BYTES / CHUNK_BYTES + 1));
}

static void a_file_may_grow_and_shrink(void **state_)
{
    (void)state_;
    first_copy();
    change(source, SIZE, 2 * PIECE_BYTES, 7); /* from the middle of a piece on */
    expect_sent(2 * PIECE_BYTES + SIZE % DELTA_BLOCK, 100);
    IN_SOURCE(truncate(path, (off_t)(2 * PIECE_BYTES + 77)), NAME);
    expect_sent(0, 0);
    IN_SOURCE(truncate(path, (off_t)(PIECE_BYTES - 77)), NAME); /* one piece: as any other */
    struct both b;
    transfer(&b, &on);
    assert_done(&b);
    assert_same_trees();
}

/* Most of it is offered by nobody: a worker has none of it in hand when it asks for the next. */
static void a_file_stays_while_it_is_asked_for_pieces(void **state_)
{
    (void)state_;
    struct both b;
    first_copy();
    IN_SOURCE(truncate(path, (off_t)(70 * PIECE_BYTES)), NAME);
    atomic_store(&claimed_unheld, 0);
    transfer(&b, &(struct transfer_options){.delta = true, .lanes = 1});
    assert_done(&b);
    assert_true(atomic_load(&claimed) > 60);
    assert_int_equal(atomic_load(&claimed_unheld), 0);
}

static void holes_come_and_go(void **state_)
{
    (void)state_;
    first_copy();
    punch(PIECE_BYTES, PIECE_BYTES);                    /* a whole piece */
    punch(2 * PIECE_BYTES + 64 * DELTA_BLOCK, 2 << 20); /* within one */
    punch(3 * PIECE_BYTES - (1 << 20), 2 << 20);        /* over an edge */
    change(source, 2 * PIECE_BYTES, DELTA_BLOCK, 8);
    expect_sent(DELTA_BLOCK, 4);
    assert_as_sparse();
    change(source, PIECE_BYTES + (1 << 20), 1 << 20, 9); /* and data again */
    change(source, 3 * PIECE_BYTES - (1 << 20), 1 << 20, 10);
    expect_sent(2 << 20, 20);
    assert_as_sparse();
}

static void many_holes_go_as_they_always_did(void **state_)
{
    (void)state_;
    struct both b;
    char *path = in_source(NAME);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    for (uint64_t at = 0; at < 2 * PIECE_BYTES; at += 2 * DELTA_BLOCK)
        assert_int_equal(pwrite(fd, "data", 4, (off_t)at), 4);
    assert_int_equal(ftruncate(fd, 2 * PIECE_BYTES), 0);
    transfer(&b, NULL);
    for (uint64_t at = 4; at < 2 * PIECE_BYTES; at += PIECE_BYTES / 4)
        assert_int_equal(pwrite(fd, "new", 3, (off_t)(at - at % (2 * DELTA_BLOCK))), 3);
    (void)close(fd);
    free(path);
    transfer(&b, &on);
    assert_done(&b);
    assert_same_trees();
    /* In which order they were written decides how full the blocks are that say where they are. */
    assert_true(blocks_of(destination) <= blocks_of(source) + 65536);
}

/* ── somebody writes to the older file ── */

static atomic_bool writing;

static void *write_on(void *arg)
{
    (void)arg;
    char *path = xasprintf("%s/" NAME, destination);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    unsigned seed = 1;
    for (uint64_t n = 0; atomic_load(&writing); n++)
        (void)pwrite(fd, &n, sizeof n, rand_r(&seed) % (off_t)SIZE);
    (void)ftruncate(fd, 0);
    (void)close(fd);
    free(path);
    return NULL;
}

static void an_older_file_that_changes_meanwhile_does_no_harm(void **state_)
{
    (void)state_;
    struct both b;
    pthread_t thread;
    first_copy();
    change(source, PIECE_BYTES, DELTA_BLOCK, 2);
    atomic_store(&writing, true);
    assert_int_equal(pthread_create(&thread, NULL, write_on, NULL), 0);
    transfer(&b, &on);
    atomic_store(&writing, false);
    (void)pthread_join(thread, NULL);
    assert_done(&b);
    assert_same_trees();
}

static void an_older_file_of_another_kind_is_no_older_file(void **state_)
{
    (void)state_;
    struct both b;
    first_copy();
    char *here = xasprintf("%s/" NAME, destination), *there = xasprintf("%s/other", state);
    assert_int_equal(rename(here, there), 0);
    assert_int_equal(symlink(there, here), 0);
    change(source, 0, DELTA_BLOCK, 2);
    transfer(&b, &on);
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, SIZE);
    assert_same_trees();
    free(here);
    free(there);
}

/* ── where a file system can share blocks ── */

static bool grounds_ready;

static uint64_t free_bytes(int fd)
{
    struct statfs st;
    assert_int_equal(syncfs(fd), 0);
    assert_int_equal(fstatfs(fd, &st), 0);
    return (uint64_t)st.f_bfree * (uint64_t)st.f_bsize;
}

static void assert_hole(uint64_t at, uint64_t len)
{
    char *path = xasprintf("%s/" NAME, destination);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(lseek(fd, (off_t)at, SEEK_HOLE), at);
    assert_int_equal(lseek(fd, (off_t)at, SEEK_DATA), at + len);
    (void)close(fd);
    free(path);
}

/* The older file is kept open: what the newer one does not share with it is taken anew. */
static void blocks_are_shared_on(const char *kind)
{
    if (!grounds_ready || !grounds_mount(kind, destination, 512))
        skip();
    first_copy();
    char *older = xasprintf("%s/" NAME, destination);
    int fd = open(older, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    uint64_t before = free_bytes(fd);
    change(source, 3 * DELTA_BLOCK + 100, 10, 2);
    change(source, 2 * PIECE_BYTES - 10, 1 << 20, 3);
    change(source, SIZE - 1, 1, 4);
    expect_sent(2 * DELTA_BLOCK + (1 << 20) + SIZE % DELTA_BLOCK, 9);
    uint64_t after = free_bytes(fd);
    if (before > after + PIECE_BYTES)
        fail_msg("%llu bytes taken", (unsigned long long)(before - after));
    (void)close(fd);
    free(older);
    change(source, SIZE, PIECE_BYTES, 5); /* the piece at the older one's end cannot be shared */
    expect_sent(PIECE_BYTES + SIZE % DELTA_BLOCK, 100);
    IN_SOURCE(truncate(path, (off_t)(2 * PIECE_BYTES + 77)), NAME);
    expect_sent(0, 0);
    first_copy();
    punch(2 * PIECE_BYTES + 64 * DELTA_BLOCK, 2 << 20);
    change(source, 2 * PIECE_BYTES, DELTA_BLOCK, 8);
    expect_sent(DELTA_BLOCK, 4);
    assert_hole(2 * PIECE_BYTES + 64 * DELTA_BLOCK, 2 << 20);
    change(source, 2 * PIECE_BYTES + 128 * DELTA_BLOCK, 1 << 20, 9);
    expect_sent(1 << 20, 4);
    grounds_unmount(destination);
}

static void blocks_are_shared_on_btrfs(void **state_)
{
    (void)state_;
    blocks_are_shared_on("btrfs");
}

static void blocks_are_shared_on_xfs(void **state_)
{
    (void)state_;
    blocks_are_shared_on("xfs");
}

/* ── kill -9 ── */

static uint64_t most; /* that a source may send or save in its life */

static pid_t side_start(bool sends)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    struct step_result r = {0};
    struct harness h = {
        .source = source, .destination = destination, .state = state, .port = port, .options = on};
    if (sends)
        harness_send(&h, &r);
    else
        harness_receive(&h, &r);
    bool much = sends && r.counters.sent_bytes + r.counters.delta_saved > most;
    _exit(r.status == STEP_DONE && !much ? 0 : 1);
}

/* The side that was killed comes back; a piece that is durable is neither sent nor offered again.
 */
static void killed_at(const char *point, bool sender)
{
    int ended[2] = {-1, -1}, died = 0;
    FILE *out = fopen(fault_file, "we");
    assert_true(out && fputs(point, out) >= 0 && fclose(out) == 0);
    pid_t pids[2] = {side_start(false), side_start(true)};
    assert_int_equal(waitpid(pids[sender], &died, 0), pids[sender]);
    assert_true(WIFSIGNALED(died));
    pids[sender] = side_start(sender);
    for (int i = 0; i < 2; i++)
        assert_int_equal(waitpid(pids[1 - i], &ended[1 - i], 0), pids[1 - i]);
    assert_int_equal(ended[0], 0);
    assert_int_equal(ended[1], 0);
    assert_same_trees();
}

static void killed_sides_come_back_to_the_same_end(void **state_)
{
    (void)state_;
    static const struct {
        const char *point;
        bool sender;
        uint64_t most;
    } cases[] = {
        {"piece-offered 3",  true,  SIZE    },
        {"large-sent 1",     true,  SIZE    }, /* the destination may not have taken all yet */
        {"drained 1",        true,  0       },
        {"piece-compared 2", false, 2 * SIZE},
        {"piece-made 3",     false, 2 * SIZE},
        {"chunk-in 20",      false, 2 * SIZE},
        {"pieces-whole 1",   false, 2 * SIZE},
        {"large-renamed 1",  false, 2 * SIZE},
    };
    first_copy();
#ifndef GODWIT_FAULT_POINTS
    skip();
#endif
    for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
        (void)fprintf(stderr, "killed at %s\n", cases[i].point);
        change(source, i * DELTA_BLOCK, 1 << 20, 20 + i);
        change(source, 4 * PIECE_BYTES + i * DELTA_BLOCK, PIECE_BYTES / 2, 40 + i);
        most = cases[i].most;
        killed_at(cases[i].point, cases[i].sender);
    }
}

/* ── what a peer may say ── */

static void records_are_bounded(void **state_)
{
    (void)state_;
    static const struct {
        uint32_t n;
        struct hole holes[2];
        int rc;
    } cases[] = {
        {0,                   {{0}},              0       },
        {1,                   {{0, PIECE_BYTES}}, 0       },
        {2,                   {{0, 1}, {1, 1}},   0       },
        {1,                   {{0, 0}},           -EBADMSG},
        {1,                   {{PIECE_BYTES, 1}}, -EBADMSG},
        {1,                   {{1, PIECE_BYTES}}, -EBADMSG},
        {1,                   {{UINT32_MAX, 1}},  -EBADMSG},
        {1,                   {{1, UINT32_MAX}},  -EBADMSG},
        {2,                   {{5, 5}, {9, 1}},   -EBADMSG},
        {OFFER_HOLES_MAX + 1, {{0, 1}, {1, 1}},   -EBADMSG},
    };
    struct buf b;
    buf_init(&b, 1 << 20);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct offer o = {.id = 1, .piece = 2, .nholes = cases[i].n}, got;
        struct hole h;
        uint32_t at = 0;
        buf_clear(&b);
        offer_put(&b, &o);
        for (uint32_t k = 0; k < 2 && k < cases[i].n; k++)
            hole_put(&b, &cases[i].holes[k]);
        struct cursor c = cursor_of(b.data, b.len);
        int rc = offer_get(&c, &got);
        for (uint32_t k = 0; rc == 0 && k < got.nholes; k++)
            rc = hole_get(&c, &at, &h);
        assert_int_equal(rc, cases[i].rc);
    }
    static const char zeros[PIECE_BLOCKS * SUM_BYTES + 8];
    static const struct {
        uint8_t kind;
        size_t n;
        int rc;
    } answers[] = {
        {SUMS_SAME,   0,                0       },
        {SUMS_SAME,   8,                -EBADMSG},
        {SUMS_BLOCKS, 0,                0       },
        {SUMS_BLOCKS, 12,               -EBADMSG},
        {SUMS_BLOCKS, sizeof zeros - 8, 0       },
        {SUMS_BLOCKS, sizeof zeros,     -EBADMSG},
        {2,           0,                -EBADMSG},
    };
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        struct sums s = {
            .id = 1, .kind = answers[i].kind, .blocks = {zeros, answers[i].n}
        };
        buf_clear(&b);
        sums_put(&b, &s);
        struct cursor c = cursor_of(b.data, b.len);
        assert_int_equal(sums_get(&c, &s), answers[i].rc);
    }
    buf_done(&b);
}

/* An older destination's answer ends where the bitmap does; an older source reads no further. */
static void an_older_peer_knows_of_no_older_file(void **state_)
{
    (void)state_;
    struct begun old = {.id = 7}, new = {.id = 7, .old_size = 5, .seed = 6}, got;
    struct buf b;
    buf_init(&b, 100);
    begun_put(&b, &old);
    size_t len = b.len;
    struct cursor c = cursor_of(b.data, b.len);
    assert_int_equal(begun_get(&c, &got), 0);
    assert_int_equal(got.old_size, 0);
    buf_clear(&b);
    begun_put(&b, &new);
    assert_int_equal(b.len, len + 16);
    c = cursor_of(b.data, b.len);
    assert_int_equal(begun_get(&c, &got), 0);
    assert_int_equal(got.old_size, 5);
    assert_int_equal(got.seed, 6);
    c = cursor_of(b.data, b.len - 1);
    assert_int_equal(begun_get(&c, &got), -EBADMSG);
    buf_done(&b);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, trees_setup, trees_teardown)

int main(void)
{
    port = (uint16_t)(20000 + getpid() % 12000);
    const char *const argv[] = {"sh", "-c", "command -v rsync >/dev/null", NULL};
    if (trees_run(argv) != 0) {
        (void)fprintf(stderr, "skipped: rsync is not installed\n");
        return 77;
    }
    grounds_ready = grounds_enter();
    (void)snprintf(fault_file, sizeof fault_file, "/tmp/test-delta-%d", getpid());
    (void)setenv("GODWIT_FAULT_FILE", fault_file, 1);
    const struct CMUnitTest tests[] = {
        CASE(what_was_changed_in_place_is_sent_and_no_more),
        CASE(what_was_only_touched_is_not_sent),
        CASE(the_report_says_what_was_saved),
        CASE(what_moved_is_sent_whole),
        CASE(a_file_may_grow_and_shrink),
        CASE(a_file_stays_while_it_is_asked_for_pieces),
        CASE(holes_come_and_go),
        CASE(many_holes_go_as_they_always_did),
        CASE(an_older_file_that_changes_meanwhile_does_no_harm),
        CASE(an_older_file_of_another_kind_is_no_older_file),
        CASE(blocks_are_shared_on_btrfs),
        CASE(blocks_are_shared_on_xfs),
        CASE(killed_sides_come_back_to_the_same_end),
        cmocka_unit_test(records_are_bounded),
        cmocka_unit_test(an_older_peer_knows_of_no_older_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
