/* test_dispatch: what is answered to each order, with real workers and an op log, and no network.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>

#include "agent/dispatch.h"
#include "agent/oplog.h"
#include "agent/worker.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/agent/temp_dir.h"
#include "tests/unit/test.h"

#define OP "00000000000000a1"
#define SAID_MAX 32

struct said {
    Godwit__Envelope__BodyCase type;
    char op_id[40];
    int code;      /* refusal code or result status */
    int what_next; /* of a result's fault */
    bool stored;   /* the op log had the result when it was said */
};

struct bench {
    char *dir;
    char *path;
    struct oplog *log;
    struct workers *workers;
    struct dispatch *d;
    struct agent_env env;
    struct said said[SAID_MAX];
    size_t nsaid;
    int send_rc;
};

static atomic_int runs;

static void quick(struct step *s, struct step_result *ret)
{
    (void)s;
    atomic_fetch_add(&runs, 1);
    ret->status = STEP_DONE;
}

static void until_cancelled(struct step *s, struct step_result *ret)
{
    struct pollfd p = {.fd = step_cancel_fd(s), .events = POLLIN};
    struct counters c = {.files = 1};
    atomic_fetch_add(&runs, 1);
    step_progress(s, &c, 10, "walking");
    (void)poll(&p, 1, -1);
    ret->status = STEP_STOPPED;
}

static void too_large(struct step *s, struct step_result *ret)
{
    (void)s;
    ret->status = STEP_DONE;
    ret->body_len = 2 << 20;
    ret->body = xcalloc(1, ret->body_len);
}

static const struct step_kind kinds[] = {
    {"quick", quick          },
    {"wait",  until_cancelled},
    {"large", too_large      },
    {NULL,    NULL           }
};
static const struct step_kind *const tables[] = {kinds, NULL};

static int say(void *arg, const Godwit__Envelope *e)
{
    struct bench *b = arg;
    if (b->send_rc < 0)
        return b->send_rc;
    assert_true(b->nsaid < SAID_MAX);
    struct said *s = &b->said[b->nsaid++];
    *s = (struct said){.type = e->body_case};
    (void)snprintf(s->op_id, sizeof s->op_id, "%s", e->op_id);
    enum oplog_state st = OPLOG_STARTED;
    s->stored = oplog_find(b->log, e->op_id, &st) == 1 && st == OPLOG_FINISHED;
    if (e->body_case == GODWIT__ENVELOPE__BODY_REFUSAL)
        s->code = (int)e->refusal->code;
    if (e->body_case == GODWIT__ENVELOPE__BODY_RESULT) {
        s->code = (int)e->result->status;
        s->what_next = e->result->fault ? (int)e->result->fault->what_next : 0;
    }
    return 0;
}

static void open_bench(struct bench *b, size_t at_once, size_t in_line)
{
    assert_int_equal(oplog_open(b->path, &b->log), 0);
    assert_int_equal(workers_new(&b->env, at_once, in_line, &b->workers), 0);
    struct dispatch_setup s = {
        .log = b->log, .workers = b->workers, .tables = tables, .send = say, .arg = b};
    assert_int_equal(dispatch_new(&s, &b->d), 0);
}

static void reap_all(struct bench *b)
{
    while (workers_count(b->workers)) {
        struct pollfd p = {.fd = workers_fd(b->workers), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 5000), 1);
        dispatch_reap(b->d);
    }
}

static void close_bench(struct bench *b)
{
    workers_cancel_all(b->workers);
    reap_all(b);
    b->d = dispatch_free(b->d);
    assert_int_equal(workers_free(b->workers), 0);
    b->log = oplog_close(b->log);
}

static int begin(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    atomic_store(&runs, 0);
    b->dir = temp_dir_new();
    b->path = xasprintf("%s/oplog.db", b->dir);
    open_bench(b, 1, 1);
    *state = b;
    return 0;
}

static int end(void **state)
{
    struct bench *b = *state;
    close_bench(b);
    temp_dir_free(b->dir);
    free(b->path);
    free(b);
    return 0;
}

struct order {
    const char *op_id;
    const char *kind;
    uint64_t epoch;
    int64_t deadline_ms;
};

