/* again: how much of what the source sends went before: what it sent in all, less what the
 * destination says that it made durable or found in place. Pure; the caller locks. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct status;

struct again {
    uint64_t bytes;       /* sent a second time, as far as is known */
    uint64_t sent_before; /* content bytes handed to lanes in sessions that are over */
    /* The destination's count, and where it was when the first of those sessions began. */
    uint64_t instance, start, durable;
    /* The session that runs. */
    bool seen;            /* the destination said something */
    uint64_t base, found; /* its count at the beginning; in place, though it did not count it */
};

void again_status(struct again *a, const struct status *st);
void again_session_over(struct again *a, uint64_t sent);
