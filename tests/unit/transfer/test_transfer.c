/* test_transfer: whole transfers over loopback, compared by rsync, which shares no code with us. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

static void every_kind_arrives_and_a_second_run_sends_nothing(void **state_)
{
    (void)state_;
    struct both b;
    make_tree();
    transfer(&b, NULL);
    assert_done(&b);
    assert_same_trees();
    assert_int_equal(b.sent.counters.total_files, b.received.counters.files);
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_int_equal(b.received.counters.files, 0);
    assert_int_equal(b.received.counters.changed_meta, 0);
    assert_same_trees();
}

static void what_changed_is_sent_and_no_more(void **state_)
{
    (void)state_;
    struct both b;
    struct stat st;
    make_tree();
    transfer(&b, NULL);
    char *same = in_source("size2");
    assert_int_equal(stat(same, &st), 0);
    put_random("size2", 4096, 77); /* same size, and the time is set back: only ctime tells */
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(utimensat(AT_FDCWD, same, times, 0), 0);
    free(same);
    IN_SOURCE(chmod(path, 0600), "size8"); /* metadata alone: content is not sent */
    IN_SOURCE(unlink(path), "link");
    IN_SOURCE(symlink("elsewhere", path), "link");
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, 4096);
    assert_int_equal(b.received.counters.files, 1);
    assert_same_trees();
}

static void kinds_that_changed_are_replaced(void **state_)
{
    (void)state_;
    struct both b;
    make_tree();
    transfer(&b, NULL);
    IN_SOURCE(unlink(path), "size1");
    IN_SOURCE(mkdir(path, 0750), "size1");
    put(source, "size1/inside", "x", 1);
    IN_SOURCE(unlink(path), "sub/empty/third");
    IN_SOURCE(rmdir(path), "sub/empty");
    put(source, "sub/empty", "now a file", 10);
    IN_SOURCE(unlink(path), "fifo");
    IN_SOURCE(symlink("sub", path), "fifo");
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_same_trees();
}

static char *in_destination(const char *name)
{
    return xasprintf("%s/%s", destination, name);
}

/* What stands where a file should go: a folder with entries costs that file, whichever way it
 * comes; an empty one, or a file where a folder should go, gives way. */
static void a_full_folder_gives_way_only_when_told_to(void **state_)
{
    (void)state_;
    static const char *const refused[] = {"small", "large", "link", "sub/name"};
    struct both b;
    put_random("small", 1000, 1);
    put_random("large", 1 << 20, 2);
    put_random("after", 1000, 3);
    put_random("empty", 1000, 4);
    IN_SOURCE(symlink("elsewhere", path), "link");
    char *first = in_source("after");
    make_dir(source, "sub");
    IN_SOURCE(link(first, path), "sub/name");
    free(first);
    make_dir(source, "folder");
    put(source, "folder/inside", "x", 1);
    make_dir(destination, "");
    make_dir(destination, "sub");
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        char *inside = xasprintf("%s/precious", refused[i]);
        make_dir(destination, refused[i]);
        put(destination, inside, "x", 1);
        free(inside);
    }
    make_dir(destination, "empty");
    put(destination, "folder", "a file", 6);

    struct harness h = {.source = source, .destination = destination, .state = state};
    for (int dry = 1; dry >= 0; dry--) {
        h.options.dry_run = dry;
        harness_run(&h, &b.sent, &b.received);
        /* Nobody compares a later name of a file before the end. */
        assert_int_equal(b.received.status, STEP_PARTIAL);
        assert_int_equal(b.received.counters.failed, ARRAY_SIZE(refused) - (size_t)dry);
        for (size_t i = 0; i < b.received.ngroups; i++)
            assert_int_equal(b.received.groups[i].err, ENOTEMPTY);
        step_result_done(&b.sent);
        step_result_done(&b.received);
    }
    assert_true(*fault_remedy(ENOTEMPTY));
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
        char *inside = xasprintf("%s/%s/precious", destination, refused[i]);
        assert_int_equal(access(inside, F_OK), 0);
        free(inside);
    }
    char *inside = in_destination("folder/inside"), *empty = in_destination("empty");
    struct stat st;
    assert_int_equal(access(inside, F_OK), 0);
    assert_true(stat(empty, &st) == 0 && S_ISREG(st.st_mode));
    free(inside);
    free(empty);
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_same_trees();
}