static int give(struct bench *b, const struct order *o)
{
    Godwit__Order body = GODWIT__ORDER__INIT;
    body.kind = (char *)(uintptr_t)o->kind;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.op_id = (char *)(uintptr_t)o->op_id;
    e.epoch = o->epoch;
    e.deadline_ms = o->deadline_ms;
    e.body_case = GODWIT__ENVELOPE__BODY_ORDER;
    e.order = &body;
    return dispatch_message(b->d, &e);
}

static void give_ack(struct bench *b, const char *op_id)
{
    Godwit__ResultAck body = GODWIT__RESULT_ACK__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.op_id = (char *)(uintptr_t)op_id;
    e.body_case = GODWIT__ENVELOPE__BODY_RESULT_ACK;
    e.result_ack = &body;
    assert_int_equal(dispatch_message(b->d, &e), 0);
}

static void give_cancel(struct bench *b, const char *op_id, uint64_t epoch)
{
    Godwit__Cancel body = GODWIT__CANCEL__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.op_id = (char *)(uintptr_t)op_id;
    e.epoch = epoch;
    e.body_case = GODWIT__ENVELOPE__BODY_CANCEL;
    e.cancel = &body;
    assert_int_equal(dispatch_message(b->d, &e), 0);
}

static void expect_last(const struct bench *b, Godwit__Envelope__BodyCase type, int code)
{
    assert_true(b->nsaid > 0);
    assert_int_equal(b->said[b->nsaid - 1].type, type);
    assert_int_equal(b->said[b->nsaid - 1].code, code);
}

static void orders_that_must_not_run_are_answered(void **state)
{
    static const struct {
        const char *what;
        struct order order;
        Godwit__Envelope__BodyCase type;
        int code;
    } cases[] = {
        {"lower epoch",
         {"b1", "quick", 4, 0},
         GODWIT__ENVELOPE__BODY_REFUSAL, GODWIT__REFUSAL__CODE__STALE_EPOCH},
        {"no epoch",
         {"b2", "quick", 0, 0},
         GODWIT__ENVELOPE__BODY_REFUSAL, GODWIT__REFUSAL__CODE__STALE_EPOCH},
        {"past deadline",
         {"b3", "quick", 5, 1000},
         GODWIT__ENVELOPE__BODY_REFUSAL, GODWIT__REFUSAL__CODE__EXPIRED    },
        {"no op_id",
         {"", "quick", 5, 0},
         GODWIT__ENVELOPE__BODY_REFUSAL, GODWIT__REFUSAL__CODE__MALFORMED  },
        {"op_id is a path",
         {"../b4", "quick", 5, 0},
         GODWIT__ENVELOPE__BODY_REFUSAL, GODWIT__REFUSAL__CODE__MALFORMED  },
        {"epoch beyond storage",
         {"b5", "quick", UINT64_MAX, 0},
         GODWIT__ENVELOPE__BODY_REFUSAL, GODWIT__REFUSAL__CODE__MALFORMED  },
        {"no kind",
         {"b6", "", 5, 0},
         GODWIT__ENVELOPE__BODY_REFUSAL, GODWIT__REFUSAL__CODE__MALFORMED  },
        {"unknown kind",
         {"b7", "vm.boil", 5, 0},
         GODWIT__ENVELOPE__BODY_RESULT,  GODWIT__RESULT__STATUS__FAILED    },
    };
    struct bench *b = *state;
    assert_int_equal(oplog_saw_epoch(b->log, 5), 0);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        print_message("%s\n", cases[i].what);
        assert_int_equal(give(b, &cases[i].order), 0);
        expect_last(b, cases[i].type, cases[i].code);
        assert_string_equal(b->said[b->nsaid - 1].op_id, cases[i].order.op_id);
    }
    assert_int_equal(atomic_load(&runs), 0);
    assert_true(oplog_epoch(b->log) == 5);
}

static void a_result_is_stored_before_it_is_said(void **state)
{
    struct bench *b = *state;
    static const struct order o = {OP, "quick", 5, 0};
    assert_int_equal(give(b, &o), 0);
    expect_last(b, GODWIT__ENVELOPE__BODY_ACCEPTED, 0);
    reap_all(b);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__DONE);
    assert_true(b->said[b->nsaid - 1].stored);
}

