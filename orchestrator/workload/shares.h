/* shares: the stages that bring over what a server shares. Main thread. */
#pragma once
#include "orchestrator/workload/workload.h"
#include "proto/shares.pb-c.h"

/* All shares of a server can move with one pair of it alone: to which of two folders would one go?
 */
int shares_check_pairs(const json_t *options, const char *const *sources, unsigned n,
                       struct fault *reterr);
/* "off", "list", "pair", "all"; for the options shares and nfs. */
int shares_check_want(const char *value, struct fault *reterr);

bool shares_wants_list(const struct pair_view *p);  /* stage "Reading shares", phase inventory */
bool shares_wants_again(const struct pair_view *p); /* the same in a run without that phase */
bool shares_wants_check(const struct pair_view *p); /* before copying */
bool shares_wants_apply(const struct pair_view *p); /* after it */

/* What was read last; NULL: nothing. godwit__shares_inventory__free_unpacked(). */
Godwit__SharesInventory *shares_listed(const struct pair_view *p);

int shares_plan_list(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr);
int shares_plan_check(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr);
int shares_plan_apply(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr);
enum verdict shares_judge_list(const struct pair_view *p, const Godwit__Result *const results[2],
                               struct fault *reterr);
enum verdict shares_judge_check(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr);
enum verdict shares_judge_apply(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr);
