/* test_transfer_peers: peers that lie with the right key, and sides that are killed. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/lane/lane_identity.h"
#include "agent/transfer/digest.h"
#include "agent/transfer/record.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/byhand.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

static char fault_file[64];

/* ── a peer with the right key that lies ── */

static void a_wrong_digest_costs_its_file_alone(void **state_)
{
    (void)state_;
    struct step_result received = {0};
    struct lane_record r;
    struct failed failed;
    struct buf b;
    pthread_t thread;
    struct both keys;
    transfer(&keys, &(struct transfer_options){.dry_run = true}); /* makes the keys: two threads
                                                                     would each make their own */
    assert_int_equal(pthread_create(&thread, NULL, byhand_receive, &received), 0);
    struct lane *l = byhand_lane();
    buf_init(&b, LANE_RECORD_MAX);
    struct batch_head head = {
        .folder = {"", 0}
    };
    batch_head_put(&b, &head);
    byhand_put_file(&b, "good", "whole", 0, 0);
    byhand_put_file(&b, "bad", "whole", 0, 1);
    byhand_put_file(&b, "after", "whole", 0, 0);
    assert_int_equal(lane_send_copy(l, REC_BATCH, 0, b.data, b.len), 0);
    byhand_wait(l, REC_FAILED, &r);
    struct cursor c = cursor_of(r.data, r.len);
    assert_int_equal(failed_get(&c, &failed), 0);
    assert_int_equal(failed.err, EBADMSG);
    assert_memory_equal(failed.path.p, "bad", 3);
    assert_int_equal(lane_send_copy(l, REC_FINISH, 0, NULL, 0), 0);
    byhand_wait(l, REC_FINISHED, &r);
    assert_int_equal(lane_send_copy(l, REC_BYE, 0, NULL, 0), 0);
    (void)pthread_join(thread, NULL);
    (void)lane_free(l);
    buf_done(&b);
    assert_int_equal(received.status, STEP_PARTIAL);
    assert_int_equal(received.counters.files, 2);
    step_result_done(&received);
    char *bad = xasprintf("%s/bad", destination), *after = xasprintf("%s/after", destination);
    assert_int_not_equal(access(bad, F_OK), 0);
    assert_int_equal(access(after, F_OK), 0);
    free(bad);
    free(after);
}

/* ── kill -9 ── */

/* By a program of its own: a fork of this one has the locks that its other threads held. */
static pid_t side_start(bool sends)
{
    char number[8];
    (void)snprintf(number, sizeof number, "%u", (unsigned)port);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    (void)execl("/proc/self/exe", "test_transfer_peers", sends ? "send" : "receive", source,
                destination, state, number, (char *)NULL);
    _exit(127);
}

static int side_main(char **argv)
{
    struct step_result r = {0};
    struct harness h = {.source = argv[2],
                        .destination = argv[3],
                        .state = argv[4],
                        .port = (uint16_t)strtoul(argv[5], NULL, 10)};
    if (strcmp(argv[1], "send") == 0)
        harness_send(&h, &r);
    else
        harness_receive(&h, &r);

    _exit(r.status == STEP_DONE ? 0 : 1);
}

/* Pieces that a run wrote; then its temporary file is lost; then the next is killed before it has
 * written any. The third must not believe what the first noted. */
static void pieces_of_a_lost_file_are_not_believed(void **state_)
{
    (void)state_;
    struct both keys;
    transfer(&keys, &(struct transfer_options){.dry_run = true}); /* makes the keys */
    for (unsigned i = 0; i < 3; i++) {
        struct begun g;
        pid_t pid = side_start(false);
        struct lane *l = byhand_lane();
        byhand_begin_large(l, i == 1 ? BEGIN_FRESH : 0, &g);
        assert_int_equal(g.bitmap.n, 0);
        if (i == 0)
            byhand_send_piece(l, 0);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        (void)lane_free(l);
        const char *const argv[] = {"rm", "-rf", destination, NULL};
        if (i == 0)
            assert_int_equal(trees_run(argv), 0);
    }
}

/* A lane to a receiver that has so many pieces of the large file. */
static struct lane *large_begun(pthread_t *retthread, struct step_result *received, uint32_t pieces)
{
    struct begun g;
    assert_int_equal(pthread_create(retthread, NULL, byhand_receive, received), 0);
    struct lane *l = byhand_lane();
    byhand_begin_large(l, 0, &g);
    assert_int_equal(g.bitmap.n, pieces);
    return l;
}

