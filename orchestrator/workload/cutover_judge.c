/* cutover_judge: what the answers to a cutover's stages mean, and what is kept of them. Main
 * thread.
 */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/cutover_plan.h"
#include "orchestrator/workload/cutover_priv.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/message_json.h"
#include "proto/identity.pb-c.h"

#define BODY_MAX (256U << 10)
#define CHECKS_MAX 500

static enum verdict unreadable(struct fault *reterr)
{
    (void)fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the agent's answer is not readable");
    return VERDICT_FAIL;
}

/* Both sides' findings, before and after of one row. */
static void keep_texts(json_t *kept, const Godwit__IdentityResult *b)
{
    static const char *const keys[] = {"before", "after"};
    const char *texts[] = {b->before, b->after};
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
        const char *had = json_string_value(json_object_get(kept, keys[i]));
        CLEANUP(mem_free) char *safe = text_printable(texts[i], strnlen(texts[i], 1024));
        CLEANUP(mem_free)
        char *all = xasprintf("%s%s%s", had ? had : "", had && *had && *safe ? "; " : "", safe);
        if (*all)
            (void)json_object_set_new(kept, keys[i], json_string(all));
    }
    if (b->acted)
        (void)json_object_set_new(kept, "acted", json_true());
}

static enum verdict check_findings(json_t *facts, const Godwit__IdentityResult *b,
                                   struct fault *reterr)
{
    enum verdict v = VERDICT_NEXT;
    json_t *list = json_array();
    for (size_t i = 0; i < b->n_findings && i < 200; i++) {
        const Godwit__IdentityFinding *f = b->findings[i];
        (void)json_array_append_new(list, message_json(&f->base));
        if (f->passed || v == VERDICT_FAIL)
            continue;
        CLEANUP(mem_free) char *what = text_printable(f->check, strnlen(f->check, 64));
        CLEANUP(mem_free) char *target = text_printable(f->target, strnlen(f->target, 128));
        CLEANUP(mem_free) char *text = text_printable(f->text, strnlen(f->text, 256));
        (void)fault_set(reterr, FAULT_STOP_JOB, EREMOTEIO, "%.64s by %.128s: %.256s", what, target,
                        text);
        v = VERDICT_FAIL;
    }
    if (json_array_size(list) > 0)
        (void)json_object_set(facts, "findings", list);
    json_decref(list);
    return v;
}

/* All lines are kept, also of the other host, before one of them stops it. */
static void take_checks(json_t *facts, const Godwit__IdentityResult *b, const char *side)
{
    json_t *list = json_object_get(facts, "checks");
    for (size_t i = 0; i < b->n_checks && i < CHECKS_MAX; i++) {
        const Godwit__IdentityCheck *c = b->checks[i];
        CLEANUP(mem_free) char *id = text_printable(c->id, strnlen(c->id, 128));
        CLEANUP(mem_free) char *text = text_printable(c->evidence, strnlen(c->evidence, 512));
        CLEANUP(mem_free) char *remedy = text_printable(c->remedy, strnlen(c->remedy, 256));
        const char *result = strcmp(c->result, "pass") == 0   ? "pass"
                             : strcmp(c->result, "warn") == 0 ? "warn"
                                                              : "fail";
        (void)json_array_append_new(list,
                                    json_pack("{s:s,s:s,s:s,s:s,s:s}", "id", id, "result", result,
                                              "text", text, "remedy", remedy, "on", side));
    }
}

static enum verdict check_checks(const json_t *facts, struct fault *reterr)
{
    size_t i, bad = 0;
    const json_t *c, *first = NULL;
    json_array_foreach(json_object_get(facts, "checks"), i, c)
    {
        if (strcmp(json_string_value(json_object_get(c, "result")), "fail") != 0)
            continue;
        bad++;
        first = first ? first : c;
    }
    if (!first)
        return VERDICT_NEXT;
    const char *on = json_string_value(json_object_get(first, "on"));
    (void)fault_set(reterr, FAULT_STOP_JOB, EREMOTEIO, "refused by pre-flight: %s%s%s: %s%s",
                    on ? on : "", on ? ", " : "", json_string_value(json_object_get(first, "id")),
                    json_string_value(json_object_get(first, "text")),
                    bad > 1 ? " (and more: godwit cutover report)" : "");
    return VERDICT_FAIL;
}

