/* pace: finds out once a second whether the link is what a transfer waits for. The thread of the
 * step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/sender_priv.h"
#include "common/base/bucket.h"
#include "common/base/clock.h"

/* Ticks of all processors since boot, of the whole machine: what else runs here, perhaps the other
 * side, needs them as well. False: this system does not say. */
static bool machine_ticks(uint64_t *retall, uint64_t *retidle)
{
    uint64_t t[8] = {0}; /* user nice system idle iowait irq softirq steal */
    char line[256] = "";
    FILE *f = fopen("/proc/stat", "re");
    bool ok = f && fgets(line, sizeof line, f) && strncmp(line, "cpu ", 4) == 0;
    if (f)
        (void)fclose(f);
    char *at = line + 4;
    *retall = 0;
    for (size_t i = 0; ok && i < sizeof t / sizeof *t; i++) {
        t[i] = strtoull(at, &at, 10);
        *retall += t[i];
    }
    *retidle = t[3] + t[4];
    return ok;
}

void pace_begin(struct pace *p)
{
    *p = (struct pace){.at_us = clock_mono_us()};
    (void)machine_ticks(&p->ticks, &p->idle);
}

/* More than a fifth of the machine has had nothing to do since p. */
static bool has_time(const struct pace *p, struct pace *now)
{
    return machine_ticks(&now->ticks, &now->idle) && now->ticks > p->ticks &&
           (now->idle - p->idle) * 5 > now->ticks - p->ticks;
}

/* Microseconds that all lanes together waited; also counts what went over them. */
static uint64_t waited_us(struct sender *s, unsigned *retlanes)
{
    uint64_t blocked = 0;
    *retlanes = 0;
    (void)pthread_mutex_lock(&s->lock);
    for (struct worker *w = s->workers; w; w = w->next) {
        if (!w->lane)
            continue;
        blocked += lane_blocked_us(w->lane);
        s->counters.wire_bytes += lane_wire_bytes(w->lane) - w->wire_told;
        w->wire_told = lane_wire_bytes(w->lane);
        ++*retlanes;
    }
    (void)pthread_mutex_unlock(&s->lock);
    return blocked;
}

/* When sends wait most of the time and the processors do not work, the link is the limit:
 * compressing pays, and another lane may carry more. */
bool pace_wants_lane(struct sender *s, struct pace *p)
{
    unsigned n = 0;
    struct pace now = {.at_us = clock_mono_us()};
    now.blocked_us = waited_us(s, &n);
    uint64_t wall = (uint64_t)(now.at_us - p->at_us) + 1;
    uint64_t spent = now.blocked_us > p->blocked_us ? now.blocked_us - p->blocked_us : 0;
    bool idle = has_time(p, &now), bound = idle && n > 0 && spent * 10 > wall * n * 6;
    *p = now;
    (void)pthread_mutex_lock(&s->lock);
    for (struct worker *w = s->workers; w; w = w->next)
        atomic_store(&w->compress.link_bound, bound);
    bool over = s->walk_over;
    (void)pthread_mutex_unlock(&s->lock);
    return bound && !over && n < LANES_MOST && !s->spec->options.lanes &&
           !bucket_is_limited(step_bucket(s->step)); /* more lanes share the same rate */
}
