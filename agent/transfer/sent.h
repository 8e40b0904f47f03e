/* sent: what the source had sent and what was acknowledged, on disk each second, so that a killed
 * source can say how much goes twice. Any thread. */
#pragma once
#include <stdint.h>

struct sent_record {
    uint64_t again;          /* sent twice so far */
    uint64_t sent, acked;    /* content bytes of the session that runs */
    uint64_t instance, base; /* of the destination then; its durable bytes when the session began */
};
int sent_save(const char *path, const char *ticket_id, const struct sent_record *r);
/* -ENOENT: none, or of another order. */
int sent_load(const char *path, const char *ticket_id, struct sent_record *ret);
