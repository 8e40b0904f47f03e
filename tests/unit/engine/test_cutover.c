/* test_cutover: whole cutovers against made-up agents: forth, back, commit, limits, and the daemon
 * killed at every commit. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/cutover_carry.h"
#include "proto/identity.pb-c.h"
#include "tests/unit/engine/bench.h"
#include "tests/unit/engine/cutting.h"
#include "tests/unit/test.h"

#define SETTINGS "{\"source_address\":\"192.0.2.77/24\"}"
#define UNDO GODWIT__IDENTITY_ACTION__IDENTITY_UNDO

#define FORTH                                                                                      \
    "connect.S connect.D check.D check.S guard.S guard.D stop.D collect.S fence.S close+stop.S "   \
    "bundle+names+join+addresses+start.D bundle+addresses.S names.S users.S unguard.D unguard.S "  \
    "lockout.S tidy.D collect.D collect.S "

static void a_cutover_runs_to_its_end_and_is_committed(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "commit", NULL), -EPROTO);
    assert_int_equal(cutting_enter(b, "rollback", NULL), -EALREADY);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_string_equal(cutting_state(b), "cut over");
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_string_equal(told, FORTH);
    assert_int_equal(fake_count(b->fleet, "files.send"), 3);
    /* Nothing may be copied over what users write now, and nothing is done twice. */
    assert_int_equal(bench_call(b, engine_job_retry, "wave"), -EPROTO);
    const struct engine_start how = {.phase = NULL};
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_job_start(b->engine, "wave", &how, &json, &why), -EPROTO);
    assert_int_equal(cutting_enter(b, "cutover", NULL), -EALREADY);
    assert_int_equal(cutting_enter(b, "commit", NULL), 0);
    bench_run(b, cutting_agents, 60);
    assert_string_equal(cutting_state(b), "committed");
    assert_int_equal(cutting_enter(b, "commit", NULL), -EALREADY);
    assert_int_equal(cutting_enter(b, "rollback", NULL), -EPROTO);
    assert_string_equal(fake_last(b->fleet, "identity.stage")->stage, "commit");
    assert_true(fake_last(b->fleet, "identity.stage")->source);
}

static void orders_have_the_plan_and_renew_the_timer(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 200);
    bool armed = false;
    for (size_t i = 0; i < b->fleet->nops; i++) {
        const struct fake_op *op = &b->fleet->ops[i];
        if (cutting_has_stage(op, "addresses")) {
            assert_true(op->planned);
            assert_int_equal(op->silence_s, op->source ? 180 : 120);
            armed = true;
        }
        if (strcmp(op->stage, "guard") == 0 || strcmp(op->stage, "fence") == 0)
            assert_int_equal(op->silence_s, op->source ? 180 : 120);
        if (strcmp(op->stage, "lockout") == 0 || strcmp(op->stage, "tidy") == 0)
            assert_int_equal(op->silence_s, 0);
    }
    assert_true(armed);
}

static void prepare_changes_nothing_and_a_bad_plan_is_told(void **state)
{
    struct bench *b = *state;
    assert_int_equal(cutting_enter(b, "prepare", SETTINGS), -ENOENT);
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "prepare", "{\"new_name\":\"a.b\"}"), -EINVAL);
    assert_int_equal(cutting_enter(b, "prepare", "[]"), -EINVAL);
    assert_int_equal(cutting_enter(b, "prepare", "{\"new_name\":\"NEW1\"}"), 0);
    bench_run(b, cutting_agents, 60);
    assert_string_equal(bench_state(b, "wave"), "failed");
    assert_int_equal(cutting_enter(b, "prepare",
                                   "{\"new_name\":\"OLD1\",\"source_address\":"
                                   "\"192.0.2.77/24\"}"),
                     0);
    bench_run(b, cutting_agents, 60);
    assert_string_equal(cutting_state(b), "prepared");
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_string_equal(told, "connect.S connect.D connect.S connect.D check.D check.S ");
}

