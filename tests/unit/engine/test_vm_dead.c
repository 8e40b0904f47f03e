/* test_vm_dead: moves of machines whose destination is gone, for a while or for good. A machine
 * never runs twice: where it might run on a host that nobody hears, it waits for a person's word.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/engine/vm_world.h"
#include "tests/unit/test.h"

static struct fake_answer nobody_moves(const struct fake_op *op, unsigned nth)
{
    if (strcmp(op->stage, "migrate") != 0)
        return agents(op, nth);
    return (struct fake_answer){.status = GODWIT__RESULT__STATUS__FAILED, .next = FAULT_RETRY};
}

static void a_host_that_is_gone_does_not_hold_the_verdict(void **state)
{
    struct bench *b = *state;
    move_job(b, "live-vsm", true);
    assert_int_equal(enter(b, "move"), 0);
    bad = (struct bad){.stage = "migrate", .how = SILENT, .action = DO};
    bench_run(b, agents, 60);
    fake_lost(b->fleet, "d1");
    for (int k = 0; k < 20; k++, bench_clock_ms += 5000)
        bench_run(b, nobody_moves, 20);
    assert_string_equal(state_of(b), "stayed");
    assert_true(w->here == SIGHT(RUNNING) && w->reserved && enter(b, "move") < 0);
}

/* The destination is gone in the middle of it, and somebody may say that it is for good. A machine
 * that is held for its move runs on where it was, but not while it might run there; one that is off
 * by itself waits. What lies at the destination is taken away when that is back. */
static void a_machine_does_not_wait_for_a_dead_destination(void **state)
{
    static const struct {
        const char *stage;
        bool runs, asked;
        const char *meanwhile, *end;
        bool here; /* it runs at the source, though the destination is away */
    } cases[] = {
        {"copy",  true,  true,  "going back", "went back", true },
        {"fence", true,  true,  "going back", "went back", true },
        {"start", true,  true,  "going back", "went back", false},
        {"copy",  true,  false, "going back", "went back", true },
        {"copy",  false, false, "moving",     "moved",     false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        void *own = NULL;
        struct fault why = {.err = 0};
        json_t *json = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, "cold", cases[i].runs);
        bad.stage = cases[i].stage;
        bad.how = SILENT;
        assert_int_equal(enter(b, "move"), 0);
        bench_run(b, agents, 100);
        fake_lost(b->fleet, "d1");
        if (cases[i].asked)
            assert_int_equal(engine_job_back(b->engine, "wave", "rollback", NULL, &json, &why), 0);
        json_decref(json);
        for (int k = 0; k < 8; k++) {
            bench_run(b, agents, 50);
            assert_true(k > 0 || cases[i].asked || strcmp(state_of(b), "moving") == 0);
            bench_clock_ms += 5000;
        }
        bad.stage = NULL;
        bench_run(b, agents, 100);
        assert_int_equal(w->here == SIGHT(RUNNING), cases[i].here);
        assert_true(w->reserved);
        assert_string_equal(state_of(b), cases[i].meanwhile);
        fake_online(b->fleet, "d1");
        for (int k = 0; k < 5; k++) {
            bench_run(b, agents, 200);
            bench_clock_ms += 61000;
        }
        assert_string_equal(state_of(b), cases[i].end);
        (void)bench_tear_down(&own);
    }
}

/* An orchestrator that was down itself has heard of nobody: its hosts have the same time to come as
 * one that is lost. */
static void what_was_not_heard_of_is_waited_for(void **state)
{
    struct bench *b = *state;
    struct fake_host *d = fake_host_named(b->fleet, "d1");
    move_job(b, "cold", true);
    bad = (struct bad){.stage = "start", .how = SILENT, .action = DO};
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 100);
    bench_end(b);
    d->online = false;
    d->seen_ms = clock_wall_ms() - 60000;
    bench_clock_ms += 60000;
    bench_start(b);
    bench_run(b, agents, 5);
    assert_string_equal(state_of(b), "moving");
    bad.stage = NULL;
    fake_online(b->fleet, "d1");
    bench_run(b, agents, 200);
    assert_string_equal(state_of(b), "moved");
}

static int take_back(struct bench *b, const char *settings)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int rc = engine_job_back(b->engine, "wave", "rollback", settings, &json, &why);
    json_decref(json);
    return rc;
}

