/* test_run: jobs against fake agents: stages in order, limits, retries, pause and stop. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/test.h"

static void stages_run_in_order_to_the_end(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 3);
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_int_equal(fake_count(b->fleet, "files.inventory"), 3);
    assert_int_equal(fake_count(b->fleet, "files.prepare"), 3);
    assert_int_equal(fake_count(b->fleet, "files.receive"), 3);
    assert_int_equal(fake_count(b->fleet, "files.send"), 3);
    for (size_t i = 0; i < b->fleet->nops; i++) {
        assert_true(b->fleet->ops[i].acknowledged);
        assert_int_equal(b->fleet->ops[i].orders, 1);
    }
}

static json_t *report(struct bench *b, const char *job, unsigned run)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (engine_job_report(b->engine, job, run, &json, &why) < 0)
        fail_msg("%s", why.text);
    return json;
}

static struct fake_answer some_fail(const struct fake_op *op, unsigned nth)
{
    struct fake_answer a = {.silent = false};
    if (strcmp(op->kind, "files.receive") == 0 && nth == 1) {
        a.status = GODWIT__RESULT__STATUS__PARTIAL;
        a.failed = 2;
    }
    return a;
}

static void items_that_failed_are_reported_and_retried_alone(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 2);
    bench_run(b, some_fail, 50);
    assert_string_equal(bench_state(b, "wave"), "partial");
    json_t *r = report(b, "wave", 1);
    const json_t *group = json_array_get(json_object_get(r, "failures"), 0);
    assert_int_equal(json_integer_value(json_object_get(group, "count")), 2);
    assert_true(strlen(json_string_value(json_object_get(group, "remedy"))) > 0);
    json_decref(r);
    size_t before = fake_count(b->fleet, "files.send");
    assert_int_equal(bench_call(b, engine_job_retry, "wave"), 0);
    bench_run(b, some_fail, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_int_equal(fake_count(b->fleet, "files.send"), before + 1);
    r = report(b, "wave", 0);
    assert_int_equal(json_integer_value(json_object_get(r, "runs")), 2);
    assert_int_equal(json_integer_value(json_object_get(r, "run")), 2);
    json_decref(r);
    r = report(b, "wave", 1);
    assert_string_equal(json_string_value(json_object_get(r, "state")), "partial");
    json_decref(r);
    assert_int_equal(bench_call(b, engine_job_retry, "wave"), -EPROTO);
}

static int retry_cause(struct bench *b, const char *cause)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int rc = engine_job_retry_cause(b->engine, "wave", cause, &json, &why);
    json_decref(json);
    return rc;
}

static void a_retry_may_choose_a_cause(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 2);
    bench_run(b, some_fail, 50);
    assert_string_equal(bench_state(b, "wave"), "partial");
    json_t *r = report(b, "wave", 1);
    const json_t *group = json_array_get(json_object_get(r, "failures"), 0);
    char *code = xstrdup(json_string_value(json_object_get(group, "code")));
    json_decref(r);
    size_t before = fake_count(b->fleet, "files.send");
    assert_int_equal(retry_cause(b, "EXDEV"), -ENOENT);
    assert_string_equal(bench_state(b, "wave"), "partial"); /* nothing was begun */
    assert_int_equal(retry_cause(b, code), 0);
    bench_run(b, some_fail, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_int_equal(fake_count(b->fleet, "files.send"), before + 1);
    assert_string_equal(fake_last(b->fleet, "files.send")->only_cause, code);
    free(code);
}

static struct fake_answer terminal(const struct fake_op *op, unsigned nth)
{
    struct fake_answer a = {.silent = strcmp(op->kind, "files.send") == 0};
    (void)nth;
    if (strcmp(op->kind, "files.receive") == 0) {
        a.status = GODWIT__RESULT__STATUS__FAILED;
        a.next = FAULT_STOP_JOB;
        a.err = EROFS;
        a.text = "read-only";
    }
    return a;
}

