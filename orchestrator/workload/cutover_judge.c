/* cutover_judge: what the answers to a cutover's stages mean, and what is kept of them. Main
 * thread.
 */
#include <errno.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/cutover_carry.h"
#include "orchestrator/workload/cutover_plan.h"
#include "orchestrator/workload/cutover_priv.h"
#include "orchestrator/workload/cutover_report.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/message_json.h"
#include "proto/identity.pb-c.h"

#define BODY_MAX (256U << 10)
#define CHECKS_MAX 500
#define FINDINGS_MAX 500
#define RECORDS_MAX 200

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

/* What a third host could not do before, it need not be able to do now. */
static bool was_so(const json_t *before, const Godwit__IdentityFinding *f)
{
    size_t i;
    const json_t *one;
    json_array_foreach(before, i, one)
    {
        const char *check = json_string_value(json_object_get(one, "check"));
        const char *target = json_string_value(json_object_get(one, "target"));
        if (check && target && strcmp(check, f->check) == 0 && strcmp(target, f->target) == 0)
            return !json_is_true(json_object_get(one, "passed"));
    }
    return false;
}

/* Before anything is changed: is there anything that this user can do? */
static enum verdict keep_before(json_t *facts, const Godwit__IdentityResult *b,
                                struct fault *reterr)
{
    json_t *list = json_array();
    size_t good = 0;
    for (size_t i = 0; i < b->n_findings && i < FINDINGS_MAX; i++) {
        (void)json_array_append_new(list, message_json(&b->findings[i]->base));
        good += b->findings[i]->passed;
    }
    (void)json_object_set_new(facts, "findings_before", list);
    if (good > 0)
        return VERDICT_NEXT;
    (void)fault_set(reterr, FAULT_STOP_JOB, EREMOTEIO,
                    "the third computer reaches the source by no name and no address: %.200s",
                    b->n_findings ? b->findings[0]->text : "it tried nothing");
    return VERDICT_FAIL;
}

