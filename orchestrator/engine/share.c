/* share: max-min fairness by raising all at once. Each round ends somebody's growth, and wants come
 * in few sizes (governor.c), so rounds are few. Pure. */
#include "orchestrator/engine/share.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define LITTLE 0.5 /* bytes a second: used up, for floating point */

struct filling {
    struct share *pairs;
    size_t npairs, nbudgets;
    double *left;      /* of each budget; infinite when it has no limit */
    unsigned *growing; /* pairs of each budget that still grow */
    double *got;       /* by each pair */
    bool *done;
    bool wants_count; /* else everybody takes what there is */
};

static double want_of(const struct filling *f, size_t i)
{
    uint64_t want = f->pairs[i].want;
    return f->wants_count && want != RATE_UNLIMITED ? (double)want : INFINITY;
}

static void count_growing(struct filling *f)
{
    for (size_t b = 0; b < f->nbudgets; b++)
        f->growing[b] = 0;
    for (size_t i = 0; i < f->npairs; i++)
        for (size_t k = 0; !f->done[i] && k < f->pairs[i].nbudgets; k++)
            f->growing[f->pairs[i].budgets[k]]++;
}

/* By how much all that grow can grow together. */
static double next_step(const struct filling *f)
{
    double step = INFINITY;
    for (size_t b = 0; b < f->nbudgets; b++)
        if (f->growing[b] > 0)
            step = fmin(step, f->left[b] / f->growing[b]);
    for (size_t i = 0; i < f->npairs; i++)
        if (!f->done[i])
            step = fmin(step, want_of(f, i) - f->got[i]);
    return step > 0 ? step : 0;
}

static void grow(struct filling *f, double step)
{
    for (size_t i = 0; i < f->npairs; i++)
        f->got[i] += f->done[i] ? 0 : step;
    for (size_t b = 0; b < f->nbudgets; b++)
        if (f->growing[b] > 0)
            f->left[b] -= step * f->growing[b];
}

static bool settle(struct filling *f)
{
    bool any = false;
    for (size_t i = 0; i < f->npairs; i++) {
        struct share *p = &f->pairs[i];
        for (size_t k = 0; !f->done[i] && k < p->nbudgets; k++) {
            if (f->left[p->budgets[k]] > LITTLE)
                continue;
            p->held_by = (int)p->budgets[k];
            f->done[i] = any = true;
        }
        if (!f->done[i] && want_of(f, i) - f->got[i] <= LITTLE)
            f->done[i] = any = true;
    }
    return any;
}

static void fill(struct filling *f, bool wants_count)
{
    f->wants_count = wants_count;
    for (size_t i = 0; i < f->npairs; i++)
        f->done[i] = f->pairs[i].held_by >= 0;
    do {
        count_growing(f);
        double step = next_step(f);
        if (isinf(step))
            return; /* nothing holds those that are left */
        grow(f, step);
    } while (settle(f));
}

void share_fill(const uint64_t *budgets, size_t nbudgets, struct share *pairs, size_t npairs)
{
    CLEANUP(mem_free) double *left = xcalloc(nbudgets + 1, sizeof *left);
    CLEANUP(mem_free) unsigned *growing = xcalloc(nbudgets + 1, sizeof *growing);
    CLEANUP(mem_free) double *got = xcalloc(npairs + 1, sizeof *got);
    CLEANUP(mem_free) bool *done = xcalloc(npairs + 1, sizeof *done);
    struct filling f = {.pairs = pairs,
                        .npairs = npairs,
                        .nbudgets = nbudgets,
                        .left = left,
                        .growing = growing,
                        .got = got,
                        .done = done};
    for (size_t b = 0; b < nbudgets; b++)
        left[b] = budgets[b] == RATE_UNLIMITED ? INFINITY : (double)budgets[b];
    for (size_t i = 0; i < npairs; i++)
        pairs[i].held_by = -1;
    fill(&f, true);
    fill(&f, false);
    for (size_t i = 0; i < npairs; i++)
        pairs[i].rate = pairs[i].held_by < 0 ? RATE_UNLIMITED : (uint64_t)(got[i] + LITTLE);
}
