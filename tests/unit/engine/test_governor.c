/* test_governor: limits that operators set reach the agents that send: with the order, at each
 * change, again after a hello, over restarts; and windows of calendars ahead of their time. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/test.h"

#define MIB (1ULL << 20)

static int set_limit(struct bench *b, const char *scope, const char *name, const char *rate,
                     const char *calendar)
{
    struct engine_limit l = {scope, name, rate, calendar};
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int rc = engine_limit_set(b->engine, &l, &json, &why);
    json_decref(json);
    return rc;
}

static int remove_limit(struct bench *b, const char *scope, const char *name)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int rc = engine_limit_remove(b->engine, scope, name, &json, &why);
    json_decref(json);
    return rc;
}

static int set_site(struct bench *b, const char *site, const char *host)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    char *hosts[] = {xstrdup(host)};
    int rc = engine_site_set(b->engine, site, hosts, 1, &json, &why);
    free(hosts[0]);
    json_decref(json);
    return rc;
}

/* What limit list says of the first limit. */
static json_int_t used(struct bench *b)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_limit_list(b->engine, &json, &why), 0);
    const json_t *one = json_array_get(json_object_get(json, "limits"), 0);
    json_int_t n = json_integer_value(json_object_get(one, "used_bytes_per_s"));
    json_decref(json);
    return n;
}

static void tick(struct bench *b)
{
    bench_clock_ms += 1000;
    engine_tick(b->engine);
}

/* The source's step of the nth transfer. */
static struct fake_op *sender(struct bench *b, unsigned nth)
{
    for (size_t i = 0; i < b->fleet->nops; i++)
        if (strcmp(b->fleet->ops[i].kind, "files.send") == 0 && nth-- == 0)
            return &b->fleet->ops[i];
    fail_msg("no such step");
    return NULL;
}

/* One second in which a step sends that much. */
static void sends(struct bench *b, struct fake_op *op, uint64_t *sum, uint64_t bytes)
{
    Godwit__Counters c = GODWIT__COUNTERS__INIT;
    *sum += bytes;
    c.wire_bytes = *sum;
    c.elapsed_ms = *sum; /* never less than before */
    fake_progress(b->fleet, op, &c);
}

static void a_limit_goes_with_the_order_and_changes_while_it_runs(void **state)
{
    struct bench *b = *state;
    assert_int_equal(set_limit(b, "host", "s1", "100MiB/s", NULL), 0);
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    struct fake_op *op = sender(b, 0);
    assert_true(op->limited && op->rates == 1 && op->orders == 1);
    assert_int_equal(op->rate, 100 * MIB);
    tick(b);
    assert_int_equal(op->rates, 1); /* said once, not each second */
    assert_int_equal(set_limit(b, "host", "s1", "40MiB/s", NULL), 0);
    tick(b);
    assert_int_equal(op->rate, 40 * MIB);
    assert_int_equal(set_limit(b, "job", "wave", "none", NULL), 0);
    tick(b);
    assert_true(op->limited && op->rate == 0);
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "paused by the limit of job wave"));
    assert_int_equal(remove_limit(b, "job", "wave"), 0);
    assert_int_equal(remove_limit(b, "host", "s1"), 0);
    tick(b);
    assert_false(op->limited);
    assert_int_equal(fake_last(b->fleet, "files.receive")->rates, 0); /* only the source sends */
}

static void nobody_is_told_of_no_limit(void **state)
{
    struct bench *b = *state;
    bench_job(b, "wave", 2);
    bench_run(b, bench_copying, 20);
    tick(b);
    assert_int_equal(sender(b, 0)->rates + sender(b, 1)->rates, 0);
}

