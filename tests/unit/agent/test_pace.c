/* test_pace: what a step may send follows the orchestrator's word and the windows sent ahead; and
 * its threads have the priority that was asked for. Real workers, no network. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/dispatch.h"
#include "agent/oplog.h"
#include "agent/priority.h"
#include "agent/worker.h"
#include "common/base/bucket.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "tests/unit/agent/temp_dir.h"
#include "tests/unit/test.h"

#define OP "00000000000000a1"
#define EPOCH 7

static _Atomic(struct step *) running;

static void until_cancelled(struct step *s, struct step_result *ret)
{
    struct pollfd p = {.fd = step_cancel_fd(s), .events = POLLIN};
    atomic_store(&running, s);
    (void)poll(&p, 1, -1);
    ret->status = STEP_STOPPED;
}

static struct {
    int io, nice, child_io, child_nice;
} seen;

static void look(int *retio, int *retnice)
{
    *retio = (int)syscall(SYS_ioprio_get, 1, 0);
    *retnice = getpriority(PRIO_PROCESS, 0);
}

static void *look_from_child(void *arg)
{
    (void)arg;
    look(&seen.child_io, &seen.child_nice);
    return NULL;
}

static void tell_priority(struct step *s, struct step_result *ret)
{
    pthread_t child;
    (void)s;
    look(&seen.io, &seen.nice);
    ret->status = STEP_DONE;
    if (pthread_create(&child, NULL, look_from_child, NULL) == 0)
        (void)pthread_join(child, NULL);
}

static const struct step_kind kinds[] = {
    {"wait",     until_cancelled},
    {"priority", tell_priority  },
    {NULL,       NULL           }
};
static const struct step_kind *const tables[] = {kinds, NULL};

struct bench {
    char *dir;
    struct oplog *log;
    struct workers *workers;
    struct dispatch *d;
    struct agent_env env;
};

static int say(void *arg, const Godwit__Envelope *e)
{
    (void)arg;
    (void)e;
    return 0;
}

static int begin(void **state)
{
    struct bench *b = xcalloc(1, sizeof *b);
    b->dir = temp_dir_new();
    CLEANUP(mem_free) char *path = xasprintf("%s/oplog.db", b->dir);
    if (oplog_open(path, &b->log) < 0 || workers_new(&b->env, 2, 2, &b->workers) < 0)
        return -1;
    struct dispatch_setup s = {
        .log = b->log, .workers = b->workers, .tables = tables, .send = say, .arg = b};
    *state = b;
    atomic_store(&running, NULL);
    return dispatch_new(&s, &b->d);
}

static void reap_all(struct bench *b)
{
    while (workers_count(b->workers)) {
        struct pollfd p = {.fd = workers_fd(b->workers), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 5000), 1);
        dispatch_reap(b->d);
    }
}

static int end(void **state)
{
    struct bench *b = *state;
    workers_cancel_all(b->workers);
    reap_all(b);
    b->d = dispatch_free(b->d);
    (void)workers_free(b->workers);
    (void)oplog_close(b->log);
    temp_dir_free(b->dir);
    free(b);
    return 0;
}

static void give_order(struct bench *b, const char *kind, Godwit__Rate *rate)
{
    char op[] = OP, job[] = "wave", k[16];
    Godwit__Order o = GODWIT__ORDER__INIT;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    (void)snprintf(k, sizeof k, "%s", kind);
    o.kind = k;
    o.job = job;
    o.rate = rate;
    e.op_id = op;
    e.epoch = EPOCH;
    e.body_case = GODWIT__ENVELOPE__BODY_ORDER;
    e.order = &o;
    assert_int_equal(dispatch_message(b->d, &e), 0);
}

static void give_rate(struct bench *b, uint64_t epoch, Godwit__Rate *rate)
{
    char op[] = OP;
    Godwit__Envelope e = GODWIT__ENVELOPE__INIT;
    e.op_id = op;
    e.epoch = epoch;
    e.body_case = GODWIT__ENVELOPE__BODY_RATE;
    e.rate = rate;
    assert_int_equal(dispatch_message(b->d, &e), 0);
}

static Godwit__Rate rate_of(uint64_t bytes_per_s)
{
    Godwit__Rate r = GODWIT__RATE__INIT;
    r.limited = true;
    r.bytes_per_s = bytes_per_s;
    return r;
}

static uint64_t rate_now(void)
{
    for (int i = 0; i < 5000 && !atomic_load(&running); i++)
        (void)poll(NULL, 0, 1);
    struct step *s = atomic_load(&running);
    assert_non_null(s);
    return atomic_load(&step_bucket(s)->rate);
}

static void an_order_without_a_rate_has_no_limit(void **state)
{
    give_order(*state, "wait", NULL);
    assert_true(rate_now() == BUCKET_UNLIMITED);
}

static void a_rate_holds_from_the_order_on_and_changes_while_it_runs(void **state)
{
    Godwit__Rate r = rate_of(1000000), none = rate_of(0), open = GODWIT__RATE__INIT;
    give_order(*state, "wait", &r);
    assert_int_equal(rate_now(), 1000000);
    give_rate(*state, EPOCH, &none);
    assert_int_equal(rate_now(), 0);
    give_rate(*state, EPOCH - 1, &r); /* an orchestrator of the past rules nothing */
    assert_int_equal(rate_now(), 0);
    give_rate(*state, EPOCH, &open);
    assert_true(rate_now() == BUCKET_UNLIMITED);
    give_order(*state, "wait", &r); /* again after a hello, with what holds then */
    assert_int_equal(rate_now(), 1000000);
}

