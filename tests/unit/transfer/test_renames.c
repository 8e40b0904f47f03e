/* test_renames: what was renamed on the source is renamed at the destination: with the change feed
 * and by full scan, with and without deletion of extras. Needs root; skips without. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/feed/feed.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

static struct feed *feed;
static char *fault_file; /* there only while a child is to die of it */

/* On a file system of its own: nobody else's changes are in the list. */
static int setup(void **state_)
{
    if (trees_setup(state_) != 0)
        return -1;
    char *inside = xasprintf("%s/source", source);
    if (mount("none", source, "tmpfs", 0, "size=1800m") < 0 || mkdir(inside, 0755) < 0)
        return -1;
    free(source);
    source = inside;
    return feed_new(&feed, state);
}

static int teardown(void **state_)
{
    feed = feed_free(feed);
    *strrchr(source, '/') = '\0';
    (void)umount2(source, MNT_DETACH);
    return trees_teardown(state_);
}

static bool is_long(void)
{
    const char *all = getenv("GODWIT_ALL");
    return all && strcmp(all, "yes") == 0;
}

static void sh_in(const char *dir, const char *text)
{
    char *script = xasprintf("set -e; cd '%s'; %s", dir, text);
    const char *const argv[] = {"bash", "-c", script, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(script);
}

static void sh(const char *text)
{
    sh_in(source, text);
}

static void pass(struct both *b, const struct transfer_options *o)
{
    struct harness h = {
        .source = source, .destination = destination, .state = state, .feed = feed, .options = *o};
    harness_run(&h, &b->sent, &b->received);
    for (size_t i = 0; i < b->sent.ngroups; i++)
        for (size_t k = 0; k < b->sent.groups[i].nexamples; k++)
            print_message("source: %s %d %s\n", b->sent.groups[i].what, b->sent.groups[i].err,
                          b->sent.groups[i].examples[k]);
    for (size_t i = 0; i < b->received.ngroups; i++)
        for (size_t k = 0; k < b->received.groups[i].nexamples; k++)
            print_message("destination: %s %d %s\n", b->received.groups[i].what,
                          b->received.groups[i].err, b->received.groups[i].examples[k]);
    step_result_done(&b->sent);
    step_result_done(&b->received);
}

/* Folders d and e with files, another in f; contents that differ in size and time. */
static const char *const tree =
    "mkdir -p d/sub e f; for i in $(seq 12); do head -c $((3000 + i)) /dev/urandom > d/$i;"
    " head -c $((2000 + i)) /dev/urandom > d/sub/$i; done; for i in $(seq 10); do"
    " head -c $((5000 + i)) /dev/urandom > e/$i; done; head -c 3000000 /dev/urandom > f/big;"
    " head -c 900000 /dev/urandom > f/other; ln -s target f/sym; mkfifo f/fifo";

static const struct {
    const char *name, *change;
    uint64_t renamed, sent; /* sent: bytes, at most */
    bool deletes;           /* something is gone at the source: only with --delete */
} cases[] = {
    {"a file in its folder",       "mv f/big f/new",                                    1,  0,       false},
    {"a file to another folder",   "mv f/big e/big",                                    1,  0,       false},
    {"to the top and from it",     "mv f/big big; mv d .d",                             2,  0,       false},
    {"into a new folder",          "mkdir n; mv f/big n/x; mv f/other n/y",             2,  0,       false},
    {"a link and a fifo",          "mv f/sym e/sym; mv f/fifo fifo",                    2,  0,       false},
    {"a folder",                   "mv d g",                                            1,  0,       false},
    {"a folder into another",      "mv d e/d",                                          1,  0,       false},
    {"a folder out of another",    "mv d/sub s",                                        1,  0,       false},
    {"out, and then the outer",    "mv d/sub s; mv d g",                                2,  0,       false},
    {"the outer, then out",        "mv d g; mv g/sub s; mv g/1 one",                    3,  0,       false},
    {"two files change places",    "mv f/big t; mv f/other f/big; mv t f/other",        1,  0,       false},
    {"over folders",               "mv f/big t; mv e/1 f/big; mv t e/1",                1,  0,       false},
    {"two folders change places",  "mv d t; mv e d; mv t e",                            1,  0,       false},
    {"three folders in a ring",    "mv d t; mv e d; mv f e; mv t f",                    2,  0,       false},
    {"three files in a ring",      "cd e; mv 1 t; mv 2 1; mv 3 2; mv t 3",              2,  0,       false},
    {"a chain of files",           "cd e; mv 10 11; mv 9 10; mv 8 9; mv 7 8",           4,  0,       false},
    {"a chain of folders",         "mv f g; mv e f; mv d e",                            3,  0,       false},
    {"over another",               "mv f/big f/other",                                  1,  0,       false},
    {"over one elsewhere",         "mv f/big e/1",                                      1,  0,       false},
    {"a folder over an empty one", "mkdir x; mv -T d x",                                1,  0,       false},
    {"a log that rotates",         "cd e; mv 2 3; mv 1 2; echo new > 1",                2,  4,       false},
    {"a folder, and a new one",    "mv d g; mkdir d; echo new > d/1; echo y > d/y",     1,  8,       false},
    {"renamed and changed",        "mv f/other f/new; echo more >> f/new",              1,  900005,  false},
    {"renamed and touched",        "mv f/big f/new; touch f/new; chmod 600 f/new",      1,  3000000, false},
    {"a folder, changed within",   "mv d g; echo more >> g/1; rm g/2; chmod 700 g/sub", 1,  3010,
     true                                                                                                 },
    {"hard links",                 "ln f/big e/twin; mv f/big f/new",                   1,  0,       false},
    {"a folder over a full one",   "rm -r e; mv d e",                                   1,  0,       true },
    {"folders that rotate",        "rm -r f; mv e f; mv d e; mkdir d; echo x > d/x",    2,  2,       true },
    {"all of it one by one",       "mkdir g; mv d/[0-9]* g",                            12, 0,       false},
    {"with names that are odd",    "mv d $'a\\nb\\xff'; mv f/big $'\\xfe'",             2,  0,       false},
};

static void one(size_t i, bool full, bool delete_extras)
{
    struct both b;
    /* One lane: two that list folders at once may each find what the other is about to rename. */
    const struct transfer_options o = {
        .delete_extras = delete_extras, .full_scan = full, .lanes = 1};
    struct transfer_options dry = o;
    dry.dry_run = true;
    sh(tree);
    pass(&b, &o);
    assert_done(&b);
    pass(&b, &o);
    assert_done(&b);
    sh(cases[i].change);
    pass(&b, &dry);
    assert_done(&b);
    uint64_t would = b.received.counters.renamed;
    pass(&b, &o);
    /* A folder that has to stay is no place for another: then what is in it is renamed. */
    bool whole = !cases[i].deletes || delete_extras;
    uint64_t want = whole ? cases[i].renamed : b.received.counters.renamed;
    if (b.received.counters.renamed != want || would != want ||
        b.sent.counters.sent_bytes > cases[i].sent)
        fail_msg("%s: renamed %u (would: %u), sent %u bytes", cases[i].name,
                 (unsigned)b.received.counters.renamed, (unsigned)would,
                 (unsigned)b.sent.counters.sent_bytes);
    assert_done(&b);
    if (whole)
        assert_same_trees();
    pass(&b, &o);
    assert_done(&b);
    assert_int_equal(b.received.counters.renamed, 0);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    sh("find . -mindepth 1 -delete");
    pass(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_same_trees();
}

static void every_case(bool full, bool delete_extras)
{
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (getenv("GODWIT_CASE") && strcmp(getenv("GODWIT_CASE"), cases[i].name) != 0)
            continue;
        if (!is_long() && !getenv("GODWIT_CASE") && i % 2 != delete_extras)
            continue; /* the short form has each once */
        if (getenv("GODWIT_VERBOSE"))
            print_message("%s\n", cases[i].name);
        one(i, full, delete_extras);
    }
}

static void by_the_feed(void **state_)
{
    (void)state_;
    every_case(false, false);
}

static void by_the_feed_with_delete(void **state_)
{
    (void)state_;
    if (is_long())
        every_case(false, true);
}

static void by_full_scan(void **state_)
{
    (void)state_;
    if (is_long())
        every_case(true, false);
}

static void by_full_scan_with_delete(void **state_)
{
    (void)state_;
    every_case(true, true);
}

/* Rows with SHA-256 and metadata go along. */
static void with_evidence(void **state_)
{
    (void)state_;
    struct both b;
    const struct transfer_options o = {.delete_extras = true, .evidence = true, .lanes = 1};
    sh(tree);
    pass(&b, &o);
    assert_done(&b);
    sh("mv d g; mv f/big e/big; mv e/1 1");
    pass(&b, &o);
    assert_done(&b);
    assert_int_equal(b.received.counters.renamed, 3);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_same_trees();
    pass(&b, &o);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_done(&b);
}

static void a_gigabyte_is_not_sent(void **state_)
{
    (void)state_;
    struct both b;
    const struct transfer_options o = {.delete_extras = true};
    sh("mkdir a; for i in 1 2 3 4; do truncate -s 250M a/$i; head -c 100000 /dev/urandom |"
       " dd of=a/$i bs=1M seek=100 conv=notrunc status=none; done; head -c 24M /dev/urandom > a/5;"
       " mkdir a/many; cd a/many; seq 10000 | split -l 1 -a 4 -");
    pass(&b, &o);
    assert_done(&b);
    sh("mv a b");
    pass(&b, &o);
    assert_done(&b);
    assert_int_equal(b.received.counters.renamed, 1);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_true(b.sent.counters.wire_bytes < 4U << 20);
    assert_same_trees();
}

/* The child is both sides: all of it dies. */
static void killed_pass(const char *point, unsigned times, const struct transfer_options *o)
{
    FILE *out = fopen(fault_file, "we");
    assert_non_null(out);
    assert_true(fprintf(out, "%s %u\n", point, times) > 0);
    assert_int_equal(fclose(out), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct both b;
        feed = NULL;
        pass(&b, o);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    (void)unlink(fault_file);
    if (!WIFSIGNALED(status))
        fail_msg("it never came to %s", point);
}

static const struct {
    const char *point;
    unsigned times;
} points[] = {
    {"moves-told",      1},
    {"moves-noted",     1},
    {"moved",           1},
    {"moved",           2},
    {"moves-synced",    1},
    {"moves-committed", 1},
};

static const struct {
    const char *change, *then;
} killed[] = {
    {"mv d g; mv f/big f/new",                         ""                              },
 /* of one size and time: only the catalogue knows which is which */
    {"mv f/a t; mv f/b f/a; mv t f/b; mv f/big f/new", ""                              },
    {"mv f/a t; mv f/b f/a; mv t f/b; mv f/big f/new", "mv f/a t; mv f/b f/a; mv t f/b"},
    {"mv d t; mv e d; mv f e; mv t f",                 "mv d t; mv e d; mv f e; mv t f"},
    {"mv d g; mv f h",                                 "mv g d; mv h f"                },
};

static void one_killed(size_t point, size_t change)
{
    struct both b;
    const struct transfer_options o = {.delete_extras = true, .full_scan = true, .lanes = 1};
    sh(tree);
    sh("head -c 9000 /dev/urandom > f/a; head -c 9000 /dev/urandom > f/b; touch -d 2001-02-03 f/a"
       " f/b");
    pass(&b, &o);
    assert_done(&b);
    sh(killed[change].change);
    killed_pass(points[point].point, points[point].times, &o);
    sh(killed[change].then);
    pass(&b, &o);
    assert_done(&b);
    assert_same_trees();
    if (killed[change].then[0] == '\0')
        assert_int_equal(b.sent.counters.sent_bytes, 0);
    pass(&b, &o);
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    sh("find . -mindepth 1 -delete");
    pass(&b, &o);
    assert_done(&b);
}

static void killed_at_any_point(void **state_)
{
    (void)state_;
#ifdef GODWIT_FAULT_POINTS
    struct feed *f = feed;
    feed = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(points); i++)
        for (size_t k = 0; k < ARRAY_SIZE(killed); k++)
            if (is_long() || (i + k) % 2 == 0)
                one_killed(i, k);
    feed = f;
#else
    (void)one_killed;
    skip();
#endif
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(by_the_feed),         TEST(by_the_feed_with_delete),
        TEST(by_full_scan),        TEST(by_full_scan_with_delete),
        TEST(with_evidence),       TEST(a_gigabyte_is_not_sent),
        TEST(killed_at_any_point),
    };
    if (geteuid() != 0 || unshare(CLONE_NEWNS) < 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return 77;
    fault_file = xasprintf("%s/renames-%d.fault", P_tmpdir, (int)getpid());
    (void)setenv("GODWIT_FAULT_FILE", fault_file, 1);
    cmocka_set_test_filter(getenv("GODWIT_ONLY"));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(fault_file);
    return failed;
}