static void a_side_that_fails_for_good_cancels_the_other(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, terminal, 50);
    assert_true(fake_last(b->fleet, "files.send")->cancelled);
    assert_string_equal(bench_state(b, "wave"), "failed");
    assert_string_equal(bench_pair(b, "wave", 1, "reason"), "read-only");
    json_t *r = report(b, "wave", 1);
    const json_t *group = json_array_get(json_object_get(r, "failures"), 0);
    assert_int_equal(json_integer_value(json_object_get(group, "err")), EROFS);
    assert_non_null(strstr(json_string_value(json_object_get(group, "remedy")), "writable"));
    json_decref(r);
}

static struct fake_answer partial_then_failed(const struct fake_op *op, unsigned nth)
{
    struct fake_answer a = {.silent = false};
    if (strcmp(op->kind, "files.receive") != 0 || nth > 3)
        return a;
    /* Fails whole, leaves items out, fails whole. */
    if (nth == 2) {
        a.status = GODWIT__RESULT__STATUS__PARTIAL;
        a.failed = 2;
    } else {
        a.status = GODWIT__RESULT__STATUS__FAILED;
        a.next = FAULT_STOP_JOB;
        a.text = "read-only";
    }
    return a;
}

static void a_retry_goes_by_the_agents_list_when_there_is_one(void **state)
{
    static const struct {
        const char *end;
        bool only_failed;
    } runs[] = {
        {"failed",  false},
        {"partial", false}, /* nobody had a list */
        {"failed",  true },
        {"done",    true }, /* the list of the second run is still there */
    };
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    for (size_t i = 0; i < ARRAY_SIZE(runs); i++) {
        if (i > 0)
            assert_int_equal(bench_call(b, engine_job_retry, "wave"), 0);
        bench_run(b, partial_then_failed, 50);
        assert_string_equal(bench_state(b, "wave"), runs[i].end);
        assert_int_equal(fake_last(b->fleet, "files.send")->only_failed, runs[i].only_failed);
    }
}

static struct fake_answer twice_lost(const struct fake_op *op, unsigned nth)
{
    struct fake_answer a = {.silent = false};
    if (strcmp(op->kind, "files.send") == 0 && nth <= 2) {
        a.status = GODWIT__RESULT__STATUS__FAILED;
        a.next = FAULT_RETRY;
        a.err = ECONNRESET;
        a.text = "the peer was lost";
    }
    return a;
}

static void what_may_succeed_later_is_tried_again(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, twice_lost, 100);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_int_equal(fake_count(b->fleet, "files.send"), 3);
    assert_int_equal(fake_count(b->fleet, "files.receive"), 3);
}

static struct fake_answer always_lost(const struct fake_op *op, unsigned nth)
{
    struct fake_answer a = {.silent = false};
    (void)nth;
    if (strcmp(op->kind, "files.inventory") == 0) {
        a.status = GODWIT__RESULT__STATUS__FAILED;
        a.next = FAULT_RETRY;
        a.text = "busy";
    }
    return a;
}

static void tries_without_progress_end(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    for (int i = 0; i < 3000 && strcmp(bench_state(b, "wave"), "running") == 0; i++)
        bench_run(b, always_lost, 1);
    assert_string_equal(bench_state(b, "wave"), "failed");
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "gave up after 20"));
}

static void limits_hold_and_say_so(void **state)
{
    struct bench *b = *state;
    bench_end(b);
    b->limits.pairs_per_host = 4;
    bench_start(b);
    fake_online(b->fleet, "s1");
    fake_online(b->fleet, "d1");
    bench_job(b, "wave", 10);
    bench_run(b, bench_silent, 10);
    assert_int_equal(b->fleet->nops, 4 * 2); /* the first stage asks both sides */
    assert_string_equal(bench_pair(b, "wave", 5, "state"), "waiting");
    assert_string_equal(bench_pair(b, "wave", 5, "reason"), "host s1 is at its limit of 4 pairs");
    bench_run(b, NULL, 200);
    assert_string_equal(bench_state(b, "wave"), "done");
}

static void pause_ends_the_steps_and_resume_plans_them_again(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 2);
    bench_run(b, bench_copying, 20);
    assert_int_equal(bench_call(b, engine_job_pause, "wave"), 0);
    assert_string_equal(bench_state(b, "wave"), "pausing");
    assert_int_equal(fake_last(b->fleet, "files.send")->why, GODWIT__CANCEL__WHY__PAUSE);
    bench_run(b, bench_copying, 10);
    assert_string_equal(bench_state(b, "wave"), "paused");
    assert_int_equal(bench_call(b, engine_job_resume, "wave"), 0);
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_int_equal(fake_count(b->fleet, "files.inventory"), 2);
    assert_int_equal(fake_count(b->fleet, "files.send"), 4);
}