static void windows_begin_by_themselves(void **state)
{
    struct bench *b = *state;
    Godwit__Rate r = rate_of(1000000);
    Godwit__RateWindow w[] = {GODWIT__RATE_WINDOW__INIT, GODWIT__RATE_WINDOW__INIT,
                              GODWIT__RATE_WINDOW__INIT};
    Godwit__RateWindow *list[] = {&w[0], &w[1], &w[2]};
    int64_t now = clock_fleet_ms();
    w[0].from_ms = now - 1000; /* the message was late */
    w[0].limited = true;
    w[0].bytes_per_s = 2000000;
    w[1].from_ms = now + 60000;
    w[1].limited = true;
    w[2].from_ms = now + 120000;
    r.n_next = ARRAY_SIZE(list);
    r.next = list;
    give_order(b, "wait", &r);
    assert_int_equal(rate_now(), 2000000);
    workers_tick(b->workers, now + 59999);
    assert_int_equal(rate_now(), 2000000);
    workers_tick(b->workers, now + 60000);
    assert_int_equal(rate_now(), 0);
    dispatch_tick(b->d, clock_mono_ms(), false); /* the windows are kept without a session, too */
    assert_int_equal(rate_now(), 0);
    workers_tick(b->workers, now + 500000);
    assert_true(rate_now() == BUCKET_UNLIMITED);
}

static void steps_have_the_priority_that_was_asked_for(void **state)
{
    struct bench *b = *state;
    static const struct {
        const char *name;
        int io, nice;
    } cases[] = {
        {"low",  2 << 13 | 7, 10},
        {"idle", 3 << 13 | 7, 19},
    };
    int io = 0, nice = 0, mine = 0, my_nice = 0;
    look(&io, &nice);
    give_order(b, "priority", NULL);
    reap_all(b);
    assert_int_equal(seen.io, io);
    assert_int_equal(seen.nice, nice);
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct step_slip slip = {.kind = &kinds[1], .op_id = "00000000000000b1", .args = ""};
        struct step_end over;
        assert_int_equal(priority_parse(cases[i].name, &b->env.priority), 0);
        assert_int_equal(workers_submit(b->workers, &slip), 0);
        struct pollfd p = {.fd = workers_fd(b->workers), .events = POLLIN};
        assert_int_equal(poll(&p, 1, 5000), 1);
        assert_int_equal(workers_reap(b->workers, &over), 1);
        assert_int_equal(seen.io, cases[i].io > io ? cases[i].io : io); /* never raised */
        assert_int_equal(seen.nice, cases[i].nice > nice ? cases[i].nice : nice);
        assert_int_equal(seen.child_io, seen.io);
        assert_int_equal(seen.child_nice, seen.nice);
    }
    look(&mine, &my_nice); /* the deciding thread stays as it was */
    assert_int_equal(mine, io);
    assert_int_equal(my_nice, nice);
    enum io_priority p;
    assert_int_equal(priority_parse("lowest", &p), -EINVAL);
}

/* Started behind others, by systemd or by hand: it stays there. */
static void who_comes_later_already_is_not_put_before(void **state)
{
    struct bench *b = *state;
    struct step_slip slip = {.kind = &kinds[1], .op_id = "00000000000000b1", .args = ""};
    struct step_end over;
    int io = 0, nice = 0;
    look(&io, &nice);
    assert_int_equal(setpriority(PRIO_PROCESS, 0, nice > 17 ? nice : 17), 0);
    b->env.priority = IO_PRIORITY_LOW;
    assert_int_equal(workers_submit(b->workers, &slip), 0);
    (void)setpriority(PRIO_PROCESS, 0, nice); /* root may go back */
    struct pollfd p = {.fd = workers_fd(b->workers), .events = POLLIN};
    assert_int_equal(poll(&p, 1, 5000), 1);
    assert_int_equal(workers_reap(b->workers, &over), 1);
    assert_int_equal(seen.nice, nice > 17 ? nice : 17);
}

#define CASE(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_order_without_a_rate_has_no_limit),
        CASE(a_rate_holds_from_the_order_on_and_changes_while_it_runs),
        CASE(windows_begin_by_themselves),
        CASE(steps_have_the_priority_that_was_asked_for),
        CASE(who_comes_later_already_is_not_put_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