static void a_rehearsal_changes_nothing_and_foretells(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "rehearse", SETTINGS), 0);
    bench_run(b, cutting_agents, 60);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_string_equal(cutting_state(b), "prepared");
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_string_equal(told, "connect.S connect.D check.D check.S rehearse.D ");
    assert_int_equal(cutting_enter(b, "rollback", NULL),
                     -EALREADY); /* there is nothing to take back */
    cutting_fail_at("rehearse", false, FAULT_STOP_JOB);
    assert_int_equal(cutting_enter(b, "rehearse", NULL), 0);
    bench_run(b, cutting_agents, 60);
    assert_string_equal(bench_state(b, "wave"), "failed");
    cutting_fail_at(NULL, false, FAULT_NONE);
    assert_int_equal(cutting_enter(b, "cutover", NULL), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "cut over");
    assert_int_equal(cutting_enter(b, "rehearse", NULL), -EPROTO);
}

static void a_rollback_takes_all_back_in_reverse_order(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 200);
    assert_int_equal(cutting_back(b), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(bench_state(b, "wave"), "done");
    assert_string_equal(cutting_state(b), "rolled back");
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_string_equal(
        told, FORTH "written.D -tidy.D -lockout+names.S -start+addresses+join+names.D -addresses.S "
                    "-bundle.D -bundle.S -stop+close+fence.S -stop+guard.D "
                    "-guard.S forget.D forget.S ");
    /* And forth once more. */
    assert_int_equal(cutting_enter(b, "cutover", NULL), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "cut over");
}

/* Every note that an agent made is taken back; a stage that failed is undone too. */
static void check_undone(const struct bench *b, const char *at)
{
    for (size_t i = 0; i < b->fleet->nops; i++) {
        const struct fake_op *op = &b->fleet->ops[i];
        static const char *const lasting[] = {"fence", "close", "stop",  "bundle", "addresses",
                                              "names", "join",  "start", "guard",  "lockout"};
        for (size_t k = 0; k < ARRAY_SIZE(lasting); k++) {
            if (!cutting_has_stage(op, lasting[k]) || op->action == UNDO)
                continue;
            bool undone = false;
            for (size_t n = i + 1; n < b->fleet->nops; n++)
                undone = undone || (cutting_has_stage(&b->fleet->ops[n], lasting[k]) &&
                                    b->fleet->ops[n].source == op->source &&
                                    b->fleet->ops[n].action == UNDO && b->fleet->ops[n].over);
            if (!undone)
                fail_msg("failed at %s: %s is left", at, op->stage);
        }
    }
}

static void a_failure_at_any_stage_goes_back_by_itself(void **state)
{
    static const struct {
        const char *stage;
        bool source;
    } stages[] = {
        {"guard",     true },
        {"guard",     false},
        {"collect",   true },
        {"fence",     true },
        {"close",     true },
        {"stop",      true },
        {"stop",      false},
        {"bundle",    true },
        {"bundle",    false},
        {"addresses", true },
        {"names",     true },
        {"users",     true },
        {"addresses", false},
        {"names",     false},
        {"join",      false},
        {"start",     false},
        {"unguard",   false},
        {"lockout",   true },
        {"tidy",      false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(stages); i++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        cutting_copied(b);
        cutting_fail_at(stages[i].stage, stages[i].source, FAULT_STOP_JOB);
        assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
        bench_run(b, cutting_agents, 200);
        assert_string_equal(bench_state(b, "wave"), "failed");
        assert_string_equal(cutting_state(b), "rolled back");
        if (!strstr(bench_pair(b, "wave", 1, "reason"), "taken back: it will not"))
            fail_msg("%s: %s", stages[i].stage, bench_pair(b, "wave", 1, "reason"));
        check_undone(b, stages[i].stage);
        (void)bench_tear_down(&own);
    }
    cutting_fail_at(NULL, false, FAULT_NONE);
}

static void a_passing_trouble_is_tried_again(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    cutting_fail_at("addresses", false, FAULT_RETRY);
    cutting_bad.times = 2;
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "cut over");
    assert_int_equal(cutting_failed, 2);
    /* On the way back too: there it is never given up so soon. */
    cutting_fail_at("addresses", true, FAULT_RETRY);
    cutting_bad.action = UNDO;
    cutting_bad.times = 5;
    assert_int_equal(cutting_back(b), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
}

static void a_stage_over_its_limit_goes_back(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    cutting_fail_at("start", false, FAULT_NONE);
    cutting_bad.silent = true;
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    for (int i = 0; i < 150; i++) {
        bench_clock_ms += 1100;
        engine_tick(b->engine);
        (void)fake_pump(b->fleet, cutting_agents);
    }
    assert_string_equal(cutting_state(b), "rolled back");
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "over its limit of 60 s, waiting"));
    check_undone(b, "start");
}

