/* test_durable: no file stands under its final name before a sync has seen its content; what
 * becomes of names that come late, and of folders that are being filled. */
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/meta.h"
#include "agent/store/pairname.h"
#include "agent/transfer/digest.h"
#include "agent/transfer/record.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/byhand.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define SEEN_MAX 4096U

static ino_t seen[SEEN_MAX]; /* inodes of regular files that a sync began after */
static size_t nseen;
static unsigned syncs, named, early, filling; /* filling: folders without their name yet */
static bool swap;  /* … takes away what is being filled, and puts a folder of its own there */
static bool spoil; /* each sync puts a folder with an entry where "f7" is to go */

static bool was_seen(ino_t ino)
{
    for (size_t i = 0; i < nseen; i++)
        if (seen[i] == ino)
            return true;
    return false;
}

static int look(const char *path, const struct stat *st, int type, struct FTW *at)
{
    bool temp = strstr(path, "/.godwit-") != NULL; /* it, or a folder on the way to it */
    (void)at;
    filling += temp && type == FTW_D;
    /* Larger ones are synced by themselves. */
    if (type != FTW_F || !S_ISREG(st->st_mode) || st->st_size > (64 << 20))
        return 0;
    named += !temp;
    early += !temp && !was_seen(st->st_ino);
    if (!was_seen(st->st_ino) && nseen < SEEN_MAX)
        seen[nseen++] = st->st_ino;
    return 0;
}

int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
    syncs++;
    (void)nftw(destination, look, 16, FTW_PHYS);
    if (swap) {
        char *script = xasprintf("cd '%s' && for t in .godwit-*; do mv $t taken$t && mkdir $t && "
                                 "echo mine >$t/f0; done",
                                 destination);
        const char *const argv[] = {"sh", "-c", script, NULL};
        (void)trees_run(argv);
        free(script);
        swap = false;
    }
    if (spoil) {
        make_dir(destination, "sub");
        make_dir(destination, "sub/f7");
        put(destination, "sub/f7/mine", "x", 1);
    }
    return __real_syncfs(fd);
}

static int setup(void **state_)
{
    nseen = syncs = named = early = filling = 0;
    spoil = swap = false;
    return trees_setup(state_);
}

/* Folders that nobody comes to but the lane that has their files. */
static void make_leaves(void)
{
    for (unsigned i = 0; i < 40; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "leaf%u", i / 10);
        if (i % 10 == 0)
            make_dir(source, name);
        (void)snprintf(name, sizeof name, "leaf%u/f%u", i / 10, i);
        put_random(name, 100 + i, i);
    }
}

static void a_name_comes_after_the_content(void **state_)
{
    (void)state_;
    skip_in_memory();
    struct both b;
    make_tree();
    make_leaves();
    transfer(&b, NULL);
    assert_done(&b);
    assert_same_trees();
    assert_true(syncs >= 2);
    assert_true(filling > 0);
    (void)nftw(destination, look, 16, FTW_PHYS);
    assert_true(named > 1500);
    assert_int_equal(early, 0);
    /* And so does a newer file in the place of an older one. */
    put_random("sub/f7", 700, 77);
    put_random("size4", BATCH_FILE_MAX + 9, 78);
    transfer(&b, NULL);
    assert_done(&b);
    assert_same_trees();
    assert_int_equal(early, 0);
}

/* What cannot get its name when its time has come costs that file, and the source hears of it. */
static void a_late_name_that_is_taken_costs_that_file(void **state_)
{
    (void)state_;
    skip_in_memory();
    struct harness h = {.source = source, .destination = destination, .state = state};
    struct step_result sent, received;
    make_dir(source, "sub");
    put(source, "sub/f7", "seven", 5);
    put(source, "sub/f8", "eight", 5);
    spoil = true;
    harness_run(&h, &sent, &received);
    assert_int_equal(received.status, STEP_PARTIAL);
    assert_int_equal(received.counters.failed, 1);
    assert_int_equal(received.counters.files, 1);
    step_result_done(&sent);
    step_result_done(&received);
    char *taken = xasprintf("%s/sub/f7", destination);
    const char *const argv[] = {"rm", "-r", taken, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(taken);
    spoil = false;
    struct transfer_options failed = {.only_failed = true};
    struct both b;
    transfer(&b, &failed);
    assert_done(&b);
    assert_int_equal(b.received.counters.files, 1);
    assert_same_trees();
}

/* Who owns the destination's folder puts one of his own in the place of one that is being filled:
 * nothing of his counts as what came. */
static void a_folder_swapped_while_filled_is_not_ours(void **state_)
{
    (void)state_;
    skip_in_memory();
    struct harness h = {.source = source, .destination = destination, .state = state};
    struct step_result sent, received;
    struct both b;
    make_dir(source, "leaf");
    put(source, "leaf/f0", "zero", 4);
    put(source, "leaf/f1", "one", 3);
    swap = true;
    harness_run(&h, &sent, &received);
    assert_false(swap);
    assert_int_equal(received.status, STEP_PARTIAL);
    assert_int_equal(received.counters.failed, 2);
    assert_int_equal(received.counters.files, 0);
    step_result_done(&sent);
    step_result_done(&received);
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_same_trees();
}

/* More than a lane keeps to itself: the rest comes by the folder's path, and what came before goes
 * there too. Folders within are entered by that path while it is filled. */
static void a_large_folder_is_left_while_filled(void **state_)
{
    (void)state_;
    struct both b;
    char name[48];
    make_dir(source, "large");
    make_dir(source, "large/in");
    for (unsigned i = 0; i < 12000; i++) {
        (void)snprintf(name, sizeof name, "large/%sf%u", i % 100 ? "" : "in/", i);
        put_random(name, i % 50, i);
    }
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.received.counters.files, 12000);
    assert_same_trees();
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.received.counters.files, 0);
    assert_int_equal(b.received.counters.unchanged_files, 12000);
}

