/* test_run: jobs against fake agents: stages in order, limits, retries, pause, stop, lost and
 * revoked hosts, a full disk. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/test.h"

static int set_up(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    bench_commit_rc = 0;
    bench_on_commit = NULL;
    bench_open(b);
    fake_online(b->fleet, "s1");
    fake_online(b->fleet, "d1");
    *state = b;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *b = *state;
    bench_commit_rc = 0;
    bench_close(b);
    free(b);
    return 0;
}

typedef int (*job_call)(struct engine *e, const char *job, json_t **ret, struct fault *reterr);

static int call(struct bench *b, job_call fn, const char *job)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int rc = fn(b->engine, job, &json, &why);
    json_decref(json);
    return rc;
}

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
    assert_int_equal(call(b, engine_job_retry, "wave"), 0);
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
    assert_int_equal(call(b, engine_job_retry, "wave"), -EPROTO);
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

static struct fake_answer silent(const struct fake_op *op, unsigned nth)
{
    (void)op;
    (void)nth;
    return (struct fake_answer){.silent = true};
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
    bench_run(b, silent, 10);
    assert_int_equal(b->fleet->nops, 4);
    assert_string_equal(bench_pair(b, "wave", 5, "state"), "waiting");
    assert_string_equal(bench_pair(b, "wave", 5, "reason"), "host s1 is at its limit of 4 pairs");
    bench_run(b, NULL, 200);
    assert_string_equal(bench_state(b, "wave"), "done");
}

static void a_lost_host_is_waited_for_with_a_reason(void **state)
{
    struct bench *b = *state;
    fake_lost(b->fleet, "d1");
    bench_job(b, "wave", 1);
    bench_run(b, NULL, 12);
    assert_string_equal(bench_pair(b, "wave", 1, "state"), "waiting");
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "host d1 is lost since"));
    fake_online(b->fleet, "d1");
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
}

static void a_host_lost_for_a_day_fails_its_pairs(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, silent, 3);
    fake_lost(b->fleet, "s1");
    bench_run(b, silent, 20);
    assert_string_equal(bench_pair(b, "wave", 1, "state"), "running");
    bench_clock_ms += 86400000;
    bench_run(b, silent, 20);
    assert_string_equal(bench_state(b, "wave"), "failed");
}

static bool transfers(const struct fake_op *op)
{
    return strcmp(op->kind, "files.send") == 0 || strcmp(op->kind, "files.receive") == 0;
}

static struct fake_answer copy_forever(const struct fake_op *op, unsigned nth)
{
    (void)nth;
    return (struct fake_answer){.silent = transfers(op)};
}

static void a_revoked_host_costs_its_pairs_and_warns_the_peer_at_once(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, copy_forever, 20);
    fake_revoke(b->fleet, "d1");
    assert_true(fake_last(b->fleet, "files.send")->cancelled);
    assert_int_equal(fake_last(b->fleet, "files.send")->why, GODWIT__CANCEL__WHY__REVOKED_PEER);
    assert_string_equal(bench_state(b, "wave"), "failed");
    assert_string_equal(bench_pair(b, "wave", 1, "reason"), "host d1 was revoked");
}

static void pause_ends_the_steps_and_resume_plans_them_again(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 2);
    bench_run(b, copy_forever, 20);
    assert_int_equal(call(b, engine_job_pause, "wave"), 0);
    assert_string_equal(bench_state(b, "wave"), "pausing");
    assert_int_equal(fake_last(b->fleet, "files.send")->why, GODWIT__CANCEL__WHY__PAUSE);
    bench_run(b, copy_forever, 10);
    assert_string_equal(bench_state(b, "wave"), "paused");
    assert_int_equal(call(b, engine_job_resume, "wave"), 0);
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_int_equal(fake_count(b->fleet, "files.inventory"), 2);
    assert_int_equal(fake_count(b->fleet, "files.send"), 4);
}

static void resume_before_the_pause_took_hold_goes_on(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, copy_forever, 20);
    assert_int_equal(call(b, engine_job_pause, "wave"), 0);
    assert_int_equal(call(b, engine_job_resume, "wave"), 0);
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
}

static void stop_ends_in_stopped_and_delete_needs_it(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 2);
    bench_run(b, copy_forever, 20);
    assert_int_equal(call(b, engine_job_delete, "wave"), -EPROTO);
    assert_int_equal(call(b, engine_job_stop, "wave"), 0);
    bench_run(b, copy_forever, 10);
    assert_string_equal(bench_state(b, "wave"), "stopped");
    assert_int_equal(call(b, engine_job_delete, "wave"), 0);
    assert_string_equal(bench_state(b, "wave"), "missing");
    json_t *r = report(b, "wave", 0); /* is kept */
    json_decref(r);
    bench_end(b);
    bench_start(b);
    assert_string_equal(bench_state(b, "wave"), "missing");
}

