/* vm_types: the table of ways, best first, and what each costs. Figures without a load come from
 * what was seen with small guests. Pure. */
#include "orchestrator/workload/vm_types.h"

#include <string.h>

#include "common/base/mem.h"

#define STOP_MS 5000U  /* a guest shuts down */
#define BOOT_MS 20000U /* and comes up */
#define SWITCH_MS 100U /* a live move's last round */
#define RESUME_MS 450U /* a saved machine is loaded, without its memory */
#define SLOWED_TO 2    /* the part of its writing that is left when its processors are slowed */

static const char *const live[] = {"state", "migrate", "answers", "drop", "adopt", "forget", NULL};
static const char *const live_vsm[] = {"reserve", "state", "migrate", "fence", "answers",
                                       "drop",    "adopt", "forget",  NULL};
static const char *const quick[] = {"save", "state", "define", "start", "answers",
                                    "drop", "adopt", "forget", NULL};
static const char *const warm_quick[] = {"reserve", "seed",   "save",  "copy",    "state",
                                         "fence",   "define", "start", "answers", "drop",
                                         "adopt",   "forget", NULL};
static const char *const san[] = {"stop", "state", "define", "start", "answers",
                                  "drop", "adopt", "forget", NULL};
static const char *const warm[] = {"reserve", "seed",   "pause", "copy",    "state",
                                   "fence",   "define", "start", "answers", "drop",
                                   "adopt",   "forget", NULL};
static const char *const cold[] = {"reserve", "stop",    "state", "copy",  "fence",  "define",
                                   "start",   "answers", "drop",  "adopt", "forget", NULL};
static const char *const library[] = {"reserve", "state", "copy", "shelve", "forget", NULL};
static const char *const shift[] = {"shift", "forget", NULL};

#define TYPE(t) GODWIT__VM_MOVE_TYPE__VM_MOVE_##t

static const struct vm_type types[] = {
    {TYPE(LIVE_STORAGE),  "live-storage",  "Live storage",
     VM_FOR_RUNNING | VM_WITHIN | VM_WITH_MEMORY,                                                                              shift     },
    {TYPE(QUICK_STORAGE), "quick-storage", "Quick storage",       VM_FOR_OFF | VM_WITHIN,                                      shift     },
    {TYPE(LIVE),          "live",          "Live",                VM_FOR_RUNNING | VM_WITH_MEMORY | VM_ON_SHARED,              live      },
    {TYPE(LIVE_VSM),      "live-vsm",      "Live VM-and-storage", VM_FOR_RUNNING | VM_WITH_MEMORY,                             live_vsm  },
    {TYPE(QUICK),         "quick",         "Quick",               VM_FOR_RUNNING | VM_WITH_MEMORY | VM_ON_SHARED,              quick     },
    {TYPE(WARM_QUICK),    "warm-quick",    "Warm quick",          VM_FOR_RUNNING | VM_WITH_MEMORY,                             warm_quick},
    {TYPE(SAN),           "san",           "SAN",                 VM_FOR_RUNNING | VM_FOR_OFF | VM_ON_SHARED | VM_STARTS_ANEW, san       },
    {TYPE(WARM),          "warm",          "Network, warm",       VM_FOR_RUNNING | VM_STARTS_ANEW,                             warm      },
    {TYPE(COLD),          "cold",          "Network",             VM_FOR_RUNNING | VM_FOR_OFF | VM_STARTS_ANEW,                cold      },
    {TYPE(LIBRARY),       "library",       "Library copy",        VM_FOR_OFF | VM_COPIES,                                      library   },
};

const struct vm_type *vm_type_at(size_t i)
{
    return i < ARRAY_SIZE(types) ? &types[i] : NULL;
}

const struct vm_type *vm_type_of(Godwit__VmMoveType t)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (types[i].type == t)
            return &types[i];
    return NULL;
}

const struct vm_type *vm_type_named(const char *id)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if (strcmp(types[i].id, id) == 0)
            return &types[i];
    return NULL;
}

