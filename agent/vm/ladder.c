/* ladder: the rungs in their order. Any thread. */
#include "agent/vm/ladder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define DEFAULT_DOWNTIME_MS 300
#define FIRST_PART 2 /* begins with a half of what was promised: it is kept more surely */
#define LIFT_ROUND 2 /* rounds of memory under the limit before it is lifted */
#define LIFT_MS 8000 /* so long at most: it is others' bandwidth */
#define LIFTS_MAX 3
#define POST_COPY_PERCENT 60 /* of the time that was promised */

static void say(struct ladder *l, char *line)
{
    if (l->nlines < LADDER_LINES_MAX)
        l->lines[l->nlines++] = line;
    else
        free(line);
}

void ladder_init(struct ladder *l, const Godwit__VmMovePlan *plan, uint64_t cap_mib)
{
    *l = (struct ladder){.most_ms = plan->max_outage_ms ? plan->max_outage_ms : DEFAULT_DOWNTIME_MS,
                         .limit_ms = (uint64_t)plan->max_duration_s * 1000,
                         .cap_mib = cap_mib,
                         .post_copy = plan->postcopy && plan->streams <= 1};
    l->downtime_ms = l->most_ms / FIRST_PART ? l->most_ms / FIRST_PART : 1;
}

void ladder_done(struct ladder *l)
{
    for (unsigned i = 0; i < l->nlines; i++)
        free(l->lines[i]);
    l->nlines = 0;
}

void ladder_tell(const struct ladder *l, Godwit__VmMoveAnswer *a)
{
    a->ladder = xcalloc(l->nlines + 1, sizeof *a->ladder);
    for (unsigned i = 0; i < l->nlines; i++)
        a->ladder[a->n_ladder++] = xstrdup(l->lines[i]);
}

/* The limit would also hold while the machine stands still: what takes a moment would take seconds.
 * So it is lifted when there is little left, and when it never gets less. */
static enum ladder_act speed(struct ladder *l, const struct virt_progress *p, int64_t ms)
{
    if (!l->cap_mib)
        return LADDER_NOTHING;
    if (!l->lifted_ms && p->rounds >= LIFT_ROUND * (uint64_t)(l->lifts + 1) &&
        l->lifts < LIFTS_MAX) {
        l->lifted_ms = ms ? ms : 1;
        l->lifts++;
        say(l, xasprintf("%lld ms: the limit of %llu MiB/s is lifted for the last rounds",
                         (long long)ms, (unsigned long long)l->cap_mib));
        return LADDER_LIFT;
    }
    if (l->lifted_ms && ms - l->lifted_ms > LIFT_MS) {
        l->lifted_ms = 0;
        say(l, xasprintf("%lld ms: it did not end so; the limit holds again", (long long)ms));
        return LADDER_CAP;
    }
    return LADDER_NOTHING;
}

enum ladder_act ladder_step(struct ladder *l, const struct virt_progress *p, int64_t ms)
{
    uint64_t now = ms > 0 ? (uint64_t)ms : 0;
    l->rounds = p->rounds > l->rounds ? p->rounds : l->rounds;
    l->disk_done = p->disk_done > l->disk_done ? p->disk_done : l->disk_done;
    l->dirty_rate = p->dirty_rate ? p->dirty_rate : l->dirty_rate;
    if (l->in_post_copy || !p->runs)
        return LADDER_NOTHING;
    if (l->limit_ms && now > l->limit_ms) {
        say(l, xasprintf("%lld ms: the time that was promised is over: given up", (long long)ms));
        return LADDER_GIVE_UP;
    }
    /* Memory follows its storage; of a disk that is written to there is always something left. */
    if (p->disk_left && !p->rounds)
        return LADDER_NOTHING;
    enum ladder_act what = speed(l, p, ms);
    if (what != LADDER_NOTHING)
        return what;
    if (l->downtime_ms < l->most_ms && p->rounds > 2) {
        l->downtime_ms = l->most_ms;
        say(l, xasprintf("%lld ms: a stop of %llu ms is allowed, all that was promised",
                         (long long)ms, (unsigned long long)l->most_ms));
        return LADDER_DOWNTIME;
    }
    if (l->post_copy && l->limit_ms && p->rounds > 2 &&
        now * 100 > l->limit_ms * POST_COPY_PERCENT) {
        l->in_post_copy = true;
        say(l, xasprintf("%lld ms: it goes on there while its memory follows (post-copy)",
                         (long long)ms));
        return LADDER_POST_COPY;
    }
    return LADDER_NOTHING;
}
