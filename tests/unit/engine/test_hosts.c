/* test_hosts: hosts that are lost, revoked, back again or lying; a store that is full. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "orchestrator/store/sqlite.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/test.h"

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
    bench_run(b, bench_silent, 3);
    fake_lost(b->fleet, "s1");
    bench_run(b, bench_silent, 20);
    assert_string_equal(bench_pair(b, "wave", 1, "state"), "running");
    bench_clock_ms += 86400000;
    bench_run(b, bench_silent, 20);
    assert_string_equal(bench_state(b, "wave"), "failed");
}

static void set_back_pairs(struct bench *b, int64_t ms)
{
    struct db *d = NULL;
    assert_int_equal(db_open(&d, b->path, NULL), 0);
    assert_int_equal(db_run(d, "UPDATE pairs SET started_ms = started_ms - ?", "i", ms), 0);
    (void)db_close(d);
}

static void how_long_a_host_is_lost_outlives_a_restart(void **state)
{
    struct bench *b = *state;
    const int64_t day_ms = 86400000;
    fake_lost(b->fleet, "d1");
    bench_job(b, "wave", 1);
    bench_end(b);
    fake_host_named(b->fleet, "d1")->seen_ms = clock_wall_ms() - day_ms / 2;
    bench_start(b);
    fake_online(b->fleet, "s1");
    bench_run(b, NULL, 3);
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "host d1 is lost since 43"));
    bench_end(b);
    set_back_pairs(b, 2 * day_ms); /* the pair waits for longer */
    fake_host_named(b->fleet, "d1")->seen_ms = clock_wall_ms() - day_ms - 60000;
    bench_start(b);
    fake_online(b->fleet, "s1");
    bench_run(b, NULL, 15);
    assert_string_equal(bench_state(b, "wave"), "running"); /* it may be on its way */
    bench_clock_ms += 900000;
    bench_run(b, NULL, 15);
    assert_string_equal(bench_state(b, "wave"), "failed");
}

static void a_revoked_host_costs_its_pairs_and_warns_the_peer_at_once(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    fake_revoke(b->fleet, "d1");
    assert_true(fake_last(b->fleet, "files.send")->cancelled);
    assert_int_equal(fake_last(b->fleet, "files.send")->why, GODWIT__CANCEL__WHY__REVOKED_PEER);
    assert_string_equal(bench_state(b, "wave"), "failed");
    assert_string_equal(bench_pair(b, "wave", 1, "reason"), "host d1 was revoked");
}

static void a_stop_is_not_held_up_by_a_lost_host(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    fake_lost(b->fleet, "d1");
    assert_int_equal(bench_call(b, engine_job_stop, "wave"), 0);
    bench_run(b, bench_copying, 10);
    assert_string_equal(bench_state(b, "wave"), "stopping");
    bench_clock_ms += 61000;
    bench_run(b, bench_copying, 10);
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
    bench_run(b, bench_silent, 3);
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
    bench_run(b, bench_silent, 4);
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
    bench_run(b, bench_silent, 4);
    struct fake_op lie = *fake_last(b->fleet, "files.inventory");
    (void)snprintf(lie.host, sizeof lie.host, "d1");
    fake_finish(b->fleet, &lie, (struct fake_answer){.silent = false});
    bench_run(b, bench_silent, 4);
    assert_int_equal(fake_count(b->fleet, "files.prepare"), 0);
}

static void a_side_left_alone_is_not_waited_for_without_end(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    fake_finish(b->fleet, fake_last(b->fleet, "files.send"), (struct fake_answer){.silent = false});
    bench_clock_ms += 61000;
    engine_tick(b->engine);
    assert_true(fake_last(b->fleet, "files.receive")->cancelled);
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
}

/* What the agents would do: the destination's new one has not heard of the old order. */
static void come_back(struct bench *b, const char *host, const char *kind)
{
    fake_lost(b->fleet, host);
    fake_last(b->fleet, kind)->accepted = false;
    fake_online(b->fleet, host);
    bench_run(b, bench_copying, 10);
}

static void a_destination_that_moved_is_planned_anew(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    struct fake_op *send = fake_last(b->fleet, "files.send");
    fake_host_named(b->fleet, "d1")->lane_port = 7999;
    come_back(b, "d1", "files.receive");
    assert_true(send->cancelled);
    assert_int_equal(fake_count(b->fleet, "files.send"), 2);
    assert_int_equal(fake_count(b->fleet, "files.receive"), 2);
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
}

static void a_new_lane_key_is_noticed_also_after_a_restart(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    bench_end(b);
    fake_host_named(b->fleet, "s1")->online = false;
    fake_host_named(b->fleet, "d1")->online = false;
    fake_host_named(b->fleet, "s1")->lane_key = 9;
    bench_start(b);
    fake_online(b->fleet, "d1");
    fake_online(b->fleet, "s1");
    bench_run(b, bench_copying, 10);
    assert_int_equal(fake_count(b->fleet, "files.receive"), 2);
    assert_int_equal(fake_count(b->fleet, "files.send"), 2);
    bench_run(b, NULL, 50);
    assert_string_equal(bench_state(b, "wave"), "done");
}

static void a_host_that_comes_back_as_it_was_keeps_its_orders(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    come_back(b, "d1", "files.receive");
    fake_host_named(b->fleet, "s1")->lane_port = 7999; /* nobody dials a source */
    fake_online(b->fleet, "s1");
    bench_run(b, bench_copying, 10);
    assert_false(fake_last(b->fleet, "files.send")->cancelled);
    assert_int_equal(fake_count(b->fleet, "files.send"), 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_lost_host_is_waited_for_with_a_reason),
        CASE(a_host_lost_for_a_day_fails_its_pairs),
        CASE(how_long_a_host_is_lost_outlives_a_restart),
        CASE(a_revoked_host_costs_its_pairs_and_warns_the_peer_at_once),
        CASE(a_stop_is_not_held_up_by_a_lost_host),
        CASE(a_full_disk_stops_orders_and_loses_nothing),
        CASE(an_agent_that_comes_back_gets_its_orders_again),
        CASE(a_host_cannot_speak_for_another),
        CASE(a_side_left_alone_is_not_waited_for_without_end),
        CASE(a_destination_that_moved_is_planned_anew),
        CASE(a_new_lane_key_is_noticed_also_after_a_restart),
        CASE(a_host_that_comes_back_as_it_was_keeps_its_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
