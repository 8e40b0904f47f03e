/* clock: the two clocks we use. Durations come from the monotonic one. Any thread. */
#pragma once
#include <stdint.h>

int64_t clock_wall_ms(void); /* since 1970, UTC */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* "2026-11-21T04:05:06Z"; ret holds at least 24 bytes. */
void clock_format(int64_t wall_ms, char ret[24]);