static void pairs_share_and_unused_shares_go_to_others(void **state)
{
    struct bench *b = *state;
    uint64_t sum[2] = {0, 0};
    assert_int_equal(set_limit(b, "host", "d1", "100MiB/s", NULL), 0);
    bench_job(b, "wave", 2);
    bench_run(b, bench_copying, 20);
    tick(b);
    assert_int_equal(sender(b, 0)->rate, 50 * MIB);
    assert_int_equal(sender(b, 1)->rate, 50 * MIB);
    for (int i = 0; i < 12; i++) { /* the first one's disk gives 10 MiB/s */
        sends(b, sender(b, 0), &sum[0], 10 * MIB);
        sends(b, sender(b, 1), &sum[1], sender(b, 1)->rate);
        tick(b);
        assert_true(sender(b, 0)->rate + sender(b, 1)->rate <= 100 * MIB + 2);
    }
    assert_true(sender(b, 0)->rate >= 10 * MIB && sender(b, 0)->rate < 25 * MIB);
    assert_true(sender(b, 1)->rate > 75 * MIB);
    assert_non_null(strstr(bench_pair(b, "wave", 2, "reason"), "held by host d1 100 MiB/s"));
    assert_string_equal(bench_pair(b, "wave", 1, "reason"), "");
    assert_in_range(used(b), 80 * MIB, 100 * MIB);
    for (int i = 0; i < 12; i++) { /* now it can */
        sends(b, sender(b, 0), &sum[0], sender(b, 0)->rate);
        sends(b, sender(b, 1), &sum[1], sender(b, 1)->rate);
        tick(b);
    }
    assert_in_range(sender(b, 0)->rate, 49 * MIB, 51 * MIB);
    fake_finish(b->fleet, sender(b, 1),
                (struct fake_answer){.status = GODWIT__RESULT__STATUS__DONE});
    tick(b);
    assert_int_equal(sender(b, 0)->rate, 100 * MIB);
}

static void a_site_is_what_crosses_its_border(void **state)
{
    struct bench *b = *state;
    fake_online(b->fleet, "s2");
    assert_int_equal(set_limit(b, "site", "zurich", "10MiB/s", NULL), -ENOENT);
    assert_int_equal(set_site(b, "zurich", "s1"), 0);
    assert_int_equal(set_site(b, "bern", "s1"), -EEXIST);
    assert_int_equal(set_limit(b, "site", "zurich", "10MiB/s", NULL), 0);
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    assert_int_equal(sender(b, 0)->rate, 10 * MIB);
    struct fault why = {.err = 0};
    json_t *json = NULL;
    char *both[] = {xstrdup("s1"), xstrdup("d1")};
    assert_int_equal(engine_site_set(b->engine, "zurich", both, 2, &json, &why), 0);
    json_decref(json);
    tick(b);
    assert_false(sender(b, 0)->limited); /* it stays within */
    assert_int_equal(set_site(b, "zurich", "d1"), 0);
    tick(b);
    assert_int_equal(sender(b, 0)->rate, 10 * MIB);
    assert_int_equal(engine_site_remove(b->engine, "zurich", &json, &why), 0);
    json_decref(json);
    tick(b);
    assert_false(sender(b, 0)->limited);
    free(both[0]);
    free(both[1]);
}

static void windows_are_sent_ahead(void **state)
{
    struct bench *b = *state;
    int64_t now = clock_wall_ms(), minute = 60000, day = INT64_C(86400000);
    int64_t first = (now / minute + 90) * minute % day / minute, second = (first + 60) % 1440;
    char text[96];
    (void)snprintf(text, sizeof text, "zone UTC\ndaily %02d:%02d-%02d:%02d none", (int)first / 60,
                   (int)first % 60, (int)second / 60, (int)second % 60);
    assert_int_equal(set_limit(b, "host", "s1", "8MiB/s", text), 0);
    assert_int_equal(set_limit(b, "host", "d1", "6MiB/s", NULL), 0);
    bench_job(b, "wave", 2);
    bench_run(b, bench_copying, 20);
    tick(b);
    const struct fake_op *op = sender(b, 0);
    assert_true(op->limited && op->rate == 3 * MIB);
    assert_true(op->nwindows >= 14); /* a week of them */
    assert_int_equal(op->window[0].from_ms, (now / minute + 90) * minute);
    assert_true(op->window[0].limited && op->window[0].rate == 0);
    assert_int_equal(op->window[1].from_ms, (now / minute + 150) * minute);
    assert_int_equal(op->window[1].rate, 3 * MIB);
    unsigned told = op->rates;
    tick(b);
    tick(b);
    assert_int_equal(op->rates, told);
}