static void take_capture(const struct pair_view *p, json_t *facts, unsigned row,
                         const Godwit__IdentityResult *b)
{
    const char *id = cutover_rows[row].id;
    const char *side = cutover_rows[row].on == ON_SOURCE ? "source" : "destination";
    (void)p;
    if (!b->capture)
        return;
    if (strcmp(cutover_rows[row].stage, "connect") != 0)
        (void)json_object_set_new(facts, id, message_json(&b->capture->base));
    else if (!cutover_has_begun(facts)) /* later it is another identity */
        (void)json_object_set_new(facts, side, message_json(&b->capture->base));
}

/* Both hosts have told what they are. */
static enum verdict make_plan(json_t *facts, struct fault *reterr)
{
    json_t *checks = json_array();
    const json_t *from = json_object_get(facts, "source");
    const json_t *to = json_object_get(facts, "destination");
    json_t *settings = json_object_get(facts, "settings");
    if (!from || !to) {
        json_decref(checks);
        (void)fault_set(reterr, FAULT_STOP_JOB, EPROTO, "an agent does not tell what its host is");
        return VERDICT_FAIL;
    }
    json_t *plan = cutover_plan(from, to, settings, checks, reterr);
    (void)json_object_set_new(facts, "checks", checks);
    if (!plan)
        return VERDICT_FAIL;
    (void)json_object_set_new(facts, "plan", plan);
    return VERDICT_NEXT;
}

static enum verdict took_row(const struct pair_view *p, json_t *facts, unsigned row,
                             struct fault *reterr)
{
    json_t *kept = cutover_kept(facts, row), *took = json_object_get(facts, "took");
    int64_t now = clock_wall_ms(), at = number_of(kept, "at_ms");
    if (!took) {
        took = json_object();
        (void)json_object_set_new(facts, "took", took);
    }
    if (kept) {
        (void)json_object_set_new(kept, "state", json_string("done"));
        (void)json_object_set_new(kept, "took_ms", json_integer(now > at ? now - at : 0));
        (void)json_object_set_new(took, cutover_rows[row].id,
                                  json_integer(now > at ? now - at : 0));
    }
    if (strcmp(cutover_rows[row].id, "destination.connect") == 0 && !cutover_has_begun(facts))
        return make_plan(facts, reterr);
    if (strcmp(cutover_rows[row].id, "users") == 0) {
        int64_t from = number_of(cutover_kept(facts, cutover_find("source.close")), "at_ms");
        json_t *outage = json_object_get(facts, "outage");
        if (outage && from)
            (void)json_object_set_new(outage, "measured_ms", json_integer(now - from));
    }
    (void)p;
    return VERDICT_NEXT;
}

/* One side's answer into what is kept of the row. */
static enum verdict take_result(const struct pair_view *p, unsigned row, const Godwit__Result *r,
                                const char *side, struct fault *reterr)
{
    json_t *facts = cutover_facts(p), *kept = cutover_kept(facts, row);
    if (r->body.len > BODY_MAX)
        return unreadable(reterr);
    Godwit__IdentityResult *b = godwit__identity_result__unpack(NULL, r->body.len, r->body.data);
    if (!b)
        return unreadable(reterr);
    enum verdict v = check_findings(facts, b, reterr);
    if (v == VERDICT_NEXT && !b->is) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EREMOTEIO, "it is not so");
        v = VERDICT_FAIL;
    }
    if (kept)
        keep_texts(kept, b);
    take_capture(p, facts, row, b);
    take_checks(facts, b, side);
    godwit__identity_result__free_unpacked(b, NULL);
    return v;
}

/* The source may stay outside of the domain when nobody gave the right to add it. */
static bool may_be_left_out(unsigned row, const Godwit__Result *r)
{
    return strcmp(cutover_rows[row].id, "source.join") == 0 && r && r->fault &&
           r->fault->err == ENOKEY;
}

static enum verdict judge_sides(const Godwit__Result *const results[2], bool both,
                                struct fault *reterr)
{
    enum verdict v = files_verdict(results[0], reterr);
    if (!both || v == VERDICT_FAIL || v == VERDICT_AGAIN)
        return v;
    enum verdict other = files_verdict(results[1], reterr);
    return other == VERDICT_NEXT ? v : other;
}

