/* vm_plan: which way a machine moves, and why not by a better one: a pure function of what both
 * hosts said, what was measured, and what is allowed. Main thread. */
#pragma once
#include <jansson.h>
#include <stdint.h>

#include "common/base/fault.h"
#include "orchestrator/workload/vm_checks.h"

#define VM_PLAN_RATE_ASSUMED (UINT64_C(100) << 20) /* bytes a second, where none was measured */

/* Of a request; each NULL or 0 where it is not given. As JSON: max_outage_ms, max_duration_s, pool,
 * override, stop (a machine that runs may be shut down), stop_s, force_off, postcopy, type, keep_s.
 */
struct vm_question {
    const char *word; /* the machine as it was asked for */
    struct vm_facts facts;
    uint64_t rate; /* bytes a second that went between these hosts; 0: not measured */
    int64_t now_s; /* since 1970, UTC */
};

/* {machine, uuid, from, to, state, type, name, why, refused: [{type, name, why}], checks, ok,
 * bytes, seconds, outage_ms, rate, rate_measured, move (VmMovePlan), mark: [targets], digest}. ok:
 * it may move by that type. New reference. */
json_t *vm_plan(const struct vm_question *q);
/* What a plan rests on: another one later means that it is stale. */
const char *vm_plan_digest(const json_t *plan);
/* Why a plan that was made before does not hold any more, in ret; false: it holds. */
bool vm_plan_stale(const json_t *old, const json_t *now, char *ret, size_t size);
/* Bytes a second that a move which left these facts had; 0: it tells nothing. */
uint64_t vm_plan_rate(const json_t *facts);
/* "1m", "300ms" and the like into options; -EINVAL. */
int vm_plan_check_options(json_t *options, struct fault *reterr);
