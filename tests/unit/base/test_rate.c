/* test_rate: rates as people write and read them. */
#include <errno.h>
#include <stdbool.h>

#include "common/base/mem.h"
#include "common/base/rate.h"
#include "tests/unit/test.h"

static void rates_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        uint64_t want;
    } cases[] = {
        {"200MiB/s",       0,       200ULL << 20  },
        {"200 MiB/s",      0,       200ULL << 20  },
        {"1.5GiB/s",       0,       3ULL << 29    },
        {"100Mbit/s",      0,       12500000      },
        {"10gbit/s",       0,       1250000000    },
        {"64kib/s",        0,       64 << 10      },
        {"1kB/s",          -EINVAL, 0             },
        {"2kB/s",          0,       2000          },
        {"none",           0,       0             },
        {"unlimited",      0,       RATE_UNLIMITED},
        {"1024GiB/s",      0,       1ULL << 40    },
        {"1025GiB/s",      -EINVAL, 0             },
        {"999999999GiB/s", -EINVAL, 0             },
        {"9999999999B/s",  -EINVAL, 0             },
        {"",               -EINVAL, 0             },
        {"MiB/s",          -EINVAL, 0             },
        {"200",            -EINVAL, 0             },
        {"200M",           -EINVAL, 0             },
        {"-1MiB/s",        -EINVAL, 0             },
        {"1.MiB/s",        -EINVAL, 0             },
        {".5MiB/s",        -EINVAL, 0             },
        {"1.2.3MiB/s",     -EINVAL, 0             },
        {"0MiB/s",         -EINVAL, 0             },
        {"200MiB/s x",     -EINVAL, 0             },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        uint64_t got = 0;
        int rc = rate_parse(cases[i].text, &got);
        if (rc != cases[i].rc || got != cases[i].want)
            fail_msg("'%s': %d, %llu", cases[i].text, rc, (unsigned long long)got);
    }
}

static void rates_are_written(void **state)
{
    (void)state;
    static const struct {
        uint64_t rate;
        const char *want;
    } cases[] = {
        {0,              "none"      },
        {RATE_UNLIMITED, "unlimited" },
        {100ULL << 20,   "100 MiB/s" },
        {1ULL << 30,     "1 GiB/s"   },
        {12500000,       "12500 kB/s"},
        {100000000,      "100 MB/s"  },
        {64 << 10,       "64 KiB/s"  },
        {34952533,       "33.3 MiB/s"},
        {1500,           "1.5 KiB/s" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        char got[24];
        rate_text(cases[i].rate, got);
        assert_string_equal(got, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_read),
        cmocka_unit_test(rates_are_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
