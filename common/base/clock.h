/* clock: the clocks we use. Durations come from the monotonic one. Any thread. */
#pragma once
#include <pthread.h>
#include <stdint.h>

int64_t clock_wall_ms(void); /* since 1970, UTC */
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
/* "2026-11-21T04:05:06Z"; ret holds at least 24 bytes. */
void clock_format(int64_t wall_ms, char ret[24]);

/* A condition that is waited for by the monotonic clock: setting the wall clock back must not make
 * a wait of a moment one of an hour. The wait ends after ms, when signalled, or for no reason. */
void clock_cond_init(pthread_cond_t *c);
void clock_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t ms);

/* The orchestrator's wall clock, by which deadlines and tickets are dated, whatever this host's own
 * says: an agent sets it from what it is told, and it runs on by itself. Before that it is ours. */
int64_t clock_fleet_ms(void);
void clock_fleet_set(int64_t now_ms);