static void a_stop_is_not_held_up_by_a_lost_host(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, copy_forever, 20);
    fake_lost(b->fleet, "d1");
    assert_int_equal(call(b, engine_job_stop, "wave"), 0);
    bench_run(b, copy_forever, 10);
    assert_string_equal(bench_state(b, "wave"), "stopping");
    bench_clock_ms += 61000;
    bench_run(b, copy_forever, 10);
    assert_string_equal(bench_state(b, "wave"), "stopped");
    /* The step that nobody waited for is ended when its host is back. */
    struct fake_op *receive = fake_last(b->fleet, "files.receive");
    fake_online(b->fleet, "d1");
    assert_true(receive->cancelled);
}

static void a_full_disk_stops_orders_and_loses_nothing(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 2);
    bench_run(b, silent, 3);
    assert_null(engine_trouble(b->engine));
    bench_commit_rc = -ENOSPC;
    size_t orders = b->fleet->nops;
    bench_run(b, NULL, 10);
    assert_non_null(engine_trouble(b->engine));
    assert_int_equal(b->fleet->nops, orders);
    for (size_t i = 0; i < b->fleet->nops; i++)
        assert_false(b->fleet->ops[i].acknowledged);
    bench_commit_rc = 0;
    bench_run(b, NULL, 100);
    assert_null(engine_trouble(b->engine));
    assert_string_equal(bench_state(b, "wave"), "done");
}

static void an_agent_that_comes_back_gets_its_orders_again(void **state)
{
    struct bench *b = *state;
    b->fleet->full = true;
    bench_job(b, "wave", 1);
    bench_run(b, NULL, 4);
    assert_int_equal(b->fleet->nops, 0);
    b->fleet->full = false;
    bench_run(b, silent, 4);
    struct fake_op *op = fake_last(b->fleet, "files.inventory");
    assert_int_equal(op->orders, 1);
    fake_lost(b->fleet, "s1");
    fake_online(b->fleet, "s1"); /* lists it as running */
    assert_int_equal(op->orders, 1);
    op->accepted = false; /* restarted: does not run it any more */
    fake_online(b->fleet, "s1");
    assert_int_equal(op->orders, 2);
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
}

static void a_host_cannot_speak_for_another(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, silent, 4);
    struct fake_op lie = *fake_last(b->fleet, "files.inventory");
    (void)snprintf(lie.host, sizeof lie.host, "d1");
    fake_finish(b->fleet, &lie, (struct fake_answer){.silent = false});
    bench_run(b, silent, 4);
    assert_int_equal(fake_count(b->fleet, "files.prepare"), 0);
}

static void a_side_left_alone_is_not_waited_for_without_end(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, copy_forever, 20);
    fake_finish(b->fleet, fake_last(b->fleet, "files.send"), (struct fake_answer){.silent = false});
    bench_clock_ms += 61000;
    engine_tick(b->engine);
    assert_true(fake_last(b->fleet, "files.receive")->cancelled);
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
}

static void what_was_sent_twice_is_counted(void **state)
{
    struct bench *b = *state;
    Godwit__Counters c = GODWIT__COUNTERS__INIT;
    bench_job(b, "wave", 1);
    bench_run(b, copy_forever, 20);
    c.sent_bytes = 700;
    c.bytes = 500;
    c.elapsed_ms = 10;
    fake_progress(b->fleet, fake_last(b->fleet, "files.send"), &c);
    c.sent_bytes = 100; /* the agent was restarted: 200 were on the way */
    c.bytes = 100;
    c.elapsed_ms = 1;
    fake_progress(b->fleet, fake_last(b->fleet, "files.send"), &c);
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_job_show(b->engine, "wave", &json, &why), 0);
    const json_t *got =
        json_object_get(json_array_get(json_object_get(json, "pairs"), 0), "counters");
    assert_int_equal(json_integer_value(json_object_get(got, "again_bytes")), 200);
    assert_int_equal(json_integer_value(json_object_get(got, "sent_bytes")), 800);
    assert_int_equal(json_integer_value(json_object_get(got, "bytes")), 600);
    json_decref(json);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(stages_run_in_order_to_the_end),
        CASE(items_that_failed_are_reported_and_retried_alone),
        CASE(a_side_that_fails_for_good_cancels_the_other),
        CASE(what_may_succeed_later_is_tried_again),
        CASE(tries_without_progress_end),
        CASE(limits_hold_and_say_so),
        CASE(a_lost_host_is_waited_for_with_a_reason),
        CASE(a_host_lost_for_a_day_fails_its_pairs),
        CASE(a_revoked_host_costs_its_pairs_and_warns_the_peer_at_once),
        CASE(pause_ends_the_steps_and_resume_plans_them_again),
        CASE(resume_before_the_pause_took_hold_goes_on),
        CASE(stop_ends_in_stopped_and_delete_needs_it),
        CASE(a_stop_is_not_held_up_by_a_lost_host),
        CASE(a_full_disk_stops_orders_and_loses_nothing),
        CASE(an_agent_that_comes_back_gets_its_orders_again),
        CASE(a_host_cannot_speak_for_another),
        CASE(a_side_left_alone_is_not_waited_for_without_end),
        CASE(what_was_sent_twice_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
