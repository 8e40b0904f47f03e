/* clock: the clocks we use. Durations come from the monotonic one. Any thread. */
#pragma once
#include <stdint.h>

int64_t clock_wall_ms(void); /* since 1970, UTC */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* "2026-11-21T04:05:06Z"; ret holds at least 24 bytes. */
void clock_format(int64_t wall_ms, char ret[24]);

/* The orchestrator's wall clock, by which deadlines and tickets are dated, whatever this host's own
 * says: an agent sets it from what it is told, and it runs on by itself. Before that it is ours. */
int64_t clock_fleet_ms(void);
void clock_fleet_set(int64_t now_ms);
