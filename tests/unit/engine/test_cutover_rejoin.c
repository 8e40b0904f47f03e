/* test_cutover_rejoin: members of a domain that are cut over by joining anew, against made-up
 * agents: the order, and the way back from each of its stages. */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "proto/identity.pb-c.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/engine/cutting.h"
#include "tests/unit/test.h"

#define SETTINGS "{\"source_address\":\"192.0.2.77/24\",\"method\":\"rejoin\"}"
#define UNDO GODWIT__IDENTITY_ACTION__IDENTITY_UNDO

/* Users wait from "close" to the end of the one order that goes to each side. */
#define FORTH                                                                                      \
    "connect.S connect.D check.D check.S staged.S guard.S guard.D stop.D collect.S leave.D "       \
    "fence.S "                                                                                     \
    "close+stop.S "                                                                                \
    "names+addresses+join+start.D addresses+leave.S dns.D names.S users.S unguard.D "              \
    "unguard.S join.S dns.S lockout.S tidy.D collect.D collect.S "

static int set_up(void **state)
{
    fake_member = true;
    return bench_set_up(state);
}

static int tear_down(void **state)
{
    fake_member = false;
    cutting_fail_at(NULL, false, FAULT_NONE);
    return bench_tear_down(state);
}

static void users_wait_for_one_order_to_each_side(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "cut over");
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_string_equal(told, FORTH);
    assert_int_equal(cutting_back(b), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
    CLEANUP(mem_free) char *back = cutting_story(b);
    assert_string_equal(
        back, FORTH "written.D -tidy.D -lockout+dns+join+names.S -dns+start+join+addresses+names.D "
                    "-leave+addresses+stop+close+fence.S -leave+stop+guard.D -guard+staged.S "
                    "forget.D forget.S ");
}

static size_t nobody_may_remove(const struct fake_op *op, uint8_t ret[FAKE_BODY])
{
    char text[] = "the account FS1-OLD stays";
    Godwit__IdentityResult r = GODWIT__IDENTITY_RESULT__INIT;
    r.is = true;
    r.after = text;
    return op->action == UNDO ? godwit__identity_result__pack(&r, ret) : 0;
}

/* Each is noted, waited for, and asked for. */
static void a_person_may_do_what_a_host_can_note(void **state)
{
    static const struct {
        const char *row, *stage;
        bool source;
    } rows[] = {
        {"destination.leave", "leave", false},
        {"source.fence",      "fence", true },
        {"source.close",      "close", true },
        {"source.leave",      "leave", true },
        {"destination.join",  "join",  false},
        {"destination.dns",   "dns",   false},
        {"source.join",       "join",  true },
        {"source.dns",        "dns",   true },
    };
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover", "{\"by_hand\":[\"bundle\"]}"), -EINVAL);
    assert_int_equal(
        cutting_enter(b, "cutover",
                      "{\"source_address\":\"192.0.2.77/24\",\"method\":\"rejoin\",\"by_hand\":["
                      "\"source.fence\",\"source.close\",\"source.leave\",\"destination.leave\","
                      "\"source.join\",\"destination.join\",\"destination.dns\",\"source.dns\"]}"),
        0);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bench_run(b, cutting_agents, 200);
        const struct fake_op *last = fake_last(b->fleet, "identity.stage");
        assert_string_equal(last->stage, rows[i].stage);
        assert_int_equal(last->source, rows[i].source);
        assert_int_equal(last->action, GODWIT__IDENTITY_ACTION__IDENTITY_NOTE);
        assert_string_equal(cutting_state(b), "running");
        assert_int_equal(cutting_enter(b, "cutover", NULL), 0);
    }
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "cut over");
}

/* Nobody can write what goes sealed from host to host. */
static void a_transplant_joins_by_itself(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover",
                                   "{\"source_address\":\"192.0.2.77/24\",\"by_hand\":["
                                   "\"destination.join\"]}"),
                     0);
    bench_run(b, cutting_agents, 60);
    assert_string_equal(bench_state(b, "wave"), "failed");
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_null(strstr(told, "stop"));
}

static void what_was_said_holds_until_it_is_taken_back(void **state)
{
    static const struct {
        const char *settings, *job;
    } rows[] = {
        {"{\"source_address\":\"192.0.2.77/24\",\"by_hand\":[\"destination.join\"]}", "failed"},
        {NULL,                                                                        "failed"},
        {"{\"by_hand\":null}",                                                        "done"  },
        {"{\"map\":[\"52:54:00:00:00:01=52:54:00:00:00:99\"]}",                       "failed"},
        {NULL,                                                                        "failed"},
        {"{\"map\":null}",                                                            "done"  },
        {"{\"new_name\":\"NEW1\"}",                                                   "failed"},
        {"{\"new_name\":null}",                                                       "done"  },
    };
    struct bench *b = *state;
    cutting_copied(b);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(cutting_enter(b, "prepare", rows[i].settings), 0);
        bench_run(b, cutting_agents, 60);
        if (strcmp(bench_state(b, "wave"), rows[i].job) != 0)
            fail_msg("row %zu: %s", i, bench_pair(b, "wave", 1, "reason"));
    }
}