static enum verdict judge_copy(const struct pair_view *p, const Godwit__Result *const results[2],
                               struct fault *reterr)
{
    enum verdict v = cutover_rows[row_of(p->stage)].by == DOER_COPY
                         ? files_judge_transfer(p, results, reterr)
                         : files_judge_verify(p, results, reterr);
    if (v != VERDICT_PARTIAL ||
        json_is_true(
            json_object_get(json_object_get(cutover_facts(p), "settings"), "accept_failures")))
        return v;
    (void)fault_set(reterr, FAULT_STOP_JOB, EIO,
                    "not everything is at the destination: godwit job report tells what failed");
    return VERDICT_FAIL;
}

static enum verdict judge_do(const struct pair_view *p, const Godwit__Result *const results[2],
                             struct fault *reterr)
{
    unsigned row = row_of(p->stage);
    const struct cutover_row *r = &cutover_rows[row];
    json_t *facts = cutover_facts(p);
    bool both = r->on == ON_BOTH; /* the destination's comes first */
    const char *side = r->on == ON_DESTINATION ? "destination" : "source";
    if (r->by != DOER_IDENTITY) {
        enum verdict c = judge_copy(p, results, reterr);
        return c == VERDICT_NEXT || c == VERDICT_PARTIAL ? took_row(p, facts, row, reterr) : c;
    }
    enum verdict v = judge_sides(results, both, reterr);
    if (v == VERDICT_FAIL && may_be_left_out(row, results[0])) {
        (void)json_object_set_new(cutover_kept(facts, row), "after",
                                  json_string("left outside of the domain: no credential"));
        return took_row(p, facts, row, reterr);
    }
    for (int i = 0; v == VERDICT_NEXT && i < (both ? 2 : 1); i++)
        v = take_result(p, row, results[i], (both && i == 0) ? "destination" : side, reterr);
    if (v == VERDICT_NEXT && strcmp(r->id, "check") == 0)
        v = check_checks(facts, reterr);
    return v == VERDICT_NEXT ? took_row(p, facts, row, reterr) : v;
}

static enum verdict judge_undo(const struct pair_view *p, const Godwit__Result *const results[2],
                               struct fault *reterr)
{
    unsigned row = row_of(p->stage);
    enum verdict v = judge_sides(results, cutover_rows[row].on == ON_BOTH, reterr);
    if (v == VERDICT_NEXT)
        (void)json_object_del(json_object_get(cutover_facts(p), "rows"), cutover_rows[row].id);
    return v;
}

static enum verdict judge_forget(const struct pair_view *p, const Godwit__Result *const results[2],
                                 struct fault *reterr)
{
    json_t *facts = cutover_facts(p);
    enum verdict v = judge_sides(results, true, reterr);
    if (v != VERDICT_NEXT)
        return v;
    (void)json_object_set_new(facts, "rows", json_object());
    (void)json_object_set_new(facts, "noted", json_false());
    cutover_set_state(facts, "rolled back");
    return v;
}

/* After which users have all that they had. */
static unsigned last_row(const json_t *facts)
{
    unsigned order[CUTOVER_ROWS], last = CUTOVER_NO_ROW;
    enum cutover_method m = cutover_method_of(facts);
    cutover_order(m, order);
    for (unsigned i = 0; i < CUTOVER_ROWS; i++) {
        const struct cutover_row *r = &cutover_rows[order[i]];
        if (!r->commit && !cutover_why_not(r, m, cutover_in_domain(facts)))
            last = order[i];
    }
    return last;
}

enum verdict cutover_judge_stage(const struct pair_view *p, const Godwit__Result *const results[2],
                                 struct fault *reterr)
{
    json_t *facts = cutover_facts(p);
    enum deed d = deed_of(p->stage);
    if (d == DEED_UNDO)
        return judge_undo(p, results, reterr);
    if (d == DEED_FORGET)
        return judge_forget(p, results, reterr);
    enum verdict v = judge_do(p, results, reterr);
    const char *id = cutover_rows[row_of(p->stage)].id;
    if (v != VERDICT_NEXT)
        return v;
    if (d == DEED_PREPARE && strcmp(id, "check") == 0)
        cutover_set_state(facts, "prepared");
    if (d == DEED_DO && row_of(p->stage) == last_row(facts))
        cutover_set_state(facts, "cut over");
    if (d == DEED_COMMIT && strcmp(id, "source.commit") == 0)
        cutover_set_state(facts, "committed");
    return v;
}
