/* bucket: a token bucket: how many bytes may go now, under a rate that others change meanwhile.
 * Knows no clock: the caller brings the time. Any number of threads, no locks. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BUCKET_UNLIMITED UINT64_MAX
#define BUCKET_BURST_NS INT64_C(200000000) /* what was not used for so long may follow at once */
#define BUCKET_LOOK_NS                                                                             \
    INT64_C(100000000) /* nobody waits longer without looking at the rate anew                     \
                        */

struct bucket {
    _Atomic uint64_t rate;   /* bytes a second; 0: nothing goes */
    _Atomic int64_t next_ns; /* when all that was taken is paid for */
};

void bucket_init(struct bucket *b, uint64_t rate);
/* Holds from now on: neither debts nor savings of the old rate count. */
void bucket_set(struct bucket *b, uint64_t rate, int64_t now_ns);
/* What may go now of want bytes: a part, so that several takers share evenly. 0: ask again after
 * *retwait_ns. */
size_t bucket_take(struct bucket *b, size_t want, int64_t now_ns, int64_t *retwait_ns);
/* Gives back what was taken and could not go. */
void bucket_give(struct bucket *b, size_t n);

static inline bool bucket_is_limited(const struct bucket *b)
{
    return atomic_load_explicit(&b->rate, memory_order_relaxed) != BUCKET_UNLIMITED;
}