/* The limit ends it, not a number of tries: who comes to life just before it is found. */
static void what_has_a_limit_is_tried_until_then(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    cutting_fail_at("users", true, FAULT_RETRY);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    for (int i = 0; i < 300; i++) {
        bench_clock_ms += 550;
        engine_tick(b->engine);
        (void)fake_pump(b->fleet, cutting_agents);
    }
    assert_string_equal(cutting_state(b), "rolled back");
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "over its limit of 60 s, waiting"));
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "it will not"));
    assert_true(cutting_failed > 40);
}

static void a_host_that_stays_away_is_not_waited_for_without_end(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    cutting_fail_at("addresses", true, FAULT_NONE);
    cutting_bad.silent = true;
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 60);
    fake_lost(b->fleet, "s1");
    for (int i = 0; i < 200; i++) {
        bench_clock_ms += 1100;
        engine_tick(b->engine);
        (void)fake_pump(b->fleet, cutting_agents);
    }
    assert_string_equal(cutting_state(b), "going back");
    assert_string_equal(bench_state(b, "wave"), "running");
    fake_online(b->fleet, "s1");
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
    check_undone(b, "addresses");
}

static void a_predicted_outage_that_is_too_long_stops_it_in_time(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(
        cutting_enter(b, "cutover", "{\"source_address\":\"192.0.2.77/24\",\"max_outage\":1}"), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
    assert_non_null(strstr(bench_pair(b, "wave", 1, "reason"), "--max-outage"));
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_null(strstr(told, "close"));
    assert_null(strstr(told, "stop.S"));
}

static void an_operator_stops_resumes_and_takes_back(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    cutting_fail_at("addresses", false, FAULT_NONE);
    cutting_bad.silent = true;
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 30);
    assert_int_equal(bench_call(b, engine_job_stop, "wave"), 0);
    bench_run(b, cutting_agents, 60);
    assert_string_equal(bench_state(b, "wave"), "stopped");
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), -EPROTO); /* it has its settings */
    cutting_fail_at(NULL, false, FAULT_NONE);
    assert_int_equal(cutting_enter(b, "cutover", NULL), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "cut over");
    CLEANUP(mem_free) char *told = cutting_story(b);
    const char *first = strstr(told, "stop.S");
    assert_non_null(first);
    assert_null(strstr(first + 1, "stop.S")); /* what is done is not done again */
    assert_int_equal(cutting_back(b), 0);
    bench_run(b, cutting_agents, 5);
    assert_int_equal(cutting_back(b), -EALREADY);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
}

static void folders_of_one_server_are_one_pair(void **state)
{
    struct bench *b = *state;
    cutting_fail_at(NULL, false, FAULT_NONE);
    bench_job(b, "wave", 2);
    bench_run(b, cutting_agents, 60);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), -EINVAL);
}

/* ── kill -9 of the orchestrator ── */

static int countdown;

static void kill_here(int after)
{
    if (after == 0 && --countdown == 0)
        (void)raise(SIGKILL);
}

/* In the child. Exit 0: it is cut over, or back. */
static int live(struct bench *b)
{
    bench_start(b);
    fake_online(b->fleet, "s1");
    fake_online(b->fleet, "d1");
    if (!*cutting_state(b))
        (void)cutting_enter(b, "cutover", SETTINGS);
    bench_run(b, cutting_agents, 300);
    const char *end = cutting_state(b);
    bool good = strcmp(end, cutting_bad.stage ? "rolled back" : "cut over") == 0;
    bench_end(b);
    return good ? 0 : 3;
}

