/* bucket: a token bucket. Any number of threads, no locks. */
#include "common/base/bucket.h"

#define SECOND_NS 1000000000
#define PORTIONS                                                                                   \
    50 /* of a second's rate in one take: several takers alternate, waits stay short               \
        */
#define PORTION_MIN 1024U
#define PORTION_MAX (256U << 10)

void bucket_init(struct bucket *b, uint64_t rate)
{
    atomic_init(&b->rate, rate);
    atomic_init(&b->next_ns, 0);
}

void bucket_set(struct bucket *b, uint64_t rate, int64_t now_ns)
{
    if (atomic_exchange(&b->rate, rate) != rate)
        atomic_store(&b->next_ns, now_ns);
}

static uint64_t portion(uint64_t rate)
{
    uint64_t n = rate / PORTIONS;
    return n < PORTION_MIN ? PORTION_MIN : n > PORTION_MAX ? PORTION_MAX : n;
}

static int64_t cost_ns(uint64_t n, uint64_t rate)
{
    return (int64_t)((double)n * SECOND_NS / (double)rate);
}

size_t bucket_take(struct bucket *b, size_t want, int64_t now_ns, int64_t *retwait_ns)
{
    uint64_t rate = atomic_load(&b->rate);
    *retwait_ns = 0;
    if (rate == BUCKET_UNLIMITED)
        return want;
    *retwait_ns = BUCKET_LOOK_NS;
    if (rate == 0)
        return 0;
    uint64_t n = portion(rate);
    if (n > want)
        n = want;
    int64_t next = atomic_load(&b->next_ns), from;
    do {
        if (next > now_ns) {
            if (next - now_ns < BUCKET_LOOK_NS)
                *retwait_ns = next - now_ns;
            return 0;
        }
        from = next < now_ns - BUCKET_BURST_NS ? now_ns - BUCKET_BURST_NS : next;
    } while (!atomic_compare_exchange_weak(&b->next_ns, &next, from + cost_ns(n, rate)));
    *retwait_ns = 0;
    return (size_t)n;
}

void bucket_give(struct bucket *b, size_t n)
{
    uint64_t rate = atomic_load(&b->rate);
    if (rate != 0 && rate != BUCKET_UNLIMITED)
        atomic_fetch_sub(&b->next_ns, cost_ns(n, rate));
}
