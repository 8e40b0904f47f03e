/* pump: bytes between one socket of this host and one lane, both ways, until both have ended. Each
 * way waits for whoever is slow there, so nothing piles up. The caller's thread. */
#pragma once

struct lane;

/* Types of records: LANES.md. */
enum {
    PUMP_FROM_SOURCE = 34,
    PUMP_OPEN = 35,
    PUMP_END = 36,
    PUMP_FROM_DESTINATION = 58,
};

/* from: the type of what this side sends; an empty record says that no more follows. fd is set
 * non-blocking. 0: both ended in order. -errno. */
int pump(struct lane *l, int fd, int from);
