/* governor_priv: what the governor's files share. Main thread. */
#pragma once
#include <czmq.h>

#include "orchestrator/engine/governor.h"

struct governor {
    zhash_t *budgets; /* "site/Zurich" → struct budget */
    zhash_t *sites;   /* host → name of its site */
    int64_t tick_ms;
    bool due;
    bool plan_due;     /* what was sent ahead may not be right any more */
    uint64_t steps_id; /* of the steps that shares were divided among */
};