static void a_replay_is_answered_from_the_log_and_runs_once(void **state)
{
    struct bench *b = *state;
    static const struct order o = {OP, "quick", 5, 0};
    static const struct order late = {OP, "quick", 6, 1000}; /* also past its deadline by now */
    assert_int_equal(give(b, &o), 0);
    reap_all(b);
    assert_int_equal(give(b, &o), 0);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__DONE);
    close_bench(b); /* and by the next process */
    open_bench(b, 1, 1);
    assert_int_equal(give(b, &late), 0);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__DONE);
    assert_int_equal(atomic_load(&runs), 1);
    assert_true(oplog_epoch(b->log) == 6); /* a repeat tells of a later orchestrator too */
}

static void a_started_order_without_a_process_runs_again(void **state)
{
    struct bench *b = *state;
    static const struct order o = {OP, "quick", 5, 0};
    assert_int_equal(oplog_start(b->log, OP, "quick", "", 5), 0); /* then it was killed */
    assert_int_equal(give(b, &o), 0);
    reap_all(b);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__DONE);
    assert_int_equal(atomic_load(&runs), 1);
}

static void one_runs_one_waits_and_the_third_is_told_to_come_back(void **state)
{
    struct bench *b = *state;
    static const struct order o[] = {
        {"c1", "wait",  5, 0},
        {"c2", "quick", 5, 0},
        {"c3", "quick", 5, 0}
    };
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(give(b, &o[i]), 0);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__FAILED);
    assert_string_equal(b->said[b->nsaid - 1].op_id, "c3");
    assert_int_equal(b->said[b->nsaid - 1].what_next, FAULT_RETRY);
    assert_int_equal(workers_count(b->workers), 2);
    give_cancel(b, "c1", 5);
    reap_all(b);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT,
                GODWIT__RESULT__STATUS__DONE); /* c2 had its turn */
    assert_int_equal(atomic_load(&runs), 2);
}

static void cancel_is_always_answered(void **state)
{
    struct bench *b = *state;
    static const struct order o[] = {
        {"c1", "wait",  5, 0},
        {"c2", "quick", 5, 0}
    };
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(give(b, &o[i]), 0);
    give_cancel(b, "c2", 5); /* in line: never runs */
    give_cancel(b, "c1", 5);
    reap_all(b);
    assert_int_equal(atomic_load(&runs), 1);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__STOPPED);
    give_cancel(b, "c9", 5); /* not here (any more) */
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__STOPPED);
    assert_string_equal(b->said[b->nsaid - 1].op_id, "c9");
    give_cancel(b, "c9", 4);
    expect_last(b, GODWIT__ENVELOPE__BODY_REFUSAL, GODWIT__REFUSAL__CODE__STALE_EPOCH);
}

static void a_result_that_cannot_leave_leaves_later_until_acknowledged(void **state)
{
    struct bench *b = *state;
    static const struct order o = {OP, "quick", 5, 0};
    char **ids = NULL;
    b->send_rc = -ENOTCONN;
    assert_int_equal(give(b, &o), 0);
    reap_all(b);
    assert_int_equal(b->nsaid, 0);
    assert_int_equal(dispatch_finished(b->d, &ids), 1);
    b->send_rc = 0;
    dispatch_tick(b->d, clock_mono_ms(), false); /* no session: nothing is tried */
    assert_int_equal(b->nsaid, 0);
    dispatch_online(b->d);
    dispatch_tick(b->d, clock_mono_ms(), true);
    assert_int_equal(b->nsaid, 1);
    dispatch_tick(b->d, clock_mono_ms() + 1000, true);
    assert_int_equal(b->nsaid, 1);
    dispatch_tick(b->d, clock_mono_ms() + DISPATCH_RESEND_MS, true);
    assert_int_equal(b->nsaid, 2);
    give_ack(b, OP);
    assert_int_equal(dispatch_finished(b->d, &ids), 0);
    dispatch_tick(b->d, clock_mono_ms() + 5 * DISPATCH_RESEND_MS, true);
    assert_int_equal(b->nsaid, 2);
}

static void an_acknowledgement_does_not_forget_what_runs(void **state)
{
    struct bench *b = *state;
    static const struct order o = {OP, "wait", 5, 0};
    enum oplog_state st = 0;
    assert_int_equal(give(b, &o), 0);
    give_ack(b, OP);
    assert_int_equal(oplog_find(b->log, OP, &st), 1);
    assert_int_equal(st, OPLOG_STARTED);
}

