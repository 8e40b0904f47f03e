/* measure: how fast a machine writes to its memory. Any thread. */
#pragma once
#include <stdint.h>

struct fault;
struct virt;

/* Bytes a second, as virt_ops.dirty_rate tells; waits for a measurement of the same machine that is
 * under way, and takes its result; -EBUSY when that does not come. */
int measure_dirty_rate(struct virt *v, const char *uuid, uint64_t *ret, struct fault *reterr);
extern int64_t measure_wait_ms; /* tests: so long it waits for another's */
