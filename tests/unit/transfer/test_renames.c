/* test_renames: what was renamed on the source is renamed at the destination: with the change feed
 * and by full scan, with and without deletion of extras. Needs root; skips without. */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/feed/feed.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/filter.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/passes.h"

static char *fault_file; /* there only while a child is to die of it */

/* Folders d and e with files, another in f; contents that differ in size and time. */
static const char *const tree =
    "mkdir -p d/sub e f; for i in $(seq 12); do head -c $((3000 + i)) /dev/urandom > d/$i;"
    " head -c $((2000 + i)) /dev/urandom > d/sub/$i; done; for i in $(seq 10); do"
    " head -c $((5000 + i)) /dev/urandom > e/$i; done; head -c 3000000 /dev/urandom > f/big;"
    " head -c 900000 /dev/urandom > f/other; ln -s target f/sym; mkfifo f/fifo";

/* Made once a test; copies of it are quick to have. */
static void make_trees(const char *to)
{
    char *script =
        xasprintf("t='%s/template'; if [ ! -e \"$t\" ]; then mkdir \"$t\"; (cd \"$t\"; %s);"
                  " fi; for i in %s; do cp -a \"$t\" .new; if [ $i = . ]; then"
                  " mv .new/* .; rmdir .new; else mv .new $i; fi; done",
                  base, tree, to);
    sh(script);
    free(script);
}

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
    make_trees(".");
    pass(&b, &(struct transfer_options){.delete_extras = true});
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

static bool is_in(size_t i, bool delete_extras)
{
    const char *only = getenv("GODWIT_CASE");
    return only ? strcmp(only, cases[i].name) == 0 : delete_extras || !cases[i].deletes;
}

/* Each in a folder of its own, side by side: one pass has to do with all of them. */
static void side_by_side(bool full, bool delete_extras)
{
    struct both b;
    const struct transfer_options o = {
        .delete_extras = delete_extras, .full_scan = full, .lanes = 1};
    struct transfer_options dry = o;
    struct buf changes;
    uint64_t want = 0, most = 0;
    dry.dry_run = true;
    buf_init(&changes, 64U << 10);
    CLEANUP(mem_free) char *names = xasprintf("$(seq -f c%%.0f 0 %zu)", ARRAY_SIZE(cases) - 1);
    make_trees(names);
    pass(&b, &o);
    assert_done(&b);
    pass(&b, &o);
    assert_done(&b);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        if (!is_in(i, delete_extras))
            continue;
        char *one_change = xasprintf("(cd c%zu; %s);", i, cases[i].change);
        buf_put(&changes, one_change, strlen(one_change));
        free(one_change);
        want += cases[i].renamed;
        most += cases[i].sent;
    }
    buf_put_u8(&changes, 0);
    sh((const char *)changes.data);
    buf_done(&changes);
    pass(&b, &dry);
    assert_done(&b);
    uint64_t would = b.received.counters.renamed;
    pass(&b, &o);
    assert_done(&b);
    if (b.received.counters.renamed != want || would != want || b.sent.counters.sent_bytes > most)
        fail_msg(
            "renamed %u, would %u, of %u; sent %u bytes, at most %u: GODWIT_ALL=yes says where",
            (unsigned)b.received.counters.renamed, (unsigned)would, (unsigned)want,
            (unsigned)b.sent.counters.sent_bytes, (unsigned)most);
    assert_same_trees();
    pass(&b, &o);
    assert_done(&b);
    assert_int_equal(b.received.counters.renamed, 0);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
}

/* The long form has them one by one as well, in all four ways. */
static void every_case(bool full, bool delete_extras)
{
    if (full == delete_extras || passes_are_long())
        side_by_side(full, delete_extras);
    if (!passes_are_long())
        return;
    sh("find . -mindepth 1 -delete");
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (!getenv("GODWIT_CASE") || strcmp(getenv("GODWIT_CASE"), cases[i].name) == 0)
            one(i, full, delete_extras);
}

static void by_the_feed(void **state_)
{
    (void)state_;
    every_case(false, false);
}

static void by_the_feed_with_delete(void **state_)
{
    (void)state_;
    every_case(false, true);
}

