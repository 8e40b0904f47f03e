/* test_changes: passes that look only where the change feed says so leave the same as full scans:
 * case by case, and with random changes while they run. Needs root; skips without. */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/feed/feed.h"
#include "common/base/mem.h"
#include "tests/lab/churn.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/passes.h"

static const struct transfer_options with_delete = {.delete_extras = true};

static void settle(struct both *b)
{
    pass(b, &with_delete);
    assert_done(b);
    assert_same_trees();
}

/* A pass that looked at no more than so many files, and left the same. */
static void expect_looked(uint64_t files)
{
    struct both b;
    struct feed_state st;
    feed_state(feed, "0123456789abcdef.1", &st);
    if (!st.certain)
        fail_msg("not certain: %s", st.why);
    settle(&b);
    if (b.sent.counters.total_files > files)
        fail_msg("looked at %u files", (unsigned)b.sent.counters.total_files);
}

static void only_changed_folders_are_looked_at(void **state_)
{
    (void)state_;
    struct both b;
    sh("mkdir -p a b/c/d; for i in $(seq 50); do echo $i > a/$i; echo $i > b/c/$i; done");
    settle(&b);
    expect_looked(0);
    sh("echo x >> b/c/7");
    expect_looked(50);
    sh("chmod 700 b/c/d; touch b/c/d");
    expect_looked(0);
    sh("rm b/c/8; mkdir b/new; echo y > b/new/y; rm -r a");
    expect_looked(51);
    sh("mv b/c z; echo more >> z/9");
    expect_looked(50);
    sh("rm -r z; mkdir z; echo other > z/1");
    expect_looked(1);
    expect_looked(0);
}

static void what_failed_is_tried_again(void **state_)
{
    (void)state_;
    struct both b;
    sh("mkdir -p a b; echo 1 > a/1; echo 2 > b/2");
    settle(&b);
    char *in_the_way = xasprintf("%s/a/new", destination);
    sh("echo n > a/new");
    make_dir(destination, "a/new");
    put(destination, "a/new/precious", "x", 1);
    pass(&b, &(struct transfer_options){0}); /* other options: a full scan */
    assert_int_equal(b.sent.status, STEP_DONE);
    assert_int_equal(b.received.status, STEP_PARTIAL);
    assert_string_equal(looked, "full scan: the options are other than in the last pass");
    pass(&b, &(struct transfer_options){0}); /* nothing changed, and yet it is looked at */
    assert_int_equal(b.received.status, STEP_PARTIAL);
    assert_int_equal(b.sent.counters.total_files, 2);
    const char *const argv[] = {"rm", "-r", in_the_way, NULL};
    assert_int_equal(trees_run(argv), 0);
    pass(&b, &(struct transfer_options){0});
    assert_done(&b);
    assert_same_trees();
    free(in_the_way);
}

static void hard_links_are_kept_across_folders(void **state_)
{
    (void)state_;
    struct both b;
    sh("mkdir a b c d; for i in $(seq 20); do echo $i > c/$i; done; echo x > a/f; ln a/f b/f;"
       "echo s > a/single");
    settle(&b);
    sh("echo more >> b/f"); /* changed by one name */
    expect_looked(3);
    sh("ln a/f c/link"); /* a third name */
    expect_looked(24);
    sh("ln a/single d/twin"); /* one that had no other name before */
    expect_looked(4);
    sh("rm a/f");
    expect_looked(24);
    sh("mv b d/b"); /* its file has a name in c too */
    expect_looked(25);
    sh("ln -s x a/sym; ln a/sym d/sym; rm -f c/1; ln a/single c/1");
    expect_looked(30);
}

/* Nothing is told of the folder where the file still has a name. */
static void changes_by_another_name_are_seen(void **state_)
{
    (void)state_;
    static const char *const changes[] = {
        "ln a/f b/g; echo more >> b/g; touch -r a/old a/f; rm b/g", /* it came and went */
        "echo more >> c/f; touch -r a/old c/f; rm c/f",
        "ln a/f c/f; echo new > c/new; echo more >> c/f; touch -r a/old c/f; mv c/new c/f",
        "ln a/f ../outside",
        "echo more >> ../outside; touch -r a/old ../outside", /* a name of no folder of ours */
        "chmod 600 ../outside",
        "mv ../outside b/f; echo more >> b/f; mv b/f ../outside",
        "echo more >> ../outside; rm ../outside",
        "ln -s x a/sym; ln a/sym c/sym; ln -s x a/other; ln a/other b/other",
        "touch -h -d 2001-01-01 c/sym; rm c/sym",
        "chown -h 7 b/other; ln a/sym b/sym",
    };
    struct both b;
    sh("mkdir a b c; for i in $(seq 20); do echo $i > a/$i; done; echo x > a/f; ln a/f c/f;"
       "touch -d 2001-01-01 a/old");
    settle(&b);
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
        sh(changes[i]);
        expect_looked(30);
    }
}

