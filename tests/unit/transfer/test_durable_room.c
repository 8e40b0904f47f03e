/* test_durable_room: lanes hand their rows over at the same moment, while a sync takes its time:
 * none of the rows is lost, for with it the name of its file would be. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/receiver_priv.h"
#include "common/base/clock.h"
#include "tests/unit/test.h"

#define ROWS (40U << 20) /* of one lane: there is no room for those of two */

enum { NEITHER, FIRST, SECOND };

static struct receiver r;
static _Thread_local int me;
static _Thread_local unsigned locked; /* times, of r.lock */
static unsigned stop_at;              /* the first stands before it locks for that time */
static atomic_bool stands, may_go;
static atomic_bool at_flush[SECOND + 1];

static void wait_for(atomic_bool *a, atomic_bool *b)
{
    int64_t until = clock_mono_ms() + 30000;
    while (!atomic_load(a) && !(b && atomic_load(b)) && clock_mono_ms() < until)
        (void)sched_yield();
    assert_true(clock_mono_ms() < until);
}

int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
    if (m == &r.flush_lock)
        atomic_store(&at_flush[me], true);
    if (m == &r.lock && me == FIRST && ++locked == stop_at) {
        atomic_store(&stands, true);
        wait_for(&may_go, NULL);
    }
    return __real_pthread_mutex_lock(m);
}

static void *lane(void *arg)
{
    struct rlane l = {.r = &r};
    const struct meta m = {.mode = S_IFREG};
    me = *(int *)arg;
    buf_init(&l.placed.rows, ROWS);
    while (l.placed.rows.len + 1024 < ROWS)
        durable_row(&l.placed, (struct bytes){"folder", 6}, (struct bytes){"name", 4}, &m, NULL);
    (void)durable_note(&l); /* -errno: it cannot be synced */
    buf_done(&l.placed.rows);
    return NULL;
}

static void another_lane_comes_in_between(unsigned at)
{
    static int who[] = {FIRST, SECOND};
    pthread_t threads[2];
    stop_at = at;
    atomic_store(&stands, false);
    atomic_store(&may_go, false);
    atomic_store(&at_flush[FIRST], false);
    atomic_store(&at_flush[SECOND], false);
    (void)pthread_mutex_lock(&r.flush_lock);
    assert_int_equal(pthread_create(&threads[0], NULL, lane, &who[0]), 0);
    wait_for(&stands, &at_flush[FIRST]);
    assert_int_equal(pthread_create(&threads[1], NULL, lane, &who[1]), 0);
    wait_for(&at_flush[SECOND], NULL);
    atomic_store(&may_go, true);
    wait_for(&at_flush[FIRST], NULL);
    (void)pthread_mutex_lock(&r.lock);
    bool lost = r.pending.rows.overflow;
    (void)pthread_mutex_unlock(&r.lock);
    (void)pthread_mutex_unlock(&r.flush_lock);
    (void)pthread_join(threads[0], NULL);
    (void)pthread_join(threads[1], NULL);
    assert_false(lost);
}

static void no_row_is_lost(void **state)
{
    (void)state;
    for (unsigned at = 1; at <= 3; at++) {
        memset(&r, 0, sizeof r);
        r.sync_failed = true; /* the sync ends at once, and what it took with it */
        buf_init(&r.pending.rows, 64U << 20);
        (void)pthread_mutex_init(&r.lock, NULL);
        (void)pthread_mutex_init(&r.flush_lock, NULL);
        (void)pthread_cond_init(&r.changed, NULL);
        another_lane_comes_in_between(at);
        buf_done(&r.pending.rows);
        folderset_clear(&r.new_pending);
        folderset_clear(&r.new_synced);
        folderset_clear(&r.new_named);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(no_row_is_lost)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