/* Where the night never comes: nothing stays, and what does is told. */
static void what_was_prepared_is_taken_back(void **state)
{
    struct bench *b = *state;
    json_t *json = NULL;
    struct fault why = {.err = 0};
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "prepare", SETTINGS), 0);
    bench_run(b, cutting_agents, 60);
    assert_string_equal(cutting_state(b), "prepared");
    assert_int_equal(bench_call(b, engine_job_delete, "wave"), -EBUSY);
    fake_body = nobody_may_remove;
    assert_int_equal(cutting_back(b), 0);
    bench_run(b, cutting_agents, 60);
    fake_body = NULL;
    assert_string_equal(cutting_state(b), "rolled back");
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_string_equal(told, "connect.S connect.D check.D check.S staged.S -staged.S "
                              "forget.D forget.S ");
    assert_int_equal(engine_job_outline(b->engine, "wave", &json, &why), 0);
    const json_t *left = json_object_get(json_array_get(json_object_get(json, "pairs"), 0), "left");
    assert_int_equal(json_array_size(left), 1);
    assert_string_equal(json_string_value(json_array_get(left, 0)), "the account FS1-OLD stays");
    json_decref(json);
    assert_int_equal(bench_call(b, engine_job_delete, "wave"), 0);
}

/* Whatever an agent may have noted is taken back. */
static void check_undone(const struct bench *b, const char *at)
{
    static const char *const lasting[] = {"fence",     "close", "stop",  "leave",
                                          "addresses", "names", "join",  "start",
                                          "lockout",   "dns",   "staged"};
    for (size_t i = 0; i < b->fleet->nops; i++) {
        const struct fake_op *op = &b->fleet->ops[i];
        for (size_t k = 0; k < ARRAY_SIZE(lasting) && op->action != UNDO; k++) {
            bool undone = !cutting_has_stage(op, lasting[k]);
            for (size_t n = i + 1; !undone && n < b->fleet->nops; n++) {
                const struct fake_op *x = &b->fleet->ops[n];
                undone = cutting_has_stage(x, lasting[k]) && x->source == op->source &&
                         x->action == UNDO && x->over;
            }
            if (!undone)
                fail_msg("failed at %s: %s is left", at, lasting[k]);
        }
    }
}

static struct fake_answer waits_to_join(const struct fake_op *op, unsigned nth)
{
    if (!op->source && op->action != UNDO && cutting_has_stage(op, "join"))
        return (struct fake_answer){.silent = true};
    return cutting_agents(op, nth);
}

static void a_failure_at_any_stage_goes_back(void **state)
{
    static const struct {
        const char *stage;
        bool source;
    } stages[] = {
        {"leave",     false},
        {"close",     true },
        {"stop",      true },
        {"leave",     true },
        {"addresses", true },
        {"names",     false},
        {"join",      false},
        {"addresses", false},
        {"start",     false},
        {"names",     true },
        {"dns",       false},
        {"users",     true },
        {"unguard",   false},
        {"unguard",   true },
        {"join",      true },
        {"dns",       true },
        {"lockout",   true },
        {"tidy",      false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
        void *own = NULL;
        (void)set_up(&own);
        struct bench *b = own;
        cutting_copied(b);
        cutting_fail_at(stages[i].stage, stages[i].source, FAULT_STOP_JOB);
        assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
        bench_run(b, cutting_agents, 200);
        if (strcmp(cutting_state(b), "rolled back") != 0)
            fail_msg("failed at %s: %s", stages[i].stage, cutting_state(b));
        check_undone(b, stages[i].stage);
        (void)tear_down(&own);
    }
}

/* The destination waits for it in an order of its own: it is told at once. */
static void a_source_that_cannot_leave_is_not_waited_for(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    cutting_fail_at("leave", true, FAULT_STOP_JOB);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, waits_to_join, 200);
    assert_string_equal(cutting_state(b), "rolled back");
    check_undone(b, "leave");
    const struct fake_op *join = NULL;
    for (size_t i = 0; i < b->fleet->nops && !join; i++)
        if (cutting_has_stage(&b->fleet->ops[i], "join") && b->fleet->ops[i].action != UNDO)
            join = &b->fleet->ops[i];
    assert_true(join && join->cancelled);
}

/* It gives a copy of its key, which nobody asks for without a user; where it does not, all else is
 * rehearsed. */
static void a_user_of_the_domain_takes_the_source_along(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "rehearse", SETTINGS), 0);
    bench_run(b, cutting_agents, 100);
    CLEANUP(mem_free) char *alone = cutting_story(b);
    assert_string_equal(alone, "connect.S connect.D check.D check.S rehearse.D ");
    assert_int_equal(cutting_enter(b, "rehearse", "{\"probe_user\":\"alice\"}"), 0);
    bench_run(b, cutting_agents, 100);
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_non_null(strstr(told + strlen(alone), "rehearse.S"));
    cutting_fail_at("rehearse", true, FAULT_STOP_JOB);
    assert_int_equal(cutting_enter(b, "rehearse", NULL), 0);
    bench_run(b, cutting_agents, 100);
    assert_string_equal(cutting_state(b), "prepared");
    assert_string_equal(bench_state(b, "wave"), "done");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(users_wait_for_one_order_to_each_side, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_person_may_do_what_a_host_can_note, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_transplant_joins_by_itself, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_said_holds_until_it_is_taken_back, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_was_prepared_is_taken_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_user_of_the_domain_takes_the_source_along, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_source_that_cannot_leave_is_not_waited_for, set_up,
                                        tear_down),
        cmocka_unit_test(a_failure_at_any_stage_goes_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
