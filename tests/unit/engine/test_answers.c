/* test_answers: what the console hears: checks before a start, errors, phases. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/test.h"

static const char *check_result(struct bench *b, const char *job, const char *id, int *retrc)
{
    static char ret[16];
    struct fault why = {.err = 0};
    json_t *json = NULL, *check;
    size_t i;
    *retrc = engine_job_validate(b->engine, job, &json, &why);
    ret[0] = '\0';
    json_array_foreach(json_object_get(json, "checks"), i, check)
    {
        if (strcmp(json_string_value(json_object_get(check, "id")), id) == 0)
            (void)snprintf(ret, sizeof ret, "%s",
                           json_string_value(json_object_get(check, "result")));
    }
    json_decref(json);
    return ret;
}

#define PAIR(h1, p1, h2, p2)                                                                       \
    "{\"source\":{\"host\":\"" h1 "\",\"path\":\"" p1 "\"},\"destination\":{\"host\":\"" h2        \
    "\",\"path\":\"" p2 "\"}}"

static void validate_finds_what_would_go_wrong(void **state)
{
    static const struct {
        const char *name, *pairs, *check; /* check NULL: all is well */
    } cases[] = {
        {"sound",              PAIR("s1", "/a",      "d1",                   "/a") "," PAIR("s1",                                 "/a",                                                                                                               "d1", "/ab"), NULL},
        {"same",              PAIR("s1",                   "/a",                            "d1",                                             "/x") "," PAIR("s1",                                                                          "/b",                                                                                                                                                                      "d1", "/x"),
         "destinations-distinct"},
        {"nested",
         PAIR("s1",      "/a",           "d1","/x") "," PAIR("s1",                                                                                                 "/b",                                                                                                                                                                                                                   "d1", "/x.y") "," PAIR("s1", "/c", "d1",
         "/x/y/z"),
         "destinations-distinct"},
        {"root",            PAIR("s1",            "/a",       "d1",                           "/") "," PAIR("s1","/b","d1", "/x"),
         "destinations-distinct"},
        {"other-host",                PAIR("s1",                     "/a",                                  "d1",                                            "/x") "," PAIR("d1",                                                                                               "/b",                                                                                                                                                                                                            "s1", "/x"), NULL},
        {"itself",                PAIR("s1",          "/a","s1","/a"),                                                         "source-not-destination"                                                                                                                                                                                                                                                                                                },
        {"below",                    PAIR("s1",                  "/a",   "s1", "/a/b"),               "source-not-destination"                                                                  },
        {"above",                PAIR("s1",                    "/a/b",                         "s1",                                               "/a"),                                                                                           "source-not-destination"},
        {"beside",                PAIR("s1",                    "/a",           "s1",                                               "/ab"),                                    NULL},
        {"lost",                PAIR("s2",                  "/a", "d1",                       "/a"),                                                      "hosts-online"                                                                             },
        {"unknown",                PAIR("s3",                    "/a","d1","/a"),"hosts-known"                       },
    };
    struct bench *b = *state;
    fake_host_named(b->fleet, "s3")->unknown = true;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        int rc = 0;
        char *spec = xasprintf("{\"name\":\"%s\",\"workload\":\"files\",\"pairs\":[%s]}",
                               cases[i].name, cases[i].pairs);
        bench_create(b, spec);
        free(spec);
        const char *got =
            check_result(b, cases[i].name, cases[i].check ? cases[i].check : "hosts-known", &rc);
        if (strcmp(got, cases[i].check ? "fail" : "pass") != 0 ||
            rc != (cases[i].check ? -EREMOTEIO : 0))
            fail_msg("%s: %s, %d", cases[i].name, got, rc);
    }
    const struct engine_start how = {.phase = NULL};
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_job_start(b->engine, "nested", &how, &json, &why), -EREMOTEIO);
}

