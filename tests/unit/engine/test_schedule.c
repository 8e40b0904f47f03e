/* test_schedule: the limits per job, per host and in all are never passed and always used; many
 * pairs cost what they are, not their square. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/test.h"

/* npairs over hosts s0… and d0…; pair i goes from s(i % sources) to d(i % destinations). */
static void create_spread(struct bench *b, const char *name, unsigned npairs, unsigned sources,
                          unsigned destinations, unsigned limit)
{
    json_t *spec = json_pack("{s:s,s:s}", "name", name, "workload", "files");
    json_t *pairs = json_array();
    for (unsigned i = 0; i < npairs; i++) {
        char path[48], from[16], to[16];
        (void)snprintf(path, sizeof path, "/data/%s/%u", name, i);
        (void)snprintf(from, sizeof from, "s%u", i % sources);
        (void)snprintf(to, sizeof to, "d%u", i % destinations);
        (void)json_array_append_new(pairs, json_pack("{s:{s:s,s:s},s:{s:s,s:s}}", "source", "host",
                                                     from, "path", path, "destination", "host", to,
                                                     "path", path));
    }
    (void)json_object_set_new(spec, "pairs", pairs);
    if (limit)
        (void)json_object_set_new(spec, "limits", json_pack("{s:i}", "pairs", (int)limit));
    char *text = json_dumps(spec, JSON_COMPACT);
    bench_create(b, text);
    free(text);
    json_decref(spec);
}

static void all_online(struct bench *b, unsigned sources, unsigned destinations)
{
    char name[16];
    for (unsigned i = 0; i < sources; i++) {
        (void)snprintf(name, sizeof name, "s%u", i);
        fake_online(b->fleet, name);
    }
    for (unsigned i = 0; i < destinations; i++) {
        (void)snprintf(name, sizeof name, "d%u", i);
        fake_online(b->fleet, name);
    }
}

static void start(struct bench *b, const char *job, const char *phase)
{
    const struct engine_start how = {.phase = phase};
    struct fault why = {.err = 0};
    json_t *json = NULL;
    if (engine_job_start(b->engine, job, &how, &json, &why) < 0)
        fail_msg("%s", why.text);
    json_decref(json);
}

struct load {
    unsigned running, on[16], most_on;
};

/* How many pairs run now, in all and at each host's name. */
static struct load running(struct bench *b, const char *job)
{
    struct load l = {.running = 0};
    struct fault why;
    json_t *json = NULL, *pair;
    size_t i;
    assert_int_equal(engine_job_show(b->engine, job, &json, &why), 0);
    json_array_foreach(json_object_get(json, "pairs"), i, pair)
    {
        if (strcmp(json_string_value(json_object_get(pair, "state")), "running") != 0)
            continue;
        l.running++;
        for (int side = 0; side < 2; side++) {
            const char *host = json_string_value(
                json_object_get(json_object_get(pair, side ? "destination" : "source"), "host"));
            unsigned n = (unsigned)(side * 8 + (host[1] - '0'));
            l.on[n]++;
            l.most_on = l.on[n] > l.most_on ? l.on[n] : l.most_on;
        }
    }
    json_decref(json);
    return l;
}

static void every_limit_is_used_and_none_is_passed(void **state)
{
    static const struct {
        const char *name;
        struct engine_limits limits;
        unsigned job_limit, npairs, sources, destinations, want;
    } cases[] = {
        {"in all",              {5, 100, 100, 0},   0, 20,  5, 5, 5 },
        {"per job by default",  {100, 100, 6, 0},   0, 20,  5, 5, 6 },
        {"per job by its own",  {100, 100, 6, 0},   9, 20,  5, 5, 9 },
        {"one destination",     {100, 4, 100, 0},   0, 20,  5, 1, 4 },
        {"one source",          {100, 4, 100, 0},   0, 20,  1, 5, 4 },
        {"both sides",          {100, 2, 100, 0},   0, 50,  5, 5, 10},
        {"fewer than limits",   {100, 100, 100, 0}, 0, 3,   3, 3, 3 },
        {"100 on 10 hosts",     {64, 8, 32, 0},     0, 100, 5, 5, 32},
        {"per link, one link",  {64, 8, 32, 2},     0, 20,  1, 1, 2 },
        {"per link, two links", {64, 8, 32, 2},     0, 20,  1, 2, 4 },
        {"more than the host",  {64, 3, 32, 5},     0, 20,  1, 1, 3 },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bench b;
        bench_open(&b);
        bench_end(&b);
        b.limits = cases[i].limits;
        bench_start(&b);
        all_online(&b, cases[i].sources, cases[i].destinations);
        create_spread(&b, "wave", cases[i].npairs, cases[i].sources, cases[i].destinations,
                      cases[i].job_limit);
        start(&b, "wave", NULL);
        bench_run(&b, bench_silent, 5);
        struct load l = running(&b, "wave");
        if (l.running != cases[i].want || l.most_on > cases[i].limits.pairs_per_host)
            fail_msg("%s: %u run, %u on one host", cases[i].name, l.running, l.most_on);
        bench_run(&b, NULL, 500);
        assert_string_equal(bench_state(&b, "wave"), "done");
        bench_close(&b);
    }
}

static void jobs_share_a_host_under_its_limit(void **state)
{
    (void)state;
    struct bench b;
    bench_open(&b);
    bench_end(&b);
    b.limits = (struct engine_limits){.pairs = 64, .pairs_per_host = 4, .pairs_per_job = 32};
    bench_start(&b);
    all_online(&b, 1, 1);
    create_spread(&b, "one", 3, 1, 1, 0);
    create_spread(&b, "two", 3, 1, 1, 0);
    start(&b, "one", NULL);
    start(&b, "two", NULL);
    bench_run(&b, bench_silent, 5);
    assert_int_equal(running(&b, "one").running + running(&b, "two").running, 4);
    bench_run(&b, NULL, 100);
    assert_string_equal(bench_state(&b, "one"), "done");
    assert_string_equal(bench_state(&b, "two"), "done");
    bench_close(&b);
}

/* CPU seconds of a job of n pairs, without the disk's. */
static double cost(unsigned n)
{
    struct bench b;
    struct timespec t0, t1;
    bench_open(&b);
    all_online(&b, 8, 8);
    create_spread(&b, "wave", n, 8, 8, 0);
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
    start(&b, "wave", "inventory");
    for (unsigned i = 0; i < n && strcmp(engine_trouble(b.engine) ? "x" : "", "") == 0; i++) {
        bench_clock_ms += 60;
        engine_tick(b.engine);
        if (fake_pump(b.fleet, NULL) == 0 && i > 3)
            break;
    }
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
    assert_string_equal(bench_state(&b, "wave"), "done");
    bench_close(&b);
    return (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9;
}

static void many_pairs_cost_what_they_are(void **state)
{
    (void)state;
    double small = cost(500), large = cost(4000);
    print_message("500 pairs %.2f s, 4000 pairs %.2f s of CPU\n", small, large);
    /* 8 times as many: linear is 8, quadratic 64. */
    assert_true(large < small * 24);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_limit_is_used_and_none_is_passed),
        cmocka_unit_test(jobs_share_a_host_under_its_limit),
        cmocka_unit_test(many_pairs_cost_what_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
