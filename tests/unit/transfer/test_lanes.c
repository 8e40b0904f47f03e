/* test_lanes: how a session over a far link gets its lanes: they shake hands while the first does,
 * and say hello once that one has begun the session. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/lane/lane_hello.h"
#include "agent/transfer/sender_priv.h"
#include "common/base/clock.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

#define RTT_US 100000
#define LIMIT_MS 10000

static uint32_t rtt_us;
static atomic_uint dialled, dialled_early, welcomes, too_early;
static atomic_uint break_first, break_others; /* hellos that fail */
static unsigned before_welcome;               /* connections that are waited for */
static unsigned before_walk;                  /* welcomes */

int __real_lane_dial(const char *endpoint, int cancel_fd, uint32_t *retrtt_us);
int __wrap_lane_dial(const char *endpoint, int cancel_fd, uint32_t *retrtt_us);
int __wrap_lane_dial(const char *endpoint, int cancel_fd, uint32_t *retrtt_us)
{
    int fd = __real_lane_dial(endpoint, cancel_fd, retrtt_us);
    *retrtt_us = rtt_us;
    (void)atomic_fetch_add(&dialled, 1);
    return fd;
}

static bool take_one(atomic_uint *of)
{
    unsigned n = atomic_load(of);
    while (n > 0)
        if (atomic_compare_exchange_weak(of, &n, n - 1))
            return true;
    return false;
}

int __real_lane_hello_send(struct lane *l, const struct lane_hello *h);
int __wrap_lane_hello_send(struct lane *l, const struct lane_hello *h);
int __wrap_lane_hello_send(struct lane *l, const struct lane_hello *h)
{
    if (h->entry.lane != 0 && atomic_load(&welcomes) == 0)
        (void)atomic_fetch_add(&too_early, 1);
    if (take_one(h->entry.lane != 0 ? &break_others : &break_first))
        return -ECONNRESET;
    return __real_lane_hello_send(l, h);
}

static void wait_for(const atomic_uint *count, unsigned n)
{
    for (int64_t until = clock_mono_ms() + LIMIT_MS; atomic_load(count) < n;) {
        if (clock_mono_ms() > until)
            return;
        (void)usleep(1000);
    }
}

int __real_lane_welcome_receive(struct lane *l, int timeout_ms, struct lane_welcome *ret,
                                struct fault *reterr);
int __wrap_lane_welcome_receive(struct lane *l, int timeout_ms, struct lane_welcome *ret,
                                struct fault *reterr);
int __wrap_lane_welcome_receive(struct lane *l, int timeout_ms, struct lane_welcome *ret,
                                struct fault *reterr)
{
    if (atomic_load(&welcomes) == 0)
        wait_for(&dialled, before_welcome);
    if (atomic_load(&welcomes) == 0)
        atomic_store(&dialled_early, atomic_load(&dialled));
    int rc = __real_lane_welcome_receive(l, timeout_ms, ret, reterr);
    (void)atomic_fetch_add(&welcomes, rc == 0);
    return rc;
}

int __real_walk_folder(struct worker *w, char *path, size_t len, uint32_t flags);
int __wrap_walk_folder(struct worker *w, char *path, size_t len, uint32_t flags);
int __wrap_walk_folder(struct worker *w, char *path, size_t len, uint32_t flags)
{
    wait_for(&welcomes, before_walk);
    return __real_walk_folder(w, path, len, flags);
}

static void run(uint32_t rtt)
{
    struct both b;
    struct harness h = {.source = source, .destination = destination, .state = state};
    h.options = (struct transfer_options){.compress = COMPRESS_OFF};
    rtt_us = rtt;
    atomic_store(&dialled, 0);
    atomic_store(&welcomes, 0);
    atomic_store(&too_early, 0);
    put_random("one", 300000, 1);
    put_random("two", 1000, 2);
    harness_run(&h, &b.sent, &b.received);
    assert_done(&b);
    assert_same_trees();
    assert_int_equal(atomic_load(&too_early), 0);
    assert_int_equal(atomic_load(&break_first), 0);
    assert_true(atomic_load(&welcomes) >= before_walk);
    assert_int_equal(atomic_load(&break_others), 0);
    step_result_done(&b.sent);
    step_result_done(&b.received);
}

static void lanes_of_a_far_link_connect_while_the_first_does(void **state_)
{
    (void)state_;
    before_welcome = before_walk = LANES_START;
    run(RTT_US);
    /* More where the destination was not ready for the first session. */
    assert_true(atomic_load(&dialled_early) >= LANES_START);
}

static void those_of_a_short_one_follow_the_first(void **state_)
{
    (void)state_;
    before_welcome = before_walk = 0;
    run(RTT_US / 100);
}

/* The destination waits for a hello for some seconds only. */
static void a_lane_that_did_not_last_connects_again(void **state_)
{
    (void)state_;
    before_welcome = LANES_START;
    before_walk = LANES_START;
    atomic_store(&break_others, 2);
    run(RTT_US);
}

static void a_first_lane_that_fails_ends_the_others(void **state_)
{
    (void)state_;
    before_welcome = before_walk = 0;
    atomic_store(&break_first, 2);
    run(RTT_US);
}

int main(void)
{
    const char *const argv[] = {"sh", "-c", "command -v rsync >/dev/null", NULL};
    if (trees_run(argv) != 0) {
        (void)fprintf(stderr, "skipped: rsync is not installed\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lanes_of_a_far_link_connect_while_the_first_does,
                                        trees_setup, trees_teardown),
        cmocka_unit_test_setup_teardown(those_of_a_short_one_follow_the_first, trees_setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(a_lane_that_did_not_last_connects_again, trees_setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(a_first_lane_that_fails_ends_the_others, trees_setup,
                                        trees_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
