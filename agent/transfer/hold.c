/* hold: the source holds itself back while its own reads are slow. */
#include "agent/transfer/hold.h"

#define ENOUGH 8            /* reads before a window says something */
#define WINDOW_MOST_MS 5000 /* but it does not wait for them longer */
#define GROWTH (HOLD_FULL / 16)
#define REST_LEAST_US 1000 /* shorter rests are saved up */
#define REST_MOST_US 2000000
#define BUSY_MOST_US 250000 /* more was waiting, not work */

void hold_init(struct hold *h, uint32_t max_ms, int64_t now_ms)
{
    h->max_us = max_ms * 1000;
    h->latency_us = 0;
    h->since_ms = now_ms;
    atomic_init(&h->pace, HOLD_FULL);
    for (unsigned i = 0; i < HOLD_SLOTS; i++)
        atomic_init(&h->counts[i], 0);
}

/* 4 × log2, from the highest bit and the two below it. */
static unsigned slot_of(uint64_t us)
{
    if (us < 4)
        return (unsigned)us;
    unsigned high = 63U - (unsigned)__builtin_clzll(us);
    unsigned slot = 4 * (high - 1) + (unsigned)(us >> (high - 2) & 3);
    return slot < HOLD_SLOTS ? slot : HOLD_SLOTS - 1;
}

/* Where a slot ends. */
static uint32_t top_of(unsigned slot)
{
    if (slot < 4)
        return slot;
    unsigned high = slot / 4 + 1;
    return (uint32_t)(((4ULL + slot % 4 + 1) << (high - 2)) - 1);
}

void hold_count(struct hold *h, int64_t took_us)
{
    unsigned slot = slot_of(took_us > 0 ? (uint64_t)took_us : 0);
    atomic_fetch_add_explicit(&h->counts[slot], 1, memory_order_relaxed);
}

/* Takes the window's counts away. */
static uint32_t percentile_95(struct hold *h, uint64_t all)
{
    uint64_t below = 0;
    uint32_t ret = 0;
    for (unsigned i = 0; i < HOLD_SLOTS; i++) {
        unsigned n = atomic_exchange_explicit(&h->counts[i], 0, memory_order_relaxed);
        if (n > 0 && below * 100 < all * 95)
            ret = top_of(i);
        below += n;
    }
    return ret;
}

static uint64_t count_all(struct hold *h)
{
    uint64_t all = 0;
    for (unsigned i = 0; i < HOLD_SLOTS; i++)
        all += atomic_load_explicit(&h->counts[i], memory_order_relaxed);
    return all;
}

bool hold_tick(struct hold *h, int64_t now_ms)
{
    if (h->max_us == 0)
        return false;
    uint64_t all = count_all(h);
    if (all < ENOUGH && now_ms - h->since_ms < WINDOW_MOST_MS)
        return true;
    h->since_ms = now_ms;
    h->latency_us = percentile_95(h, all);
    unsigned pace = atomic_load(&h->pace);
    if (h->latency_us > h->max_us)
        pace = pace / 2 > HOLD_LEAST ? pace / 2 : HOLD_LEAST;
    else
        pace = pace + GROWTH < HOLD_FULL ? pace + GROWTH : HOLD_FULL;
    atomic_store(&h->pace, pace);
    return true;
}

int64_t hold_rest_us(const struct hold *h, int64_t busy_us)
{
    unsigned pace = atomic_load_explicit(&h->pace, memory_order_relaxed);
    if (pace >= HOLD_FULL)
        return 0;
    if (busy_us > BUSY_MOST_US)
        busy_us = BUSY_MOST_US;
    int64_t rest = busy_us * (HOLD_FULL - pace) / pace;
    if (rest > REST_MOST_US)
        rest = REST_MOST_US;
    return rest < REST_LEAST_US ? 0 : rest;
}
