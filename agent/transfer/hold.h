/* hold: the source holds itself back while its own reads are slow, because others wait for the same
 * disk: half the pace when their latency is above the limit, a little more each second below it.
 * Costs one comparison a read when it is off. Counting: any thread; deciding: the step's. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/clock.h"

#define HOLD_SLOTS 100  /* four to an octave of microseconds */
#define HOLD_FULL 1024U /* the pace of one that is not held */
#define HOLD_LEAST 16U

struct hold {
    uint32_t max_us;  /* 0: off */
    atomic_uint pace; /* of HOLD_FULL */
    atomic_uint counts[HOLD_SLOTS];
    uint32_t latency_us; /* of 95 reads in 100 in the last window */
    int64_t since_ms;    /* when the window began */
};

void hold_init(struct hold *h, uint32_t max_ms, int64_t now_ms);
void hold_count(struct hold *h, int64_t took_us);
/* Once a second: true when there is something to tell. */
bool hold_tick(struct hold *h, int64_t now_ms);
/* How long a thread that was busy so long rests now, so that its pace is the hold's; 0: not worth
 * it yet. */
int64_t hold_rest_us(const struct hold *h, int64_t busy_us);

static inline int64_t hold_begin(const struct hold *h)
{
    return h->max_us ? clock_mono_us() : 0;
}
static inline void hold_end(struct hold *h, int64_t from_us)
{
    if (from_us)
        hold_count(h, clock_mono_us() - from_us);
}
