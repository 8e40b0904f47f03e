/* test_vm_move: whole moves of machines against made-up agents in a made-up world: forth, back,
 * whatever act fails and however; the daemon killed at every commit. A machine never runs twice,
 * and nothing is left. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/vm_types.h"
#include "tests/unit/engine/vm_world.h"
#include "tests/unit/test.h"

static const struct {
    const char *type;
    bool runs;
    const char *story;
} moves[] = {
    {"cold",       true,
     "look.S look.D reserve.D stop.S state.S state.D copy.S copy.D fence.S define.D start.D "
     "answers.D drop.S adopt.D forget.S forget.D "                                      },
    {"cold",       false,
     "look.S look.D reserve.D state.S state.D copy.S copy.D fence.S define.D drop.S adopt.D "
     "forget.S forget.D "                                                               },
    {"warm",       true,
     "look.S look.D reserve.D seed.S seed.D pause.S state.S state.D copy.S copy.D fence.S define.D "
     "start.D answers.D drop.S adopt.D forget.S forget.D "                              },
    {"warm-quick", true,
     "look.S look.D reserve.D seed.S seed.D save.S state.S state.D copy.S copy.D fence.S define.D "
     "start.D answers.D drop.S adopt.D forget.S forget.D "                              },
    {"quick",      true,
     "look.S look.D mark.S see.D unmark.S save.S state.S state.D define.D start.D answers.D drop.S "
     "adopt.D forget.S forget.D "                                                       },
    {"san",        false,
     "look.S look.D mark.S see.D unmark.S state.S state.D define.D drop.S adopt.D forget.S "
     "forget.D "                                                                        },
    {"live",       true,
     "look.S look.D mark.S see.D unmark.S state.S state.D migrate.S migrate.D sight.S sight.D "
     "answers.D drop.S adopt.D forget.S forget.D "                                      },
    {"live-vsm",   true,
     "look.S look.D reserve.D state.S state.D migrate.S migrate.D sight.S sight.D fence.S "
     "answers.D "
     "drop.S adopt.D forget.S forget.D "                                                },
    {"library",    false,
     "look.S look.D reserve.D state.S state.D copy.S copy.D shelve.D forget.S forget.D "},
};

/* A copy alone goes into a library: the machine stays. */
static bool copies(const char *type)
{
    return strcmp(type, "library") == 0;
}

static void each_type_has_its_acts_in_their_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(moves); i++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, moves[i].type, moves[i].runs);
        assert_int_equal(enter(b, "move"), 0);
        bench_run(b, agents, 200);
        CLEANUP(mem_free) char *told = story(b);
        assert_string_equal(told, moves[i].story);
        assert_string_equal(bench_state(b, "wave"), "done");
        assert_string_equal(state_of(b), copies(moves[i].type) ? "copied" : "moved");
        check_moved(moves[i].type);
        assert_int_equal(enter(b, "move"), -EALREADY);
        assert_int_equal(enter(b, "rollback"), -EPROTO);
        (void)bench_tear_down(&own);
    }
}

/* ── failures ── */

#define MARKS 3 /* they are never given up */
static const char *const acts[] = {"mark",   "see",   "unmark",  "reserve", "seed",    "stop",
                                   "pause",  "save",  "state",   "copy",    "migrate", "fence",
                                   "define", "start", "answers", "shelve"};

/* After a live move, when the machine is at the destination already. */
static bool is_late(const char *act)
{
    return strcmp(act, "fence") == 0 || strcmp(act, "answers") == 0;
}

static unsigned fail_everywhere(const char *type, bool runs, enum how how)
{
    unsigned n = 0;
    for (size_t k = how == CANCELS ? MARKS : 0; k < ARRAY_SIZE(acts); k++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, type, runs);
        bad.stage = acts[k];
        bad.how = how;
        bad.times = strcmp(acts[k], "unmark") == 0; /* the way back takes them away as well */
        bool live_done = how == AFTER && strcmp(acts[k], "migrate") == 0;
        assert_int_equal(enter(b, "move"), 0);
        bench_run(b, agents, 400);
        if (failed == 0 || live_done) { /* no such act, or both hosts say that it moved */
            check_moved(acts[k]);
        } else {
            n++;
            assert_string_equal(bench_state(b, "wave"), "failed");
            bool arrived = vm_type_has(vm_type_named(type), "migrate") && is_late(acts[k]);
            assert_string_equal(state_of(b), arrived ? "half done" : "went back");
            if (!arrived)
                check_back(acts[k]);
        }
        (void)bench_tear_down(&own);
    }
    return n;
}