static enum verdict check_findings(json_t *facts, unsigned row, const Godwit__IdentityResult *b,
                                   struct fault *reterr)
{
    enum verdict v = VERDICT_NEXT;
    bool witness = cutover_rows[row].on == ON_WITNESS;
    if (strcmp(cutover_rows[row].id, "witness.before") == 0)
        return keep_before(facts, b, reterr);
    const json_t *before = witness ? json_object_get(facts, "findings_before") : NULL;
    json_t *list = witness ? json_incref(json_object_get(facts, "findings")) : json_array();
    list = list ? list : json_array();
    for (size_t i = 0; i < b->n_findings && i < FINDINGS_MAX; i++) {
        const Godwit__IdentityFinding *f = b->findings[i];
        (void)json_array_append_new(list, message_json(&f->base));
        if (f->passed || v == VERDICT_FAIL || (witness && was_so(before, f)))
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

/* One line for each check of a side: an answer may be judged more than once. */
static void take_check(json_t *list, json_t *line)
{
    size_t i;
    const json_t *had;
    json_array_foreach(list, i, had)
    {
        if (json_equal(json_object_get(had, "id"), json_object_get(line, "id")) &&
            json_equal(json_object_get(had, "on"), json_object_get(line, "on"))) {
            (void)json_array_set_new(list, i, line);
            return;
        }
    }
    (void)json_array_append_new(list, line);
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
        take_check(list, json_pack("{s:s,s:s,s:s,s:s,s:s}", "id", id, "result", result, "text",
                                   text, "remedy", remedy, "on", side));
    }
}

/* What the destination puts back at commit. */
static void take_records(json_t *facts, const Godwit__IdentityResult *b)
{
    json_t *plan = json_object_get(facts, "plan");
    json_t *list = b->n_records && plan ? json_array() : NULL;
    for (size_t i = 0; list && i < b->n_records && i < RECORDS_MAX; i++)
        (void)json_array_append_new(list, message_json(&b->records[i]->base));
    if (list)
        (void)json_object_set_new(plan, "records", list);
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

/* What the hosts are when all is done, and the destination once more when it is final. */
static void keep_after(json_t *facts, const char *side, const Godwit__IdentityResult *b)
{
    json_t *after = json_object_get(facts, "after");
    if (!after) {
        after = json_object();
        (void)json_object_set_new(facts, "after", after);
    }
    (void)json_object_set_new(after, side, message_json(&b->capture->base));
    (void)json_object_set_new(facts, "identity", cutover_compare(facts));
}

static void take_capture(json_t *facts, unsigned row, const char *side,
                         const Godwit__IdentityResult *b)
{
    const char *id = cutover_rows[row].id;
    if (!b->capture)
        return;
    if (strcmp(id, "after") == 0)
        keep_after(facts, side, b);
    else if (strcmp(id, "destination.commit") == 0)
        keep_after(facts, "committed", b);
    else if (strcmp(cutover_rows[row].stage, "connect") != 0)
        (void)json_object_set_new(facts, id, message_json(&b->capture->base));
    else if (!cutover_has_begun(facts)) /* later it is another identity */
        (void)json_object_set_new(facts, side, message_json(&b->capture->base));
}

/* What the transfer found of every id and SID in the data. */
static void note_identities(const struct pair_view *p, json_t *checks)
{
    char text[FAULT_TEXT_MAX] = "";
    enum check_result r = files_check_identities(p->facts, p->options, text, sizeof text);
    const char *said = r == CHECK_PASS ? "pass" : "warn";
    if (*text)
        (void)json_array_append_new(
            checks, json_pack("{s:s,s:s,s:s,s:s}", "id", "identities", "result", said, "text", text,
                              "remedy", r == CHECK_PASS ? "" : "godwit job validate tells more"));
}

/* Who joins anew takes no users along: those that --accounts made there are what the data name, by
 * the destination's own SID, so that is what it goes on to have. */
static void keep_own_sid(const struct pair_view *p, const json_t *to, json_t *plan, json_t *checks)
{
    const json_t *sid = json_object_get(to, "local_sid");
    if (json_integer_value(json_object_get(plan, "method")) != 2 || !files_maps_sids(p) ||
        !json_string_length(sid))
        return;
    (void)json_object_set_new(plan, "local_sid", json_string(json_string_value(sid)));
    (void)json_array_append_new(
        checks, json_pack("{s:s,s:s,s:s,s:s}", "id", "local-sid", "result", "pass", "text",
                          "the destination keeps its own machine's SID: the data name its accounts",
                          "remedy", ""));
}

/* Both hosts have told what they are. */
static enum verdict make_plan(const struct pair_view *p, json_t *facts, struct fault *reterr)
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
    note_identities(p, checks);
    (void)json_object_set_new(facts, "checks", checks);
    if (!plan)
        return VERDICT_FAIL;
    if (cutover_hand_lacks(settings, plan)) {
        json_decref(plan);
        (void)json_array_append_new(
            checks,
            json_pack("{s:s,s:s,s:s,s:s}", "id", "by-hand", "result", "fail", "text",
                      "what a transplant brings over a sealed lane only the host can install",
                      "remedy", "leave destination.join to the host, or --method rejoin"));
        return check_checks(facts, reterr);
    }
    keep_own_sid(p, to, plan, checks);
    (void)json_object_set_new(facts, "plan", plan);
    return VERDICT_NEXT;
}

static void note_took(json_t *facts, unsigned row, int64_t ms)
{
    json_t *kept = cutover_kept(facts, row), *took = json_object_get(facts, "took");
    if (!took) {
        took = json_object();
        (void)json_object_set_new(facts, "took", took);
    }
    if (!kept)
        return;
    (void)json_object_set_new(kept, "state", json_string("done"));
    (void)json_object_set_new(kept, "took_ms", json_integer(ms));
    (void)json_object_set_new(took, cutover_rows[row].id, json_integer(ms));
}

/* Users are served again. */
static void note_outage(json_t *facts)
{
    int64_t from = number_of(cutover_kept(facts, cutover_find("source.close")), "at_ms");
    json_t *outage = json_object_get(facts, "outage");
    if (outage && from)
        (void)json_object_set_new(outage, "measured_ms", json_integer(clock_wall_ms() - from));
}

static enum verdict took_row(const struct pair_view *p, json_t *facts, unsigned row,
                             struct fault *reterr)
{
    int64_t now = clock_wall_ms(), at = number_of(cutover_kept(facts, row), "at_ms");
    note_took(facts, row, now > at ? now - at : 0);
    if (strcmp(cutover_rows[row].id, "destination.connect") == 0 && !cutover_has_begun(facts))
        return make_plan(p, facts, reterr);
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
    enum verdict v = check_findings(facts, row, b, reterr);
    if (v == VERDICT_NEXT && !b->is && cutover_rows[row].on != ON_WITNESS) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EREMOTEIO, "it is not so");
        v = VERDICT_FAIL;
    }
    if (kept)
        keep_texts(kept, b);
    take_capture(facts, row, side, b);
    take_checks(facts, b, side);
    take_records(facts, b);
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