/* A piece that is durable counts before its file is whole, also in the next run, and no more once
 * the file does. */
static void a_file_in_pieces_counts_as_it_comes(void **state_)
{
    (void)state_;
    struct both keys;
    transfer(&keys, &(struct transfer_options){.dry_run = true}); /* makes the keys */
    for (uint32_t run = 0; run < 2; run++) {
        struct step_result received = {0};
        pthread_t thread;
        struct lane *l = large_begun(&thread, &received, run);
        byhand_send_piece(l, run);
        if (run == 0)
            harness_cancel();
        else
            byhand_send_end(l);
        (void)pthread_join(thread, NULL);
        (void)lane_free(l);
        assert_int_equal(received.status, run == 0 ? STEP_STOPPED : STEP_DONE);
        assert_int_equal(received.counters.parts_bytes, run == 0 ? PIECE_BYTES : 0);
        assert_int_equal(received.counters.bytes, run == 0 ? 0 : 2 * PIECE_BYTES);
        step_result_done(&received);
    }
}

static void assert_in_destination(const char *check)
{
    char *script = xasprintf("cd '%s' && %s", destination, check);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
}

/* A piece that a cut run had begun, of an older file's blocks, say, is a hole when it comes. */
static void what_a_cut_piece_left_is_in_no_hole(void **state_)
{
    (void)state_;
    struct both keys;
    transfer(&keys, &(struct transfer_options){.dry_run = true}); /* makes the keys */
    for (uint32_t run = 0; run < 2; run++) {
        struct step_result received = {0};
        struct lane_record r;
        pthread_t thread;
        struct lane *l = large_begun(&thread, &received, run);
        if (run == 0) {
            byhand_send_piece(l, 0);
            for (uint64_t at = 0; at < PIECE_BYTES; at += CHUNK_BYTES)
                byhand_send_chunk(l, PIECE_BYTES + at, 'x');
            assert_int_equal(lane_send_copy(l, REC_BARRIER, 0, NULL, 0), 0);
            byhand_wait(l, REC_BARRIER_DONE, &r);
            harness_cancel();
        } else {
            byhand_send_hole(l, 1);
            byhand_send_end(l);
        }
        (void)pthread_join(thread, NULL);
        (void)lane_free(l);
        if (run == 0)
            assert_in_destination("grep -q xxxx .godwit-*");
        assert_int_equal(received.status, run == 0 ? STEP_STOPPED : STEP_DONE);
        step_result_done(&received);
    }
    assert_in_destination("test $(stat -c %s big) = 16777216 && cmp -n 16777216 big /dev/zero");
}

static void offer(struct lane *l, uint32_t id)
{
    struct buf b;
    struct offer o = {.id = id};
    buf_init(&b, 100);
    offer_put(&b, &o);
    assert_int_equal(lane_send_copy(l, REC_OFFER, 0, b.data, b.len), 0);
    buf_done(&b);
}

/* Of a file that is not under way any more nothing is wanted; of one that has no older file there
 * is nothing to offer. */
