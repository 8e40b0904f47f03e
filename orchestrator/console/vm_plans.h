/* vm_plans: plans of moves of machines: asked for, shown, kept in files. Main thread. */
#pragma once
#include <jansson.h>

#include "common/conf/option.h"
#include "orchestrator/console/run.h"

struct vm_move_opts {
    char *to, *host, *pool, *library, *device, *type, *override, *answers, *save, *plan, *name;
    uint64_t max_outage_ms, max_duration_ms, stop_ms, keep_ms;
    uint32_t at_once, streams;
    char *rate;
    bool stop, force_off, postcopy, flatten, own_tcp, detach, plan_only, partial, destination_off;
};
extern const struct option_row vm_plan_options[], vm_migrate_options[], vm_evacuate_options[],
    vm_copy_options[], vm_rollback_options[];

/* What the options ask for, as the orchestrator takes it. New reference. */
json_t *vm_plans_options(const struct vm_move_opts *o);
/* machines: newline between them. An exit code; errors have been said. */
int vm_plans_ask(struct run *r, const char *machines, const char *host, const char *to,
                 const json_t *options, json_t **ret);
void vm_plans_show(const json_t *doc);
int vm_plans_save(const json_t *doc, const char *path);
int vm_plans_load(const char *path, json_t **ret);
/* EXIT_CONFLICT, said, when what was planned does not hold any more. */
int vm_plans_compare(const json_t *old, const json_t *now);
