/* route: the text of a way over another machine, as `ip route` says it. Any thread. */
#pragma once
#include <stdbool.h>

/* "198.51.100.0/24 via 192.0.2.2 metric 1024", without the last: that is each host's own. */
struct route {
    char to[64], via[64];
    bool six, whole; /* whole: a default one */
};

/* Hostile text; NULL is fine. false: it leads over no other machine, or is none. */
bool route_read(const char *text, struct route *ret);