static char *in_filled(const char *name)
{
    char token[PAIR_TOKEN_LEN + 1], temp[PAIR_TEMP_MAX];
    pair_token("0123456789abcdef.1", token);
    pair_temp_name(token, 7, temp);
    return xasprintf("%s%s%s", temp, name ? "/" : "", name ? name : "");
}

/* What a killed run had begun to fill goes with the next one. */
static void a_folder_half_filled_goes(void **state_)
{
    (void)state_;
    struct both b;
    make_leaves();
    transfer(&b, NULL);
    assert_done(&b);
    char *folder = in_filled(NULL), *file = in_filled("f0");
    make_dir(destination, folder);
    char *path = xasprintf("%s/%s", destination, folder);
    assert_int_equal(chmod(path, 0700), 0);
    put(destination, file, "half", 4);
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.received.counters.files, 0);
    assert_same_trees();
    free(folder);
    free(file);
    free(path);
}

/* A listing of one file of eight bytes: the destination says "send it unless it is still this". */
static void listed(struct lane *l, const char *folder, time_t mtime, const char *still)
{
    uint8_t digest[DIGEST_BYTES];
    struct lane_record r;
    struct buf b;
    struct meta m = {.mode = S_IFDIR | 0755, .nlink = 2};
    struct listing_head head = {
        .folder = {folder, strlen(folder)},
          .flags = LISTING_FIRST | LISTING_LAST, .meta = m
    };
    struct listing_entry e = {
        .name = {"f", 1}
    };
    e.meta = (struct meta){
        .mode = S_IFREG | 0644, .nlink = 1, .size = 8, .mtime = {mtime, 0}
    };
    e.xattrs_digest = xattrs_digest(NULL, 0);
    buf_init(&b, LANE_RECORD_MAX);
    listing_head_put(&b, &head);
    buf_put_u32(&b, 1);
    listing_entry_put(&b, &e);
    assert_int_equal(lane_send_copy(l, REC_LISTING, 0, b.data, b.len), 0);
    buf_done(&b);
    byhand_wait(l, REC_WANT, &r);
    struct cursor c = cursor_of(r.data, r.len);
    assert_int_equal(cursor_u32(&c), 1);
    assert_int_equal(cursor_u8(&c), VERDICT_CHECK);
    digest_bytes(still, strlen(still), digest);
    assert_memory_equal(cursor_bytes(&c, DIGEST_BYTES), digest, DIGEST_BYTES);
}

static void send_one(struct lane *l, const char *folder, const char *name, const char *text,
                     time_t mtime)
{
    struct buf b;
    struct batch_head head = {
        .folder = {folder, strlen(folder)}
    };
    buf_init(&b, LANE_RECORD_MAX);
    batch_head_put(&b, &head);
    byhand_put_file(&b, name, text, mtime, 0);
    assert_int_equal(lane_send_copy(l, REC_BATCH, 0, b.data, b.len), 0);
    buf_done(&b);
}

/* A newer file waits for its name when its folder is listed again, and the source has the older one
 * back: what waits counts, not what it is about to replace. */
