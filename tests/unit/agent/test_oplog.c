/* test_oplog: what the op log promises, also when the process is killed between any two steps. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/oplog.h"
#include "common/base/mem.h"
#include "tests/unit/agent/temp_dir.h"
#include "tests/unit/test.h"

struct place {
    char *dir;
    char *path;
};

static int make_place(void **state)
{
    struct place *p = xcalloc(1, sizeof *p);
    p->dir = temp_dir_new();
    p->path = xasprintf("%s/oplog.db", p->dir);
    *state = p;
    return 0;
}

static int drop_place(void **state)
{
    struct place *p = *state;
    temp_dir_free(p->dir);
    free(p->path);
    free(p);
    return 0;
}

static void a_result_is_found_until_forgotten(void **state)
{
    const struct place *p = *state;
    CLEANUP(oplog_close) struct oplog *l = NULL;
    enum oplog_state st = 0;
    void *got = NULL;
    size_t len = 0;
    assert_int_equal(oplog_open(p->path, &l), 0);
    assert_int_equal(oplog_find(l, "0011223344556677", &st), 0);
    assert_int_equal(oplog_start(l, "0011223344556677", "files.send", "wave1", 3), 0);
    assert_int_equal(oplog_find(l, "0011223344556677", &st), 1);
    assert_int_equal(st, OPLOG_STARTED);
    assert_int_equal(oplog_result(l, "0011223344556677", &got, &len), 0);
    assert_int_equal(oplog_finish(l, "0011223344556677", "a\0b", 3), 0);
    assert_int_equal(oplog_start(l, "0011223344556677", "files.send", "wave1", 3), 0);
    assert_int_equal(oplog_find(l, "0011223344556677", &st), 1);
    assert_int_equal(st, OPLOG_FINISHED); /* starting again does not undo a result */
    assert_int_equal(oplog_result(l, "0011223344556677", &got, &len), 1);
    assert_int_equal(len, 3);
    assert_memory_equal(got, "a\0b", 3);
    free(got);
    assert_int_equal(oplog_forget(l, "0011223344556677"), 0);
    assert_int_equal(oplog_find(l, "0011223344556677", &st), 0);
}

static void the_epoch_only_grows_and_survives(void **state)
{
    const struct place *p = *state;
    struct oplog *l = NULL;
    assert_int_equal(oplog_open(p->path, &l), 0);
    assert_true(oplog_epoch(l) == 0);
    assert_int_equal(oplog_saw_epoch(l, 7), 0);
    assert_int_equal(oplog_saw_epoch(l, 5), 0);
    assert_true(oplog_epoch(l) == 7);
    assert_int_equal(oplog_saw_epoch(l, UINT64_MAX), -ERANGE);
    l = oplog_close(l);
    assert_int_equal(oplog_open(p->path, &l), 0);
    assert_true(oplog_epoch(l) == 7);
    (void)oplog_close(l);
}

/* The child is killed after each of these; the parent then reads what it left. */
enum kill_point { AFTER_EPOCH, AFTER_START, AFTER_FINISH, AFTER_FORGET };

static void die_at(const char *path, enum kill_point at)
{
    struct oplog *l = NULL;
    if (oplog_open(path, &l) < 0)
        _exit(1);
    bool ok = oplog_saw_epoch(l, 9) == 0;
    if (at >= AFTER_START)
        ok = ok && oplog_start(l, "feedfeedfeedfeed", "k", "j", 9) == 0;
    if (at >= AFTER_FINISH)
        ok = ok && oplog_finish(l, "feedfeedfeedfeed", "done", 4) == 0;
    if (at >= AFTER_FORGET)
        ok = ok && oplog_forget(l, "feedfeedfeedfeed") == 0;
    if (ok)
        (void)kill(getpid(), SIGKILL);
    _exit(1);
}

static void what_was_promised_survives_a_kill(void **state)
{
    static const struct {
        enum kill_point at;
        int found;
        enum oplog_state state;
    } cases[] = {
        {AFTER_EPOCH,  0, 0             },
        {AFTER_START,  1, OPLOG_STARTED },
        {AFTER_FINISH, 1, OPLOG_FINISHED}, /* stored, not sent: the next process sends it */
        {AFTER_FORGET, 0, 0             },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        void *own = NULL;
        (void)make_place(&own);
        const struct place *p = own;
        pid_t child = fork();
        if (child == 0)
            die_at(p->path, cases[i].at);
        int status = 0;
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        struct oplog *l = NULL;
        enum oplog_state st = 0;
        assert_int_equal(oplog_open(p->path, &l), 0);
        assert_true(oplog_epoch(l) == 9);
        assert_int_equal(oplog_find(l, "feedfeedfeedfeed", &st), cases[i].found);
        assert_int_equal(st, cases[i].state);
        (void)oplog_close(l);
        (void)drop_place(&own);
    }
}

static int collect(void *arg, const struct oplog_row *row)
{
    char *text = arg;
    (void)snprintf(text + strlen(text), 200 - strlen(text), "%s ", row->op_id);
    return 0;
}

static void rows_are_listed_by_state(void **state)
{
    const struct place *p = *state;
    CLEANUP(oplog_close) struct oplog *l = NULL;
    char text[200] = "";
    assert_int_equal(oplog_open(p->path, &l), 0);
    assert_int_equal(oplog_start(l, "a", "k", "j", 1), 0);
    assert_int_equal(oplog_start(l, "b", "k", "j", 1), 0);
    assert_int_equal(oplog_finish(l, "b", NULL, 0), 0);
    assert_int_equal(oplog_finish(l, "c", "x", 1), 0); /* never started: cancelled before */
    assert_int_equal(oplog_each(l, OPLOG_FINISHED, collect, text), 0);
    assert_string_equal(text, "b c ");
}

static void the_file_is_for_its_owner_only(void **state)
{
    const struct place *p = *state;
    CLEANUP(oplog_close) struct oplog *l = NULL;
    struct stat st;
    mode_t before = umask(0);
    int rc = oplog_open(p->path, &l);
    (void)umask(before);
    assert_int_equal(rc, 0);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void a_damaged_or_newer_file_is_refused(void **state)
{
    const struct place *p = *state;
    struct oplog *l = NULL;
    int fd = open(p->path, O_WRONLY | O_CREAT, 0600);
    for (int i = 0; i < 100; i++)
        assert_int_equal(write(fd, "this is no database, not at all", 31), 31);
    (void)close(fd);
    assert_int_equal(oplog_open(p->path, &l), -EBADMSG);
    assert_null(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_result_is_found_until_forgotten, make_place, drop_place),
        cmocka_unit_test_setup_teardown(the_epoch_only_grows_and_survives, make_place, drop_place),
        cmocka_unit_test(what_was_promised_survives_a_kill),
        cmocka_unit_test_setup_teardown(rows_are_listed_by_state, make_place, drop_place),
        cmocka_unit_test_setup_teardown(the_file_is_for_its_owner_only, make_place, drop_place),
        cmocka_unit_test_setup_teardown(a_damaged_or_newer_file_is_refused, make_place, drop_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
