/* test_motion: counters over restarts and attempts, rate, estimate, stall. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/test.h"

static json_int_t counter(struct bench *b, const char *job, const char *name)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_job_show(b->engine, job, &json, &why), 0);
    const json_t *pair = json_array_get(json_object_get(json, "pairs"), 0);
    json_int_t n = json_integer_value(json_object_get(json_object_get(pair, "counters"), name));
    json_decref(json);
    return n;
}

static void counters_survive_an_agent_that_counts_from_zero(void **state)
{
    struct bench *b = *state;
    Godwit__Counters c = GODWIT__COUNTERS__INIT;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    c.sent_bytes = 700;
    c.bytes = 500;
    c.elapsed_ms = 10;
    fake_progress(b->fleet, fake_last(b->fleet, "files.send"), &c);
    c.sent_bytes = 100;
    c.bytes = 600; /* already past the old figure: the time says that it began anew */
    c.elapsed_ms = 1;
    c.again_bytes = 200; /* which it has kept itself */
    fake_progress(b->fleet, fake_last(b->fleet, "files.send"), &c);
    assert_int_equal(counter(b, "wave", "again_bytes"), 200);
    assert_int_equal(counter(b, "wave", "sent_bytes"), 800);
    assert_int_equal(counter(b, "wave", "bytes"), 1100);
    c.bytes = 50; /* the other side was restarted: only this began anew */
    c.elapsed_ms = 2;
    fake_progress(b->fleet, fake_last(b->fleet, "files.send"), &c);
    assert_int_equal(counter(b, "wave", "sent_bytes"), 800);
    assert_int_equal(counter(b, "wave", "bytes"), 1150);
}

/* Sent and not in place at the end of an attempt is no loss yet: pieces of large files wait for the
 * next one. What really goes twice the source says itself. */
static void what_a_pause_cut_off_is_not_yet_sent_again(void **state)
{
    struct bench *b = *state;
    Godwit__Counters c = GODWIT__COUNTERS__INIT;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    c.sent_bytes = 1700; /* the fake agent ends with 1000 sent and in place */
    c.bytes = 900;
    c.elapsed_ms = 10;
    fake_progress(b->fleet, fake_last(b->fleet, "files.receive"), &c);
    assert_int_equal(bench_call(b, engine_job_pause, "wave"), 0);
    bench_run(b, bench_copying, 10);
    assert_string_equal(bench_state(b, "wave"), "paused");
    assert_int_equal(counter(b, "wave", "again_bytes"), 0);
    assert_true(counter(b, "wave", "sent_bytes") > 0);
}

static void progress_shows_rate_estimate_and_stall(void **state)
{
    struct bench *b = *state;
    Godwit__Counters c = GODWIT__COUNTERS__INIT;
    struct fault why = {.err = 0};
    json_t *json = NULL;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    c.total_bytes = 100000;
    c.total_files = 10;
    c.unchanged_files = 10;
    c.total_known = true;
    for (int i = 0; i < 20; i++) {
        bench_clock_ms += 1000;
        c.bytes += i < 10 ? 1000 : 2000;
        c.elapsed_ms += 1000;
        fake_progress(b->fleet, fake_last(b->fleet, "files.receive"), &c);
    }
    assert_int_equal(engine_job_show(b->engine, "wave", &json, &why), 0);
    const json_t *pair = json_array_get(json_object_get(json, "pairs"), 0);
    json_int_t rate = json_integer_value(json_object_get(pair, "rate"));
    const json_t *eta = json_object_get(pair, "eta_ms");
    assert_in_range(rate, 1300, 1700);
    assert_in_range(json_integer_value(json_array_get(eta, 0)), 33000, 37000); /* 70000 at 2000/s */
    assert_in_range(json_integer_value(json_array_get(eta, 1)), 60000, 80000); /* at 1000/s */
    assert_true(json_is_false(json_object_get(pair, "stalled")));
    assert_int_equal(json_integer_value(json_object_get(pair, "percent")), 30 + 70 * 30 / 100);
    json_decref(json);
    bench_clock_ms += 31000;
    fake_progress(b->fleet, fake_last(b->fleet, "files.receive"), &c);
    assert_int_equal(engine_job_show(b->engine, "wave", &json, &why), 0);
    pair = json_array_get(json_object_get(json, "pairs"), 0);
    assert_true(json_is_true(json_object_get(pair, "stalled")));
    json_decref(json);
}