/* The rows of one order, from the parts of its answer. */
static enum verdict take_parts(const struct pair_view *p, const Godwit__Result *r, unsigned side,
                               struct fault *reterr)
{
    json_t *facts = cutover_facts(p);
    size_t i;
    const json_t *id;
    Godwit__IdentityResult *b =
        r->body.len <= BODY_MAX ? godwit__identity_result__unpack(NULL, r->body.len, r->body.data)
                                : NULL;
    if (!b)
        return unreadable(reterr);
    json_array_foreach(json_object_get(facts, "group"), i, id)
    {
        unsigned row = cutover_find(json_string_value(id));
        const Godwit__IdentityPart *part = NULL;
        if (!((unsigned)cutover_rows[row].on & side))
            continue;
        for (size_t k = 0; k < b->n_parts && !part; k++)
            if (strcmp(b->parts[k]->stage, cutover_rows[row].stage) == 0)
                part = b->parts[k];
        Godwit__IdentityResult one = *b;
        if (part) {
            one.before = part->before;
            one.after = part->after;
            one.acted = part->acted;
        }
        keep_texts(cutover_kept(facts, row), &one);
        note_took(facts, row, part ? (int64_t)part->took_ms : (int64_t)b->took_ms);
    }
    godwit__identity_result__free_unpacked(b, NULL);
    return VERDICT_NEXT;
}

static enum verdict judge_group(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr)
{
    json_t *facts = cutover_facts(p);
    unsigned on = 0;
    size_t i;
    const json_t *id;
    json_array_foreach(json_object_get(facts, "group"), i, id)
    {
        on |= (unsigned)cutover_rows[cutover_find(json_string_value(id))].on;
    }
    /* The destination waits for what the source lets go of: where both fail, that one says why. */
    struct fault first = {.err = 0};
    if (on == ON_BOTH && results[1] && files_verdict(results[1], &first) == VERDICT_FAIL) {
        *reterr = first;
        return VERDICT_FAIL;
    }
    enum verdict v = judge_sides(results, on == ON_BOTH, reterr);
    /* What one of them has done need not be asked for again. */
    for (unsigned k = 0; v != VERDICT_NEXT && on == ON_BOTH && k < 2; k++)
        if (results[k] && results[k]->status == GODWIT__RESULT__STATUS__DONE)
            (void)take_parts(p, results[k], k == 0 ? ON_DESTINATION : ON_SOURCE, reterr);
    if (v != VERDICT_NEXT)
        return v;
    v = take_parts(p, results[0], on == ON_BOTH ? ON_DESTINATION : on, reterr);
    if (v == VERDICT_NEXT && on == ON_BOTH)
        v = take_parts(p, results[1], ON_SOURCE, reterr);
    if (v == VERDICT_NEXT && cutover_is_done(facts, cutover_find("destination.start")))
        note_outage(facts);
    return v;
}