static void an_offer_that_nobody_asked_for_ends_the_lane(void **state_)
{
    (void)state_;
    struct both keys;
    struct lane_record r;
    struct begun g;
    struct sums s;
    transfer(&keys, &(struct transfer_options){.dry_run = true}); /* makes the keys */
    pid_t pid = side_start(false);
    struct lane *l = byhand_lane();
    byhand_begin_large(l, 0, &g);
    assert_int_equal(g.old_size, 0);
    offer(l, 99);
    byhand_wait(l, REC_SUMS, &r);
    struct cursor c = cursor_of(r.data, r.len);
    assert_int_equal(sums_get(&c, &s), 0);
    assert_true(s.id == 99 && s.kind == SUMS_SAME);
    offer(l, 1);
    int rc = 0;
    while ((rc = lane_receive(l, 5000, &r)) == 1)
        assert_int_not_equal(r.type, REC_SUMS);
    assert_true(rc < 0);
    (void)lane_free(l);
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

#define KILLS 12

#define ALONE_MS 3000

/* A side that was killed around the goodbye comes back to another one that has ended in order, and
 * waits: after a moment it gets one. [0] receives, [1] sends. */
static void both_wait(pid_t pids[2], int retended[2])
{
    bool there[2] = {true, true};
    int64_t gone_ms = 0;
    while (there[0] || there[1]) {
        for (int i = 0; i < 2; i++) {
            if (!there[i] || waitpid(pids[i], &retended[i], WNOHANG) != pids[i])
                continue;
            there[i] = false;
            gone_ms = clock_mono_ms();
        }
        int gone = there[0];
        if (there[0] != there[1] && clock_mono_ms() - gone_ms > ALONE_MS) {
            pids[gone] = side_start(gone == 1);
            there[gone] = true;
        }
        (void)usleep(10000);
    }
}

static void killed_sides_come_back_to_the_same_end(bool kill_sender, bool kill_receiver)
{
    struct both keys;
    make_tree();
    for (unsigned i = 0; i < 12; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "sub/large%u", i);
        put_random(name, 12 << 20, i);
    }
    transfer(&keys, &(struct transfer_options){.dry_run = true}); /* makes the keys */
    pid_t pids[2] = {side_start(false), side_start(true)};
    unsigned seed = (unsigned)clock_mono_us();
    for (int i = 0; i < KILLS; i++) {
        int which = kill_sender && kill_receiver ? i % 2 : kill_sender;
        (void)usleep(20000 + (useconds_t)rand_r(&seed) % 150000);
        if (waitpid(pids[1], NULL, WNOHANG) != 0) {
            pids[1] = side_start(true); /* was done: once more, a run over what is there */
            if (waitpid(pids[0], NULL, WNOHANG) == 0)
                (void)waitpid(pids[0], NULL, 0);
            pids[0] = side_start(false);
            continue;
        }
        if (which == 0 && waitpid(pids[0], NULL, WNOHANG) != 0)
            continue;
        (void)kill(pids[which], SIGKILL);
        (void)waitpid(pids[which], NULL, 0);
        pids[which] = side_start(which == 1);
    }
    int ended[2] = {-1, -1};
    both_wait(pids, ended);
    assert_int_equal(ended[0], 0);
    assert_int_equal(ended[1], 0);
    assert_same_trees();
}

/* The source has heard that all is there and is gone, when the destination dies. */
static void a_destination_killed_at_the_goodbye_ends_with_the_next_source(void **state_)
{
    (void)state_;
#ifndef GODWIT_FAULT_POINTS
    skip();
#endif
    struct both keys;
    int ended[2] = {-1, -1}, died = 0;
    put_random("small", 20000, 1);
    transfer(&keys, &(struct transfer_options){.dry_run = true}); /* makes the keys */
    FILE *out = fopen(fault_file, "we");
    assert_true(out && fputs("bye 1", out) >= 0 && fclose(out) == 0);
    pid_t pids[2] = {side_start(false), side_start(true)};
    assert_int_equal(waitpid(pids[0], &died, 0), pids[0]);
    assert_true(WIFSIGNALED(died));
    pids[0] = side_start(false);
    both_wait(pids, ended);
    assert_int_equal(ended[0], 0);
    assert_int_equal(ended[1], 0);
    assert_same_trees();
}

static void a_killed_destination_loses_nothing(void **state_)
{
    (void)state_;
    killed_sides_come_back_to_the_same_end(false, true);
}

static void a_killed_source_loses_nothing(void **state_)
{
    (void)state_;
    killed_sides_come_back_to_the_same_end(true, false);
}

/* ── what is said to have gone twice ── */

static void make_much(void)
{
    for (unsigned i = 0; i < 6; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "large%u", i);
        put_random(name, 24 << 20, i);
    }
    for (unsigned i = 0; i < 1500; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "small%u", i);
        put_random(name, 20000, i);
    }
}

#define TOTAL (6ULL * (24 << 20) + 1500ULL * 20000)

struct sending {
    struct harness h;
    struct step_result result;
};

static void *sending_run(void *arg)
{
    struct sending *s = arg;
    harness_send(&s->h, &s->result);
    return NULL;
}

/* The destination ends by itself; one that was begun, or killed at its goodbye, when the source had
 * heard the end waits for another source. */
static void destination_wait(pid_t pid)
{
    pid_t pids[2] = {pid, 0};
    int ended[2] = {-1, -1};
    for (int64_t end = clock_mono_ms() + ALONE_MS; clock_mono_ms() < end; (void)usleep(10000))
        if (waitpid(pid, NULL, WNOHANG) == pid)
            return;
    pids[1] = side_start(true);
    both_wait(pids, ended);
}