static void by_full_scan(void **state_)
{
    (void)state_;
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
    make_trees(".");
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

/* What a filter leaves out at the destination neither goes with its folder nor is written over, and
 * what was left out at the source comes anew. */
static const struct filtered {
    const char *name, *include, *exclude, *tree, *change, *mine; /* mine: made at the destination */
    bool delete_extras;
    uint64_t renamed, sent;
    const char *then; /* holds at the destination afterwards */
} filtered[] = {
    {"a folder that holds nothing left out", NULL,       "*.tmp",   "mkdir d; head -c 5000 /dev/zero > d/a",
     "mv d e",                                                                                                                                                     "true",                true, 1, 0,    "test -e e/a -a ! -e d"                          },
    {"a folder that holds what is left out", NULL,       "*.tmp",   "mkdir d; head -c 5000 /dev/zero > d/a",
     "mv d e",                                                                                                                                                     "echo mine > d/x.tmp", true, 1, 0,
     "test -e e/a -a -e d/x.tmp -a ! -e e/x.tmp -a ! -e d/a"                                                                                                                                                                                              },
    {"a folder over one that holds some",    NULL,       "*.tmp",
     "mkdir d e; head -c 5000 /dev/zero > d/a; head -c 5001 /dev/zero > e/b",                                          "rm -r e; mv d e",
     "echo mine > e/x.tmp",                                                                                                                                                               true, 1, 0,    "test -e e/a -a -e e/x.tmp -a ! -e d -a ! -e e/b"},
    {"out of what is left out",              NULL,       "/hidden", "mkdir hidden; head -c 5000 /dev/zero > hidden/a",
     "mv hidden/a a",                                                                                                                                              "true",                true, 0, 5000, "test -e a -a ! -e hidden"                       },
    {"into what is left out",                NULL,       "/hidden", "mkdir hidden; head -c 5000 /dev/zero > a",
     "mv a hidden/a",                                                                                                                                              "true",                true, 0, 0,    "test ! -e a -a ! -e hidden"                     },
    {"to a name that is left out",           NULL,       "*.tmp",   "head -c 5000 /dev/zero > a",                      "mv a a.tmp",
     "true",                                                                                                                                                                              true, 0, 0,    "test ! -e a -a ! -e a.tmp"                      },
    {"to a name that is taken again",        "keep.tmp", "*.tmp",
     "mkdir d e; head -c 5000 /dev/zero > d/keep.tmp; head -c 99 /dev/zero > d/x.tmp",                                 "mv d/keep.tmp e/keep.tmp; mv d/x.tmp e/x", "true",                true, 1, 99,
     "test -e e/keep.tmp -a -e e/x -a ! -e d/keep.tmp"                                                                                                                                                                                                    },
};

static struct filter *filter_of(const struct filtered *f)
{
    struct filter *x = NULL;
    const struct filter_conf conf = {.exclude = &f->exclude,
                                     .nexclude = 1,
                                     .include = &f->include,
                                     .ninclude = f->include != NULL};
    assert_int_equal(filter_new(&x, &conf, NULL), 0);
    return x;
}

static void one_filtered(const struct filtered *f, bool full)
{
    struct both b;
    struct filter *x = filter_of(f);
    const struct transfer_options o = {
        .delete_extras = f->delete_extras, .full_scan = full, .lanes = 1, .filter = x};
    sh(f->tree);
    pass(&b, &o);
    pass(&b, &o);
    assert_done(&b);
    sh_in(destination, f->mine);
    sh(f->change);
    pass(&b, &o);
    assert_done(&b);
    if (b.received.counters.renamed != f->renamed || b.sent.counters.sent_bytes != f->sent)
        fail_msg("%s: renamed %u, sent %u bytes", f->name, (unsigned)b.received.counters.renamed,
                 (unsigned)b.sent.counters.sent_bytes);
    sh_in(destination, f->then);
    sh("find . -mindepth 1 -delete");
    (void)filter_free(x);
    pass(&b, &(struct transfer_options){.delete_extras = true});
    assert_same_trees();
}

static void with_filters(void **state_)
{
    (void)state_;
    for (size_t i = 0; i < ARRAY_SIZE(filtered); i++)
        for (unsigned full = 0; full < 2; full++)
            if (passes_are_long() || full == i % 2)
                one_filtered(&filtered[i], full);
}

static void a_gigabyte_is_not_sent(void **state_)
{
    (void)state_;
    struct both b;
    const struct transfer_options o = {.delete_extras = true};
    sh("mkdir a; for i in 1 2 3 4; do truncate -s 250M a/$i; head -c 100000 /dev/urandom |"
       " dd of=a/$i bs=1M seek=100 conv=notrunc status=none; done; head -c 24M /dev/urandom > a/5;"
       " mkdir a/many; cd a/many; seq 2000 | split -l 1 -a 4 -");
    pass(&b, &o);
    assert_done(&b);
    sh("mv a b");
    pass(&b, &o);
    assert_done(&b);
    assert_int_equal(b.received.counters.renamed, 1);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_true(b.sent.counters.wire_bytes < 4U << 20);
    /* To read it would be most of this test. */
    sh_in(base, "test -z \"$(rsync -aHn --delete --itemize-changes source/source/ destination/)\"");
}

/* ── another lane enters what is about to be renamed ── */

static atomic_bool hold_rename;    /* the next one waits until somebody is in the folder */
static atomic_bool spares_nothing; /* no rename does without replacing */
static char *held_folder;          /* what is in it */

static bool is_entered(void)
{
    char at[PATH_MAX];
    bool some = false;
    DIR *d = opendir("/proc/self/fd");
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        ssize_t n = readlinkat(dirfd(d), e->d_name, at, sizeof at - 1);
        some = some || (n > 0 && (size_t)n > strlen(held_folder) &&
                        memcmp(at, held_folder, strlen(held_folder)) == 0);
    }
    if (d)
        (void)closedir(d);
    return some;
}

