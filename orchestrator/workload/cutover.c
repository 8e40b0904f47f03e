/* cutover: which stage is wanted, and what follows when one fails. What was begun and what is
 * done is kept in the pair's facts, by the ids of the table's rows. Main thread. */
#include "orchestrator/workload/cutover.h"

#include <stdio.h>
#include <string.h>

#include "orchestrator/workload/cutover_carry.h"
#include "orchestrator/workload/cutover_priv.h"
#include "orchestrator/workload/files_priv.h"

static unsigned tag_of(enum deed d, enum cutover_method m, unsigned row)
{
    return (unsigned)d << 16 | (unsigned)m << 8 | row;
}

/* ── facts ── */

json_t *cutover_facts(const struct pair_view *p)
{
    json_t *f = json_object_get(p->facts, "cutover");
    if (f)
        return f;
    f = json_pack("{s:{},s:{}}", "settings", "rows");
    (void)json_object_set_new(p->facts, "cutover", f);
    return f;
}

/* What was planned; before that what is wished. */
enum cutover_method cutover_method_of(const json_t *facts)
{
    const json_t *planned = json_object_get(json_object_get(facts, "plan"), "method");
    if (planned)
        return json_integer_value(planned) == 2 ? METHOD_REJOIN : METHOD_TRANSPLANT;
    const char *s =
        json_string_value(json_object_get(json_object_get(facts, "settings"), "method"));
    return s && cutover_method_parse(s) == METHOD_REJOIN ? METHOD_REJOIN : METHOD_TRANSPLANT;
}

bool cutover_in_domain(const json_t *facts)
{
    return json_is_true(json_object_get(json_object_get(facts, "plan"), "domain"));
}

const char *cutover_state_of(const json_t *facts)
{
    const char *s = json_string_value(json_object_get(facts, "state"));
    return s ? s : "";
}

void cutover_set_state(json_t *facts, const char *state)
{
    (void)json_object_set_new(facts, "state", json_string(state));
}

json_t *cutover_kept(const json_t *facts, unsigned row)
{
    return json_object_get(json_object_get(facts, "rows"), cutover_rows[row].id);
}

bool cutover_is_done(const json_t *facts, unsigned row)
{
    const char *s = json_string_value(json_object_get(cutover_kept(facts, row), "state"));
    return s && strcmp(s, "done") == 0;
}

/* Anything that makes the servers others than they were when they were asked? */
bool cutover_has_begun(const json_t *facts)
{
    for (unsigned i = 0; i < CUTOVER_ROWS; i++)
        if (cutover_rows[i].undo && !cutover_rows[i].early && cutover_kept(facts, i))
            return true;
    return false;
}

/* Notes on the hosts, and perhaps an account or shorter times to live at the domain's controller:
 * nobody would know any more what to take back. */
const char *cutover_leaves(const json_t *pair_facts)
{
    const json_t *facts = json_object_get(pair_facts, "cutover");
    bool open = json_is_true(json_object_get(facts, "noted")) &&
                strcmp(cutover_state_of(facts), "committed") != 0;
    return open
               ? "a cutover that is prepared or done in part: godwit cutover rollback takes it back"
               : NULL;
}

/* While the shares are closed on the one, and Samba is stopped on the other. */
bool cutover_carries(const json_t *facts, unsigned row)
{
    return row == cutover_find("last") && carry_is_due(facts);
}

const char *cutover_witness(const json_t *pair_facts)
{
    const json_t *settings = json_object_get(json_object_get(pair_facts, "cutover"), "settings");
    return json_string_value(json_object_get(settings, "probe_host"));
}

const char *cutover_not(const json_t *facts, unsigned row)
{
    const struct cutover_row *r = &cutover_rows[row];
    if (r->on == ON_WITNESS && !json_object_get(json_object_get(facts, "settings"), "probe_host"))
        return "no third computer was named (--probe-host)";
    if (r->unmoved && json_array_size(json_object_get(json_object_get(facts, "plan"), "moves")) > 0)
        return "the addresses move along: what the names stand for stays";
    /* Whether it is in a domain is known when both have answered: the first rows hold for both. */
    return cutover_why_not(r, cutover_method_of(facts), cutover_in_domain(facts));
}

