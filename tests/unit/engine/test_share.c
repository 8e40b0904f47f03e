/* test_share: budgets are divided fairly, never exceeded, and what one leaves the others get. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "orchestrator/engine/share.h"
#include "tests/unit/test.h"

#define MIB (1ULL << 20)
#define ANY RATE_UNLIMITED

static void shares_are_fair(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t budgets[4];
        size_t npairs;
        struct {
            size_t n, of[3];
            uint64_t want, rate;
            int held_by;
        } pairs[4];
    } cases[] = {
        {"no budget",                                          {ANY},       1, {{1, {0}, ANY, ANY, -1}}                                                               },
        {"a budget of somebody else",                          {10},        1, {{0, {0}, ANY, ANY, -1}}                                                               },
        {"one pair has it all",                                {100 * MIB}, 1, {{1, {0}, ANY, 100 * MIB, 0}}                                                          },
        {"two halves",                                         {100 * MIB}, 2, {{1, {0}, ANY, 50 * MIB, 0}, {1, {0}, ANY, 50 * MIB, 0}}                               },
        {"the smallest of a pair's budgets holds it",
         {100 * MIB, 30 * MIB, 60 * MIB},
         1,                                                                    {{3, {0, 1, 2}, ANY, 30 * MIB, 1}}                                                     },
        {"what one cannot use the other gets",
         {100 * MIB},
         2,                                                                    {{1, {0}, 20 * MIB, 20 * MIB, 0}, {1, {0}, ANY, 80 * MIB, 0}}                          },
        {"what another budget keeps one from, the other gets",
         {100 * MIB, 10 * MIB},
         2,                                                                    {{2, {0, 1}, ANY, 10 * MIB, 1}, {1, {0}, ANY, 90 * MIB, 0}}                            },
        {"what nobody wants is divided all the same",
         {100 * MIB},
         2,                                                                    {{1, {0}, 10 * MIB, 40 * MIB, 0}, {1, {0}, 30 * MIB, 60 * MIB, 0}}                     },
        {"a pause holds its pairs and leaves the rest",
         {100 * MIB, 0},
         3,                                                                    {{2, {0, 1}, ANY, 0, 1}, {1, {0}, ANY, 50 * MIB, 0}, {1, {0}, ANY, 50 * MIB, 0}}       },
        {"two sites, a pair between them",
         {90 * MIB, 30 * MIB},
         3,                                                                    {{1, {0}, ANY, 75 * MIB, 0}, {2, {0, 1}, ANY, 15 * MIB, 1}, {1, {1}, ANY, 15 * MIB, 1}}},
        {"four pairs in three budgets",
         {100 * MIB, 40 * MIB, ANY},
         4,                                                                    {{2, {0, 1}, ANY, 20 * MIB, 1},
          {2, {0, 1}, ANY, 20 * MIB, 1},
          {2, {0, 2}, ANY, 60 * MIB, 0},
          {1, {2}, ANY, ANY, -1}}                                                                                                                          },
    };
    for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
        struct share p[4] = {{.nbudgets = 0}};
        for (size_t i = 0; i < cases[c].npairs; i++) {
            p[i].nbudgets = cases[c].pairs[i].n;
            p[i].want = cases[c].pairs[i].want;
            for (size_t k = 0; k < 3; k++)
                p[i].budgets[k] = cases[c].pairs[i].of[k];
        }
        share_fill(cases[c].budgets, 4, p, cases[c].npairs);
        for (size_t i = 0; i < cases[c].npairs; i++) {
            uint64_t want = cases[c].pairs[i].rate, got = p[i].rate;
            uint64_t off = got > want ? got - want : want - got;
            if (off > 2 || p[i].held_by != cases[c].pairs[i].held_by)
                fail_msg("%s: pair %zu gets %llu by %d", cases[c].name, i, (unsigned long long)got,
                         p[i].held_by);
        }
    }
}

/* Whatever the shape: no budget is exceeded, and nobody could have more without another's loss. */
static void no_shape_exceeds_a_budget(void **state)
{
    (void)state;
    enum { BUDGETS = 12, PAIRS = 200 };
    static struct share p[PAIRS];
    uint64_t budgets[BUDGETS];
    srandom(7);
    for (int round = 0; round < 200; round++) {
        double sum[BUDGETS] = {0};
        for (size_t b = 0; b < BUDGETS; b++)
            budgets[b] = random() % 4 == 0 ? ANY : (uint64_t)random() % (1000 * MIB);
        for (size_t i = 0; i < PAIRS; i++) {
            size_t first = (size_t)random() % BUDGETS;
            p[i].nbudgets = (size_t)random() % SHARE_BUDGETS;
            p[i].want = random() % 2 ? ANY : (uint64_t)random() % (100 * MIB);
            for (size_t k = 0; k < p[i].nbudgets; k++)
                p[i].budgets[k] = (first + k) % BUDGETS;
        }
        share_fill(budgets, BUDGETS, p, PAIRS);
        for (size_t i = 0; i < PAIRS; i++)
            for (size_t k = 0; p[i].rate != ANY && k < p[i].nbudgets; k++)
                sum[p[i].budgets[k]] += (double)p[i].rate;
        for (size_t b = 0; b < BUDGETS; b++)
            if (budgets[b] != ANY)
                assert_true(sum[b] <= (double)budgets[b] + PAIRS);
        for (size_t i = 0; i < PAIRS; i++) {
            if (p[i].held_by < 0)
                continue;
            size_t b = (size_t)p[i].held_by; /* is used up */
            assert_true(sum[b] >= (double)budgets[b] - PAIRS);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_are_fair),
        cmocka_unit_test(no_shape_exceeds_a_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
