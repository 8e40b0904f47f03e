/* vm_move_priv: what the files of the workload "vm" share. Main thread. */
#pragma once
#include "orchestrator/workload/vm_rows.h"
#include "orchestrator/workload/workload.h"

/* What of a row a stage does, in stage.tag's upper half. */
enum vm_deed { VM_DEED_DO = 1, VM_DEED_UNDO };

static inline enum vm_deed vm_deed_of(const struct stage *s)
{
    return (enum vm_deed)(s->tag >> 8);
}

static inline unsigned vm_row_of(const struct stage *s)
{
    return s->tag & 0xffU;
}

#define VM_STAGES (2 * VM_ROWS)

/* ── vm_move.c ── */
json_t *vm_facts_of(const struct pair_view *p); /* of the pair's; made when there are none */
/* Its plan, from the job's options; NULL: there is none. */
const json_t *vm_plan_of(const struct pair_view *p);
const struct vm_type *vm_type_of_plan(const json_t *plan);
const char *vm_state_of(const json_t *facts);
json_t *vm_kept(const json_t *facts, unsigned row); /* NULL: it has not begun */
bool vm_is_done(const json_t *facts, unsigned row);
struct vm_row_case vm_case_of(const json_t *plan);
/* On this way back the destination is not asked: a person said that it is off, and it is away. */
bool vm_is_given_up(const struct pair_view *p);
bool vm_went_alone(const struct pair_view *p); /* … and was not, by the act that p->stage sent */
/* Forth, and the machine stands still or is off for its move: nobody works with it. */
bool vm_is_held(const struct pair_view *p);

/* ── vm_order.c ── */
int vm_plan_stage(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr);

/* ── vm_judge.c ── */
enum verdict vm_judge_stage(const struct pair_view *p, const Godwit__Result *const results[2],
                            struct fault *reterr);

/* ── vm_show.c ── */
json_t *vm_outline(const struct pair_view *p);
