/* test_cutover_wave: many servers in one run, what comes by itself, and the way back while a host
 * is away. */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "proto/identity.pb-c.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/engine/cutting.h"
#include "tests/unit/test.h"

#define SETTINGS "{\"source_address\":\"192.0.2.77/24\"}"
#define UNDO GODWIT__IDENTITY_ACTION__IDENTITY_UNDO

/* ── waves ── */

static void servers(struct bench *b, unsigned n)
{
    json_t *pairs = json_array();
    for (unsigned i = 1; i <= n; i++) {
        char from[8], to[8];
        (void)snprintf(from, sizeof from, "s%u", i);
        (void)snprintf(to, sizeof to, "d%u", i);
        fake_online(b->fleet, from);
        fake_online(b->fleet, to);
        (void)json_array_append_new(pairs, json_pack("{s:{s:s,s:s},s:{s:s,s:s}}", "source", "host",
                                                     from, "path", "/a", "destination", "host", to,
                                                     "path", "/a"));
    }
    json_t *spec = json_pack("{s:s,s:s,s:o}", "name", "wave", "workload", "files", "pairs", pairs);
    CLEANUP(mem_free) char *text = json_dumps(spec, 0);
    json_decref(spec);
    const struct engine_start how = {.phase = NULL};
    struct fault why = {.err = 0};
    json_t *json = NULL;
    bench_create(b, text);
    assert_int_equal(engine_job_start(b->engine, "wave", &how, &json, &why), 0);
    json_decref(json);
    bench_run(b, cutting_agents, 100);
    assert_string_equal(bench_state(b, "wave"), "done");
}

static const char *state_of(struct bench *b, unsigned n)
{
    static char ret[32];
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_job_outline(b->engine, "wave", &json, &why), 0);
    const json_t *pair = json_array_get(json_object_get(json, "pairs"), n - 1);
    (void)snprintf(ret, sizeof ret, "%s", json_string_value(json_object_get(pair, "cutover")));
    json_decref(json);
    return ret;
}

#define WAVE "{\"at_once\":2,\"source_addresses\":{\"\":\"192.0.2.77/24\",\"s1\":\"192.0.2.78/24\"}"

static void a_wave_halts_when_one_fails(void **state)
{
    static const char *const ends[] = {"cut over", "cut over", "rolled back"};
    struct bench *b = *state;
    cutting_fail_at(NULL, false, FAULT_NONE);
    servers(b, 5);
    cutting_fail_at("users", true, FAULT_STOP_JOB);
    cutting_bad.host = "s3";
    assert_int_equal(cutting_enter(b, "cutover", WAVE "}"), 0);
    bench_run(b, cutting_agents, 400);
    assert_string_equal(bench_state(b, "wave"), "partial");
    for (unsigned i = 1; i <= 3; i++)
        assert_string_equal(state_of(b, i), ends[i - 1]);
    /* The fourth was under way with the third. */
    assert_string_equal(state_of(b, 5), "");
    assert_string_equal(bench_pair(b, "wave", 5, "state"), "stopped");
    assert_non_null(strstr(bench_pair(b, "wave", 5, "reason"), "1 of the others failed"));
    for (size_t i = 0; i < b->fleet->nops; i++)
        assert_false(b->fleet->ops[i].stage[0] && strcmp(b->fleet->ops[i].host, "s5") == 0);
    /* Those that are over are made final; the others can be run again. */
    assert_int_equal(cutting_enter(b, "commit", NULL), 0);
    bench_run(b, cutting_agents, 100);
    assert_string_equal(state_of(b, 1), "committed");
    assert_string_equal(state_of(b, 3), "rolled back");
    cutting_fail_at(NULL, false, FAULT_NONE);
    assert_int_equal(cutting_enter(b, "cutover", NULL), 0);
    bench_run(b, cutting_agents, 600);
    assert_string_equal(state_of(b, 3), "cut over");
    assert_string_equal(state_of(b, 5), "cut over");
}

static void a_budget_lets_some_fail(void **state)
{
    struct bench *b = *state;
    cutting_fail_at(NULL, false, FAULT_NONE);
    servers(b, 4);
    cutting_fail_at("users", true, FAULT_STOP_JOB);
    cutting_bad.host = "s1";
    assert_int_equal(cutting_enter(b, "cutover", WAVE ",\"budget\":1}"), 0);
    bench_run(b, cutting_agents, 600);
    assert_string_equal(state_of(b, 1), "rolled back");
    for (unsigned i = 2; i <= 4; i++)
        assert_string_equal(state_of(b, i), "cut over");
}