static void extras_go_only_when_told_to(void **state_)
{
    (void)state_;
    struct both b;
    make_tree();
    transfer(&b, NULL);
    make_dir(destination, "extra");
    make_dir(destination, "extra/below");
    put(destination, "extra/below/f", "x", 1);
    put(destination, "sub/stray", "x", 1);
    transfer(&b, NULL);
    assert_int_equal(b.received.counters.deleted, 0);
    transfer(&b, &(struct transfer_options){.delete_extras = true, .dry_run = true});
    assert_done(&b);
    assert_int_equal(b.received.counters.deleted, 4);
    char *stray = xasprintf("%s/sub/stray", destination);
    assert_int_equal(access(stray, F_OK), 0);
    free(stray);
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_int_equal(b.received.counters.deleted, 4);
    assert_same_trees();
}

static void a_dry_run_counts_and_touches_nothing(void **state_)
{
    (void)state_;
    struct both b;
    make_tree();
    transfer(&b, &(struct transfer_options){.dry_run = true});
    assert_done(&b);
    assert_int_equal(b.sent.counters.sent_bytes, 0);
    assert_true(b.received.counters.files > 1500);
    assert_int_not_equal(access(destination, F_OK), 0);
}

static void a_checksum_run_finds_silent_damage(void **state_)
{
    (void)state_;
    struct both b;
    struct stat st;
    make_tree();
    transfer(&b, NULL);
    char *path = xasprintf("%s/size8", destination);
    assert_int_equal(stat(path, &st), 0);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "damage", 6, 9 << 20), 6);
    const struct timespec times[2] = {st.st_atim, st.st_mtim};
    assert_int_equal(futimens(fd, times), 0);
    (void)close(fd);
    free(path);
    transfer(&b, &(struct transfer_options){.checksum = true});
    assert_done(&b);
    assert_int_equal(b.received.counters.files, 1);
    assert_same_trees();
}

/* ── failures ── */

static int ordinary_user_run(void)
{
    struct both b;
    int bad = 0;
    if (setgid(65534) != 0 || setuid(65534) != 0)
        return 1;
    struct harness h = {.source = source, .destination = destination, .state = state};
    harness_run(&h, &b.sent, &b.received);
    bad |= b.sent.status != STEP_PARTIAL || b.sent.counters.failed != 1;
    bad |= b.sent.ngroups != 1 || b.sent.groups[0].err != EACCES;
    char *path = in_source("secret");
    (void)chmod(path, 0644);
    put_random("plain", 1500, 3); /* changed, but it did not fail */
    h.options.only_failed = true;
    harness_run(&h, &b.sent, &b.received);
    bad |= (b.sent.status != STEP_DONE) << 1;
    bad |= (b.received.counters.files != 1 || b.sent.counters.sent_bytes != 1000) << 2;
    free(path);
    /* The list has gone: who says that only little is left to do would lie. */
    path = xasprintf("%s/source/transfer/0123456789abcdef.1.failed", state);
    bad |= (unlink(path) != 0) << 3;
    harness_run(&h, &b.sent, &b.received);
    bad |= (b.received.counters.files != 1 || b.sent.counters.sent_bytes != 1500) << 4;
    free(path);
    return bad;
}