static void pass(struct bench *b, unsigned seconds)
{
    for (unsigned s = 0; s < seconds; s += 5, bench_clock_ms += 5000)
        bench_run(b, agents, 50);
}

/* What it was doing ends with it. */
static void power_off(struct bench *b)
{
    fake_lost(b->fleet, "d1");
    for (size_t i = 0; i < b->fleet->nops; i++)
        if (strcmp(b->fleet->ops[i].host, "d1") == 0)
            b->fleet->ops[i].over = b->fleet->ops[i].acknowledged = true;
}

#define OFF "{\"destination_off\":true}"

/* Somebody says that the destination is off for certain: the machine is back without it. What that
 * host has is taken away when it is up again. */
static void a_person_says_that_it_is_off(void **state)
{
    static const struct {
        const char *type, *stage;
        bool runs;
    } cases[] = {
        {"cold",     "define",  true },
        {"cold",     "start",   true },
        {"cold",     "start",   false},
        {"warm",     "start",   true },
        {"cold",     "copy",    true },
        {"live-vsm", "migrate", true },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, cases[i].type, cases[i].runs);
        bad.stage = !cases[i].runs ? "define" : cases[i].stage;
        bad.how = SILENT;
        assert_int_equal(enter(b, "move"), 0);
        bench_run(b, agents, 100);
        power_off(b);
        (void)take_back(b, NULL);
        bad.how = BEFORE; /* what was under way ends without effect */
        bool waits = strcmp(cases[i].stage, "copy") != 0;
        pass(b, 30);
        if (waits && cases[i].runs && strcmp(cases[i].type, "live-vsm") != 0)
            assert_true(w->here != SIGHT(RUNNING)); /* it might run there */
        assert_int_equal(take_back(b, OFF), 0);
        pass(b, 200);
        assert_string_equal(state_of(b), "went back");
        assert_int_equal(w->here, cases[i].runs ? SIGHT(RUNNING) : SIGHT(OFF));
        assert_true(w->reserved);
        /* It is up again: what the move made there goes. */
        w->there = SIGHT(ABSENT);
        fake_online(b->fleet, "d1");
        assert_int_equal(take_back(b, NULL), 0);
        pass(b, 200);
        assert_string_equal(state_of(b), "went back");
        check_back(cases[i].stage);
        (void)bench_tear_down(&own);
    }
}

/* While that host answers the word is refused, and nothing is taken back for it. */
static void of_a_host_that_answers_it_is_not_taken(void **state)
{
    struct bench *b = *state;
    move_job(b, "cold", true);
    bad.stage = "copy";
    bad.how = SILENT;
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 60);
    assert_int_equal(take_back(b, OFF), -EPROTO);
    bench_run(b, agents, 60);
    assert_string_equal(state_of(b), "moving");
    /* What was refused is not kept for later. */
    assert_int_equal(take_back(b, NULL), 0);
    power_off(b);
    pass(b, 30);
    bad.stage = NULL;
    assert_string_equal(state_of(b), "going back");
    fake_online(b->fleet, "d1");
    pass(b, 200);
    assert_string_equal(state_of(b), "went back");
    check_back("the word was refused");
}

static const char *dies_at; /* the destination, in the middle of taking this back */

static struct fake_answer dies(const struct fake_op *op, unsigned nth)
{
    if (dies_at && op->action == UNDO && strcmp(op->host, "d1") == 0 &&
        strcmp(op->stage, dies_at) == 0)
        return (struct fake_answer){.silent = true};
    return agents(op, nth);
}

/* It dies on the way back, with an act under way there. The word arrives there too; and where the
 * machine cannot run there, it runs on at the source without any. */
