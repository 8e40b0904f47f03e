/* test_vm_fall: a source without power in the middle of a live move, hosts that do not reach each
 * other while a machine is held for its move, and limits that let nothing pass. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "tests/unit/engine/vm_world.h"
#include "tests/unit/test.h"

/* The hosts do not reach each other: a machine that is held goes back soon, one that is off by
 * itself has time. */
static void what_is_held_does_not_wait_for_a_link(void **state)
{
    static const struct {
        const char *type, *stage;
        bool runs;
        const char *is;
    } cases[] = {
        {"cold",       "copy",    true,  "went back"},
        {"cold",       "copy",    false, "moving"   },
        {"cold",       "state",   true,  "went back"},
        {"cold",       "state",   false, "moving"   },
        {"warm-quick", "state",   true,  "went back"},
        {"warm-quick", "seed",    true,  "went back"},
        {"live-vsm",   "migrate", true,  "went back"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, cases[i].type, cases[i].runs);
        bad.stage = cases[i].stage;
        bad.how = RETRIES;
        assert_int_equal(enter(b, "move"), 0);
        for (int k = 0; k < 6; k++, bench_clock_ms += 5000)
            bench_run(b, agents, 40);
        bench_run(b, agents, 100);
        assert_string_equal(state_of(b), cases[i].is);
        if (strcmp(cases[i].is, "went back") == 0)
            check_back(cases[i].type);
        (void)bench_tear_down(&own);
    }
}

/* The source has no power in the middle of it. As long as the destination has not said itself that
 * nothing came to be there that could run, nobody but a person knows. */
static void a_source_that_falls_has_it_back(void **state)
{
    static const struct {
        const char *type;
        Godwit__VmMoveSight__Is end; /* of the destination's act; then it is absent */
        bool said, defined;
    } cases[] = {
        {"live-vsm", SIGHT(ABSENT),   true,  false},
        {"live-vsm", SIGHT(MIGRATED), true,  false},
        {"live",     SIGHT(PAUSED),   true,  false},
        {"live-vsm", SIGHT(OFF),      true,  false},
        {"live-vsm", SIGHT(OFF),      false, true },
        {"live-vsm", SIGHT(RUNNING),  false, false},
        {"live-vsm", SIGHT(ABSENT),   false, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        bool said = cases[i].said;
        move_job(b, cases[i].type, true);
        bad.stage = "migrate";
        bad.how = FALLS;
        tells_nothing = !said && cases[i].end == SIGHT(ABSENT);
        tells_there = cases[i].end;
        tells_defined = cases[i].defined;
        assert_int_equal(enter(b, "move"), 0);
        bench_run(b, agents, 300);
        tells_nothing = false;
        tells_there = 0;
        tells_defined = false;
        assert_string_equal(state_of(b), said ? "went back" : "needs a person");
        if (said)
            check_back("it fell");
        else
            assert_true(w->reserved);
        (void)bench_tear_down(&own);
    }
}

/* The destination's hypervisor takes a while to let go of what came there. */
static void what_lingers_is_waited_for(void **state)
{
    static const bool goes[] = {true, false};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(goes); i++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, "live-vsm", true);
        bad.stage = "migrate";
        bad.how = LINGERS;
        assert_int_equal(enter(b, "move"), 0);
        bench_run(b, agents, 60);
        assert_string_equal(state_of(b), "moving");
        bench_clock_ms += 5000;
        if (goes[i])
            w->there = SIGHT(ABSENT);
        for (int k = 0; k < 6; k++, bench_clock_ms += 5000)
            bench_run(b, agents, 60);
        assert_string_equal(state_of(b), goes[i] ? "went back" : "needs a person");
        if (goes[i])
            check_back("it lingered");
        (void)bench_tear_down(&own);
    }
}

/* A machine does not begin to move while a limit lets nothing pass; one that moves goes on. */
static void a_move_begins_when_something_may_pass(void **state)
{
    struct bench *b = *state;
    struct fault why = {.err = 0};
    struct engine_limit shut = {"host", "d1", "1MiB/s", "daily 00:00-24:00 none"};
    struct engine_limit open = {"host", "d1", "1MiB/s", "daily 00:00-24:00 3MiB/s"};
    json_t *json = NULL;
    move_job(b, "live-vsm", true);
    assert_int_equal(engine_limit_set(b->engine, &shut, &json, &why), 0);
    json_decref(json);
    assert_int_equal(enter(b, "move"), 0);
    for (int k = 0; k < 10; k++, bench_clock_ms += 5000)
        bench_run(b, agents, 50);
    assert_int_equal(b->fleet->nops, 0);
    assert_string_equal(state_of(b), "waiting");
    assert_non_null(
        strstr(bench_pair(b, "wave", 1, "reason"), "the limit of host d1 lets nothing pass"));
    assert_int_equal(engine_limit_set(b->engine, &open, &json, &why), 0);
    json_decref(json);
    bad = (struct bad){.stage = "migrate", .how = SILENT, .action = DO};
    for (int k = 0; k < 3; k++, bench_clock_ms += 5000)
        bench_run(b, agents, 50);
    assert_string_equal(state_of(b), "moving");
    assert_int_equal(engine_limit_set(b->engine, &shut, &json, &why), 0);
    json_decref(json);
    go_back(b);
    assert_string_equal(state_of(b), "went back");
}

static uint64_t of_moved(const json_t *facts)
{
    const char *s = json_string_value(json_object_get(json_object_get(facts, "vm"), "state"));
    return s && strcmp(s, "moved") == 0 ? 7 : 0;
}

/* How fast the way between two hosts is, a move that had a limit of its own does not tell. */
static void a_limited_move_tells_no_rate(void **state)
{
    struct bench *b = *state;
    struct fault why = {.err = 0};
    struct engine_limit slow = {"job", "wave", "1MiB/s", NULL};
    json_t *json = NULL;
    move_job(b, "live-vsm", true);
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 100);
    assert_string_equal(state_of(b), "moved");
    assert_int_equal(engine_best_between(b->engine, "vm", "s1", "d1", of_moved), 7);
    assert_int_equal(engine_best_between(b->engine, "vm", "d1", "s1", of_moved), 0);
    assert_int_equal(engine_limit_set(b->engine, &slow, &json, &why), 0);
    json_decref(json);
    assert_int_equal(engine_best_between(b->engine, "vm", "s1", "d1", of_moved), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_held_does_not_wait_for_a_link),
        cmocka_unit_test(a_source_that_falls_has_it_back),
        cmocka_unit_test(what_lingers_is_waited_for),
        cmocka_unit_test_setup_teardown(a_move_begins_when_something_may_pass, bench_set_up,
                                        bench_tear_down),
        cmocka_unit_test_setup_teardown(a_limited_move_tells_no_rate, bench_set_up,
                                        bench_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
