/* test_feed: a feed on a file system of its own: what a pass is told to look at, and everything
 * that makes it a full scan. Needs root; skips without. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/feed/feed.h"
#include "common/base/mem.h"
#include "tests/unit/astore/ground.h"
#include "tests/unit/test.h"

#define PAIR "0123456789abcdef.1"

static struct feed *feed;
static int root = -1;
static struct feed_ask ask;

static void sh(const char *text)
{
    pid_t pid = fork();
    if (pid == 0) {
        if (chdir(ground_path(GROUND_TMPFS)) == 0)
            (void)execl("/bin/sh", "sh", "-ec", text, (char *)NULL);
        _exit(127);
    }
    int status = -1;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int write_down(void *arg, const char *path, size_t len, bool whole)
{
    char *to = arg;
    size_t n = strlen(to);
    (void)snprintf(to + n, 1024 - n, "%.*s%s ", len ? (int)len : 1, len ? path : "/",
                   whole ? "*" : "");
    return 0;
}

/* A pass; "!" and the reason for a full scan. */
static void pass(bool well, char ret[1024])
{
    struct feed_pass *p = feed_begin(feed, &ask);
    const struct feed_list *l = feed_pass_list(p);
    ret[0] = '\0';
    if (l)
        (void)feed_list_each(l, write_down, ret);
    else
        (void)snprintf(ret, 1024, "!%s", feed_pass_why(p));
    feed_end(p, well, ask.last);
}

static void expect(bool well, const char *want)
{
    char got[1024];
    pass(well, got);
    if (strncmp(got, want, *want == '!' ? strlen(want) : sizeof got) != 0)
        fail_msg("got \"%s\", want \"%s\"", got, want);
}

static int each_test_begins(void **state)
{
    (void)state;
    int fd = ground_open(GROUND_TMPFS);
    if (fd < 0)
        return -1;
    (void)close(fd);
    sh("mkdir -p src/a src/b/c/d other; echo x > src/a/f; echo x > src/b/c/f");
    char *path = xasprintf("%s/src", ground_path(GROUND_TMPFS));
    /* Elsewhere: its own log is no change of what it watches. */
    char *dir = xasprintf("%s/state", ground_path(GROUND_DISK));
    root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_int_equal(feed_new(&feed, dir), 0);
    free(path);
    free(dir);
    ask = (struct feed_ask){.pair = PAIR, .root = root, .key = 1, .last = 5};
    return 0;
}

static int each_test_ends(void **state)
{
    (void)state;
    feed = feed_free(feed);
    if (root >= 0)
        (void)close(root);
    root = -1;
    sh("rm -rf src other");
    return 0;
}

static void a_pass_is_told_what_changed_since_the_last_good_one(void **state)
{
    (void)state;
    expect(true, "!no pass ended well yet");
    expect(true, "");
    sh("echo y >> src/a/f; echo z > other/f");
    expect(false, "a ");
    expect(true, "a "); /* the one before did not end well */
    expect(true, "");
    sh("chmod 700 src/b/c; touch src/n; mkdir src/m; echo x > src/m/f");
    expect(true, "/ b/c m* ");
    sh("mv src/b src/z");
    expect(true, "/ z* ");
    sh("echo y > src/z/c/d/f; mv src/z/c src/q"); /* found where it is now */
    expect(true, "/ q* z ");
    sh("rm -r src/q; mv src/a other/a; echo 1 > other/a/f; mv other src/o");
    expect(true, "/ o* ");
    sh("mv src/o/a/f src/f; rm -r src/o");
    expect(true, "/ ");
}

static void where_a_folder_was_is_known(void **state)
{
    (void)state;
    size_t len = 0;
    expect(true, "!");
    sh("mv src/b/c src/a/k");
    struct feed_pass *p = feed_begin(feed, &ask);
    const struct feed_list *l = feed_pass_list(p);
    assert_non_null(l);
    const char *from = feed_list_origin(l, "a/k", 3, &len);
    assert_non_null(from);
    assert_int_equal(len, 3);
    assert_memory_equal(from, "b/c", 3);
    uint64_t folders = 0, ms = 0;
    sh("touch src/a/while src/it-runs");
    for (int i = 0; i < 200 && folders < 2; i++) {
        (void)usleep(10000);
        feed_pass_next(p, &folders, &ms);
    }
    assert_int_equal(folders, 2);
    assert_true(ms > 0);
    feed_end(p, true, 5);
}

static void another_destination_option_or_folder_is_a_full_scan(void **state)
{
    (void)state;
    expect(true, "!no pass");
    ask.last = 6;
    expect(true, "!the destination is not");
    ask.key = 2;
    expect(true, "!the options");
    expect(true, "");
    ask.full = "as asked";
    expect(true, "!as asked");
    ask.full = NULL;
    expect(true, "");
    sh("mv src was; mkdir -p src/new");
    (void)close(root);
    char *path = xasprintf("%s/src", ground_path(GROUND_TMPFS));
    ask.root = root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(path);
    expect(true, "!the source is another folder");
    expect(true, "");
    sh("rm -r was");
    expect(true, "");
    feed_forget(feed, PAIR);
    expect(true, "!no pass");
}

