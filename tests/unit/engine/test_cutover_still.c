/* test_cutover_still: a copy in a cutover takes as long as it takes, and not without end: what
 * follows when nothing moves, with agents that answer and with one that does not. */
#include <string.h>

#include "tests/unit/engine/bench.h"
#include "tests/unit/engine/cutting.h"
#include "tests/unit/test.h"

#define SETTINGS "{\"source_address\":\"192.0.2.77/24\"}"
#define STILL_MS 600000

static struct fake_answer copies_for_ever(const struct fake_op *op, unsigned nth)
{
    if (strcmp(op->kind, "files.send") == 0 || strcmp(op->kind, "files.receive") == 0)
        return (struct fake_answer){.silent = true};
    return cutting_agents(op, nth);
}

static Godwit__Counters moved = GODWIT__COUNTERS__INIT;

static int begin(void **state)
{
    int rc = bench_set_up(state);
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, copies_for_ever, 100);
    assert_string_equal(cutting_state(b), "running");
    fake_progress(b->fleet, fake_last(b->fleet, "files.send"), &moved);
    moved.sent_bytes = 1;
    fake_progress(b->fleet, fake_last(b->fleet, "files.send"), &moved);
    return rc;
}

static void pass(struct bench *b, int64_t ms)
{
    bench_clock_ms += ms;
    engine_tick(b->engine);
}

static void what_moves_has_no_limit(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 20; i++) {
        pass(b, STILL_MS - 1000);
        moved.sent_bytes++;
        fake_progress(b->fleet, fake_last(b->fleet, "files.send"), &moved);
    }
    assert_string_equal(cutting_state(b), "running");
    assert_false(fake_last(b->fleet, "files.send")->cancelled);
}

static void what_stands_still_goes_back(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < 3; i++) {
        pass(b, STILL_MS / 3 - 1000);
        moved.elapsed_ms += 1000; /* that time passes is no progress */
        fake_progress(b->fleet, fake_last(b->fleet, "files.send"), &moved);
    }
    assert_false(fake_last(b->fleet, "files.send")->cancelled);
    pass(b, 4000);
    assert_true(fake_last(b->fleet, "files.send")->cancelled);
    bench_run(b, cutting_agents, 100);
    assert_string_equal(cutting_state(b), "rolled back");
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "nothing has moved for 600 s"));
}

/* One whose disk answers nobody does not end its step either. */
static void who_does_not_end_is_not_waited_for(void **state)
{
    struct bench *b = *state;
    pass(b, STILL_MS + 1000);
    assert_true(fake_last(b->fleet, "files.receive")->cancelled);
    for (int i = 0; i < 100; i++)
        pass(b, 1000);
    assert_string_equal(cutting_state(b), "going back");
    bench_run(b, cutting_agents, 100);
    assert_string_equal(cutting_state(b), "rolled back");
}

static void a_host_that_stays_away_is_named(void **state)
{
    struct bench *b = *state;
    fake_lost(b->fleet, "s1");
    for (int i = 0; i < 7; i++) {
        pass(b, STILL_MS / 6);
        (void)fake_pump(b->fleet, copies_for_ever);
    }
    for (int i = 0; i < 100; i++) {
        pass(b, 1000);
        (void)fake_pump(b->fleet, copies_for_ever);
    }
    assert_string_equal(cutting_state(b), "going back");
    fake_online(b->fleet, "s1");
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "host s1 does not answer"));
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, begin, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_moves_has_no_limit),
        CASE(what_stands_still_goes_back),
        CASE(who_does_not_end_is_not_waited_for),
        CASE(a_host_that_stays_away_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
