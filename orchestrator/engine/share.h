/* share: divides budgets among pairs: everybody's share grows alike until a budget is used up, or a
 * pair has all that it can use. Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "common/base/rate.h"

#define SHARE_BUDGETS 5 /* of one pair: its job, both hosts, both sites */

struct share {
    size_t budgets[SHARE_BUDGETS]; /* indices; each budget once */
    size_t nbudgets;
    uint64_t want; /* what it can use; RATE_UNLIMITED: whatever it gets */
    uint64_t rate; /* filled in; RATE_UNLIMITED: no budget holds it */
    int held_by;   /* filled in: index of the budget that was used up; -1: none */
};

/* No budget is exceeded. What pairs do not want goes to others; what nobody wants is divided all
 * the same, so that a pair which wants more of a sudden need not wait. */
void share_fill(const uint64_t *budgets, size_t nbudgets, struct share *pairs, size_t npairs);
