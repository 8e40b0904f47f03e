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

/* What the source counted in its last whole pass: it signs for these figures, and for no others. */
struct seen_record {
    uint64_t files, bytes;
};
int seen_save(const char *path, const struct seen_record *r);
int seen_load(const char *path, struct seen_record *ret);
