/* test_hold: a source whose reads become slow halves its pace, and grows again: by numbers, and in
 * a whole transfer whose pread() is slow. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/transfer/hold.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"
#include "tests/unit/transfer/harness.h"
#include "tests/unit/transfer/trees.h"

static atomic_int slow_us;

ssize_t __real_pread64(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *to, size_t n, off_t at);
ssize_t __wrap_pread64(int fd, void *to, size_t n, off_t at)
{
    int us = atomic_load(&slow_us);
    if (us > 0 && n > 4096)
        (void)usleep((useconds_t)us);
    return __real_pread64(fd, to, n, at);
}

static atomic_uint ahead; /* times that something was asked for before it was read */

int __real_posix_fadvise64(int fd, off_t at, off_t n, int advice);
int __wrap_posix_fadvise64(int fd, off_t at, off_t n, int advice);
int __wrap_posix_fadvise64(int fd, off_t at, off_t n, int advice)
{
    if (advice == POSIX_FADV_WILLNEED)
        (void)atomic_fetch_add(&ahead, 1);
    return __real_posix_fadvise64(fd, at, n, advice);
}

static void the_95th_of_100_reads_decides(void **state_)
{
    (void)state_;
    static const struct {
        const char *name;
        int quick, slow;
        int64_t quick_us, slow_us;
        uint32_t low, high; /* of the latency */
        unsigned pace;
    } cases[] = {
        {"all quick",                   100, 0,  300,   0,                300,   400,        HOLD_FULL    },
        {"a few slow ones are no news", 97,  3,  300,   90000,            300,   400,        HOLD_FULL    },
        {"six of a hundred are",        94,  6,  300,   90000,            90000, 120000,     HOLD_FULL / 2},
        {"all slow",                    0,   50, 0,     40000,            40000, 50000,      HOLD_FULL / 2},
        {"just within",                 100, 0,  15000, 0,                15000, 20000,      HOLD_FULL    },
        {"beyond the scale",            0,   10, 0,     INT64_C(1) << 50, 20001, UINT32_MAX, HOLD_FULL / 2},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct hold h;
        hold_init(&h, 20, 0);
        for (int n = 0; n < cases[i].quick; n++)
            hold_count(&h, cases[i].quick_us);
        for (int n = 0; n < cases[i].slow; n++)
            hold_count(&h, cases[i].slow_us);
        assert_true(hold_tick(&h, 1000));
        if (h.latency_us < cases[i].low || h.latency_us > cases[i].high ||
            atomic_load(&h.pace) != cases[i].pace)
            fail_msg("%s: %u us, pace %u", cases[i].name, h.latency_us, atomic_load(&h.pace));
    }
}

static void seconds(struct hold *h, int n, int64_t took_us, int64_t *now)
{
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < 20; k++)
            hold_count(h, took_us);
        *now += 1000;
        (void)hold_tick(h, *now);
    }
}

static void the_pace_is_halved_and_grows_by_steps(void **state_)
{
    (void)state_;
    struct hold h;
    int64_t now = 0;
    hold_init(&h, 20, now);
    assert_int_equal(hold_rest_us(&h, 100000), 0);
    seconds(&h, 2, 50000, &now);
    assert_int_equal(atomic_load(&h.pace), HOLD_FULL / 4);
    assert_int_equal(hold_rest_us(&h, 10000), 30000); /* a quarter of the time */
    assert_int_equal(hold_rest_us(&h, 100), 0);       /* saved up */
    seconds(&h, 30, 50000, &now);
    assert_int_equal(atomic_load(&h.pace), HOLD_LEAST); /* it never stops */
    assert_true(hold_rest_us(&h, INT64_C(1) << 40) <= 2000000);
    seconds(&h, 4, 1000, &now);
    assert_int_equal(atomic_load(&h.pace), HOLD_LEAST + 4 * (HOLD_FULL / 16));
    seconds(&h, 20, 1000, &now);
    assert_int_equal(atomic_load(&h.pace), HOLD_FULL);
    /* A pace so low that few reads are made waits for enough of them, but not for ever. */
    seconds(&h, 1, 50000, &now);
    hold_count(&h, 50000);
    (void)hold_tick(&h, now + 1000);
    assert_int_equal(atomic_load(&h.pace), HOLD_FULL / 2);
    (void)hold_tick(&h, now + 6000);
    assert_int_equal(atomic_load(&h.pace), HOLD_FULL / 4);
}

static void off_costs_and_tells_nothing(void **state_)
{
    (void)state_;
    struct hold h;
    hold_init(&h, 0, 0);
    assert_int_equal(hold_begin(&h), 0);
    hold_end(&h, 0);
    assert_false(hold_tick(&h, 100000));
}

static void slow_reads_hold_a_transfer_back(void **state_)
{
    (void)state_;
    for (int slow = 0; slow < 2; slow++) {
        struct both b;
        assert_int_equal(trees_teardown(NULL), 0);
        assert_int_equal(trees_setup(NULL), 0);
        struct harness h = {.source = source, .destination = destination, .state = state};
        h.options = (struct transfer_options){
            .compress = COMPRESS_OFF, .lanes = 2, .max_source_latency_ms = 50};
        put_random("big", 6U << 20, 1);
        atomic_store(&slow_us, slow ? 120000 : 0);
        atomic_store(&harness_least_pace, 100);
        harness_run(&h, &b.sent, &b.received);
        atomic_store(&slow_us, 0);
        step_result_done(&b.sent);
        step_result_done(&b.received);
        assert_done(&b);
        assert_same_trees();
        unsigned pace = atomic_load(&harness_least_pace);
        if (slow) {
            assert_true(pace <= 50);
            assert_true(atomic_load(&harness_latency_us) > 100000);
        } else {
            assert_int_equal(pace, 100);
        }
    }
}

/* How long the disk takes would show to nobody. */
static void what_is_to_be_spared_is_not_read_ahead(void **state_)
{
    (void)state_;
    static const struct {
        const char *name;
        uint32_t max_ms;
        bool sparse, ahead;
    } cases[] = {
        {"as usual",         0,   false, true },
        {"held back",        500, false, false},
        {"unwritten blocks", 0,   true,  false}, /* in memory they would count as data */
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct both b;
        assert_int_equal(trees_teardown(NULL), 0);
        assert_int_equal(trees_setup(NULL), 0);
        put_random("big", 6U << 20, 1);
        if (cases[i].sparse)
            IN_SOURCE(truncate(path, 16 << 20), "big");
        atomic_store(&ahead, 0);
        transfer(&b, &(struct transfer_options){.max_source_latency_ms = cases[i].max_ms});
        assert_done(&b);
        assert_same_trees();
        if ((atomic_load(&ahead) > 0) != cases[i].ahead)
            fail_msg("%s: %u", cases[i].name, atomic_load(&ahead));
    }
}

int main(void)
{
    const char *const argv[] = {"sh", "-c", "command -v rsync >/dev/null", NULL};
    if (trees_run(argv) != 0) {
        (void)fprintf(stderr, "skipped: rsync is not installed\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_95th_of_100_reads_decides),
        cmocka_unit_test(the_pace_is_halved_and_grows_by_steps),
        cmocka_unit_test(off_costs_and_tells_nothing),
        cmocka_unit_test_setup_teardown(what_is_to_be_spared_is_not_read_ahead, trees_setup,
                                        trees_teardown),
        cmocka_unit_test_setup_teardown(slow_reads_hold_a_transfer_back, trees_setup,
                                        trees_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
