/* test_catalogue: what was put is found again, by folder, after crashes and damage. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "agent/store/catalogue_priv.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

static char file[64];

static void remove_file(void)
{
    static const char *const suffix[] = {"", "-wal", "-shm", ".damaged", ".damaged-wal"};
    for (size_t i = 0; i < ARRAY_SIZE(suffix); i++) {
        char *path = xasprintf("%s%s", file, suffix[i]);
        (void)unlink(path);
        free(path);
    }
}

static int fresh(void **state)
{
    (void)state;
    (void)snprintf(file, sizeof file, "/tmp/godwit-catalogue-%d", (int)getpid());
    remove_file();
    return 0;
}

static int clean(void **state)
{
    (void)state;
    remove_file();
    return 0;
}

static struct catalogue_entry entry(uint64_t n)
{
    struct catalogue_entry e = {.mode = S_IFREG | 0644, .size = n, .ino = n + 1};
    e.mtime = (struct timespec){.tv_sec = -5, .tv_nsec = 999999999};
    e.ctime = (struct timespec){.tv_sec = (time_t)n, .tv_nsec = 7};
    memset(e.digest, (int)(n & 0xff), sizeof e.digest);
    return e;
}

static void put(struct catalogue *c, const char *folder, const char *name, uint64_t n)
{
    struct catalogue_entry e = entry(n);
    assert_int_equal(catalogue_put(c, folder, strlen(folder), name, strlen(name), &e), 0);
}

/* UINT64_MAX: not there */
static uint64_t find(struct catalogue *c, const char *folder, const char *name)
{
    struct catalogue_folder *f = NULL;
    assert_int_equal(catalogue_load(c, folder, strlen(folder), &f), 0);
    const struct catalogue_entry *e = catalogue_find(f, name, strlen(name));
    uint64_t n = e ? e->size : UINT64_MAX;
    if (e) {
        struct catalogue_entry want = entry(n);
        assert_int_equal(e->mode, want.mode);
        assert_true(e->ino == want.ino && e->mtime.tv_sec == want.mtime.tv_sec &&
                    e->mtime.tv_nsec == want.mtime.tv_nsec && e->ctime.tv_sec == want.ctime.tv_sec);
        assert_memory_equal(e->digest, want.digest, sizeof want.digest);
    }
    (void)catalogue_folder_free(f);
    return n;
}

static struct catalogue *open_it(void)
{
    struct catalogue *c = NULL;
    assert_int_equal(catalogue_open(&c, file), 0);
    return c;
}

static void entries_are_found_after_a_commit(void **state)
{
    (void)state;
    static const struct {
        const char *folder, *name;
        uint64_t n;
    } cases[] = {
        {"",        "root file",  1},
        {"a",       "x",          2},
        {"a/b",     "x",          3},
        {"a\xff\n", "\xc3\x28\t", 4},
        {"a",       "y",          5},
        {"a",       "x",          6},
    };
    struct catalogue *c = open_it();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        put(c, cases[i].folder, cases[i].name, cases[i].n);
    assert_true(find(c, "a", "y") == UINT64_MAX); /* not committed */
    assert_int_equal(catalogue_commit(c), 0);
    (void)catalogue_close(c);
    c = open_it();
    assert_true(find(c, "", "root file") == 1);
    assert_true(find(c, "a", "x") == 6);
    assert_true(find(c, "a/b", "x") == 3);
    assert_true(find(c, "a\xff\n", "\xc3\x28\t") == 4);
    assert_true(find(c, "a", "y") == 5);
    assert_true(find(c, "a", "z") == UINT64_MAX);
    assert_true(find(c, "no", "x") == UINT64_MAX);
    assert_int_equal(catalogue_forget(c, "a", 1, "x", 1), 0);
    assert_int_equal(catalogue_commit(c), 0);
    assert_true(find(c, "a", "x") == UINT64_MAX);
    (void)catalogue_close(c);
}

static void put_many(struct catalogue *c, const char *folder, unsigned from, unsigned to,
                     uint64_t n)
{
    for (unsigned i = from; i < to; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "file-%u", i);
        put(c, folder, name, n + i);
    }
}