int __real_renameat2(int from, const char *old, int to, const char *new, unsigned flags);
int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags);

int __wrap_renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
    if (flags == RENAME_NOREPLACE && atomic_load(&spares_nothing)) {
        errno = EINVAL;
        return -1;
    }
    bool hold = atomic_exchange(&hold_rename, false);
    for (int i = 0; hold && i < 100 && !is_entered(); i++)
        (void)poll(NULL, 0, 2);
    return __real_renameat2(from, old, to, new, flags);
}

/* As on NFS. */
static void where_no_rename_spares(void **state_)
{
    (void)state_;
    atomic_store(&spares_nothing, true);
    side_by_side(true, true);
    atomic_store(&spares_nothing, false);
}

/* One lane lists q and renames what was in p; others list p, where new folders of those names have
 * come. */
static void a_folder_that_another_lane_goes_to(void **state_)
{
    (void)state_;
    struct both b;
    const struct transfer_options o = {.delete_extras = true, .full_scan = true, .lanes = 4};
    held_folder = xasprintf("%s/p/", destination);
    for (unsigned i = 0; i < 4; i++) {
        sh("mkdir p q; for k in 1 2 3 4 5 6; do mkdir p/$k; for i in 1 2 3; do"
           " head -c $((3000 + 9 * k + i)) /dev/urandom > p/$k/$i; done; done");
        pass(&b, &o);
        pass(&b, &o);
        assert_done(&b);
        sh("mv p/* q; for k in 1 2 3 4 5 6; do mkdir p/$k; echo $k > p/$k/new; done");
        atomic_store(&hold_rename, true);
        pass(&b, &o);
        atomic_store(&hold_rename, false);
        assert_done(&b);
        assert_same_trees();
        sh("find . -mindepth 1 -delete");
    }
    free(held_folder);
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
    make_trees(".");
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
            if (passes_are_long() || (i + k) % 3 == 0)
                one_killed(i, k);
    feed = f;
#else
    (void)one_killed;
    skip();
#endif
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, passes_setup, passes_teardown)
    const struct CMUnitTest tests[] = {
        TEST(by_the_feed),
        TEST(by_the_feed_with_delete),
        TEST(by_full_scan),
        TEST(by_full_scan_with_delete),
        TEST(with_evidence),
        TEST(with_filters),
        TEST(a_gigabyte_is_not_sent),
        TEST(where_no_rename_spares),
        TEST(a_folder_that_another_lane_goes_to),
        TEST(killed_at_any_point),
    };
    if (!passes_enter())
        return 77;
    fault_file = xasprintf("%s/renames-%d.fault", P_tmpdir, (int)getpid());
    (void)setenv("GODWIT_FAULT_FILE", fault_file, 1);
    cmocka_set_test_filter(getenv("GODWIT_ONLY"));
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(fault_file);
    return failed;
}