static enum verdict judge_do(const struct pair_view *p, const Godwit__Result *const results[2],
                             struct fault *reterr)
{
    unsigned row = row_of(p->stage);
    const struct cutover_row *r = &cutover_rows[row];
    json_t *facts = cutover_facts(p);
    bool both = r->on == ON_BOTH; /* the destination's comes first */
    const char *side = r->on == ON_DESTINATION ? "destination" : "source";
    if (json_object_get(facts, "hand"))
        return cutover_judge_hand(p, results[0], reterr);
    if (json_array_size(json_object_get(facts, "group")) > 0)
        return judge_group(p, results, reterr);
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

/* How long it took to serve is what the outage is reckoned with from now on. */
static enum verdict judge_rehearsal(const struct pair_view *p,
                                    const Godwit__Result *const results[2], struct fault *reterr)
{
    json_t *facts = cutover_facts(p);
    enum verdict v = files_verdict(results[0], reterr);
    /* What the source could not give the destination has missed, and says so. */
    if (cutover_rehearses_user(facts) && !results[1])
        return VERDICT_WAIT;
    if (v != VERDICT_NEXT)
        return v;
    if (results[0]->body.len > BODY_MAX)
        return unreadable(reterr);
    Godwit__IdentityResult *b =
        godwit__identity_result__unpack(NULL, results[0]->body.len, results[0]->body.data);
    if (!b)
        return unreadable(reterr);
    take_checks(facts, b, "destination");
    if (!json_object_get(facts, "took"))
        (void)json_object_set_new(facts, "took", json_object());
    if (b->took_ms > 0 && b->took_ms < 600000)
        (void)json_object_set_new(json_object_get(facts, "took"), "destination.start",
                                  json_integer((json_int_t)b->took_ms));
    godwit__identity_result__free_unpacked(b, NULL);
    (void)json_object_set_new(
        facts, "outage", json_pack("{s:I}", "predicted_ms", (json_int_t)cutover_predict(facts)));
    return check_checks(facts, reterr);
}

static void took_back(json_t *facts, unsigned row)
{
    json_t *kept = cutover_kept(facts, row);
    unsigned done = (unsigned)number_of(kept, "undone") | (unsigned)number_of(kept, "undoing");
    (void)json_object_set_new(kept, "undone", json_integer(done));
    if (done == (unsigned)cutover_rows[row].on)
        (void)json_object_del(json_object_get(facts, "rows"), cutover_rows[row].id);
}

static enum verdict judge_undo(const struct pair_view *p, const Godwit__Result *const results[2],
                               struct fault *reterr)
{
    unsigned row = row_of(p->stage);
    json_t *facts = cutover_facts(p), *group = json_object_get(facts, "group");
    bool both = number_of(cutover_kept(facts, row), "undoing") == ON_BOTH;
    size_t i;
    const json_t *id;
    enum verdict v = judge_sides(results, both, reterr);
    if (v != VERDICT_NEXT)
        return v;
    for (size_t k = 0; k < 2; k++)
        if (results[k])
            cutover_note_left(facts, results[k]);
    if (!group)
        took_back(facts, row);
    json_array_foreach(group, i, id)
    {
        took_back(facts, cutover_find(json_string_value(id)));
    }
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
    (void)json_object_del(facts, "destination_off");
    (void)json_object_del(facts, "group");
    (void)json_object_del(facts, "after");
    (void)json_object_del(facts, "hold");
    (void)json_object_del(json_object_get(facts, "settings"), "by_hand");
    (void)json_object_del(facts, "identity");
    cutover_set_state(facts, "rolled back");
    return v;
}

/* After which users have all that they had. */
static unsigned last_row(const json_t *facts)
{
    unsigned order[CUTOVER_ROWS], last = CUTOVER_NO_ROW;
    cutover_order(cutover_method_of(facts), order);
    for (unsigned i = 0; i < CUTOVER_ROWS; i++) {
        const struct cutover_row *r = &cutover_rows[order[i]];
        if (!r->commit && !cutover_not(facts, order[i]) && strcmp(r->id, "after") != 0)
            last = order[i];
    }
    return last;
}

static void cut_over(json_t *facts)
{
    cutover_set_state(facts, "cut over");
    (void)json_object_set_new(facts, "cut_over_ms", json_integer(clock_wall_ms()));
}

enum verdict cutover_judge_stage(const struct pair_view *p, const Godwit__Result *const results[2],
                                 struct fault *reterr)
{
    json_t *facts = cutover_facts(p);
    enum deed d = deed_of(p->stage);
    if (d == DEED_UNDO && cutover_rows[row_of(p->stage)].by == DOER_COPY)
        return carry_judge(p, results, reterr);
    if (d == DEED_LOOK)
        return results[0] ? carry_judge_look(p, results[0]) : VERDICT_WAIT;
    if (d == DEED_CLEAN)
        return results[0] && results[1] ? VERDICT_NEXT : VERDICT_WAIT;
    if (d == DEED_UNDO)
        return judge_undo(p, results, reterr);
    if (d == DEED_FORGET)
        return judge_forget(p, results, reterr);
    if (d == DEED_REHEARSE)
        return judge_rehearsal(p, results, reterr);
    enum verdict v = judge_do(p, results, reterr);
    const char *id = cutover_rows[row_of(p->stage)].id;
    if (v == VERDICT_FAIL && strcmp(id, "after") == 0)
        v = took_row(p, facts, row_of(p->stage),
                     reterr); /* users are served; a report is missing */
    if (v != VERDICT_NEXT)
        return v;
    if (d == DEED_PREPARE && strcmp(id, "check") == 0)
        cutover_set_state(facts, "prepared");
    if (d == DEED_DO && row_of(p->stage) == last_row(facts))
        cut_over(facts);
    if (d == DEED_COMMIT && strcmp(id, "source.commit") == 0)
        cutover_set_state(facts, "committed");
    return v;
}
