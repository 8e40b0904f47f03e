/* test_naming: files that wait for their names get them, and what cannot have one goes, while the
 * agent has all descriptors open that it may have. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/transfer/receiver_priv.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define MOST 1024

static bool scarce;       /* nobody gets a descriptor while names are given or files dropped */
static unsigned scarcely; /* times */
static bool taken;        /* the new folder's name, when it is to have it */
static bool unsynced;     /* no file system can be synced */
static bool unopened;     /* a folder is made, and there is no descriptor for it any more */

static bool unseen; /* … nor to see whether the destination is empty */

static int held[MOST];
static size_t nheld;
static struct rlimit usual;

static void take_all(void)
{
    struct rlimit less = usual;
    less.rlim_cur = MOST;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &less), 0);
    for (int fd; (fd = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0; held[nheld++] = fd)
        assert_true(nheld < MOST);
    assert_int_equal(errno, EMFILE);
    scarcely++;
}

static void give_back(void)
{
    while (nheld > 0)
        (void)close(held[--nheld]);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
}

void __real_naming_give(struct receiver *r, struct placed *p);
void __wrap_naming_give(struct receiver *r, struct placed *p);
void __wrap_naming_give(struct receiver *r, struct placed *p)
{
    if (taken)
        make_dir(destination, "leaf");
    taken = false;
    if (scarce)
        take_all();
    __real_naming_give(r, p);
    if (scarce)
        give_back();
}

void __real_naming_drop(struct receiver *r, struct placed *p);
void __wrap_naming_drop(struct receiver *r, struct placed *p);
void __wrap_naming_drop(struct receiver *r, struct placed *p)
{
    if (scarce)
        take_all();
    __real_naming_drop(r, p);
    if (scarce)
        give_back();
}

int __real_syncfs(int fd);
int __wrap_syncfs(int fd);
int __wrap_syncfs(int fd)
{
    errno = EIO;
    return unsynced ? -1 : __real_syncfs(fd);
}

int __real_beneath_mkdirs(int root, const char *rel, size_t len, bool replace, bool *retmade);
int __wrap_beneath_mkdirs(int root, const char *rel, size_t len, bool replace, bool *retmade);
int __wrap_beneath_mkdirs(int root, const char *rel, size_t len, bool replace, bool *retmade)
{
    int fd = __real_beneath_mkdirs(root, rel, len, replace, retmade);
    if (!unopened || fd < 0 || !memmem(rel, len, ".godwit-", 8))
        return fd;
    unopened = *retmade = false;
    (void)close(fd);
    return -EMFILE;
}

int __real_beneath_is_empty(int dir, const char *name);
int __wrap_beneath_is_empty(int dir, const char *name);
int __wrap_beneath_is_empty(int dir, const char *name)
{
    return unseen ? -EMFILE : __real_beneath_is_empty(dir, name);
}

static int setup(void **state_)
{
    scarce = taken = unsynced = unopened = unseen = false;
    scarcely = 0;
    return getrlimit(RLIMIT_NOFILE, &usual) || trees_setup(state_);
}

static int look(const char *path, const struct stat *st, int type, struct FTW *at)
{
    (void)st;
    (void)type;
    return strncmp(path + at->base, ".godwit-", 8) == 0;
}

static void assert_nothing_temporary(void)
{
    assert_int_equal(nftw(destination, look, 16, FTW_PHYS), 0);
}

static void put_some(unsigned from)
{
    for (unsigned i = from; i < from + 20; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "%sf%u", i % 2 ? "leaf/" : "", i);
        put_random(name, 100 + i, i);
    }
}

/* Of a new folder with its files, and of new files in a folder that is there. */
static void names_are_given(void **state_)
{
    (void)state_;
    struct both b;
    skip_in_memory();
    scarce = true;
    make_dir(source, "leaf");
    put_some(0);
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.received.counters.files, 20);
    put_some(100);
    transfer(&b, NULL);
    assert_done(&b);
    assert_int_equal(b.received.counters.files, 20);
    assert_true(scarcely >= 2);
    assert_nothing_temporary();
    assert_same_trees();
}

/* What the new folder holds goes into another one that came to have its name. */
static void a_folder_is_merged(void **state_)
{
    (void)state_;
    struct both b;
    skip_in_memory();
    scarce = taken = true;
    make_dir(source, "leaf");
    put_some(0);
    transfer(&b, NULL);
    assert_false(taken);
    assert_done(&b);
    assert_int_equal(b.received.counters.files, 20);
    assert_nothing_temporary();
    assert_same_trees();
}

static void what_was_not_synced_goes(void **state_)
{
    (void)state_;
    skip_in_memory();
    struct harness h = {.source = source, .destination = destination, .state = state};
    struct step_result sent, received;
    scarce = unsynced = true;
    make_dir(source, "leaf");
    put_some(0);
    harness_run(&h, &sent, &received);
    assert_int_equal(received.status, STEP_FAILED);
    assert_true(scarcely > 0);
    assert_nothing_temporary();
    step_result_done(&sent);
    step_result_done(&received);
}

static void a_folder_that_was_not_opened_goes(void **state_)
{
    (void)state_;
    struct both b;
    unopened = true;
    make_dir(source, "leaf");
    put_some(0);
    transfer(&b, NULL);
    assert_false(unopened);
    assert_done(&b);
    assert_nothing_temporary();
    assert_same_trees();
}

/* A source that goes by its change feed would send nothing to a folder that is taken for full. */
static void a_guess_ends_it(void **state_)
{
    (void)state_;
    struct harness h = {.source = source, .destination = destination, .state = state};
    struct step_result sent, received;
    unseen = true;
    make_dir(source, "leaf");
    put_some(0);
    harness_run(&h, &sent, &received);
    assert_int_equal(received.status, STEP_FAILED);
    assert_int_equal(received.fault.err, EMFILE);
    assert_int_equal(received.fault.what_next, FAULT_RETRY);
    step_result_done(&sent);
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
        cmocka_unit_test_setup_teardown(names_are_given, setup, trees_teardown),
        cmocka_unit_test_setup_teardown(a_folder_is_merged, setup, trees_teardown),
        cmocka_unit_test_setup_teardown(what_was_not_synced_goes, setup, trees_teardown),
        cmocka_unit_test_setup_teardown(a_folder_that_was_not_opened_goes, setup, trees_teardown),
        cmocka_unit_test_setup_teardown(a_guess_ends_it, setup, trees_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
