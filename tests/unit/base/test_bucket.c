/* test_bucket: the rate is kept within 5% of any ten seconds, by any number of takers, through
 * changes, in made-up time. */
#include <string.h>

#include "common/base/bucket.h"
#include "common/base/mem.h"
#include "tests/unit/test.h"

#define SECOND INT64_C(1000000000)
#define RECORD (256U << 10)

/* Takers that each have records to send without end, as lanes do; they wake late by jitter. */
struct taker {
    int64_t wakes;
    size_t left;
};

static uint64_t run(struct bucket *b, unsigned takers, int64_t from, int64_t until, int64_t late)
{
    struct taker t[16];
    uint64_t sum = 0;
    memset(t, 0, sizeof t);
    for (unsigned i = 0; i < takers; i++)
        t[i] = (struct taker){from, RECORD};
    for (;;) {
        struct taker *next = &t[0];
        for (unsigned i = 1; i < takers; i++)
            if (t[i].wakes < next->wakes)
                next = &t[i];
        if (next->wakes >= until)
            return sum;
        int64_t wait = 0;
        size_t n = bucket_take(b, next->left, next->wakes, &wait);
        assert_true(n <= next->left && (n > 0 || wait > 0));
        sum += n;
        next->left = next->left > n ? next->left - n : RECORD;
        next->wakes += n > 0 ? 1000 : wait + late;
    }
}

static void a_rate_is_kept_within_5_percent_over_ten_seconds(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t rate;
        unsigned takers;
        int64_t late_ms;
    } cases[] = {
        {"a modem",              8U << 10,             4,  1 },
        {"64 KiB/s, many lanes", 64U << 10,            16, 1 },
        {"1 MiB/s",              1U << 20,             1,  0 },
        {"1 MiB/s, 8 lanes",     1U << 20,             8,  5 },
        {"100 MiB/s",            100U << 20,           4,  1 },
        {"100 MiB/s, busy host", 100U << 20,           4,  60},
        {"a gigabyte",           UINT64_C(1000000000), 8,  1 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        struct bucket b;
        bucket_init(&b, cases[i].rate);
        int64_t now = 5 * SECOND;
        (void)run(&b, cases[i].takers, now, now + SECOND, 0); /* what was saved up is used */
        for (int window = 0; window < 3; window++) {
            now += SECOND + window * 10 * SECOND;
            uint64_t got =
                run(&b, cases[i].takers, now, now + 10 * SECOND, cases[i].late_ms * 1000000);
            uint64_t want = cases[i].rate * 10;
            if (got > want + want / 20 || got < want - want / 20)
                fail_msg("%s: %llu bytes in 10 s, not %llu", cases[i].name, (unsigned long long)got,
                         (unsigned long long)want);
        }
    }
}

static void idleness_saves_up_a_fifth_of_a_second(void **state)
{
    (void)state;
    struct bucket b;
    bucket_init(&b, 1000000);
    uint64_t got = run(&b, 4, 1000 * SECOND, 1000 * SECOND + SECOND / 1000, 0);
    assert_in_range(got, 190000, 230000);
}

static void a_change_holds_at_once(void **state)
{
    (void)state;
    struct bucket b;
    int64_t now = SECOND, wait = 0;
    bucket_init(&b, 1024);
    while (bucket_take(&b, RECORD, now, &wait) > 0)
        ;
    assert_true(wait > 0 && wait <= BUCKET_LOOK_NS);
    bucket_set(&b, 10U << 20, now); /* debts of the slow time are forgotten */
    uint64_t got = run(&b, 2, now, now + 10 * SECOND, 0);
    assert_in_range(got, 99U << 20, 101U << 20);
    now += 10 * SECOND;
    bucket_set(&b, 0, now);
    assert_int_equal(run(&b, 2, now, now + 10 * SECOND, 0), 0);
    now += 10 * SECOND;
    bucket_set(&b, 1U << 20, now); /* nothing was saved up while nothing might go */
    got = run(&b, 2, now, now + SECOND, 0);
    assert_in_range(got, (1U << 20) - 60000, (1U << 20) + 60000);
    now += SECOND;
    bucket_set(&b, BUCKET_UNLIMITED, now);
    assert_false(bucket_is_limited(&b));
    assert_int_equal(bucket_take(&b, RECORD, now, &wait), RECORD);
}

static void what_could_not_go_is_given_back(void **state)
{
    (void)state;
    struct bucket b;
    int64_t now = SECOND, wait = 0;
    uint64_t sent = 0;
    bucket_init(&b, 1U << 20);
    (void)run(&b, 1, now, now + SECOND, 0);
    for (now += SECOND; now < 12 * SECOND;) { /* the socket takes half of each portion */
        size_t n = bucket_take(&b, RECORD, now, &wait);
        bucket_give(&b, n / 2);
        sent += n - n / 2;
        now += n > 0 ? 1000 : wait;
    }
    assert_in_range(sent, UINT64_C(95) * (1U << 20) / 10, UINT64_C(105) * (1U << 20) / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rate_is_kept_within_5_percent_over_ten_seconds),
        cmocka_unit_test(idleness_saves_up_a_fifth_of_a_second),
        cmocka_unit_test(a_change_holds_at_once),
        cmocka_unit_test(what_could_not_go_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