static int in_child(struct bench *b, int n)
{
    pid_t pid = fork();
    if (pid == 0) {
        countdown = n;
        bench_on_commit = n ? kill_here : NULL;
        _exit(live(b));
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* Counts what was ordered anew: a stage that ended is never sent again. */
static void check_once(const struct bench *b, int n)
{
    for (size_t i = 0; i < b->fleet->nops; i++) {
        for (size_t k = 0; k < i; k++) {
            const struct fake_op *x = &b->fleet->ops[i], *y = &b->fleet->ops[k];
            /* "collect" is asked for before and after. */
            if (x->stage[0] && strcmp(x->stage, "collect") != 0 &&
                strcmp(x->stage, y->stage) == 0 && x->source == y->source && x->action == y->action)
                fail_msg("killed at commit %d: %s was ordered twice", n, x->stage);
        }
    }
}

static unsigned kill_everywhere(const char *failing)
{
    unsigned n = 1;
    for (int rc = -SIGKILL; rc == -SIGKILL; n++) {
        void *own = NULL;
        (void)bench_set_up(&own);
        struct bench *b = own;
        cutting_copied(b);
        bench_end(b);
        cutting_fail_at(failing, false, FAULT_STOP_JOB);
        rc = in_child(b, (int)n);
        if (rc == -SIGKILL)
            assert_int_equal(in_child(b, 0), 0);
        else
            assert_int_equal(rc, 0);
        check_once(b, (int)n);
        bench_start(b);
        (void)bench_tear_down(&own);
    }
    return n;
}

static void a_kill_at_any_commit_goes_on_where_it_was(void **state)
{
    (void)state;
    assert_true(kill_everywhere(NULL) > 40);
    assert_true(kill_everywhere("start") > 30);
    cutting_fail_at(NULL, false, FAULT_NONE);
}

/* ── by hand ── */

static struct fake_answer not_by_hand(const struct fake_op *op, unsigned nth)
{
    (void)nth;
    struct fake_answer a = {.silent = false};
    if (op->action == GODWIT__IDENTITY_ACTION__IDENTITY_PROBE)
        a.status = GODWIT__RESULT__STATUS__FAILED, a.next = FAULT_STOP_JOB, a.err = ENOENT,
        a.text = "it is not so";
    return a;
}

static void a_stage_by_hand_is_noted_waited_for_and_asked_for(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover", "{\"by_hand\":[\"bundle\"]}"), -EINVAL);
    assert_int_equal(cutting_enter(b, "cutover",
                                   "{\"source_address\":\"192.0.2.77/24\","
                                   "\"by_hand\":[\"source.addresses\",\"source.names\"]}"),
                     0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "running"); /* nothing is taken back */
    const struct fake_op *last = fake_last(b->fleet, "identity.stage");
    assert_string_equal(last->stage, "addresses");
    assert_true(last->source);
    assert_int_equal(last->action, GODWIT__IDENTITY_ACTION__IDENTITY_NOTE);
    assert_true(last->silence_s > 3600); /* a person is slower than a host */
    /* Not done yet: it waits on. */
    assert_int_equal(cutting_enter(b, "cutover", NULL), 0);
    bench_run(b, not_by_hand, 60);
    assert_string_equal(cutting_state(b), "running");
    last = fake_last(b->fleet, "identity.stage");
    assert_int_equal(last->action, GODWIT__IDENTITY_ACTION__IDENTITY_PROBE);
    /* Done: the host looks itself too, and the rest of the swap goes on, to the next such stage. */
    assert_int_equal(cutting_enter(b, "cutover", NULL), 0);
    bench_run(b, cutting_agents, 200);
    last = fake_last(b->fleet, "identity.stage");
    assert_string_equal(last->stage, "names");
    assert_int_equal(last->action, GODWIT__IDENTITY_ACTION__IDENTITY_NOTE);
    assert_int_equal(cutting_enter(b, "cutover", NULL), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "cut over");
}

static void what_was_to_be_done_by_hand_is_taken_back(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover",
                                   "{\"source_address\":\"192.0.2.77/24\","
                                   "\"by_hand\":[\"source.addresses\"]}"),
                     0);
    bench_run(b, cutting_agents, 200);
    assert_int_equal(cutting_back(b), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_non_null(strstr(told, "-addresses.S -bundle.D"));
}

/* ── what users wrote ── */

static int back_with(struct bench *b, const char *settings)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int rc = engine_job_back(b->engine, "wave", "rollback", settings, &json, &why);
    json_decref(json);
    return rc;
}