static void resume_before_the_pause_took_hold_goes_on(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    assert_int_equal(bench_call(b, engine_job_pause, "wave"), 0);
    assert_int_equal(bench_call(b, engine_job_resume, "wave"), 0);
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
}

static void stop_ends_in_stopped_and_delete_needs_it(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 2);
    bench_run(b, bench_copying, 20);
    assert_int_equal(bench_call(b, engine_job_delete, "wave"), -EPROTO);
    assert_int_equal(bench_call(b, engine_job_stop, "wave"), 0);
    bench_run(b, bench_copying, 10);
    assert_string_equal(bench_state(b, "wave"), "stopped");
    assert_int_equal(bench_call(b, engine_job_delete, "wave"), 0);
    assert_string_equal(bench_state(b, "wave"), "missing");
    json_t *r = report(b, "wave", 0); /* is kept */
    json_decref(r);
    bench_end(b);
    bench_start(b);
    assert_string_equal(bench_state(b, "wave"), "missing");
}

static void delete_cleans_up_on_hosts_that_are_there(void **state)
{
    struct bench *b = *state;
    struct fault why = {.err = 0};
    json_t *json = NULL;
    bench_job(b, "wave", 6);
    bench_run(b, NULL, 50);
    fake_lost(b->fleet, "d1");
    assert_int_equal(engine_job_delete(b->engine, "wave", &json, &why), 0);
    assert_int_equal(json_array_size(json_object_get(json, "left_on")), 1);
    assert_non_null(strstr(json_string_value(json_object_get(json, "note")), "d1"));
    json_decref(json);
    /* A few at a time, and also over a lost connection. */
    assert_int_equal(fake_count(b->fleet, "files.clean"), 4);
    fake_online(b->fleet, "s1");
    assert_false(fake_last(b->fleet, "files.clean")->cancelled);
    bench_run(b, NULL, 20);
    assert_int_equal(fake_count(b->fleet, "files.clean"), 6);
    for (size_t i = 0; i < b->fleet->nops; i++)
        if (strcmp(b->fleet->ops[i].kind, "files.clean") == 0) {
            assert_string_equal(b->fleet->ops[i].host, "s1");
            assert_true(b->fleet->ops[i].acknowledged);
        }
    fake_online(b->fleet, "d1");
    bench_run(b, NULL, 5);
    assert_int_equal(fake_count(b->fleet, "files.clean"), 6);
}

static void delete_of_a_job_that_never_ran_bothers_nobody(void **state)
{
    struct bench *b = *state;
    bench_create(b, "{\"name\":\"idle\",\"workload\":\"files\",\"pairs\":[{\"source\":{\"host\":"
                    "\"s1\",\"path\":\"/a\"},\"destination\":{\"host\":\"d1\",\"path\":\"/b\"}}]}");
    fake_lost(b->fleet, "d1");
    assert_int_equal(bench_call(b, engine_job_delete, "idle"), 0);
    bench_run(b, NULL, 5);
    assert_int_equal(fake_count(b->fleet, "files.clean"), 0);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(stages_run_in_order_to_the_end),
        CASE(items_that_failed_are_reported_and_retried_alone),
        CASE(a_retry_may_choose_a_cause),
        CASE(a_side_that_fails_for_good_cancels_the_other),
        CASE(a_retry_goes_by_the_agents_list_when_there_is_one),
        CASE(what_may_succeed_later_is_tried_again),
        CASE(tries_without_progress_end),
        CASE(limits_hold_and_say_so),
        CASE(pause_ends_the_steps_and_resume_plans_them_again),
        CASE(resume_before_the_pause_took_hold_goes_on),
        CASE(stop_ends_in_stopped_and_delete_needs_it),
        CASE(delete_cleans_up_on_hosts_that_are_there),
        CASE(delete_of_a_job_that_never_ran_bothers_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