static void a_large_folder_is_split_and_compacted(void **state)
{
    (void)state;
    struct catalogue *c = open_it();
    for (unsigned pass = 0; pass < 5; pass++)
        for (unsigned i = 0; i < 10000; i += 1500) {
            put_many(c, "big", i, i + 1500 < 10000 ? i + 1500 : 10000, pass * 100000U);
            assert_int_equal(catalogue_commit(c), 0);
        }
    assert_true(find(c, "big", "file-0") == 400000); /* loading compacts */
    sqlite3_stmt *st = NULL;
    assert_int_equal(
        sqlite3_prepare_v2(c->db, "SELECT sum(count), max(count) FROM segment", -1, &st, NULL), 0);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(st, 0), 10000);
    assert_true(sqlite3_column_int(st, 1) <= SEGMENT_ENTRIES);
    (void)sqlite3_finalize(st);
    assert_true(find(c, "big", "file-9999") == 409999);
    assert_int_equal(catalogue_commit(c), 0);
    (void)catalogue_close(c);
    c = open_it();
    assert_true(find(c, "big", "file-5000") == 405000);
    (void)catalogue_close(c);
}

struct seen {
    char text[256];
    int stop_after;
};

static int see(void *arg, const char *folder, size_t folder_len, const char *name, size_t name_len,
               const struct catalogue_entry *e)
{
    struct seen *s = arg;
    size_t n = strlen(s->text);
    (void)snprintf(s->text + n, sizeof s->text - n, "%.*s:%.*s=%d ", (int)folder_len, folder,
                   (int)name_len, name, (int)e->size);
    return --s->stop_after == 0 ? 42 : 0;
}

static void each_goes_in_order_and_stops(void **state)
{
    (void)state;
    struct catalogue *c = open_it();
    put(c, "b", "2", 1);
    put(c, "", "r", 2);
    put(c, "a", "9", 3);
    put(c, "a", "1", 4);
    put(c, "a", "5", 5);
    assert_int_equal(catalogue_forget(c, "a", 1, "5", 1), 0);
    assert_int_equal(catalogue_commit(c), 0);
    struct seen s = {.text = ""};
    assert_int_equal(catalogue_each(c, see, &s), 0);
    assert_string_equal(s.text, ":r=2 a:1=4 a:9=3 b:2=1 ");
    s = (struct seen){.stop_after = 2};
    assert_int_equal(catalogue_each(c, see, &s), 42);
    assert_string_equal(s.text, ":r=2 a:1=4 ");
    (void)catalogue_close(c);
}

static void a_partial_file_comes_back(void **state)
{
    (void)state;
    uint8_t bits[2] = {0xff, 1}, digests[9 * 16];
    memset(digests, 7, sizeof digests);
    struct catalogue_partial p = {.temp = ".godwit-x-1",
                                  .piece_bytes = 100,
                                  .bitmap = bits,
                                  .bitmap_len = sizeof bits,
                                  .piece_digests = digests};
    p.of = entry(801);
    struct catalogue *c = open_it();
    assert_int_equal(catalogue_partial_put(c, "d", 1, "f", 1, &p), 0);
    assert_int_equal(catalogue_commit(c), 0);
    (void)catalogue_close(c);
    c = open_it();
    struct catalogue_partial q;
    assert_int_equal(catalogue_partial_get(c, "d", 1, "g", 1, &q), -ENOENT);
    assert_int_equal(catalogue_partial_get(c, "d", 1, "f", 1, &q), 0);
    assert_string_equal(q.temp, p.temp);
    assert_true(q.of.size == 801 && q.piece_bytes == 100 && q.bitmap_len == 2);
    assert_memory_equal(q.bitmap, bits, 2);
    assert_memory_equal(q.piece_digests, digests, sizeof digests);
    catalogue_partial_done(&q);
    p.bitmap_len = 1; /* does not fit the size */
    assert_int_equal(catalogue_partial_put(c, "d", 1, "f", 1, &p), -EINVAL);
    assert_int_equal(catalogue_partial_forget(c, "d", 1, "f", 1), 0);
    assert_int_equal(catalogue_partial_get(c, "d", 1, "f", 1, &q), -ENOENT);
    (void)catalogue_close(c);
}

static void a_full_memory_asks_for_a_commit(void **state)
{
    (void)state;
    struct catalogue *c = open_it();
    char name[200];
    memset(name, 'n', sizeof name);
    struct catalogue_entry e = entry(1);
    int rc = 0;
    unsigned n = 0;
    for (; rc == 0 && n < 1000000; n++) {
        (void)snprintf(name, 16, "%015u", n);
        name[15] = 'n';
        rc = catalogue_put(c, "f", 1, name, sizeof name, &e);
    }
    assert_int_equal(rc, -EAGAIN);
    assert_int_equal(catalogue_commit(c), 0);
    assert_int_equal(catalogue_put(c, "f", 1, name, sizeof name, &e), 0);
    (void)catalogue_close(c);
}

static void overwrite(off_t at, const char *text)
{
    int fd = open(file, O_WRONLY);
    assert_true(fd >= 0);
    for (int i = 0; i < 200; i++)
        assert_true(pwrite(fd, text, strlen(text), at + (off_t)(i * (int)strlen(text))) > 0);
    (void)close(fd);
}

