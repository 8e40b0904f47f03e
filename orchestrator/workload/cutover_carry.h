/* cutover_carry: what users wrote on the new server before it is taken back: told, or carried back
 * by a pass in the other direction while nobody is served. Main thread. */
#pragma once
#include "orchestrator/workload/workload.h"

/* Of a rollback's settings: "carry_back", "carry_deletes". 0, or -errno with a fault: why what was
 * written cannot be carried back. */
int carry_admit(const struct pair_view *p, json_t *facts, const json_t *settings,
                struct fault *reterr);
bool carry_is_due(const json_t *facts); /* asked for and not done */
int carry_plan(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr);
enum verdict carry_judge(const struct pair_view *p, const Godwit__Result *const results[2],
                         struct fault *reterr);
/* The agents forget what they know of that pass. */
bool carry_leaves(const json_t *facts);
int carry_plan_clean(const struct pair_view *p, struct planned_step ret[2]);
/* Is the destination to be asked what was written? Once, before anything is taken back. */
bool carry_looks(const json_t *facts);
enum verdict carry_judge_look(const struct pair_view *p, const Godwit__Result *r);
/* The map of ids the other way round; malloc'd, NULL with a fault where it has no such way. */
char *carry_turn_map(const char *map, struct fault *reterr);
