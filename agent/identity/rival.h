/* rival: where names alone move no address says who the server is. A source whose timer ran out
 * asks the destination's own addresses first whether it serves: two that do would both be the
 * server. Any thread. */
#pragma once
#include <stdbool.h>

#include "proto/identity.pb-c.h"

#define RIVAL_FILE "rival"

/* Remembers whom to ask; nothing where addresses move. 0 or -errno. */
int rival_note(const char *folder, const Godwit__IdentityPlan *p);
/* The first address at which the destination answers as a file server; malloc'd, NULL: none. */
char *rival_serves(const char *folder);