static void what_is_wrong_is_refused_and_changes_nothing(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *scope, *name, *rate, *calendar;
        int rc;
    } cases[] = {
        {"job",    "nobody",  "1MiB/s", NULL,            -ENOENT},
        {"host",   "nobody",  "1MiB/s", NULL,            -ENOENT},
        {"site",   "nowhere", "1MiB/s", NULL,            -ENOENT},
        {"planet", "earth",   "1MiB/s", NULL,            -EINVAL},
        {"host",   "s1",      "fast",   NULL,            -EINVAL},
        {"host",   "s1",      NULL,     NULL,            -EINVAL},
        {"host",   "s1",      NULL,     "",              -EINVAL},
        {"host",   "s1",      "1MiB/s", "Mon 8-18 none", -EINVAL},
    };
    fake_host_named(b->fleet, "nobody")->unknown = true;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        assert_int_equal(
            set_limit(b, cases[i].scope, cases[i].name, cases[i].rate, cases[i].calendar),
            cases[i].rc);
    assert_int_equal(remove_limit(b, "host", "s1"), -ENOENT);
    bench_commit_rc = -ENOSPC;
    assert_int_equal(set_limit(b, "host", "s1", "1MiB/s", NULL), -ENOSPC);
    bench_commit_rc = 0;
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_limit_list(b->engine, &json, &why), 0);
    assert_int_equal(json_array_size(json_object_get(json, "limits")), 0);
    json_decref(json);
}

static void limits_survive_a_restart_and_agents_hear_them_again(void **state)
{
    struct bench *b = *state;
    assert_int_equal(set_site(b, "zurich", "s1"), 0);
    assert_int_equal(set_limit(b, "site", "zurich", "8MiB/s", "daily 00:00-24:00 4MiB/s"), 0);
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    assert_int_equal(sender(b, 0)->rate, 4 * MIB);
    unsigned told = sender(b, 0)->rates;
    bench_end(b);
    bench_start(b);
    fake_online(b->fleet, "s1");
    fake_online(b->fleet, "d1");
    tick(b);
    assert_true(sender(b, 0)->rates > told);
    assert_int_equal(sender(b, 0)->rate, 4 * MIB);
    assert_int_equal(sender(b, 0)->orders, 1);
    told = sender(b, 0)->rates;
    fake_lost(b->fleet, "s1"); /* it may come back as another process */
    tick(b);
    fake_online(b->fleet, "s1");
    tick(b);
    assert_true(sender(b, 0)->rates > told);
}

static void a_job_brings_its_limit_and_takes_it_along(void **state)
{
    struct bench *b = *state;
    struct fault why = {.err = 0};
    json_t *json = NULL;
    static const char *const bad[] = {
        "{\"name\":\"w\",\"workload\":\"files\",\"limits\":{\"rate\":\"fast\"},\"pairs\":[{"
        "\"source\":{"
        "\"host\":\"s1\",\"path\":\"/a\"},\"destination\":{\"host\":\"d1\",\"path\":\"/a\"}}]}",
        "{\"name\":\"w\",\"workload\":\"files\",\"limits\":{\"calendar\":\"Mon\"},\"pairs\":[{"
        "\"source\":{"
        "\"host\":\"s1\",\"path\":\"/a\"},\"destination\":{\"host\":\"d1\",\"path\":\"/a\"}}]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        assert_int_equal(engine_job_create(b->engine, bad[i], &json, &why), -EINVAL);
    bench_create(b, "{\"name\":\"w\",\"workload\":\"files\",\"limits\":{\"rate\":\"5MiB/s\","
                    "\"calendar\":\"daily 00:00-24:00 3MiB/s\"},\"pairs\":[{\"source\":{\"host\":"
                    "\"s1\",\"path\":\"/a\"},\"destination\":{\"host\":\"d1\",\"path\":\"/a\"}}]}");
    bench_end(b);
    bench_start(b);
    fake_online(b->fleet, "s1");
    fake_online(b->fleet, "d1");
    const struct engine_start how = {.phase = NULL};
    assert_int_equal(engine_job_start(b->engine, "w", &how, &json, &why), 0);
    json_decref(json);
    bench_run(b, bench_copying, 20);
    assert_int_equal(sender(b, 0)->rate, 3 * MIB);
    assert_int_equal(bench_call(b, engine_job_stop, "w"), 0);
    bench_run(b, bench_copying, 20);
    assert_int_equal(bench_call(b, engine_job_delete, "w"), 0);
    assert_int_equal(engine_limit_list(b->engine, &json, &why), 0);
    assert_int_equal(json_array_size(json_object_get(json, "limits")), 0);
    json_decref(json);
}

static void an_agent_that_keeps_no_rates_is_named(void **state)
{
    struct bench *b = *state;
    fake_host_named(b->fleet, "s1")->old = true;
    fake_online(b->fleet, "s1");
    assert_int_equal(set_limit(b, "host", "s1", "1MiB/s", NULL), 0);
    bench_job(b, "wave", 1);
    bench_run(b, bench_copying, 20);
    tick(b);
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "older agent"));
}

