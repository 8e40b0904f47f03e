/* quotas: limits of a source's file system, told; and those of a source put on a destination.
 * Worker threads. */
#pragma once
#include "agent/files/traits.h"
#include "proto/quota.pb-c.h"

/* NULL: nothing is counted there. godwit__quotas__free_unpacked(). */
Godwit__Quotas *quotas_list(int fd);
/* A class for each kind that has limits. */
void quotas_note(struct traits *t, const Godwit__Quotas *q);