static void a_damaged_file_is_set_aside(void **state)
{
    (void)state;
    static const off_t at[] = {0, 100, 4096, 8192};
    for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
        remove_file();
        struct catalogue *c = open_it();
        put_many(c, "d", 0, 5000, 0);
        assert_int_equal(catalogue_commit(c), 0);
        (void)catalogue_close(c);
        overwrite(at[i], "garbage garbage ");
        c = open_it();
        (void)find(c, "d", "file-1"); /* anything but a crash or a wrong entry */
        put(c, "d", "new", 9);
        assert_int_equal(catalogue_commit(c), 0);
        assert_true(find(c, "d", "new") == 9);
        (void)catalogue_close(c);
    }
}

/* The child commits folder after folder, each holding 100 entries of one round, and is killed. */
static void child_commits(int ready)
{
    struct catalogue *c = NULL;
    if (catalogue_open(&c, file) < 0)
        _exit(1);
    for (uint64_t round = 1;; round++) {
        for (unsigned i = 0; i < 100; i++) {
            struct catalogue_entry e = entry(round);
            char name[16], folder[16];
            int n = snprintf(name, sizeof name, "%u", i);
            int m = snprintf(folder, sizeof folder, "d%u", i % 10);
            (void)catalogue_put(c, folder, (size_t)m, name, (size_t)n, &e);
        }
        if (catalogue_commit(c) < 0)
            _exit(1);
        (void)!write(ready, "x", 1);
    }
}

static void a_kill_in_a_commit_leaves_all_or_nothing(void **state)
{
    (void)state;
    uint64_t before = 0;
    for (int attempt = 0; attempt < 20; attempt++) {
        int pipefd[2];
        assert_int_equal(pipe(pipefd), 0);
        pid_t pid = fork();
        if (pid == 0)
            child_commits(pipefd[1]);
        char x;
        assert_int_equal(read(pipefd[0], &x, 1), 1);
        (void)nanosleep(&(struct timespec){.tv_nsec = attempt * 700000L}, NULL);
        assert_int_equal(kill(pid, SIGKILL), 0);
        (void)waitpid(pid, NULL, 0);
        (void)close(pipefd[0]);
        (void)close(pipefd[1]);
        struct catalogue *c = open_it();
        uint64_t round = find(c, "d0", "0");
        assert_true(round != UINT64_MAX && round >= 1);
        for (unsigned i = 1; i < 100; i++) {
            char name[16], folder[16];
            (void)snprintf(name, sizeof name, "%u", i);
            (void)snprintf(folder, sizeof folder, "d%u", i % 10);
            assert_true(find(c, folder, name) == round);
        }
        before += round;
        (void)catalogue_close(c);
    }
    assert_true(before > 20); /* it was killed at work, not before */
}

static double cpu_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void cost_grows_with_what_changed(void **state)
{
    (void)state;
    struct catalogue *c = open_it();
    double t0 = cpu_ms();
    for (unsigned f = 0; f < 1000; f++) {
        char folder[40];
        (void)snprintf(folder, sizeof folder, "some/where/folder-%u", f);
        put_many(c, folder, 0, 50, 0);
    }
    double t1 = cpu_ms();
    assert_int_equal(catalogue_commit(c), 0);
    double t2 = cpu_ms();
    print_message("50,000 entries in 1,000 folders: put %.1f ms, commit %.1f ms CPU\n", t1 - t0,
                  t2 - t1);
    for (unsigned i = 0; i < 200000; i += 4000) {
        put_many(c, "one", i, i + 4000, 0);
        assert_int_equal(catalogue_commit(c), 0);
    }
    double t3 = cpu_ms();
    assert_true(find(c, "one", "file-199999") == 199999);
    print_message("200,000 in one folder by 50 commits: %.1f ms; load and find: %.1f ms CPU\n",
                  t3 - t2, cpu_ms() - t3);
    (void)catalogue_close(c);
}

static int count(void *arg, const char *folder, size_t folder_len, const char *name,
                 size_t name_len, const struct catalogue_entry *e)
{
    (void)folder, (void)folder_len, (void)name, (void)name_len, (void)e;
    ++*(unsigned *)arg;
    return 0;
}

