/* test_crash: the daemon is killed before and after every commit of a job; the next one must end
 * where the first would have, and no step may be run twice under two names. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/test.h"

static int countdown, kill_after;

static void kill_here(int after)
{
    if (after == kill_after && --countdown == 0)
        (void)raise(SIGKILL);
}

static struct fake_answer answers(const struct fake_op *op, unsigned nth)
{
    struct fake_answer a = {.silent = false};
    if (strcmp(op->kind, "files.receive") == 0 && nth == 1) {
        a.status = GODWIT__RESULT__STATUS__PARTIAL;
        a.failed = 1;
    }
    return a;
}

static void come_online(struct bench *b)
{
    fake_online(b->fleet, "s1");
    fake_online(b->fleet, "d1");
}

/* In the child. Exit 0: the job is over. */
static int live(struct bench *b, bool first)
{
    bench_start(b);
    come_online(b);
    if (first || strcmp(bench_state(b, "wave"), "missing") == 0)
        bench_job(b, "wave", 2);
    if (strcmp(bench_state(b, "wave"), "created") == 0) {
        const struct engine_start how = {.phase = NULL};
        struct fault why;
        json_t *json = NULL;
        if (engine_job_start(b->engine, "wave", &how, &json, &why) < 0)
            return 2;
        json_decref(json);
    }
    bench_run(b, answers, 60);
    bool over = strcmp(bench_state(b, "wave"), "partial") == 0;
    bench_end(b);
    return over ? 0 : 3;
}

static int in_child(struct bench *b, bool first, int n, int after)
{
    pid_t pid = fork();
    if (pid == 0) {
        countdown = n;
        kill_after = after;
        bench_on_commit = n ? kill_here : NULL;
        _exit(live(b, first));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void check_end(struct bench *b, int n, int after)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    bench_start(b);
    if (strcmp(bench_state(b, "wave"), "partial") != 0)
        fail_msg("killed %s commit %d: the job is %s", after ? "after" : "before", n,
                 bench_state(b, "wave"));
    assert_int_equal(engine_job_journal(b->engine, "wave", 0, &json, &why), 0);
    assert_true(json_is_true(json_object_get(json, "verified")));
    json_decref(json);
    assert_int_equal(engine_job_report(b->engine, "wave", 1, &json, &why), 0);
    assert_int_equal(json_integer_value(json_object_get(json, "runs")), 1);
    json_decref(json);
    /* Two pairs, one attempt each: a crash alone costs no attempt. */
    static const char *const kinds[] = {"files.inventory", "files.prepare", "files.receive",
                                        "files.send"};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        assert_int_equal(fake_count(b->fleet, kinds[i]), 2);
    for (size_t i = 0; i < b->fleet->nops; i++)
        assert_true(b->fleet->ops[i].acknowledged);
}

static void a_kill_at_any_commit_ends_in_the_same_state(void **state)
{
    (void)state;
    for (int after = 0; after < 2; after++) {
        int n = 1;
        for (int rc = -SIGKILL; rc == -SIGKILL; n++) {
            struct bench b;
            bench_open(&b);
            bench_end(&b);
            rc = in_child(&b, true, n, after);
            if (rc == -SIGKILL)
                assert_int_equal(in_child(&b, false, 0, 0), 0);
            else
                assert_int_equal(rc, 0);
            check_end(&b, n, after);
            bench_close(&b);
        }
        assert_true(n > 20);
    }
}

static void a_kill_while_the_store_is_full_ends_in_the_same_state(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b);
    come_online(&b);
    bench_job(&b, "wave", 2);
    engine_tick(b.engine); /* orders are out, nobody has answered */
    bench_commit_rc = -28;
    bench_run(&b, answers, 6);
    bench_commit_rc = 0;
    bench_end(&b); /* nothing is written at the end either */
    assert_int_equal(in_child(&b, false, 0, 0), 0);
    check_end(&b, 0, 0);
    bench_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_at_any_commit_ends_in_the_same_state),
        cmocka_unit_test(a_kill_while_the_store_is_full_ends_in_the_same_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
