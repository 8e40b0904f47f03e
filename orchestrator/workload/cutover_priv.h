/* cutover_priv: what the files of the cutover's stages share. Main thread. */
#pragma once
#include "orchestrator/workload/cutover.h"

/* What a stage of the engine does with its row. */
enum deed {
    DEED_PREPARE,
    DEED_DO,
    DEED_UNDO,
    DEED_FORGET,
    DEED_COMMIT,
    DEED_REHEARSE,
    DEED_LOOK,
    DEED_CLEAN
};

static inline enum deed deed_of(const struct stage *s)
{
    return (enum deed)(s->tag >> 16);
}

static inline enum cutover_method way_of(const struct stage *s)
{
    return (enum cutover_method)(s->tag >> 8 & 0xff);
}

static inline unsigned row_of(const struct stage *s)
{
    return s->tag & 0xff;
}

static inline json_int_t number_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

bool cutover_is_done(const json_t *facts, unsigned row);
/* Which sides of a row that is taken back can be reached now: bits of enum cutover_side. */
unsigned cutover_undo_now(const struct pair_view *p, unsigned row, char *why, size_t size);
bool cutover_has_begun(const json_t *facts); /* anything that a rollback has to know of */
bool cutover_carries(const json_t *facts, unsigned row); /* on the way back, in its place */
void cutover_set_state(json_t *facts, const char *state);

/* ── cutover_hand.c: stages that a person does ── */
bool cutover_hand_fits(unsigned row); /* may a person be asked for this one? */
bool cutover_hand_lacks(const json_t *settings, const json_t *plan); /* what nobody can type */
/* Not confirmed yet, and neither are those that nobody was asked for. */
bool cutover_by_hand(const json_t *facts, unsigned row);
bool cutover_held(const json_t *facts, unsigned row); /* noted, and waits for the person */
enum verdict cutover_judge_hand(const struct pair_view *p, const Godwit__Result *r,
                                struct fault *reterr);

void cutover_note_left(json_t *facts, const Godwit__Result *r); /* cutover_left.c */
/* Does the source take part in a rehearsal? */
bool cutover_rehearses_user(const json_t *facts);
int cutover_plan_stage(const struct pair_view *p, struct planned_step ret[2],
                       struct fault *reterr); /* cutover_order.c */
enum verdict cutover_judge_stage(const struct pair_view *p, const Godwit__Result *const results[2],
                                 struct fault *reterr); /* cutover_judge.c */