static void a_source_that_spares_its_disk_says_so(void **state)
{
    struct bench *b = *state;
    struct fault why = {.err = 0};
    const struct engine_start how = {.phase = NULL};
    json_t *json = NULL;
    uint64_t sum = 0;
    bench_create(b,
                 "{\"name\":\"w\",\"workload\":\"files\",\"options\":{\"max_source_latency\":20},"
                 "\"pairs\":[{\"source\":{\"host\":\"s1\",\"path\":\"/a\"},\"destination\":{"
                 "\"host\":\"d1\",\"path\":\"/a\"}}]}");
    assert_int_equal(engine_job_start(b->engine, "w", &how, &json, &why), 0);
    json_decref(json);
    bench_run(b, bench_copying, 20);
    struct fake_op *op = sender(b, 0);
    op->latency_us = 40000;
    op->pace = 25;
    sends(b, op, &sum, 1000);
    tick(b);
    assert_string_equal(bench_pair(b, "w", 1, "reason"),
                        "held back: source latency 40 ms over 20 ms, at 25% of its pace");
    op->latency_us = 9500;
    sends(b, op, &sum, 1000);
    assert_string_equal(bench_pair(b, "w", 1, "reason"),
                        "held back: source latency 9.5 ms again within 20 ms, at 25% of its pace");
    op->pace = 100;
    sends(b, op, &sum, 1000);
    assert_string_equal(bench_pair(b, "w", 1, "reason"), "");
}

static void limits_follow_a_host_that_is_renamed(void **state)
{
    struct bench *b = *state;
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(set_site(b, "zurich", "s1"), 0);
    assert_int_equal(set_limit(b, "host", "s1", "1MiB/s", NULL), 0);
    assert_int_equal(engine_host_renamed(b->engine, "s1", "s9", &why), 0);
    bench_end(b);
    bench_start(b);
    assert_int_equal(engine_limit_list(b->engine, &json, &why), 0);
    const json_t *one = json_array_get(json_object_get(json, "limits"), 0);
    assert_string_equal(json_string_value(json_object_get(one, "name")), "s9");
    json_decref(json);
    assert_int_equal(engine_site_list(b->engine, &json, &why), 0);
    one = json_array_get(json_object_get(json, "sites"), 0);
    one = json_array_get(json_object_get(one, "hosts"), 0);
    assert_string_equal(json_string_value(one), "s9");
    json_decref(json);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_limit_goes_with_the_order_and_changes_while_it_runs),
        CASE(nobody_is_told_of_no_limit),
        CASE(pairs_share_and_unused_shares_go_to_others),
        CASE(a_site_is_what_crosses_its_border),
        CASE(windows_are_sent_ahead),
        CASE(what_is_wrong_is_refused_and_changes_nothing),
        CASE(limits_survive_a_restart_and_agents_hear_them_again),
        CASE(a_job_brings_its_limit_and_takes_it_along),
        CASE(an_agent_that_keeps_no_rates_is_named),
        CASE(a_source_that_spares_its_disk_says_so),
        CASE(limits_follow_a_host_that_is_renamed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