static void a_host_that_dies_on_the_way_back_is_not_waited_for(void **state)
{
    static const struct {
        const char *fails, *dies;
        bool word;
    } cases[] = {
        {"answers", "start",   true },
        {"answers", "define",  true },
        {"answers", "state",   true },
        {"answers", "copy",    true },
        {"answers", "reserve", true },
        {"fence",   "copy",    false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, "cold", true);
        bad.stage = cases[i].fails;
        bad.how = BEFORE;
        dies_at = cases[i].dies;
        assert_int_equal(enter(b, "move"), 0);
        bench_run(b, dies, 200);
        power_off(b);
        if (w->there == SIGHT(RUNNING))
            w->there = SIGHT(OFF);
        dies_at = NULL;
        assert_string_equal(state_of(b), "going back");
        if (cases[i].word)
            assert_int_equal(take_back(b, OFF), 0);
        pass(b, 60);
        assert_int_equal(w->here, SIGHT(RUNNING));
        assert_string_equal(state_of(b), cases[i].word ? "went back" : "going back");
        w->there = SIGHT(ABSENT);
        fake_online(b->fleet, "d1");
        if (cases[i].word)
            assert_int_equal(take_back(b, NULL), 0);
        pass(b, 200);
        assert_string_equal(state_of(b), "went back");
        check_back(cases[i].dies);
        (void)bench_tear_down(&own);
    }
}

/* The machine runs there, and nobody but the source can tell: b stands where a person says that the
 * host is off. */
static void it_runs_where_nobody_hears(struct bench *b)
{
    move_job(b, "cold", true);
    bad = (struct bad){.stage = "answers", .how = SILENT, .action = DO};
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 200);
    assert_int_equal(w->there, SIGHT(RUNNING));
    fake_lost(b->fleet, "d1");
    assert_int_equal(take_back(b, NULL), 0);
    pass(b, 60);
    bad.stage = NULL;
    assert_string_equal(state_of(b), "going back");
}

static void a_host_that_somebody_reaches_is_not_off(void **state)
{
    struct bench *b = *state;
    it_runs_where_nobody_hears(b);
    w->on = true;
    assert_int_equal(take_back(b, OFF), 0);
    pass(b, 60);
    assert_int_equal(w->there, SIGHT(RUNNING));
    assert_int_not_equal(w->here, SIGHT(RUNNING));
    assert_string_equal(state_of(b), "going back");
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "the source reaches it"));
    fake_online(b->fleet, "d1");
    pass(b, 100);
    assert_string_equal(state_of(b), "went back");
    check_back("a lie");
}

/* The word outlives the orchestrator that took it. */
static void the_word_is_not_forgotten(void **state)
{
    struct bench *b = *state;
    it_runs_where_nobody_hears(b);
    w->there = SIGHT(ABSENT); /* it is off now */
    assert_int_equal(take_back(b, OFF), 0);
    bench_end(b);
    bench_start(b);
    pass(b, 60);
    assert_string_equal(state_of(b), "went back");
    assert_int_equal(w->here, SIGHT(RUNNING));
}

/* Nor does it fall with the agent of that host, which is revoked since it never comes back. */
static void a_revoked_host_does_not_end_it(void **state)
{
    struct bench *b = *state;
    it_runs_where_nobody_hears(b);
    w->there = SIGHT(ABSENT);
    fake_revoke(b->fleet, "d1");
    pass(b, 1200); /* the orchestrator is up for long */
    assert_int_equal(take_back(b, OFF), 0);
    bad = (struct bad){.stage = "fence", .how = SILENT, .action = UNDO}; /* it takes a while */
    pass(b, 40);
    assert_string_equal(bench_state(b, "wave"), "running");
    bad.stage = NULL;
    pass(b, 200);
    assert_string_equal(state_of(b), "went back");
    assert_int_equal(w->here, SIGHT(RUNNING));
}

/* One that is back before anything was done without it is asked like the source. */
static void whoever_is_back_is_asked_again(void **state)
{
    struct bench *b = *state;
    it_runs_where_nobody_hears(b);
    fake_lost(b->fleet, "s1");
    assert_int_equal(take_back(b, OFF), 0);
    pass(b, 30);
    fake_online(b->fleet, "d1");
    fake_online(b->fleet, "s1");
    pass(b, 200);
    assert_string_equal(state_of(b), "went back");
    check_back("it is back");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_machine_does_not_wait_for_a_dead_destination),
        CASE(a_host_that_is_gone_does_not_hold_the_verdict),
        CASE(what_was_not_heard_of_is_waited_for),
        cmocka_unit_test(a_person_says_that_it_is_off),
        CASE(of_a_host_that_answers_it_is_not_taken),
        cmocka_unit_test(a_host_that_dies_on_the_way_back_is_not_waited_for),
        CASE(a_host_that_somebody_reaches_is_not_off),
        CASE(the_word_is_not_forgotten),
        CASE(a_revoked_host_does_not_end_it),
        CASE(whoever_is_back_is_asked_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
