/* used: the mark beside a machine's saved memory, made before it goes on from there: once it has
 * written to its disks what was saved is older than they are, and would ruin them. No say over
 * machines. Worker threads. */
#pragma once
#include <stdbool.h>

#include "proto/vm_move.pb-c.h"

/* One that is there already stays as it is. 0, -errno. */
int used_mark(const char *memory, const Godwit__VmMovePlan *plan);
void used_unmark(const char *memory);
/* Were disks written since the mark, as this host sees them? Where that cannot be told they were.
 * Without a mark they were not. source: of the host it came from. */
bool used_is(const char *memory, bool source);
