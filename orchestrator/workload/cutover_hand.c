/* cutover_hand: stages that a person does: the host notes what is there, the run ends before the
 * stage, and `resume` asks the host whether it is done. Main thread. */
#include <errno.h>
#include <string.h>

#include "orchestrator/workload/cutover_priv.h"
#include "orchestrator/workload/files_priv.h"
#include "proto/identity.pb-c.h"

#define BODY_MAX (256U << 10)

/* What the hosts can note and ask for without doing it. */
bool cutover_hand_fits(unsigned row)
{
    static const char *const stages[] = {"stop",  "addresses", "names", "start", "fence",
                                         "close", "leave",     "join",  "dns"};
    const struct cutover_row *r = &cutover_rows[row < CUTOVER_ROWS ? row : 0];
    for (size_t i = 0; r->stage && r->undo && i < sizeof stages / sizeof stages[0]; i++)
        if (strcmp(r->stage, stages[i]) == 0)
            return true;
    return false;
}

/* Of a transplant the destination joins by installing what came over a sealed lane: there is
 * nothing to be typed. */
bool cutover_hand_lacks(const json_t *settings, const json_t *plan)
{
    size_t i;
    const json_t *one;
    json_array_foreach(json_object_get(settings, "by_hand"), i, one)
    {
        if (json_integer_value(json_object_get(plan, "method")) != 2 && json_is_string(one) &&
            strcmp(json_string_value(one), "destination.join") == 0)
            return true;
    }
    return false;
}

bool cutover_by_hand(const json_t *facts, unsigned row)
{
    size_t i;
    const json_t *one;
    if (cutover_is_done(facts, row) || json_object_get(cutover_kept(facts, row), "by"))
        return false;
    json_array_foreach(json_object_get(json_object_get(facts, "settings"), "by_hand"), i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), cutover_rows[row].id) == 0)
            return true;
    }
    return false;
}

bool cutover_held(const json_t *facts, unsigned row)
{
    const char *at = json_string_value(json_object_get(facts, "hold"));
    return at && strcmp(at, cutover_rows[row].id) == 0;
}

/* 1: it is so; 0: not; -EBADMSG. */
static int is_so(const Godwit__Result *r)
{
    Godwit__IdentityResult *b =
        r->body.len <= BODY_MAX ? godwit__identity_result__unpack(NULL, r->body.len, r->body.data)
                                : NULL;
    int rc = !b ? -EBADMSG : b->is ? 1 : 0;
    if (b)
        godwit__identity_result__free_unpacked(b, NULL);
    return rc;
}

enum verdict cutover_judge_hand(const struct pair_view *p, const Godwit__Result *r,
                                struct fault *reterr)
{
    json_t *facts = cutover_facts(p);
    unsigned row = row_of(p->stage);
    const char *id = cutover_rows[row].id;
    enum verdict v = files_verdict(r, reterr);
    if (v != VERDICT_NEXT)
        return v;
    if (number_of(facts, "hand") == GODWIT__IDENTITY_ACTION__IDENTITY_NOTE) {
        (void)json_object_set_new(facts, "hold", json_string(id));
        (void)fault_set(
            reterr, FAULT_STOP_JOB, EINPROGRESS,
            "%s is to be done by hand: `godwit cutover runbook %.64s` says how, `godwit "
            "cutover resume %.64s` goes on",
            id, p->name, p->name);
        return VERDICT_FAIL;
    }
    if (is_so(r) <= 0) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EINPROGRESS,
                        "%s is not done yet: its host says that it is not so", id);
        return VERDICT_FAIL;
    }
    /* The host looks once more itself, and does what a person forgot (what is kept for a restart).
     */
    (void)json_object_set_new(cutover_kept(facts, row), "by", json_string("hand"));
    (void)json_object_del(facts, "hold");
    (void)fault_set(reterr, FAULT_NONE, 0, "%s was done by hand", id);
    return VERDICT_AGAIN;
}
