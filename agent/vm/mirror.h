/* mirror: copies of disks of a machine that runs, all that its plan moves. Who begins them, and
 * what follows, knows seed and shift. Worker threads. */
#pragma once
#include <stdint.h>

#include "agent/vm/stage.h"

#define MIRROR_LEAST (UINT64_C(1) << 16) /* bytes a second: 0 would mean no limit */

uint64_t mirror_rate(struct vm_stage_run *r); /* that the job allows now; 0: no limit */

/* Of all disks that move, but those that skip[] (as many as the plan has; NULL: none) says. */
/* Until what is written goes to both, following the job's rate. 0; -errno with the fault. */
int mirror_wait(struct vm_stage_run *r, const bool *skip);
/* The machine stands still: until the copies may be ended. */
int mirror_settle(struct vm_stage_run *r);
/* The copies stay as they are now; pivot: and the machine goes on with them. */
int mirror_end(struct vm_stage_run *r, const bool *skip, bool pivot);
void mirror_drop(struct vm_stage_run *r); /* those that there are, whatever they are worth */