static void whatever_fails_the_machine_is_where_it_was(void **state)
{
    static const enum how hows[] = {BEFORE, AFTER, CANCELS};
    unsigned n = 0;
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(moves); i++)
        for (size_t k = 0; k < ARRAY_SIZE(hows); k++)
            n += fail_everywhere(moves[i].type, moves[i].runs, hows[k]);
    print_message("%u failures, each taken back whole\n", n);
    assert_true(n > 100);
}

static void a_passing_trouble_is_tried_again(void **state)
{
    struct bench *b = *state;
    move_job(b, "cold", true);
    bad.stage = "copy";
    bad.how = RETRIES;
    bad.times = 3;
    assert_int_equal(enter(b, "move"), 0);
    for (int i = 0; i < 20; i++) {
        bench_run(b, agents, 30);
        bench_clock_ms += 61000;
    }
    assert_string_equal(state_of(b), "moved");
    check_moved("copy");
}

static void an_act_that_hangs_is_over_its_limit(void **state)
{
    struct bench *b = *state;
    move_job(b, "cold", true);
    bad.stage = "define";
    bad.how = SILENT;
    bad.times = 1000;
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 60);
    assert_string_equal(bench_state(b, "wave"), "running");
    bench_clock_ms += 121000;
    bench_run(b, agents, 10);
    failed = bad.times; /* it wakes up */
    bench_run(b, agents, 300);
    assert_string_equal(state_of(b), "went back");
    check_back("define");
}

static void storage_that_is_not_shared_stops_it(void **state)
{
    struct bench *b = *state;
    move_job(b, "live", true);
    w->blind = true;
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 200);
    assert_string_equal(state_of(b), "went back");
    check_back("blind");
    CLEANUP(mem_free) char *told = story(b);
    assert_null(strstr(told, "migrate"));
}

static void what_changed_since_the_plan_stops_it(void **state)
{
    static const struct {
        const char *digest;
        int here, there;
    } cases[] = {
        {"d2", SIGHT(RUNNING), SIGHT(ABSENT)},
        {"d1", SIGHT(OFF),     SIGHT(ABSENT)},
        {"d1", SIGHT(RUNNING), SIGHT(OFF)   },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, "cold", true);
        (void)snprintf(w->digest, sizeof w->digest, "%s", cases[i].digest);
        w->here = cases[i].here;
        w->there = cases[i].there;
        assert_int_equal(enter(b, "move"), 0);
        bench_run(b, agents, 200);
        assert_string_equal(bench_state(b, "wave"), "failed");
        CLEANUP(mem_free) char *told = story(b);
        assert_null(strstr(told, "reserve"));
        assert_string_equal(state_of(b), "refused");
        (void)bench_tear_down(&own);
    }
}

/* Neither host has it running, or both claim it: nobody guesses. */
static void what_nobody_understands_is_left_to_a_person(void **state)
{
    struct bench *b = *state;
    move_job(b, "live-vsm", true);
    bad.stage = "migrate";
    bad.how = BREAKS;
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 200);
    assert_string_equal(state_of(b), "needs a person");
    assert_true(w->here == SIGHT(PAUSED) && w->there == SIGHT(STUCK) && w->reserved);
    CLEANUP(mem_free) char *told = story(b);
    assert_null(strstr(told, "-"));
    CLEANUP(mem_free) char *remedy = remedy_of(b);
    assert_non_null(strstr(remedy, "on both hosts"));
    /* Asked again nothing is done either, until a person has decided. */
    bad.stage = NULL;
    go_back(b);
    assert_string_equal(state_of(b), "needs a person");
    assert_true(w->reserved);
    w->here = SIGHT(RUNNING);
    w->there = SIGHT(ABSENT);
    go_back(b);
    assert_string_equal(state_of(b), "went back");
    check_back("decided");
    CLEANUP(mem_free) char *none = remedy_of(b);
    assert_string_equal(none, "");
}

