/* sent: what the source had sent and lost, on disk each second, so that one that was killed or
 * paused can say how much goes twice. Any thread. */
#pragma once
#include <stdint.h>

struct again;

int sent_save(const char *path, const char *ticket_id, const struct again *a); /* no session runs */
/* Another order begins at 0, and counts what was lost before it. -ENOENT: none. */
int sent_load(const char *path, const char *ticket_id, struct again *ret);

/* What the source counted in its last whole pass: it signs for these figures, and for no others. */
struct seen_record {
    uint64_t files, bytes;
};
int seen_save(const char *path, const struct seen_record *r);
int seen_load(const char *path, struct seen_record *ret);
