/* test_vm_fall: a source without power in the middle of a live move, and hosts that do not reach
 * each other while a machine is held for its move. */
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
        bool said;
    } cases[] = {
        {"live-vsm", SIGHT(ABSENT),   true },
        {"live-vsm", SIGHT(MIGRATED), true },
        {"live",     SIGHT(PAUSED),   true },
        {"live-vsm", SIGHT(RUNNING),  false},
        {"live-vsm", SIGHT(ABSENT),   false},
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
        assert_int_equal(enter(b, "move"), 0);
        bench_run(b, agents, 300);
        tells_nothing = false;
        tells_there = 0;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_held_does_not_wait_for_a_link),
        cmocka_unit_test(a_source_that_falls_has_it_back),
        cmocka_unit_test(what_lingers_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
