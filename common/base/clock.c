/* clock: wall and monotonic time. Any thread. */
#include "common/base/clock.h"

#include <time.h>

static int64_t read_us(clockid_t id)
{
    struct timespec ts;
    (void)clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t clock_wall_ms(void)
{
    return read_us(CLOCK_REALTIME) / 1000;
}

int64_t clock_mono_ms(void)
{
    return read_us(CLOCK_MONOTONIC) / 1000;
}

int64_t clock_mono_us(void)
{
    return read_us(CLOCK_MONOTONIC);
}

void clock_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t a;
    (void)pthread_condattr_init(&a);
    (void)pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    (void)pthread_cond_init(c, &a);
    (void)pthread_condattr_destroy(&a);
}

void clock_cond_wait(pthread_cond_t *c, pthread_mutex_t *m, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    struct timespec at = {.tv_sec = until / 1000, .tv_nsec = until % 1000 * 1000000};
    (void)pthread_cond_timedwait(c, m, &at);
}

void clock_format(int64_t wall_ms, char ret[24])
{
    time_t sec = (time_t)(wall_ms / 1000);
    struct tm tm;
    if (!gmtime_r(&sec, &tm) || strftime(ret, 24, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        ret[0] = '\0';
}

static _Atomic int64_t fleet_ahead; /* of the monotonic clock; 0: nobody told us */

int64_t clock_fleet_ms(void)
{
    int64_t ahead = fleet_ahead;
    return ahead ? clock_mono_ms() + ahead : clock_wall_ms();
}

void clock_fleet_set(int64_t now_ms)
{
    fleet_ahead = now_ms - clock_mono_ms();
}