static void errors_say_what_was_wrong(void **state)
{
    struct bench *b = *state;
    struct engine_start how = {.phase = "nothing"};
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(bench_call(b, engine_job_pause, "nobody"), -ENOENT);
    bench_job(b, "wave", 1);
    assert_int_equal(engine_job_start(b->engine, "wave", &how, &json, &why), -EINVAL);
    how.phase = NULL;
    assert_int_equal(engine_job_start(b->engine, "wave", &how, &json, &why), -EPROTO);
    assert_non_null(strstr(why.text, "wave is running"));
    assert_int_equal(engine_job_create(b->engine,
                                       "{\"name\":\"wave\",\"workload\":\"files\",\"pairs\":[" PAIR(
                                           "s1", "/a", "d1", "/a") "]}",
                                       &json, &why),
                     -EEXIST);
    bench_commit_rc = -ENOSPC;
    assert_int_equal(engine_job_create(b->engine,
                                       "{\"name\":\"two\",\"workload\":\"files\",\"pairs\":[" PAIR(
                                           "s1", "/a", "d1", "/a") "]}",
                                       &json, &why),
                     -ENOSPC);
    bench_commit_rc = 0;
    assert_string_equal(bench_state(b, "two"), "missing");
}

static void a_phase_is_run_alone(void **state)
{
    struct bench *b = *state;
    struct engine_start how = {.phase = "inventory"};
    struct fault why = {.err = 0};
    json_t *json = NULL;
    bench_create(b, "{\"name\":\"wave\",\"workload\":\"files\",\"pairs\":[" PAIR("s1", "/a", "d1",
                                                                                 "/a") "]}");
    assert_int_equal(engine_job_start(b->engine, "wave", &how, &json, &why), 0);
    json_decref(json);
    bench_run(b, NULL, 20);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_int_equal(fake_count(b->fleet, "files.prepare"), 0);
    assert_int_equal(engine_inventory(b->engine, "wave", &json, &why), 0);
    const json_t *first = json_array_get(json_object_get(json, "pairs"), 0);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(first, "inventory"), "files")), 10);
    json_decref(json);
    how.phase = "transfer";
    assert_int_equal(engine_job_start(b->engine, "wave", &how, &json, &why), 0);
    json_decref(json);
    bench_run(b, NULL, 20);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_int_equal(fake_count(b->fleet, "files.inventory"), 1);
    assert_int_equal(fake_count(b->fleet, "files.send"), 1);
}

/* -EAGAIN: the answer comes later. */
static int ask_failures(struct bench *b, unsigned pair, uint64_t from, json_t **ret)
{
    const struct engine_failed which = {.job = "wave", .pair = pair, .from = from};
    struct fault why = {.err = 0};
    bool later = false;
    int rc = engine_job_failures(b->engine, &which, &later, ret, &why);
    return later ? -EAGAIN : rc;
}

static void pages_of_failures_come_from_the_source(void **state)
{
    struct bench *b = *state;
    json_t *page = NULL;
    bench_job(b, "wave", 2);
    bench_run(b, NULL, 30);
    assert_int_equal(ask_failures(b, 0, 0, &page), -ENOENT);
    assert_int_equal(ask_failures(b, 3, 0, &page), -ENOENT);
    assert_int_equal(ask_failures(b, 2, 0, &page), -EAGAIN);
    assert_int_equal(ask_failures(b, 2, 0, &page), -EAGAIN); /* asked once */
    assert_int_equal(ask_failures(b, 2, 9, &page), -EAGAIN); /* another one waits for its turn */
    assert_int_equal(fake_count(b->fleet, "files.failures"), 1);
    assert_string_equal(fake_last(b->fleet, "files.failures")->host, "s1");
    (void)fake_pump(b->fleet, NULL);
    assert_int_equal(ask_failures(b, 2, 0, &page), 0);
    assert_int_equal(json_array_size(json_object_get(page, "failures")), 0);
    assert_string_equal(json_string_value(json_object_get(page, "next")), "0");
    json_decref(page);
    assert_int_equal(ask_failures(b, 2, 9, &page), -EAGAIN);
    assert_int_equal(fake_count(b->fleet, "files.failures"), 2);
    fake_lost(b->fleet, "s1");
    assert_int_equal(ask_failures(b, 2, 9, &page), -EIO);
    assert_int_equal(ask_failures(b, 2, 9, &page), -EHOSTDOWN);
    fake_online(b->fleet, "s1");
    assert_int_equal(ask_failures(b, 1, 0, &page), -EAGAIN);
    assert_int_equal(bench_call(b, engine_job_delete, "wave"), 0);
    (void)fake_pump(b->fleet, NULL); /* nobody is there to take it */
    assert_int_equal(ask_failures(b, 1, 0, &page), -ENOENT);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, bench_set_up, bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(validate_finds_what_would_go_wrong),
        CASE(errors_say_what_was_wrong),
        CASE(a_phase_is_run_alone),
        CASE(pages_of_failures_come_from_the_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
