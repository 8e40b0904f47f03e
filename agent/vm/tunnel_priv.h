/* tunnel_priv: for tests of tunnel.c. */
#pragma once
#include <stdint.h>

extern const char *tunnel_home; /* the folder of all moves' sockets */
extern int64_t tunnel_come_ms;  /* how long the destination waits for the source's first lane */