static void an_unreadable_file_costs_itself_and_can_be_tried_alone(void **state_)
{
    (void)state_;
    if (geteuid() != 0)
        skip();
    put_random("plain", 1000, 1);
    put_random("secret", 1000, 2);
    IN_SOURCE(chmod(path, 0), "secret");
    const char *const argv[] = {"chown", "-R", "65534:65534", base, NULL};
    assert_int_equal(trees_run(argv), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(ordinary_user_run());
    int status = 0;
    (void)waitpid(pid, &status, 0);
    assert_int_equal(status, 0);
    assert_same_trees();
}

static int as_user(int (*fn)(void))
{
    int status = 0;
    const char *const argv[] = {"chown", "-R", "65534:65534", base, NULL};
    assert_int_equal(trees_run(argv), 0);
    pid_t pid = fork();
    if (pid == 0)
        _exit(setgid(65534) != 0 || setuid(65534) != 0 ? 1 : fn());
    (void)waitpid(pid, &status, 0);
    return status;
}

static int unlisted_run(void)
{
    struct both b;
    struct harness h = {.source = source, .destination = destination, .state = state};
    char *path = in_source("sub"), *kept = xasprintf("%s/sub/kept", destination);
    harness_run(&h, &b.sent, &b.received);
    int bad = b.sent.status != STEP_DONE;
    (void)chmod(path, 0444); /* names can be read, entries cannot be looked at */
    h.options.delete_extras = true;
    harness_run(&h, &b.sent, &b.received);
    (void)chmod(path, 0755);
    char *there = xasprintf("%s/sub", destination);
    (void)chmod(there, 0755);
    bad |= (b.sent.status != STEP_PARTIAL) << 1;
    bad |= (b.received.counters.deleted != 0 || access(kept, F_OK) != 0) << 2;
    free(path);
    free(kept);
    free(there);
    return bad;
}

/* A source whose file system is not mounted is another folder, and empty. More: test_origin. */
static void another_folder_that_is_empty_deletes_nothing(void **state_)
{
    (void)state_;
    struct harness h = {.source = source, .destination = destination, .state = state};
    struct step_result sent, received;
    struct both b;
    make_dir(source, "sub");
    put(source, "sub/file", "x", 1);
    transfer(&b, NULL);
    assert_done(&b);
    char *away = xasprintf("%s-away", source);
    assert_int_equal(rename(source, away), 0);
    assert_int_equal(mkdir(source, 0755), 0);
    h.options.delete_extras = true;
    for (int i = 0; i < 3; i++) {
        h.options.evidence = i == 1;
        h.options.dry_run = i == 2;
        harness_run(&h, &sent, &received);
        assert_int_equal(received.status, STEP_FAILED);
        assert_int_equal(received.fault.err, ENODEV);
        assert_int_equal(received.counters.deleted, 0);
        step_result_done(&sent);
        step_result_done(&received);
    }
    transfer(&b, NULL);
    assert_done(&b);
    /* One entry is enough to say that it is the folder that was meant. */
    put(source, "other", "y", 1);
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_same_trees();
    IN_SOURCE(unlink(path), "other"); /* now it is this folder that has nothing */
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_same_trees();
    const char *const argv[] = {"sh", "-c", "rm -r \"$1\" && mv \"$2\" \"$1\"", "sh", source,
                                away, NULL};
    assert_int_equal(trees_run(argv), 0);
    free(away);
    transfer(&b, &(struct transfer_options){.delete_extras = true});
    assert_done(&b);
    assert_same_trees();
}

static void what_the_source_cannot_look_at_is_not_deleted(void **state_)
{
    (void)state_;
    if (geteuid() != 0)
        skip();
    make_dir(source, "sub");
    put_random("sub/kept", 1000, 1);
    assert_int_equal(as_user(unlisted_run), 0);
}

static int stale_link_run(void)
{
    struct both b;
    struct harness h = {.source = source, .destination = destination, .state = state};
    char *path = in_source("first");
    harness_run(&h, &b.sent, &b.received);
    int bad = b.sent.status != STEP_DONE;
    (void)sleep(3); /* what came in this run may differ from its later names; this did not */
    put_random("first", 2000, 9);
    (void)chmod(path, 0);
    harness_run(&h, &b.sent, &b.received);
    bad |= (b.sent.counters.failed != 1) << 1;
    bad |= (b.received.counters.failed != 1) << 2; /* the other name is not done either */
    (void)chmod(path, 0644);
    h.options.only_failed = true;
    harness_run(&h, &b.sent, &b.received);
    bad |= (b.sent.status != STEP_DONE || b.received.status != STEP_DONE) << 3;
    free(path);
    return bad;
}

static void a_name_of_a_file_that_failed_is_not_done(void **state_)
{
    (void)state_;
    if (geteuid() != 0)
        skip();
    put_random("first", 1000, 1);
    char *first = in_source("first");
    IN_SOURCE(link(first, path), "second");
    free(first);
    assert_int_equal(as_user(stale_link_run), 0);
    assert_same_trees();
}

static atomic_bool writing;

static void modes_do_not_hang_on_the_umask(void **state_)
{
    (void)state_;
    static const mode_t modes[] = {0644, 0666, 0777, 0600, 0, 0640, 04755, 02711, 01666};
    struct both b;
    char name[16];
    mode_t before = umask(077); /* as the agent's unit has it */
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        if (modes[i] == 0 && geteuid() != 0)
            continue; /* an ordinary user cannot read it */
        (void)snprintf(name, sizeof name, "mode%zu", i);
        put(source, name, "x", 1);
        IN_SOURCE(chmod(path, modes[i]), name);
    }
    transfer(&b, NULL);
    assert_int_equal(umask(before), 077);
    assert_done(&b);
    assert_same_trees();
}