bool cutover_takes_sid(const struct pair_view *p)
{
    return p->stage && p->stage->apart && deed_of(p->stage) == DEED_DO &&
           cutover_method_of(json_object_get(p->facts, "cutover")) == METHOD_TRANSPLANT;
}

/* ── which stages ── */

static bool wants_do(const struct pair_view *p, const json_t *facts, unsigned row)
{
    const struct cutover_row *r = &cutover_rows[row];
    if (way_of(p->stage) != cutover_method_of(facts))
        return false;
    if (r->commit || cutover_not(facts, row))
        return false;
    if (r->by == DOER_VERIFY && !files_wants_look(p))
        return false;
    bool looks = r->early || (r->stage && strcmp(r->stage, "connect") == 0);
    return looks || !cutover_is_done(facts, row);
}

static bool is_wanted(const struct pair_view *p)
{
    const json_t *facts = json_object_get(p->facts, "cutover");
    unsigned row = row_of(p->stage);
    switch (deed_of(p->stage)) {
    case DEED_PREPARE:
        return !cutover_rows[row].early ||
               (!cutover_not(facts, row) && !json_is_true(json_object_get(facts, "only_look")));
    case DEED_REHEARSE:
        return true;
    case DEED_DO:
        return wants_do(p, facts, row);
    case DEED_UNDO:
        if (way_of(p->stage) != cutover_method_of(facts))
            return false;
        if (cutover_rows[row].by == DOER_COPY)
            return cutover_carries(facts, row);
        return cutover_rows[row].undo && cutover_kept(facts, row);
    case DEED_LOOK:
        return carry_looks(facts);
    case DEED_CLEAN:
        return carry_leaves(facts) && !cutover_has_begun(facts);
    case DEED_FORGET:
        return json_is_true(json_object_get(facts, "noted")) && !cutover_has_begun(facts);
    case DEED_COMMIT:
        return !cutover_is_done(facts, row);
    }
    return false;
}

const char *cutover_passed(const struct pair_view *p)
{
    const json_t *facts = json_object_get(p->facts, "cutover");
    const struct cutover_row *r = &cutover_rows[row_of(p->stage)];
    if (!p->stage->apart || deed_of(p->stage) != DEED_DO || r->commit ||
        way_of(p->stage) != cutover_method_of(facts))
        return NULL;
    const char *why = cutover_not(facts, row_of(p->stage));
    if (!why && r->by == DOER_VERIFY)
        why = "the job has no verification";
    return why ? why : "done before";
}

/* ── going back ── */

static unsigned base_of_stages; /* set once, before main() */

unsigned cutover_back(const struct pair_view *p, const struct fault *why)
{
    json_t *facts = cutover_facts(p);
    enum deed d = p->stage ? deed_of(p->stage) : DEED_PREPARE;
    bool mine = p->stage && p->stage->apart && d == DEED_DO;
    (void)json_object_set_new(facts, "why", json_string(why->text));
    bool held = p->stage && cutover_held(facts, row_of(p->stage)); /* so is what a person did */
    bool over = strcmp(cutover_state_of(facts), "cut over") == 0;  /* what is left only looks */
    if (!mine || over || held || !json_is_true(json_object_get(facts, "noted")))
        return base_of_stages + CUTOVER_STAGES;
    cutover_set_state(facts, "going back");
    /* The first row that undoes with this method; the engine goes on from there. */
    unsigned at = base_of_stages + CUTOVER_FIRST + 2 * CUTOVER_ROWS + 1; /* behind the look */
    return at;
}

/* ── the stages ── */

static char undo_names[CUTOVER_ROWS][160];