static void a_rollback_may_carry_back_what_users_wrote(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 200);
    size_t sent = fake_count(b->fleet, "files.send");
    assert_int_equal(back_with(b, "{\"carry_back\":true,\"destination_off\":true}"), -EINVAL);
    fake_lost(b->fleet, "s1");
    assert_int_equal(back_with(b, "{\"carry_back\":true}"), -EHOSTDOWN);
    fake_online(b->fleet, "s1");
    assert_int_equal(back_with(b, "{\"carry_back\":true}"), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
    assert_int_equal(fake_count(b->fleet, "files.send"), sent + 1);
    assert_string_equal(fake_last(b->fleet, "files.send")->host, "d1"); /* the other way */
    assert_string_equal(fake_last(b->fleet, "files.receive")->host, "s1");
    assert_int_equal(fake_count(b->fleet, "files.clean"), 2);
    /* Nobody was asked what would be left, and the shares were opened behind the pass. */
    bool carried = false;
    for (size_t i = 0; i < b->fleet->nops; i++) {
        const struct fake_op *op = &b->fleet->ops[i];
        carried = carried || (strcmp(op->kind, "files.send") == 0 && strcmp(op->host, "d1") == 0);
        assert_string_not_equal(op->stage, "written");
        if (op->action == UNDO && strcmp(op->stage, "close") == 0)
            assert_true(carried);
    }
}

static void what_stays_behind_is_asked_for(void **state)
{
    struct bench *b = *state;
    cutting_copied(b);
    assert_int_equal(cutting_enter(b, "cutover", SETTINGS), 0);
    bench_run(b, cutting_agents, 200);
    size_t sent = fake_count(b->fleet, "files.send");
    assert_int_equal(back_with(b, "{\"carry_back\":false}"), 0);
    bench_run(b, cutting_agents, 200);
    assert_string_equal(cutting_state(b), "rolled back");
    assert_int_equal(fake_count(b->fleet, "files.send"), sent);
    CLEANUP(mem_free) char *told = cutting_story(b);
    assert_non_null(strstr(told, "written.D -tidy.D"));
}

static void maps_are_turned_round_or_refused(void **state)
{
    struct fault why = {.err = 0};
    (void)state;
    CLEANUP(mem_free)
    char *back = carry_turn_map("# x\nuid,1,2\ngid,100-199,300-399 # y\n", &why);
    assert_string_equal(back, "uid,2,1\ngid,300-399,100-199\n");
    assert_null(carry_turn_map("uid,1,5\nuid,2,5\n", &why)); /* whose were they? */
    assert_int_equal(why.err, ENOTSUP);
    CLEANUP(mem_free) char *none = carry_turn_map("", &why);
    assert_string_equal(none, "");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, bench_set_up, bench_tear_down)
    const struct CMUnitTest tests[] = {
        CASE(a_cutover_runs_to_its_end_and_is_committed),
        CASE(orders_have_the_plan_and_renew_the_timer),
        CASE(prepare_changes_nothing_and_a_bad_plan_is_told),
        CASE(a_rehearsal_changes_nothing_and_foretells),
        CASE(a_rollback_takes_all_back_in_reverse_order),
        cmocka_unit_test(a_failure_at_any_stage_goes_back_by_itself),
        CASE(a_passing_trouble_is_tried_again),
        CASE(a_stage_over_its_limit_goes_back),
        CASE(what_has_a_limit_is_tried_until_then),
        CASE(a_host_that_stays_away_is_not_waited_for_without_end),
        CASE(a_predicted_outage_that_is_too_long_stops_it_in_time),
        CASE(an_operator_stops_resumes_and_takes_back),
        CASE(folders_of_one_server_are_one_pair),
        CASE(a_stage_by_hand_is_noted_waited_for_and_asked_for),
        CASE(what_was_to_be_done_by_hand_is_taken_back),
        CASE(a_rollback_may_carry_back_what_users_wrote),
        CASE(what_stays_behind_is_asked_for),
        cmocka_unit_test(maps_are_turned_round_or_refused),
        cmocka_unit_test(a_kill_at_any_commit_goes_on_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