bool vm_type_is(const struct vm_type *t, unsigned trait)
{
    return (t->traits & trait) != 0;
}

bool vm_type_has(const struct vm_type *t, const char *stage)
{
    for (size_t i = 0; t->stages[i]; i++)
        if (strcmp(t->stages[i], stage) == 0)
            return true;
    return false;
}

/* ── what it costs ── */

static uint64_t ms_of(uint64_t bytes, uint64_t rate)
{
    return (uint64_t)((double)bytes * 1000.0 / (double)rate);
}

/* Under its limit, where it has one. */
static uint64_t limited(const struct vm_load *l)
{
    return l->limit && l->limit < l->rate ? l->limit : l->rate;
}

/* What is written while memory is sent is sent again: a geometric series. */
static uint64_t memory_sent(const struct vm_load *l, uint64_t dirty_rate)
{
    return (uint64_t)((double)l->memory_bytes * (double)l->rate / (double)(l->rate - dirty_rate));
}

/* As the ladder has it (agent/vm/ladder.c): disks and the first round of memory go under the limit,
 * the last rounds without. One that writes faster than that has its processors slowed, by steps; to
 * a half is reckoned with. What does not end so either is told as if it hardly did. */
static struct vm_cost live_cost(const struct vm_load *l)
{
    struct vm_cost c = {.slowed = l->dirty_rate >= l->rate, .lifted = limited(l) < l->rate};
    uint64_t dirty = c.slowed ? l->dirty_rate / SLOWED_TO : l->dirty_rate;
    c.ends = dirty < l->rate;
    if (!c.ends)
        dirty = l->rate - l->rate / 10;
    uint64_t memory = memory_sent(l, dirty), first = l->disk_bytes + l->memory_bytes;
    c.bytes = l->disk_bytes + memory;
    c.seconds = (ms_of(first, limited(l)) + ms_of(memory - l->memory_bytes, l->rate)) / 1000 + 1;
    /* The last round carries what is written in the round before, a tenth of a second. */
    c.outage_ms = SWITCH_MS + ms_of(dirty / 10, l->rate);
    return c;
}

/* Written and read where both hosts see it, or sent and read: only what is sent is limited. */
static struct vm_cost saved_cost(const struct vm_type *t, const struct vm_load *l)
{
    struct vm_cost c = {.bytes = l->disk_bytes + l->memory_bytes, .ends = true};
    uint64_t over = vm_type_is(t, VM_ON_SHARED) ? l->rate : limited(l);
    c.outage_ms = RESUME_MS + ms_of(l->memory_bytes, l->rate) + ms_of(l->memory_bytes, over);
    c.seconds = (ms_of(l->disk_bytes, over) + c.outage_ms) / 1000 + 1;
    return c;
}

static struct vm_cost started_cost(const struct vm_type *t, const struct vm_load *l)
{
    struct vm_cost c = {.bytes = l->disk_bytes, .ends = true};
    uint64_t copy = ms_of(l->disk_bytes, limited(l));
    bool warmed = t->type == GODWIT__VM_MOVE_TYPE__VM_MOVE_WARM;
    if (l->runs)
        c.outage_ms = BOOT_MS + (warmed ? 1000 : STOP_MS + copy);
    c.seconds = (copy + (l->runs ? BOOT_MS : 0)) / 1000 + 1;
    return c;
}

struct vm_cost vm_type_cost(const struct vm_type *t, const struct vm_load *l)
{
    struct vm_load own = *l;
    if (vm_type_is(t, VM_ON_SHARED))
        own.disk_bytes = 0;
    if (own.rate < 1024)
        own.rate = 1024;
    if (vm_type_is(t, VM_WITHIN)) {
        own.memory_bytes = own.dirty_rate = own.limit = 0;
        struct vm_cost c = live_cost(&own);
        c.outage_ms = l->runs ? SWITCH_MS : 0;
        return c;
    }
    if (vm_type_is(t, VM_WITH_MEMORY))
        return vm_type_has(t, "migrate") ? live_cost(&own) : saved_cost(t, &own);
    return started_cost(t, &own);
}