static void what_waits_is_what_a_second_listing_meets(void **state_)
{
    (void)state_;
    skip_in_memory();
    struct step_result received = {0};
    struct lane_record r;
    pthread_t thread;
    struct both keys;
    make_dir(source, "d");
    put(source, "d/f", "version1", 8);
    const struct timespec times[2] = {
        {1000, 0},
        {1000, 0}
    };
    IN_SOURCE(utimensat(AT_FDCWD, path, times, 0), "d/f");
    transfer(&keys, NULL);
    assert_done(&keys);
    assert_int_equal(pthread_create(&thread, NULL, byhand_receive, &received), 0);
    struct lane *l = byhand_lane();
    listed(l, "d", 2000, "version1");
    send_one(l, "d", "f", "version2", 2000);
    listed(l, "d", 1000, "version2"); /* version1 goes */
    send_one(l, "d", "f", "version1", 1000);
    assert_int_equal(lane_send_copy(l, REC_FINISH, 0, NULL, 0), 0);
    byhand_wait(l, REC_FINISHED, &r);
    assert_int_equal(lane_send_copy(l, REC_BYE, 0, NULL, 0), 0);
    (void)pthread_join(thread, NULL);
    (void)lane_free(l);
    assert_int_equal(received.status, STEP_DONE);
    step_result_done(&received);
    char *script = xasprintf("test \"$(cat '%s/d/f')\" = version1", destination);
    const char *const argv[] = {"sh", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
}

/* Until a record of that type, or until something is durable. */
static unsigned failures_until(struct lane *l, uint8_t type)
{
    struct lane_record r = {.type = 0};
    struct status st = {.instance = 0};
    unsigned failures = 0;
    do {
        assert_int_equal(lane_receive(l, 10000, &r), 1);
        struct cursor c = cursor_of(r.data, r.len);
        failures += r.type == REC_FAILED;
        if (r.type == REC_STATUS)
            assert_int_equal(status_get(&c, &st), 0);
    } while (r.type != type || (type == REC_STATUS && st.durable_bytes == 0));
    return failures;
}

/* The source reads a lane until that has said that it is drained, and the one of the end until the
 * end; one that it opened in vain, the last here, not at all. What fails when all are drained is
 * said where it is read, whichever lane comes by first. */
static void what_fails_late_is_said_where_the_source_reads(void **state_)
{
    (void)state_;
    skip_in_memory();
    struct step_result received = {0};
    struct lane_record r;
    struct lane *lanes[6];
    pthread_t thread;
    struct both keys;
    transfer(&keys, &(struct transfer_options){.dry_run = true});
    assert_int_equal(pthread_create(&thread, NULL, byhand_receive, &received), 0);
    for (size_t i = 0; i < ARRAY_SIZE(lanes); i++)
        lanes[i] = byhand_lane();
    spoil = true;
    send_one(lanes[0], "sub", "f7", "seven", 1000);
    send_one(lanes[0], "sub", "f8", "eight", 1000);
    for (size_t i = 0; i < ARRAY_SIZE(lanes) - 1; i++) {
        assert_int_equal(lane_send_copy(lanes[i], REC_BARRIER, 0, NULL, 0), 0);
        byhand_wait(lanes[i], REC_BARRIER_DONE, &r);
    }
    for (size_t i = 1; i < ARRAY_SIZE(lanes); i++)
        assert_int_equal(failures_until(lanes[i], REC_STATUS), 0);
    assert_int_equal(lane_send_copy(lanes[0], REC_FINISH, 0, NULL, 0), 0);
    assert_int_equal(failures_until(lanes[0], REC_FINISHED), 1);
    assert_int_equal(lane_send_copy(lanes[0], REC_BYE, 0, NULL, 0), 0);
    for (size_t i = 1; i < ARRAY_SIZE(lanes); i++)
        (void)lane_free(lanes[i]);
    (void)pthread_join(thread, NULL);
    (void)lane_free(lanes[0]);
    assert_int_equal(received.status, STEP_PARTIAL);
    assert_int_equal(received.counters.failed, 1);
    step_result_done(&received);
}

int main(void)
{
    port = (uint16_t)(20000 + getpid() % 12000);
    const char *const argv[] = {"sh", "-c", "command -v rsync >/dev/null", NULL};
    if (trees_run(argv) != 0) {
        (void)fprintf(stderr, "skipped: rsync is not installed\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_comes_after_the_content, setup, trees_teardown),
        cmocka_unit_test_setup_teardown(a_late_name_that_is_taken_costs_that_file, setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(what_fails_late_is_said_where_the_source_reads, setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(a_folder_swapped_while_filled_is_not_ours, setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(a_large_folder_is_left_while_filled, setup, trees_teardown),
        cmocka_unit_test_setup_teardown(a_folder_half_filled_goes, setup, trees_teardown),
        cmocka_unit_test_setup_teardown(what_waits_is_what_a_second_listing_meets, setup,
                                        trees_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
