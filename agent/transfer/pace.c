/* pace: finds out once a second whether the link is what a transfer waits for, and whether others
 * wait for us. The thread of the step. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/transfer/sender_priv.h"
#include "common/base/bucket.h"
#include "common/base/clock.h"

#define LOOKS_OF_A_LANE 2U /* seconds until it shows what a lane brings */
#define LOOKS_OF_ENOUGH 30U
#define LOSS_LOOK_MS 50
#define LOST_SOME 3U     /* one may be chance */
#define LOST_MUCH_OF 25U /* one of so many */

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

/* What all lanes together waited and carried. */
static void sum_up(struct sender *s, struct pace *now, unsigned *retlanes)
{
    *retlanes = 0;
    (void)pthread_mutex_lock(&s->lock);
    for (struct worker *w = s->workers; w; w = w->next) {
        if (!w->lane)
            continue;
        lane_shorten_queue(w->lane);
        now->blocked_us += lane_blocked_us(w->lane);
        s->counters.wire_bytes += lane_wire_bytes(w->lane) - w->wire_told;
        w->wire_told = lane_wire_bytes(w->lane);
        ++*retlanes;
    }
    now->wire_bytes = s->counters.wire_bytes;
    (void)pthread_mutex_unlock(&s->lock);
}

/* A lane has to bring a twentieth more than there was without it. One that does not only takes from
 * the others, and its start costs all of them. What brought nothing is tried again later: the link
 * may be another by then. */
static bool brings_more(struct pace *p, uint64_t rate)
{
    if (p->enough && p->looks >= LOOKS_OF_ENOUGH)
        p->enough = false, p->best = 0;
    if (p->enough || p->looks < LOOKS_OF_A_LANE)
        return false;
    p->enough = rate < p->best + p->best / 20;
    p->best = rate;
    p->looks = 0;
    return !p->enough;
}

/* When sends wait most of the time and the processors do not work, the link is the limit:
 * compressing pays, and another lane may carry more. */
bool pace_wants_lane(struct sender *s, struct pace *p)
{
    unsigned n = 0;
    struct pace now = *p;
    now.at_us = clock_mono_us();
    now.looks++;
    now.blocked_us = now.wire_bytes = now.ticks = now.idle = 0;
    sum_up(s, &now, &n);
    uint64_t wall = (uint64_t)(now.at_us - p->at_us) + 1;
    uint64_t spent = now.blocked_us > p->blocked_us ? now.blocked_us - p->blocked_us : 0;
    uint64_t rate = (now.wire_bytes - p->wire_bytes) * 1000000 / wall;
    bool idle = has_time(p, &now), bound = idle && n > 0 && spent * 10 > wall * n * 6;
    (void)pthread_mutex_lock(&s->lock);
    for (struct worker *w = s->workers; w; w = w->next)
        atomic_store(&w->compress.link_bound, bound);
    bool over = s->walk_over;
    (void)pthread_mutex_unlock(&s->lock);
    bool more = bound && !over && n < LANES_MOST && !s->spec->options.lanes &&
                !bucket_is_limited(step_bucket(s->step)) && /* more lanes share the same rate */
                brings_more(&now, rate);
    *p = now;
    return more;
}

struct loss {
    unsigned lanes; /* also those to come */
    bool is_long;
    struct lane_loss all;
};

static void loss_now(struct sender *s, struct loss *ret)
{
    *ret = (struct loss){.lanes = atomic_load(&s->nconnecting)};
    (void)pthread_mutex_lock(&s->lock);
    for (struct worker *w = s->workers; w; w = w->next) {
        struct lane_loss l;
        if (!w->lane)
            continue;
        lane_loss(w->lane, &l);
        ret->is_long = ret->is_long || lane_is_long(w->lane);
        ret->all.sent += l.sent;
        ret->all.resent += l.resent;
        ret->all.queued = ret->all.queued || l.queued;
        ret->lanes++;
    }
    (void)pthread_mutex_unlock(&s->lock);
}

/* Until what was lost has come, a round trip and more, a lane sends no more than its send buffer
 * takes: where one packet in a thousand is lost that is always. Lanes that come while the others
 * still grow have their share soon. What is lost behind a full queue, or many at once, is another
 * matter: more lanes lose more there. */
unsigned pace_wants_for_loss(struct sender *s, struct pace *p)
{
    struct loss l;
    int64_t now = clock_mono_ms();
    if (p->loss_known || now - p->loss_looked_ms < LOSS_LOOK_MS || s->spec->options.lanes ||
        bucket_is_limited(step_bucket(s->step)))
        return 0;
    p->loss_looked_ms = now;
    loss_now(s, &l);
    bool lost = l.all.resent >= LOST_SOME, much = l.all.resent * LOST_MUCH_OF > l.all.sent;
    p->loss_known = lost || l.all.queued || (l.lanes > 0 && !l.is_long);
    return lost && !much && !l.all.queued && l.is_long && l.lanes < LANES_MOST
               ? LANES_MOST - l.lanes
               : 0;
}
