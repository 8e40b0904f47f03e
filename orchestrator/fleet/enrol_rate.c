/* enrol_rate: buckets of requests. Knows nothing of tokens and keys. Main thread. */
#include "orchestrator/fleet/enrol_rate.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/text.h"

#define SLOTS 1024U /* addresses that have a bucket at once; those that meet in one share it */
#define BURST_SECONDS 2

struct bucket {
    int64_t milli;     /* thousandths of a request that may still come */
    int64_t filled_ms; /* 0: never used, so it is full */
};

struct enrol_rate {
    uint64_t seed; /* nobody outside can tell which addresses meet */
    struct bucket all, each[SLOTS];
};

struct enrol_rate *enrol_rate_new(void)
{
    struct enrol_rate *r = xcalloc(1, sizeof *r);
    (void)text_random(&r->seed, sizeof r->seed);
    return r;
}

struct enrol_rate *enrol_rate_free(struct enrol_rate *r)
{
    free(r);
    return NULL;
}

static void fill(struct bucket *b, uint32_t rate, int64_t now_ms)
{
    int64_t max = (int64_t)rate * BURST_SECONDS * 1000;
    int64_t spent = now_ms - b->filled_ms;
    bool full = b->filled_ms == 0 || spent >= BURST_SECONDS * 1000;
    b->milli = full ? max : b->milli + spent * rate;
    b->milli = b->milli < max ? b->milli : max;
    b->filled_ms = now_ms;
}

static struct bucket *bucket_of(struct enrol_rate *r, const char *address)
{
    uint8_t raw[16] = {0};
    size_t n = 4;
    if (inet_pton(AF_INET, address, raw) != 1)
        n = inet_pton(AF_INET6, address, raw) == 1 ? 8 : 0; /* what is no address has one bucket */
    uint64_t h = r->seed ^ UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < n; i++) {
        h = (h ^ raw[i]) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
    }
    return &r->each[h % SLOTS];
}

bool enrol_rate_take(struct enrol_rate *r, const struct enrol_limits *l, const char *address,
                     int64_t now_ms)
{
    struct bucket *mine = bucket_of(r, address);
    fill(mine, l->each, now_ms);
    fill(&r->all, l->all, now_ms);
    if (mine->milli < 1000) /* and takes nothing from what is for all */
        return false;
    if (r->all.milli < 1000)
        return false;
    mine->milli -= 1000;
    r->all.milli -= 1000;
    return true;
}
