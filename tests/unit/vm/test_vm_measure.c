/* How fast a machine writes is measured once for all who ask at a time: QEMU does not bear two. */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "agent/vm/measure.h"
#include "agent/vm/virt.h"
#include "common/base/clock.h"
#include "tests/unit/test.h"

#define ASKERS 4
#define LIMIT_MS 20000
#define LINGER_MS 300 /* a second one would begin meanwhile, were there one */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;

/* All under the lock. */
static struct {
    unsigned asked, wanted, at_once, most, times;
    bool two; /* at once are to come */
    unsigned let_go;
    bool hangs;
    int rc;
} w;

static void wait_for(const unsigned *what, unsigned n, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    while (*what < n && clock_mono_ms() < until)
        clock_cond_wait(&changed, &lock, 50);
}

static int measures(struct virt *v, const char *uuid, uint64_t *ret, struct fault *reterr)
{
    (void)v;
    (void)pthread_mutex_lock(&lock);
    w.times++;
    if (++w.at_once > w.most)
        w.most = w.at_once;
    (void)pthread_cond_broadcast(&changed);
    wait_for(&w.asked, w.wanted, LIMIT_MS);
    wait_for(&w.most, 2, w.two ? LIMIT_MS : LINGER_MS);
    if (w.hangs)
        wait_for(&w.let_go, 1, LIMIT_MS);
    w.at_once--;
    int rc = w.rc;
    (void)pthread_mutex_unlock(&lock);
    *ret = strlen(uuid);
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, -rc, "not measured") : 0;
}

static const struct virt_ops ops = {.dirty_rate = measures};
struct asker {
    pthread_t thread;
    const char *uuid;
    uint64_t rate;
    int rc;
    struct fault fault;
};

static void *ask(void *arg)
{
    struct asker *a = arg;
    struct virt v = {.ops = &ops};
    (void)pthread_mutex_lock(&lock);
    w.asked++;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
    a->rc = measure_dirty_rate(&v, a->uuid, &a->rate, &a->fault);
    return NULL;
}

static void ask_all(struct asker a[ASKERS], int rc, const char *last)
{
    memset(&w, 0, sizeof w);
    w.wanted = ASKERS;
    w.rc = rc;
    w.two = strcmp(last, "one") != 0;
    for (int i = 0; i < ASKERS; i++) {
        a[i] = (struct asker){.uuid = i == ASKERS - 1 ? last : "one", .rc = 1};
        assert_int_equal(pthread_create(&a[i].thread, NULL, ask, &a[i]), 0);
    }
    for (int i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_join(a[i].thread, NULL), 0);
}

static void one_machine_is_measured_once_at_a_time(void **state)
{
    struct asker a[ASKERS];
    (void)state;
    ask_all(a, 0, "one");
    assert_int_equal(w.most, 1);
    for (int i = 0; i < ASKERS; i++)
        assert_true(a[i].rc == 0 && a[i].rate == 3);
    ask_all(a, 0, "one"); /* and anew */
    assert_true(w.times >= 1);
}

static void two_machines_do_not_wait_for_each_other(void **state)
{
    struct asker a[ASKERS];
    (void)state;
    ask_all(a, 0, "other");
    assert_int_equal(w.most, 2);
    assert_int_equal(a[0].rate, 3);
    assert_int_equal(a[ASKERS - 1].rate, 5);
}

static void a_failure_is_told_to_all(void **state)
{
    struct asker a[ASKERS];
    (void)state;
    ask_all(a, -EIO, "one");
    for (int i = 0; i < ASKERS; i++) {
        assert_int_equal(a[i].rc, -EIO);
        assert_string_equal(a[i].fault.text, "not measured");
    }
}

/* The hypervisor hangs in it: who asks meanwhile is told so. */
static void one_that_does_not_end_keeps_nobody(void **state)
{
    struct asker a = {.uuid = "one", .rc = 1}, b = {.uuid = "one", .rc = 1};
    (void)state;
    memset(&w, 0, sizeof w);
    w.hangs = true;
    measure_wait_ms = 50;
    assert_int_equal(pthread_create(&a.thread, NULL, ask, &a), 0);
    (void)pthread_mutex_lock(&lock);
    wait_for(&w.times, 1, LIMIT_MS);
    (void)pthread_mutex_unlock(&lock);
    (void)ask(&b);
    assert_int_equal(b.rc, -EBUSY);
    (void)pthread_mutex_lock(&lock);
    w.let_go = 1;
    (void)pthread_cond_broadcast(&changed);
    (void)pthread_mutex_unlock(&lock);
    assert_int_equal(pthread_join(a.thread, NULL), 0);
    assert_int_equal(a.rc, 0);
    assert_int_equal(w.times, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_machine_is_measured_once_at_a_time),
        cmocka_unit_test(two_machines_do_not_wait_for_each_other),
        cmocka_unit_test(a_failure_is_told_to_all),
        cmocka_unit_test(one_that_does_not_end_keeps_nobody),
    };
    clock_cond_init(&changed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