/* A run of only what failed sends one name of a file; the next pass brings the others to it. */
static void a_retry_keeps_hard_links(void **state_)
{
    (void)state_;
    struct both b;
    sh("mkdir a b; echo x > a/f; ln a/f b/f");
    settle(&b);
    char *in_the_way = xasprintf("%s/a/f", destination);
    sh("echo more >> a/f");
    assert_int_equal(unlink(in_the_way), 0);
    make_dir(destination, "a/f");
    put(destination, "a/f/precious", "x", 1);
    pass(&b, &(struct transfer_options){0});
    assert_int_equal(b.received.status, STEP_PARTIAL);
    const char *const argv[] = {"rm", "-r", in_the_way, NULL};
    assert_int_equal(trees_run(argv), 0);
    pass(&b, &(struct transfer_options){.only_failed = true});
    assert_done(&b);
    pass(&b, &(struct transfer_options){0});
    assert_done(&b);
    assert_same_trees();
    free(in_the_way);
}

static void another_destination_is_scanned_in_full(void **state_)
{
    (void)state_;
    struct both b;
    sh("mkdir a b; echo 1 > a/1; echo 2 > b/2; echo 3 > b/3");
    settle(&b);
    expect_looked(0);
    char *gone = xasprintf("%s/b", destination), *back = xasprintf("%s/was", state);
    const char *const away[] = {"mv", gone, back, NULL};
    assert_int_equal(trees_run(away), 0); /* nobody tells us, until something changes there */
    sh("echo x >> b/2");
    settle(&b);
    assert_int_equal(b.sent.counters.total_files, 3);
    const char *const argv[] = {"sh", "-c", "rm -rf \"$0\"/destination/catalogue*", state, NULL};
    assert_int_equal(trees_run(argv), 0);
    settle(&b);
    assert_int_equal(b.sent.counters.total_files, 3);
    pass(&b, &(struct transfer_options){.delete_extras = true, .full_scan = true});
    assert_int_equal(b.sent.counters.total_files, 3);
    pass(&b, &(struct transfer_options){.delete_extras = true, .dry_run = true});
    assert_int_equal(b.sent.counters.total_files, 0);
    expect_looked(0);
    free(gone);
    free(back);
}

struct storm {
    struct churn churn;
    unsigned long count;
    pthread_t thread;
};

static void *storm_run(void *arg)
{
    struct storm *s = arg;
    churn_run(&s->churn, s->count);
    return NULL;
}

static void storm(uint64_t seed, unsigned rounds, unsigned links)
{
    struct both b;
    char *attic = xasprintf("%s/../attic", source);
    (void)mkdir(attic, 0755);
    struct storm s = {
        .churn = {.root = source, .attic = attic, .seed = seed, .links = links},
          .count = 3000
    };
    churn_run(&s.churn, 1000);
    settle(&b);
    for (unsigned i = 0; i < rounds; i++) {
        s.count = 500 + i % 3 * 2000;
        assert_int_equal(pthread_create(&s.thread, NULL, storm_run, &s), 0);
        pass(&b, &with_delete);
        (void)pthread_join(s.thread, NULL);
        if (i % 2)
            settle(&b);
    }
    churn_run(&s.churn, 300);
    settle(&b);
    free(attic);
}

/* GODWIT_SEED repeats one; GODWIT_ALL=yes goes through more. */
static void storms(uint64_t first, unsigned links)
{
    const char *seed = getenv("GODWIT_SEED");
    storm(seed ? strtoull(seed, NULL, 10) : first, passes_are_long() ? 20 : 3, links);
}

static void random_changes_while_passes_run(void **state_)
{
    (void)state_;
    storms(1, 0);
}

static void random_changes_with_hard_links(void **state_)
{
    (void)state_;
    storms(2, 60);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, passes_setup, passes_teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_changed_folders_are_looked_at), TEST(what_failed_is_tried_again),
        TEST(hard_links_are_kept_across_folders), TEST(another_destination_is_scanned_in_full),
        TEST(changes_by_another_name_are_seen),   TEST(a_retry_keeps_hard_links),
        TEST(random_changes_while_passes_run),    TEST(random_changes_with_hard_links),
    };
    if (!passes_enter())
        return 77;
    cmocka_set_test_filter(getenv("GODWIT_ONLY"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