static void *keep_writing(void *arg)
{
    int fd = open(arg, O_WRONLY | O_CLOEXEC);
    for (uint8_t i = 0; atomic_load(&writing); i++)
        (void)pwrite(fd, &i, 1, i);
    (void)close(fd);
    return NULL;
}

static void a_file_that_changes_while_read_is_named(void **state_)
{
    (void)state_;
    struct both b;
    pthread_t thread;
    put_random("busy", 40 << 20, 3);
    put_random("calm", 1000, 4);
    char *path = in_source("busy");
    atomic_store(&writing, true);
    assert_int_equal(pthread_create(&thread, NULL, keep_writing, path), 0);
    struct harness h = {.source = source, .destination = destination, .state = state};
    harness_run(&h, &b.sent, &b.received);
    atomic_store(&writing, false);
    (void)pthread_join(thread, NULL);
    free(path);
    assert_int_equal(b.sent.status, STEP_PARTIAL);
    assert_int_equal(b.sent.groups[0].err, EBUSY);
    assert_string_equal(b.sent.groups[0].examples[0], "busy");
    assert_int_equal(b.received.counters.files, 1);
    step_result_done(&b.sent);
    step_result_done(&b.received);
    transfer(&b, NULL);
    assert_done(&b);
    assert_same_trees();
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
    const struct CMUnitTest tests[] = {
        CASE(every_kind_arrives_and_a_second_run_sends_nothing),
        CASE(what_changed_is_sent_and_no_more),
        CASE(kinds_that_changed_are_replaced),
        CASE(a_full_folder_gives_way_only_when_told_to),
        CASE(extras_go_only_when_told_to),
        CASE(another_folder_that_is_empty_deletes_nothing),
        CASE(a_dry_run_counts_and_touches_nothing),
        CASE(a_checksum_run_finds_silent_damage),
        CASE(an_unreadable_file_costs_itself_and_can_be_tried_alone),
        CASE(what_the_source_cannot_look_at_is_not_deleted),
        CASE(a_name_of_a_file_that_failed_is_not_done),
        CASE(a_file_that_changes_while_read_is_named),
        CASE(modes_do_not_hang_on_the_umask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
