/* cutover_watch: follows a cutover, a line for each stage. Main thread. */
#pragma once
#include <stdint.h>

#include "orchestrator/console/run.h"

/* Until the job ends; timeout_ms 0: as long as it takes. Its exit code; 7 when the time is up. */
int cutover_follow(struct run *r, const char *job, uint64_t timeout_ms);
/* The same, and prints nothing. */
int cutover_wait(struct run *r, const char *job, uint64_t timeout_ms);