/* Until a large file is whole, its durable pieces are what moves: percent, rate and estimate. */
static void a_large_file_moves_before_it_is_whole(void **state)
{
    struct bench *b = *state;
    Godwit__Counters c = GODWIT__COUNTERS__INIT;
    struct fault why = {.err = 0};
    json_t *json = NULL;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    c.total_bytes = 100000;
    c.total_files = 2;
    c.total_known = true;
    c.files = 1;
    c.bytes = 20000;
    for (int i = 0; i < 20; i++) {
        bench_clock_ms += 1000;
        c.parts_bytes += 2000;
        c.elapsed_ms += 1000;
        fake_progress(b->fleet, fake_last(b->fleet, "files.receive"), &c);
    }
    assert_int_equal(engine_job_show(b->engine, "wave", &json, &why), 0);
    const json_t *pair = json_array_get(json_object_get(json, "pairs"), 0);
    assert_in_range(json_integer_value(json_object_get(pair, "rate")), 1900, 2100);
    const json_t *eta = json_object_get(pair, "eta_ms");
    assert_in_range(json_integer_value(json_array_get(eta, 0)), 19000, 21000); /* 40000 left */
    assert_int_equal(json_integer_value(json_object_get(pair, "percent")), 30 + 70 * 60 / 100);
    json_decref(json);
    assert_int_equal(counter(b, "wave", "parts_bytes"), 40000);
    bench_clock_ms += 1000;
    c.files = 2;
    c.bytes = 100000;
    c.parts_bytes = 0;
    fake_progress(b->fleet, fake_last(b->fleet, "files.receive"), &c);
    assert_int_equal(counter(b, "wave", "parts_bytes"), 0);
    assert_int_equal(counter(b, "wave", "bytes"), 100000);
}

/* Bytes of each second of a run whose pace goes up and down, and once stands still. */
static uint64_t pace(int second)
{
    static const uint64_t wave[] = {900, 1000, 1300, 1600, 1400, 1100, 800, 700};
    return second >= 60 && second < 63 ? 0 : wave[second / 3 % ARRAY_SIZE(wave)] * 1000;
}

static void what_was_forecast_is_what_happened(void **state)
{
    enum { SECONDS = 180, FROM = 20 };
    struct bench *b = *state;
    Godwit__Counters c = GODWIT__COUNTERS__INIT;
    unsigned told = 0, inside = 0, narrow = 0;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    for (int i = 0; i < SECONDS; i++)
        c.total_bytes += pace(i);
    c.total_files = 10;
    c.total_known = true;
    for (int i = 0; i < SECONDS - 1; i++) {
        struct fault why = {.err = 0};
        json_t *json = NULL;
        bench_clock_ms += 1000;
        c.bytes += pace(i);
        c.elapsed_ms += 1000;
        fake_progress(b->fleet, fake_last(b->fleet, "files.receive"), &c);
        assert_int_equal(engine_job_show(b->engine, "wave", &json, &why), 0);
        const json_t *eta =
            json_object_get(json_array_get(json_object_get(json, "pairs"), 0), "eta_ms");
        json_int_t least = json_integer_value(json_array_get(eta, 0));
        json_int_t most = json_integer_value(json_array_get(eta, 1));
        json_int_t happens = (json_int_t)(SECONDS - 1 - i) * 1000;
        if (i >= FROM && json_is_array(eta)) {
            told++;
            inside += least - 2000 <= happens && happens <= most + 2000;
            narrow += most <= 4 * least;
            assert_true(least <= most);
        }
        json_decref(json);
    }
    print_message("%u forecasts, %u held\n", told, inside);
    assert_true(told > (SECONDS - FROM) * 9 / 10);
    assert_true(inside * 10 >= told * 9);
    assert_true(narrow * 2 >= told); /* a range that says nothing always holds */
}

static void a_restart_shows_the_last_sample(void **state)
{
    struct bench *b = *state;
    Godwit__Counters c = GODWIT__COUNTERS__INIT;
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    c.bytes = 4711;
    fake_progress(b->fleet, fake_last(b->fleet, "files.receive"), &c);
    bench_clock_ms += 6000;
    engine_tick(b->engine);
    bench_end(b);
    bench_start(b);
    assert_int_equal(counter(b, "wave", "bytes"), 4711);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(counters_survive_an_agent_that_counts_from_zero),
        CASE(what_a_pause_cut_off_is_not_yet_sent_again),
        CASE(progress_shows_rate_estimate_and_stall),
        CASE(a_large_file_moves_before_it_is_whole),
        CASE(what_was_forecast_is_what_happened),
        CASE(a_restart_shows_the_last_sample),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