static void proof_of_an_entry_comes_back(void **state)
{
    (void)state;
    struct catalogue *c = open_it();
    struct catalogue_folder *f = NULL;
    struct catalogue_entry e = entry(3);
    e.has_meta = true;
    e.uid = UINT32_MAX;
    e.gid = 7;
    e.xattrs_digest = UINT64_MAX - 1;
    assert_int_equal(catalogue_put(c, "a", 1, "meta", 4, &e), 0);
    e.has_sha256 = true;
    memset(e.sha256, 0x5a, sizeof e.sha256);
    assert_int_equal(catalogue_put(c, "a", 1, "both", 4, &e), 0);
    put(c, "a", "plain", 9);
    assert_int_equal(catalogue_commit(c), 0);
    assert_int_equal(catalogue_load(c, "a", 1, &f), 0);
    const struct catalogue_entry *got = catalogue_find(f, "both", 4);
    assert_true(got->has_meta && got->has_sha256 && got->uid == UINT32_MAX && got->gid == 7);
    assert_true(got->xattrs_digest == UINT64_MAX - 1);
    assert_memory_equal(got->sha256, e.sha256, sizeof e.sha256);
    got = catalogue_find(f, "meta", 4);
    assert_true(got->has_meta && !got->has_sha256);
    got = catalogue_find(f, "plain", 5);
    assert_true(!got->has_meta && !got->has_sha256 && got->size == 9);
    (void)catalogue_folder_free(f);
    (void)catalogue_close(c);
}

static bool keep(void *arg, const char *name, size_t len)
{
    const char *const *names = arg;
    for (; *names; names++)
        if (strlen(*names) == len && memcmp(*names, name, len) == 0)
            return true;
    return false;
}

static void what_is_no_more_is_forgotten_with_all_below(void **state)
{
    (void)state;
    static const char *const folders[] = {"",  "a",   "a-b", "a/x",   "a/x/y",    "a0",
                                          "b", "b/c", "c/d", "a/x-1", "\xff/\xff"};
    const char *const in_root[] = {"a", "c", "f", "a0", "\xff", NULL};
    const char *const in_a[] = {"f", "x-1", NULL};
    struct catalogue *c = open_it();
    struct catalogue_folder *f = NULL;
    unsigned n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        put(c, folders[i], "f", i);
    put(c, "", "g", 1);
    assert_int_equal(catalogue_commit(c), 0);
    assert_int_equal(catalogue_load(c, "", 0, &f), 0);
    assert_int_equal(catalogue_prune(c, f, "", 0, keep, (void *)(uintptr_t)in_root), 0);
    assert_int_equal(catalogue_commit(c), 0);
    f = catalogue_folder_free(f);
    assert_int_equal(catalogue_each(c, count, &n), 0);
    assert_int_equal(n, 8); /* without g, a-b, b, b/c */
    assert_true(find(c, "b/c", "f") == UINT64_MAX && find(c, "a-b", "f") == UINT64_MAX);
    assert_true(find(c, "c/d", "f") == 8 && find(c, "", "g") == UINT64_MAX);
    assert_int_equal(catalogue_load(c, "a", 1, &f), 0);
    assert_int_equal(catalogue_prune(c, f, "a", 1, keep, (void *)(uintptr_t)in_a), 0);
    assert_int_equal(catalogue_commit(c), 0);
    f = catalogue_folder_free(f);
    assert_true(find(c, "a/x", "f") == UINT64_MAX && find(c, "a/x/y", "f") == UINT64_MAX);
    assert_true(find(c, "a/x-1", "f") == 9 && find(c, "a", "f") == 1 && find(c, "a0", "f") == 5);
    assert_int_equal(catalogue_forget_below(c, "", 0), 0);
    assert_int_equal(catalogue_commit(c), 0);
    n = 0;
    assert_int_equal(catalogue_each(c, count, &n), 0);
    assert_int_equal(n, 0);
    (void)catalogue_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_are_found_after_a_commit, fresh, clean),
        cmocka_unit_test_setup_teardown(a_large_folder_is_split_and_compacted, fresh, clean),
        cmocka_unit_test_setup_teardown(each_goes_in_order_and_stops, fresh, clean),
        cmocka_unit_test_setup_teardown(a_partial_file_comes_back, fresh, clean),
        cmocka_unit_test_setup_teardown(a_full_memory_asks_for_a_commit, fresh, clean),
        cmocka_unit_test_setup_teardown(a_damaged_file_is_set_aside, fresh, clean),
        cmocka_unit_test_setup_teardown(a_kill_in_a_commit_leaves_all_or_nothing, fresh, clean),
        cmocka_unit_test_setup_teardown(proof_of_an_entry_comes_back, fresh, clean),
        cmocka_unit_test_setup_teardown(what_is_no_more_is_forgotten_with_all_below, fresh, clean),
        cmocka_unit_test_setup_teardown(cost_grows_with_what_changed, fresh, clean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