/* Somebody else has a hand in it while the last act is taken back. */
static int hand_here, hand_there;
static struct fake_answer agents_and_a_hand(const struct fake_op *op, unsigned nth)
{
    struct fake_answer a = agents(op, nth);
    if (op->action == UNDO && strcmp(op->stage, "reserve") == 0) {
        w->here = hand_here;
        w->there = hand_there;
    }
    return a;
}

/* All was taken back, and yet it is not what it was: that is said, with what there is to do. */
static void what_is_not_as_before_is_said(void **state)
{
    static const struct {
        int here, there;
        const char *remedy;
    } cases[] = {
        {SIGHT(OFF),     SIGHT(ABSENT), "virsh start"        },
        {SIGHT(ABSENT),  SIGHT(ABSENT), "neither host knows" },
        {SIGHT(RUNNING), SIGHT(OFF),    "on both hosts"      },
        {SIGHT(PAUSED),  SIGHT(ABSENT), "make it what it was"},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, "cold", true);
        bad.stage = "copy";
        bad.how = BEFORE;
        hand_here = cases[i].here;
        hand_there = cases[i].there;
        assert_int_equal(enter(b, "move"), 0);
        bench_run(b, agents_and_a_hand, 300);
        assert_string_equal(state_of(b), "needs a person");
        CLEANUP(mem_free) char *remedy = remedy_of(b);
        assert_non_null(strstr(remedy, cases[i].remedy));
        (void)bench_tear_down(&own);
    }
}

/* libvirt is away just when both are to say where the machine is. */
static void what_nobody_says_is_asked_again(void **state)
{
    static const bool arrives[] = {true, false};
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(arrives); i++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, "live-vsm", true);
        bad.stage = "migrate";
        bad.how = arrives[i] ? AFTER : BEFORE;
        bad.looks = true;
        assert_int_equal(enter(b, "move"), 0);
        for (int k = 0; k < 3; k++) {
            bench_run(b, agents, 20);
            bench_clock_ms += 5000;
            assert_true(w->reserved); /* it may stand on that */
        }
        bad.looks = false;
        for (int k = 0; k < 10; k++) {
            bench_run(b, agents, 100);
            bench_clock_ms += 61000;
        }
        assert_string_equal(state_of(b), arrives[i] ? "moved" : "went back");
        if (arrives[i])
            check_moved("asked again");
        else
            check_back("asked again");
        (void)bench_tear_down(&own);
    }
}

/* Taken back while the call is out, which meanwhile went well. */
static void what_has_arrived_is_not_taken_back(void **state)
{
    struct bench *b = *state;
    struct fault why = {.err = 0};
    json_t *json = NULL;
    move_job(b, "live-vsm", true);
    bad.stage = "migrate";
    bad.how = SILENT;
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 60);
    w->here = SIGHT(MIGRATED);
    w->there = SIGHT(RUNNING);
    bad.stage = NULL;
    assert_int_equal(engine_job_back(b->engine, "wave", "rollback", NULL, &json, &why), 0);
    json_decref(json);
    bench_run(b, agents, 300);
    assert_string_equal(state_of(b), "half done");
    assert_true(w->there == SIGHT(RUNNING) && w->reserved);
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 300);
    assert_string_equal(state_of(b), "moved");
    check_moved("arrived");
}

static void beyond_the_commit_it_only_goes_forth(void **state)
{
    struct bench *b = *state;
    move_job(b, "cold", true);
    bad.stage = "adopt";
    bad.how = BEFORE;
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 200);
    assert_string_equal(bench_state(b, "wave"), "failed");
    assert_string_equal(state_of(b), "half done");
    assert_int_equal(w->there, SIGHT(RUNNING));
    assert_int_equal(enter(b, "rollback"), -EPROTO);
    bad.stage = NULL;
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 200);
    assert_string_equal(state_of(b), "moved");
    check_moved("adopt");
    CLEANUP(mem_free) char *told = story(b);
    const char *first = strstr(told, "drop.S");
    assert_null(strstr(first + 1, "drop.S"));
    assert_null(strstr(first + 1, "reserve"));
}

