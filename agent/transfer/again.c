/* again: the destination counts what it made durable over all its lives (its catalogue keeps the
 * count), so the source only subtracts. Pure. */
#include "agent/transfer/again.h"

#include "agent/transfer/record.h"

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* Another catalogue counts anew: of the old one only what it said is known to be there. */
static void count_anew(struct again *a, const struct status *st)
{
    a->sent_before = minus(a->sent_before, a->durable - a->start);
    a->instance = st->instance;
    a->start = a->durable = st->durable_bytes;
    a->seen = false;
}

void again_status(struct again *a, const struct status *st)
{
    if (st->instance != a->instance)
        count_anew(a, st);
    if (!a->seen) {
        a->base = st->durable_bytes;
        a->found = 0;
        a->seen = true;
    }
    if (st->durable_bytes > a->durable) /* two lanes may say it in any order */
        a->durable = st->durable_bytes;
    if (st->found_bytes > a->found)
        a->found = st->found_bytes;
    a->bytes = minus(a->sent_before, minus(a->base, a->start) + a->found);
}

void again_session_over(struct again *a, uint64_t sent)
{
    a->sent_before += sent;
    a->seen = false;
}
