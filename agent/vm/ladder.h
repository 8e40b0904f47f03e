/* ladder: what is done, one after the other, so that a live move keeps what was promised of its
 * outage and its time; or that it cannot be kept. Decides by numbers alone; any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/vm/virt.h"
#include "proto/vm_move.pb-c.h"

#define LADDER_LINES_MAX 16

enum ladder_act {
    LADDER_NOTHING,
    LADDER_LIFT,      /* the limit of its speed, for the last rounds */
    LADDER_CAP,       /* the limit holds again */
    LADDER_DOWNTIME,  /* allow downtime_ms */
    LADDER_POST_COPY, /* cannot go back from then on */
    LADDER_GIVE_UP,
};

struct ladder {
    uint64_t downtime_ms;                   /* allowed now */
    uint64_t most_ms, cap_mib, limit_ms;    /* promised; 0: not */
    uint64_t rounds, dirty_rate, disk_done; /* the last that was seen */
    int64_t lifted_ms;                      /* when; 0: it is not */
    bool post_copy, in_post_copy;
    unsigned lifts;
    char *lines[LADDER_LINES_MAX];
    unsigned nlines;
};

void ladder_init(struct ladder *l, const Godwit__VmMovePlan *plan, uint64_t cap_mib);
void ladder_done(struct ladder *l);
/* What to do now, so long after the beginning. */
enum ladder_act ladder_step(struct ladder *l, const struct virt_progress *p, int64_t ms);
void ladder_tell(const struct ladder *l, Godwit__VmMoveAnswer *a); /* its lines; copied */