static void an_operator_takes_it_back(void **state)
{
    struct bench *b = *state;
    struct fault why = {.err = 0};
    json_t *json = NULL;
    move_job(b, "cold", true);
    bad.stage = "copy";
    bad.how = SILENT;
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 60);
    bad.stage = NULL;
    assert_int_equal(engine_job_back(b->engine, "wave", "rollback", NULL, &json, &why), 0);
    json_decref(json);
    bench_run(b, agents, 300);
    assert_string_equal(state_of(b), "went back");
    check_back("rollback");
    /* And forth once more. */
    assert_int_equal(enter(b, "move"), 0);
    bench_run(b, agents, 300);
    assert_string_equal(state_of(b), "moved");
}

static void other_commands_keep_away(void **state)
{
    struct bench *b = *state;
    struct fault why = {.err = 0};
    json_t *json = NULL;
    const struct engine_start how = {.phase = NULL};
    move_job(b, "cold", true);
    assert_int_equal(engine_job_start(b->engine, "wave", &how, &json, &why), -EPROTO);
    assert_non_null(strstr(why.text, "godwit vm"));
    assert_int_equal(bench_call(b, engine_job_delete, "wave"), 0);
}

/* ── kill -9 of the orchestrator ── */

static int countdown;

static void kill_here(int after)
{
    if (after == 0 && --countdown == 0)
        (void)raise(SIGKILL);
}

static int live_on(struct bench *b, const char *end)
{
    bench_start(b);
    fake_online(b->fleet, "s1");
    fake_online(b->fleet, "d1");
    if (!*state_of(b))
        (void)enter(b, "move");
    bench_run(b, agents, 300);
    bool good = strcmp(state_of(b), end) == 0;
    bench_end(b);
    return good ? 0 : 3;
}

static int in_child(struct bench *b, int n, const char *end)
{
    pid_t pid = fork();
    if (pid == 0) {
        countdown = n;
        bench_on_commit = n ? kill_here : NULL;
        _exit(live_on(b, end));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static unsigned kill_everywhere(const char *type, const char *failing)
{
    const char *end = failing ? "went back" : "moved";
    unsigned n = 1;
    for (int rc = -SIGKILL; rc == -SIGKILL; n++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        move_job(b, type, true);
        bench_end(b);
        bad.stage = failing;
        bad.how = AFTER;
        rc = in_child(b, (int)n, end);
        if (rc == -SIGKILL)
            rc = in_child(b, 0, end) == 0 ? -SIGKILL : 3;
        if (rc != -SIGKILL && rc != 0)
            fail_msg("killed at commit %u: it does not end as %s", n, end);
        if (failing)
            check_back(failing);
        else
            check_moved("killed");
        bench_start(b);
        (void)bench_tear_down(&own);
    }
    return n;
}

static void a_kill_at_any_commit_goes_on_where_it_was(void **state)
{
    unsigned n = 0;
    (void)state;
    n += kill_everywhere("cold", NULL);
    n += kill_everywhere("cold", "start");
    n += kill_everywhere("live-vsm", NULL);
    print_message("killed at %u commits\n", n);
    assert_true(n > 100);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_has_its_acts_in_their_order),
        cmocka_unit_test(whatever_fails_the_machine_is_where_it_was),
        CASE(a_passing_trouble_is_tried_again),
        CASE(an_act_that_hangs_is_over_its_limit),
        CASE(storage_that_is_not_shared_stops_it),
        cmocka_unit_test(what_changed_since_the_plan_stops_it),
        CASE(what_nobody_understands_is_left_to_a_person),
        cmocka_unit_test(what_is_not_as_before_is_said),
        cmocka_unit_test(what_nobody_says_is_asked_again),
        CASE(what_has_arrived_is_not_taken_back),
        CASE(beyond_the_commit_it_only_goes_forth),
        CASE(an_operator_takes_it_back),
        CASE(other_commands_keep_away),
        cmocka_unit_test(a_kill_at_any_commit_goes_on_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