/* ── by itself ── */

static void a_soak_commits_by_itself(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(
        cutting_enter(b, "cutover", "{\"source_address\":\"192.0.2.77/24\",\"soak\":1}"), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "cut over");
    for (int i = 0; i < 40 && strcmp(cutting_state(b), "committed") != 0; i++) {
        bench_clock_ms += 1100;
        (void)poll(NULL, 0, 50); /* the soak goes by the wall clock */
        engine_tick(b->engine);
        (void)fake_pump(b->fleet, cutting_agents);
    }
    assert_string_equal(cutting_state(b), "committed");
}

/* ── back while a host is away ── */

static void pass_time(struct bench *b, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        bench_clock_ms += 1000;
        engine_tick(b->engine);
        (void)fake_pump(b->fleet, cutting_agents);
    }
}

static bool was_undone(const struct bench *b, const char *stage, const char *host)
{
    for (size_t i = 0; i < b->fleet->nops; i++) {
        const struct fake_op *op = &b->fleet->ops[i];
        if (op->action == UNDO && op->over && cutting_has_stage(op, stage) &&
            strcmp(op->host, host) == 0)
            return true;
    }
    return false;
}

static void the_source_waits_for_the_timer_of_a_destination_that_is_away(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    cutting_fail_at("users", true, FAULT_NONE);
    cutting_bad.silent = true;
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 60);
    fake_lost(b->fleet, "d1");
    assert_int_equal(cutting_back(b), 0);
    pass_time(b, 30);
    assert_false(was_undone(b, "addresses", "s1"));
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "its own timer takes it back"));
    pass_time(b, 200);
    assert_true(was_undone(b, "stop", "s1"));
    assert_false(was_undone(b, "start", "d1"));
    assert_string_equal(cutting_state(b), "going back");
    fake_online(b->fleet, "d1");
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
    assert_true(was_undone(b, "start", "d1"));
}

/* That one is long where a person has a part in it: nobody comes back before. */
static void the_timer_that_was_sent_counts(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover",
                                   "{\"source_address\":\"192.0.2.77/24\","
                                   "\"by_hand\":[\"source.names\"]}"),
                     0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "running"); /* users are served */
    fake_lost(b->fleet, "d1");
    assert_int_equal(cutting_back(b), 0);
    pass_time(b, 400);
    assert_false(was_undone(b, "addresses", "s1"));
    bench_clock_ms += 14400000;
    pass_time(b, 100);
    assert_true(was_undone(b, "addresses", "s1"));
}

/* Nobody could serve instead. */
static void a_destination_that_serves_waits_for_a_source_that_is_away(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    cutting_fail_at("users", true, FAULT_NONE);
    cutting_bad.silent = true;
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 60);
    fake_lost(b->fleet, "s1");
    pass_time(b, 400);
    assert_string_equal(cutting_state(b), "going back");
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "d1 serves until then"));
    assert_false(was_undone(b, "start", "d1"));
    fake_online(b->fleet, "s1");
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
    assert_true(was_undone(b, "start", "d1"));
}

/* Its timer was put away: only a person knows whether it serves. */
static void a_destination_that_is_away_at_the_end_holds_the_source_back(void **state)
{
    struct bench *b = *state;
    struct fault why = {.err = 0};
    json_t *json = NULL;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "cut over");
    fake_lost(b->fleet, "d1");
    assert_int_equal(cutting_back(b), 0);
    pass_time(b, 400);
    assert_false(was_undone(b, "addresses", "s1"));
    assert_int_equal(
        engine_job_back(b->engine, "wave", "rollback", "{\"destination_off\":true}", &json, &why),
        0);
    json_decref(json);
    pass_time(b, 60);
    assert_true(was_undone(b, "stop", "s1"));
    fake_online(b->fleet, "d1");
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, bench_set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_wave_halts_when_one_fails),
        CASE(a_budget_lets_some_fail),
        CASE(a_soak_commits_by_itself),
        CASE(the_source_waits_for_the_timer_of_a_destination_that_is_away),
        CASE(the_timer_that_was_sent_counts),
        CASE(a_destination_that_serves_waits_for_a_source_that_is_away),
        CASE(a_destination_that_is_away_at_the_end_holds_the_source_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