static void leaving_keeps_the_order_to_run_again(void **state)
{
    struct bench *b = *state;
    static const struct order o = {OP, "wait", 5, 0};
    enum oplog_state st = 0;
    assert_int_equal(give(b, &o), 0);
    dispatch_leave(b->d);
    reap_all(b);
    expect_last(b, GODWIT__ENVELOPE__BODY_ACCEPTED, 0); /* no word of a result */
    assert_int_equal(oplog_find(b->log, OP, &st), 1);
    assert_int_equal(st, OPLOG_STARTED);
}

static void leaving_does_not_swallow_the_answer_to_a_cancel(void **state)
{
    struct bench *b = *state;
    static const struct order o = {OP, "wait", 5, 0};
    assert_int_equal(give(b, &o), 0);
    dispatch_leave(b->d);
    give_cancel(b, OP, 5);
    reap_all(b);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__STOPPED);
}

static void progress_comes_at_most_once_a_second_and_marks_stalls(void **state)
{
    struct bench *b = *state;
    static const struct order o = {OP, "wait", 5, 0};
    int64_t now = clock_mono_ms() + 10000;
    assert_int_equal(give(b, &o), 0);
    while (atomic_load(&runs) == 0 || b->nsaid < 2) {
        dispatch_tick(b->d, now, true);
        (void)poll(NULL, 0, 5);
        now += 1000;
    }
    expect_last(b, GODWIT__ENVELOPE__BODY_PROGRESS, 0);
    size_t said = b->nsaid;
    dispatch_tick(b->d, now + 100, true);
    dispatch_tick(b->d, now + 2000, true);
    assert_int_equal(b->nsaid, said); /* no news, no message */
    dispatch_tick(b->d, now + DISPATCH_STALL_MS + 5000, true);
    assert_int_equal(b->nsaid, said + 1); /* "stalled" is news */
}

static void a_result_that_is_too_large_becomes_a_failure(void **state)
{
    struct bench *b = *state;
    static const struct order o = {OP, "large", 5, 0};
    assert_int_equal(give(b, &o), 0);
    reap_all(b);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__FAILED);
}

/* Every write beyond this size fails, as on a full disk. */
static void limit_files(rlim_t bytes)
{
    struct rlimit r;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &r), 0);
    r.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &r), 0);
}

static void on_a_full_disk_no_order_runs_and_no_result_is_lost(void **state)
{
    struct bench *b = *state;
    static const struct order o[] = {
        {"d1", "quick", 5, 0},
        {"d2", "quick", 5, 0}
    };
    enum oplog_state st = 0;
    assert_int_equal(give(b, &o[0]), 0);
    limit_files(1);
    reap_all(b);
    expect_last(b, GODWIT__ENVELOPE__BODY_ACCEPTED, 0); /* not stored: not said */
    assert_int_not_equal(give(b, &o[1]), 0);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__FAILED);
    assert_int_equal(give(b, &o[0]), 0); /* a repeat does not run it again */
    size_t said = b->nsaid;
    limit_files(RLIM_INFINITY);
    dispatch_tick(b->d, clock_mono_ms() + 5000, true);
    assert_int_equal(b->nsaid, said + 1);
    expect_last(b, GODWIT__ENVELOPE__BODY_RESULT, GODWIT__RESULT__STATUS__DONE);
    assert_int_equal(oplog_find(b->log, "d1", &st), 1);
    assert_int_equal(st, OPLOG_FINISHED);
    assert_int_equal(atomic_load(&runs), 1);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)
    const struct CMUnitTest tests[] = {
        CASE(orders_that_must_not_run_are_answered),
        CASE(a_result_is_stored_before_it_is_said),
        CASE(a_replay_is_answered_from_the_log_and_runs_once),
        CASE(a_started_order_without_a_process_runs_again),
        CASE(one_runs_one_waits_and_the_third_is_told_to_come_back),
        CASE(cancel_is_always_answered),
        CASE(a_result_that_cannot_leave_leaves_later_until_acknowledged),
        CASE(an_acknowledgement_does_not_forget_what_runs),
        CASE(leaving_keeps_the_order_to_run_again),
        CASE(leaving_does_not_swallow_the_answer_to_a_cancel),
        CASE(progress_comes_at_most_once_a_second_and_marks_stalls),
        CASE(a_result_that_is_too_large_becomes_a_failure),
        CASE(on_a_full_disk_no_order_runs_and_no_result_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