static void put(struct stage *s, enum deed d, enum cutover_method m, unsigned row,
                const char *phase)
{
    const struct cutover_row *r = &cutover_rows[row];
    *s = (struct stage){.percent = cutover_percent(r, m),
                        .phase = phase,
                        .name = d == DEED_UNDO ? undo_names[row] : r->text,
                        .plan = cutover_plan_stage,
                        .judge = cutover_judge_stage,
                        .wanted = is_wanted,
                        .aside = r->by != DOER_COPY,
                        .resumes = r->by == DOER_COPY,
                        .lanes = r->by == DOER_COPY || strcmp(r->id, "bundle") == 0,
                        .apart = true,
                        .loose = phase[0] == 'r' && phase[1] == 'o', /* all of a rollback */
                        .limit_s = r->limit_s,
                        .patient = r->limit_s > 0,
                        .waits = r->waits,
                        .still_s = r->still_s,
                        .tag = tag_of(d, m, row)};
}

static void name_undo(unsigned row)
{
    const char *text = cutover_rows[row].text;
    if (cutover_rows[row].by == DOER_COPY)
        (void)snprintf(undo_names[row], sizeof undo_names[row],
                       "Carrying back what users wrote on the new server...");
    else
        (void)snprintf(undo_names[row], sizeof undo_names[row], "Taking back: %s", text);
}

static const char *const prepares[CUTOVER_PREPARES] = {"source.connect", "destination.connect",
                                                       "check"};

void cutover_lay_out(struct stage *ret, unsigned base)
{
    unsigned n = 0, order[CUTOVER_ROWS];
    base_of_stages = base;
    for (unsigned i = 0; i < CUTOVER_PREPARES; i++)
        put(&ret[n++], DEED_PREPARE, METHOD_TRANSPLANT, cutover_find(prepares[i]), "prepare");
    put(&ret[n++], DEED_PREPARE, METHOD_TRANSPLANT, cutover_find("source.ttl"), "prepare");
    put(&ret[n++], DEED_PREPARE, METHOD_TRANSPLANT, cutover_find("source.staged"), "prepare");
    for (unsigned i = 0; i < CUTOVER_PREPARES; i++)
        put(&ret[n++], DEED_PREPARE, METHOD_TRANSPLANT, cutover_find(prepares[i]), "rehearse");
    put(&ret[n], DEED_REHEARSE, METHOD_TRANSPLANT, cutover_find("destination.start"), "rehearse");
    ret[n].name = "Playing the source's part, apart from the network...";
    ret[n].limit_s = 200;
    ret[n].lanes = true;
    ret[n++].waits = "the destination's rehearsal";
    for (unsigned m = 0; m < METHODS; m++) {
        cutover_order((enum cutover_method)m, order);
        for (unsigned i = 0; i < CUTOVER_ROWS; i++)
            put(&ret[n++], DEED_DO, (enum cutover_method)m, order[i], "cutover");
    }
    put(&ret[n], DEED_LOOK, METHOD_TRANSPLANT, cutover_find("idle"), "rollback");
    ret[n++].name = "Looking for what users wrote on the new server...";
    for (unsigned m = 0; m < METHODS; m++) {
        cutover_order((enum cutover_method)m, order);
        for (unsigned i = CUTOVER_ROWS; i-- > 0;) {
            name_undo(order[i]);
            put(&ret[n++], DEED_UNDO, (enum cutover_method)m, order[i], "rollback");
        }
    }
    put(&ret[n], DEED_CLEAN, METHOD_TRANSPLANT, cutover_find("idle"), "rollback");
    ret[n++].name = "Forgetting what was carried back...";
    put(&ret[n], DEED_FORGET, METHOD_TRANSPLANT, cutover_find("idle"), "rollback");
    ret[n].limit_s = 60;
    ret[n].lanes = false;
    ret[n++].waits = "both agents";
    put(&ret[n++], DEED_COMMIT, METHOD_TRANSPLANT, cutover_find("destination.commit"), "commit");
    put(&ret[n++], DEED_COMMIT, METHOD_TRANSPLANT, cutover_find("source.commit"), "commit");
}
