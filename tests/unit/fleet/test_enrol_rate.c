/* test_enrol_rate: who gets an answer, in a made-up time. */
#include <stdio.h>

#include "common/base/mem.h"
#include "orchestrator/fleet/enrol_rate.h"
#include "tests/unit/test.h"

static const struct enrol_limits limits = {.all = 50, .each = 5};

static unsigned answered(struct enrol_rate *r, const char *address, unsigned requests, int64_t ms)
{
    unsigned n = 0;
    for (unsigned i = 0; i < requests; i++)
        n += enrol_rate_take(r, &limits, address, ms);
    return n;
}

static void one_address_has_its_own_limit(void **state)
{
    (void)state;
    static const struct {
        const char *address;
        int64_t ms; /* since the case before */
        unsigned requests, want;
    } cases[] = {
        {"192.0.2.1",      0,      1000, 10}, /* two seconds' worth at once */
        {"192.0.2.1",      100,    1000, 0 },
        {"192.0.2.1",      900,    1000, 5 }, /* a second later */
        {"192.0.2.1",      600000, 1000, 10}, /* and never more than the burst */
        {"2001:db8::1",    0,      1000, 10},
        {"2001:db8::2",    0,      1000, 0 }, /* the same /64 */
        {"2001:db8:0:1::", 0,      1000, 10},
        {"",               0,      1000, 10}, /* unknown ones share one */
        {"no address",     0,      1000, 0 },
    };
    CLEANUP(enrol_rate_free) struct enrol_rate *r = enrol_rate_new();
    int64_t now = 1;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        now += cases[i].ms;
        unsigned got = answered(r, cases[i].address, cases[i].requests, now);
        if (got != cases[i].want)
            fail_msg("case %zu: %u answered, not %u", i, got, cases[i].want);
    }
}

static void a_flood_leaves_the_others_their_turn(void **state)
{
    (void)state;
    CLEANUP(enrol_rate_free) struct enrol_rate *r = enrol_rate_new();
    unsigned others = 0;
    assert_int_equal(answered(r, "198.51.100.7", 1000000, 1), 10);
    for (unsigned i = 0; i < 20; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "192.0.2.%u", i);
        others += answered(r, address, 1, 1);
    }
    assert_in_range(others, 19, 20); /* one may share the flooder's bucket */
}

static void all_together_have_one_too(void **state)
{
    (void)state;
    CLEANUP(enrol_rate_free) struct enrol_rate *r = enrol_rate_new();
    unsigned n = 0;
    for (unsigned i = 0; i < 60000; i++) {
        char address[32];
        (void)snprintf(address, sizeof address, "10.1.%u.%u", i / 256, i % 256);
        n += answered(r, address, 1, 1);
    }
    assert_int_equal(n, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_address_has_its_own_limit),
        cmocka_unit_test(a_flood_leaves_the_others_their_turn),
        cmocka_unit_test(all_together_have_one_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