static void a_mount_below_is_a_full_scan_and_so_is_a_new_file_system(void **state)
{
    (void)state;
    char *path = xasprintf("%s/src/a", ground_path(GROUND_TMPFS));
    expect(true, "!");
    assert_int_equal(mount("none", path, "tmpfs", 0, "size=1m"), 0);
    expect(true, "!other file systems");
    sh("umount src/a");
    expect(true, "!other file systems"); /* the last pass had seen what was mounted */
    expect(true, "");
    free(path);
}

/* The watch holds nothing busy; what happened while nobody watched is not known. */
static void a_file_system_that_was_away_is_a_full_scan(void **state)
{
    (void)state;
    char *path = xasprintf("%s/src/a", ground_path(GROUND_TMPFS));
    assert_int_equal(mount("none", path, "tmpfs", 0, "size=1m"), 0);
    ask.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    expect(true, "!no pass");
    sh("touch src/a/new");
    expect(true, "/ ");
    (void)close(ask.root);
    assert_int_equal(umount2(path, 0), 0);
    assert_int_equal(mount("none", path, "tmpfs", 0, "size=1m"), 0);
    ask.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char got[1024];
    pass(true, got);
    assert_int_equal(got[0], '!');
    expect(true, "");
    sh("touch src/a/new");
    expect(true, "/ ");
    (void)close(ask.root);
    assert_int_equal(umount2(path, 0), 0);
    free(path);
}

static void two_pairs_on_one_file_system_keep_their_own_list(void **state)
{
    (void)state;
    struct feed_ask first = ask;
    expect(true, "!");
    char *path = xasprintf("%s/other", ground_path(GROUND_TMPFS));
    ask.pair = "0123456789abcdef.2";
    ask.root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sh("touch src/a/f");
    expect(true, "!");
    sh("touch other/x");
    expect(true, "/ ");
    struct feed_state st;
    feed_state(feed, PAIR, &st);
    assert_true(st.certain && st.folders >= 1);
    (void)close(ask.root);
    feed_forget(feed, ask.pair);
    ask = first;
    expect(true, "a ");
    feed_state(feed, PAIR, &st);
    assert_int_equal(st.folders, 0);
    free(path);
}

_Noreturn static void change_for_ever(int who)
{
    char name[32];
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that took too long is killed: so are we */
    if (chdir(ground_path(GROUND_TMPFS)) < 0)
        _exit(1);
    for (unsigned i = 0;; i++) {
        (void)snprintf(name, sizeof name, "other/%d-%u", who, i % 1000);
        (void)close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
        (void)unlink(name);
    }
}

/* Others write to the same file system all the time: its queue is never empty. */
static void a_busy_file_system_keeps_no_pass_waiting(void **state)
{
    (void)state;
    pid_t pids[4];
    expect(true, "!");
    for (int i = 0; i < 4; i++)
        if ((pids[i] = fork()) == 0)
            change_for_ever(i);
    for (int i = 0; i < 20; i++) {
        sh("echo y >> src/a/f");
        expect(true, "a ");
    }
    for (int i = 0; i < 4; i++) {
        (void)kill(pids[i], SIGKILL);
        assert_int_equal(waitpid(pids[i], NULL, 0), pids[i]);
    }
}

static void without_a_feed_there_are_full_scans(void **state)
{
    (void)state;
    struct feed_pass *p = feed_begin(NULL, &ask);
    assert_null(feed_pass_list(p));
    assert_string_equal(feed_pass_why(p), "this agent keeps no change feed");
    feed_end(p, true, 1);
    feed_forget(NULL, PAIR);
    ask.root = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char got[1024];
    pass(true, got);
    assert_int_equal(got[0], '!');
    pass(true, got);
    assert_int_equal(got[0], '!');
    (void)close(ask.root);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, each_test_begins, each_test_ends)
    const struct CMUnitTest tests[] = {
        TEST(a_pass_is_told_what_changed_since_the_last_good_one),
        TEST(where_a_folder_was_is_known),
        TEST(another_destination_option_or_folder_is_a_full_scan),
        TEST(a_mount_below_is_a_full_scan_and_so_is_a_new_file_system),
        TEST(a_file_system_that_was_away_is_a_full_scan),
        TEST(two_pairs_on_one_file_system_keep_their_own_list),
        TEST(a_busy_file_system_keeps_no_pass_waiting),
        TEST(without_a_feed_there_are_full_scans),
    };
    int fd = geteuid() == 0 ? ground_open(GROUND_TMPFS) : -1;
    if (fd < 0)
        return 77;
    (void)close(fd);
    (void)close(ground_open(GROUND_DISK));
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    ground_remove();
    return rc;
}
