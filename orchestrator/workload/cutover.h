/* cutover: the stages of the files workload in which a destination becomes its source. Plans and
 * judges; what the steps do is agent/identity. Main thread. */
#pragma once
#include "orchestrator/workload/cutover_table.h"
#include "orchestrator/workload/workload.h"

#define CUTOVER_PREPARES 3U
#define CUTOVER_FIRST (2U * CUTOVER_PREPARES + 3U) /* prepare has two more, rehearse one */
/* These, both methods forth and back, what is looked at before a rollback and forgotten after it
 * (2), commit (2). */
#define CUTOVER_STAGES (4U * CUTOVER_ROWS + CUTOVER_FIRST + 5U)

/* Writes them where they follow the first `base` stages of the workload. */
void cutover_lay_out(struct stage *ret, unsigned base);

int cutover_admit(const struct pair_view *p, const char *phase, const json_t *settings,
                  struct fault *reterr);
unsigned cutover_back(const struct pair_view *p, const struct fault *why);
const char *cutover_passed(const struct pair_view *p);
json_t *cutover_outline(const struct pair_view *p);                    /* cutover_show.c */
bool cutover_ready(const struct pair_view *p, char *why, size_t size); /* cutover_away.c */
const char *cutover_witness(const json_t *pair_facts);
void cutover_wave(const json_t *pair_facts, const char *phase, unsigned *retonce,
                  unsigned *retbudget);
/* Is this a pass after which the destination has the source's SID and Samba users? */
bool cutover_takes_sid(const struct pair_view *p);
const char *cutover_leaves(const json_t *pair_facts);
const char *cutover_due(const json_t *pair_facts, int64_t wall_ms);

/* ── for its own files ── */
json_t *cutover_facts(const struct pair_view *p); /* made when there are none */
enum cutover_method cutover_method_of(const json_t *facts);
bool cutover_in_domain(const json_t *facts);
const char *cutover_state_of(const json_t *facts); /* "", "prepared", "running", "going back" … */
/* What is kept of a row: NULL, or {"state": "begun" or "done", …}. */
json_t *cutover_kept(const json_t *facts, unsigned row);
/* NULL: the row applies to this pair; else why not. */
const char *cutover_not(const json_t *facts, unsigned row);
/* Milliseconds from the closing of shares until users are served again. */
int64_t cutover_predict(const json_t *facts);