/* Sent in all, less what there is: that much went twice, and no more may be named. */
static void a_killed_destination_is_not_charged_for_what_it_had(void **state_)
{
    (void)state_;
    struct both keys;
    pthread_t thread;
    struct sending s = {
        .h = {.source = source, .destination = destination, .state = state, .port = port}
    };
    make_much();
    transfer(&keys, &(struct transfer_options){.dry_run = true}); /* makes the keys */
    pid_t pid = side_start(false);
    assert_int_equal(pthread_create(&thread, NULL, sending_run, &s), 0);
    for (int i = 0; i < 4 && waitpid(pid, NULL, WNOHANG) == 0; i++) {
        (void)usleep(150000);
        (void)kill(pid, SIGKILL);
        (void)waitpid(pid, NULL, 0);
        pid = side_start(false);
    }
    (void)pthread_join(thread, NULL);
    destination_wait(pid);
    assert_int_equal(s.result.status, STEP_DONE);
    uint64_t twice = s.result.counters.sent_bytes - TOTAL, said = s.result.counters.again_bytes;
    (void)fprintf(stderr, "sent twice %llu, said %llu\n", (unsigned long long)twice,
                  (unsigned long long)said);
    assert_true(said <= twice + (2 << 20) && twice <= said + (2 << 20));
    step_result_done(&s.result);
    assert_same_trees();
}

static void *cancel_soon(void *arg)
{
    (void)arg;
    for (unsigned there = 0; there < 200; (void)usleep(2000)) {
        there = 0;
        for (unsigned i = 0; i < 1500; i++) {
            char *path = xasprintf("%s/small%u", destination, i);
            there += access(path, F_OK) == 0;
            free(path);
        }
    }
    harness_cancel();
    return NULL;
}

static void a_pause_is_not_charged_for_what_is_durable(void **state_)
{
    (void)state_;
    struct both b;
    pthread_t thread;
    make_much();
    struct harness h = {.source = source, .destination = destination, .state = state};
    assert_int_equal(pthread_create(&thread, NULL, cancel_soon, NULL), 0);
    harness_run(&h, &b.sent, &b.received);
    (void)pthread_join(thread, NULL);
    uint64_t before = b.sent.counters.sent_bytes;
    assert_int_equal(b.sent.counters.again_bytes, 0);
    step_result_done(&b.sent);
    step_result_done(&b.received);
    harness_run(&h, &b.sent, &b.received);
    assert_done(&b);
    uint64_t twice = before + b.sent.counters.sent_bytes - TOTAL;
    (void)fprintf(stderr, "sent before the pause %llu, sent twice %llu, said %llu\n",
                  (unsigned long long)before, (unsigned long long)twice,
                  (unsigned long long)b.sent.counters.again_bytes);
    assert_int_equal(b.sent.counters.again_bytes, twice);
    assert_same_trees();
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, trees_setup, trees_teardown)

int main(int argc, char **argv)
{
    if (argc == 6)
        return side_main(argv);
    port = (uint16_t)(20000 + getpid() % 12000);
    const char *const look[] = {"sh", "-c", "command -v rsync >/dev/null", NULL};
    if (trees_run(look) != 0) {
        (void)fprintf(stderr, "skipped: rsync is not installed\n");
        return 77;
    }
    (void)snprintf(fault_file, sizeof fault_file, "/tmp/test-peers-%d", getpid());
    (void)setenv("GODWIT_FAULT_FILE", fault_file, 1);
    const struct CMUnitTest tests[] = {
        CASE(a_wrong_digest_costs_its_file_alone),
        CASE(pieces_of_a_lost_file_are_not_believed),
        CASE(a_file_in_pieces_counts_as_it_comes),
        CASE(what_a_cut_piece_left_is_in_no_hole),
        CASE(an_offer_that_nobody_asked_for_ends_the_lane),
        CASE(a_destination_killed_at_the_goodbye_ends_with_the_next_source),
        CASE(a_killed_destination_loses_nothing),
        CASE(a_killed_source_loses_nothing),
        CASE(a_killed_destination_is_not_charged_for_what_it_had),
        CASE(a_pause_is_not_charged_for_what_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
