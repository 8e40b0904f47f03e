/* vm_move: the workload "vm": which acts make a move, which of them a pair still has to do, and
 * where the way back begins. What an act sends is vm_order.c, what came of it vm_judge.c. Main
 * thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "orchestrator/workload/vm_checks.h"
#include "orchestrator/workload/vm_move_priv.h"
#include "orchestrator/workload/vm_plan.h"

#define MOVES_MAX 1000
#define GONE_MS INT64_C(10000) /* beside the time until a host counts as lost */

/* ── facts ── */

json_t *vm_facts_of(const struct pair_view *p)
{
    json_t *f = json_object_get(p->facts, "vm");
    if (f)
        return f;
    f = json_pack("{s:s,s:{},s:{}}", "state", "", "rows", "figures");
    (void)json_object_set_new(p->facts, "vm", f);
    return f;
}

const json_t *vm_plan_of(const struct pair_view *p)
{
    return json_array_get(json_object_get(p->options, "plans"), p->n - 1);
}

const struct vm_type *vm_type_of_plan(const json_t *plan)
{
    return vm_type_named(vm_text(plan, "type"));
}

const char *vm_state_of(const json_t *facts)
{
    return vm_text(facts, "state");
}

json_t *vm_kept(const json_t *facts, unsigned row)
{
    return json_object_get(json_object_get(facts, "rows"), vm_rows[row].id);
}

bool vm_is_done(const json_t *facts, unsigned row)
{
    return strcmp(vm_text(vm_kept(facts, row), "state"), "done") == 0;
}

struct vm_row_case vm_case_of(const json_t *plan)
{
    const json_t *move = json_object_get(plan, "move");
    return (struct vm_row_case){.runs = vm_flag(move, "runs"),
                                .marks = vm_count(plan, "mark") > 0,
                                .bases = vm_count(move, "bases") > 0};
}

/* It is at the destination for good: there is nothing that could be taken back. */
static bool is_there(const json_t *facts)
{
    return vm_kept(facts, vm_row_find("drop")) || vm_is_done(facts, vm_row_find("verdict")) ||
           vm_is_done(facts, vm_row_find("shelve")) || vm_flag(facts, "arrived");
}

/* A live move was begun, and nobody has said yet that the machine stayed. */
static bool is_open(const json_t *facts)
{
    return vm_kept(facts, vm_row_find("migrate")) && !vm_flag(facts, "stayed");
}

/* Has the destination anything that could run, for all that is known? */
static bool may_run_there(const json_t *facts)
{
    return is_open(facts) || vm_kept(facts, vm_row_find("define")) ||
           vm_kept(facts, vm_row_find("start"));
}

/* A person said that the destination is off for good: on the way back it is not asked any more.
 * What it has of the move is taken away by a later way back, if it ever comes up again. One that
 * answers is asked whatever was said. */
bool vm_is_given_up(const struct pair_view *p)
{
    return vm_deed_of(p->stage) == VM_DEED_UNDO && p->away_ms[SIDE_DESTINATION] &&
           vm_flag(json_object_get(p->facts, "vm"), "destination_off");
}

bool vm_went_alone(const struct pair_view *p)
{
    return vm_deed_of(p->stage) == VM_DEED_UNDO &&
           vm_flag(json_object_get(p->facts, "vm"), "alone");
}

/* ── which stages ── */

static bool is_wanted(const struct pair_view *p)
{
    const json_t *facts = json_object_get(p->facts, "vm"), *plan = vm_plan_of(p);
    const struct vm_type *t = vm_type_of_plan(plan);
    unsigned row = vm_row_of(p->stage);
    const struct vm_row *r = &vm_rows[row];
    bool judges = strcmp(r->id, "judge") == 0, forgets = strcmp(r->id, "forget") == 0;
    const struct vm_row_case c = vm_case_of(plan);
    if (!t || !vm_row_applies(r, t, &c))
        return false;
    if (vm_deed_of(p->stage) == VM_DEED_DO)
        return !judges && !vm_is_done(facts, row);
    /* Acts of the way back are picked anew after each: what was done is not wanted again. */
    if (judges)
        return !vm_flag(facts, "judged");
    if (vm_flag(facts, "frozen") || is_there(facts))
        return false;
    if (strcmp(r->id, "verdict") == 0)
        return is_open(facts) && !vm_is_given_up(p);
    if (strcmp(r->id, "look") == 0)
        return vm_is_given_up(p) && may_run_there(facts) && !vm_flag(facts, "unreached");
    if (forgets)
        return !vm_flag(facts, "forgotten");
    if (vm_is_given_up(p) &&
        (r->on == VM_ON_DESTINATION || strcmp(vm_text(vm_kept(facts, row), "state"), "left") == 0))
        return false;
    return r->traits & VM_UNDOES && vm_kept(facts, row);
}

/* ── who has to be there ── */

static bool is_here(const struct pair_view *p, int side, char *why, size_t size)
{
    if (!p->away_ms[side])
        return true;
    (void)snprintf(why, size, "waits for host %s, which is away",
                   side ? p->destination_host : p->source_host);
    return false;
}

/* On the way back a machine that was held for its move runs on at the source as soon as it may,
 * though the destination is gone: but never while it might run there. */
static bool ready(const struct pair_view *p, char *why, size_t size)
{
    const json_t *facts = json_object_get(p->facts, "vm");
    const struct vm_row *r = &vm_rows[vm_row_of(p->stage)];
    bool back = vm_deed_of(p->stage) == VM_DEED_UNDO;
    if (vm_is_given_up(p) || (back && r->on == VM_ON_SOURCE && !may_run_there(facts)))
        return is_here(p, 0, why, size);
    if (back && strcmp(r->id, "reserve") == 0)
        return is_here(p, 1, why, size);
    if (!is_here(p, 0, why, size))
        return false;
    if (is_here(p, 1, why, size))
        return true;
    if (back && may_run_there(facts))
        (void)snprintf(why, size,
                       "host %s %s, and the machine may run there: bring it back, or switch it "
                       "off and say godwit vm rollback JOB --destination-is-off",
                       p->destination_host,
                       vm_flag(facts, "reached")
                           ? "is on (the source reaches it), though it does not answer"
                           : "is away");
    return false;
}

bool vm_is_held(const struct pair_view *p)
{
    static const char *const held[] = {"stop", "pause", "save"};
    const json_t *facts = json_object_get(p->facts, "vm");
    if (vm_deed_of(p->stage) != VM_DEED_DO || is_there(facts))
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(held); i++)
        if (vm_kept(facts, vm_row_find(held[i])))
            return true;
    return false;
}

/* Nobody works with a machine that is held for its move: it does not wait for a host that is gone,
 * but goes back. One that runs, or is off by itself, waits until that host has started again. */
static int64_t patience(const struct pair_view *p)
{
    return vm_is_held(p) ? GONE_MS : 0;
}

/* ── going back ── */

static unsigned first_undo; /* set once, when the table is laid out */

static void go_anew(json_t *facts)
{
    (void)json_object_del(facts, "judged");
    (void)json_object_del(facts, "forgotten");
}

static unsigned back(const struct pair_view *p, const struct fault *why)
{
    json_t *facts = vm_facts_of(p);
    go_anew(facts);
    (void)json_object_set_new(facts, "why", json_string(why->text));
    bool forth = p->stage && vm_deed_of(p->stage) == VM_DEED_DO;
    if (forth && !vm_flag(facts, "touched")) {
        (void)json_object_set_new(facts, "state", json_string("refused"));
        return VM_STAGES;
    }
    if (p->stage && vm_went_alone(p))
        (void)json_object_set_new(
            facts, "remedy",
            json_sprintf(
                "what %s has on its disks on %s counts now: make its definition anew there "
                "if it is missing, and start it (virsh start)",
                p->source, p->source_host));
    if (!forth || is_there(facts) || vm_flag(facts, "frozen")) {
        (void)json_object_set_new(facts, "state",
                                  json_string(is_there(facts) ? "half done" : "needs a person"));
        return VM_STAGES;
    }
    (void)json_object_set_new(facts, "state",
                              json_string(vm_flag(facts, "stayed") ? "stayed" : "going back"));
    return first_undo;
}

/* ── entering ── */

static int admit_move(const struct pair_view *p, json_t *facts, struct fault *reterr)
{
    const char *state = vm_state_of(facts);
    if (strcmp(state, "moved") == 0 || strcmp(state, "copied") == 0)
        return 1;
    if (strcmp(state, "going back") == 0 || strcmp(state, "stayed") == 0)
        return fault_set(reterr, FAULT_STOP_JOB, EPROTO,
                         "%s is on its way back: wait until it is there", p->source);
    /* Half done beyond the point of no return goes on; all else begins anew. */
    if (!is_there(facts)) {
        (void)json_object_del(facts, "touched");
        (void)json_object_del(facts, "stayed");
        (void)json_object_del(facts, "migrate_failed");
        (void)json_object_del(facts, "absent_there");
        (void)json_object_set_new(facts, "rows", json_object());
        (void)json_object_set_new(facts, "figures", json_object());
        (void)json_object_del(facts, "ladder");
    }
    go_anew(facts);
    (void)json_object_del(facts, "why");
    (void)json_object_del(facts, "left");
    (void)json_object_del(facts, "destination_off");
    (void)json_object_del(facts, "frozen");
    (void)json_object_del(facts, "remedy");
    (void)json_object_set_new(facts, "state", json_string("waiting"));
    return 0;
}

/* Why it does not go back, or false. */
static bool stays_there(const struct pair_view *p, const json_t *facts, bool off,
                        struct fault *reterr)
{
    if (vm_is_done(facts, vm_row_find("shelve")))
        (void)fault_set(reterr, FAULT_STOP_JOB, EPROTO,
                        "the copy is in its library: remove its folder there if it is not wanted");
    else if (is_there(facts) && off && p->away_ms[SIDE_DESTINATION])
        (void)fault_set(reterr, FAULT_STOP_JOB, EPROTO,
                        "%s had moved to host %s for good before that went off: what host %s has "
                        "of it (images with .godwit-fenced- in their names) is older",
                        p->source, p->destination_host, p->source_host);
    else if (is_there(facts))
        (void)fault_set(reterr, FAULT_STOP_JOB, EPROTO,
                        "the machine is at the destination: move it back by another job");
    else if (off && !p->away_ms[SIDE_DESTINATION])
        (void)fault_set(reterr, FAULT_STOP_JOB, EPROTO,
                        "host %s answers: it is not off, and is asked like the source",
                        p->destination_host);
    else
        return false;
    return true;
}

/* What a person was asked to decide is looked at again. Of the others of a job some may go back. */
static int admit_back(const struct pair_view *p, json_t *facts, const json_t *settings,
                      struct fault *reterr)
{
    bool off = vm_flag(settings, "destination_off");
    if (stays_there(p, facts, off, reterr))
        return 2;
    go_anew(facts);
    (void)json_object_del(facts, "reached");
    (void)json_object_del(facts, "unreached");
    (void)json_object_del(facts, "frozen");
    (void)json_object_del(facts, "remedy");
    (void)json_object_del(facts, "left");
    (void)json_object_set_new(facts, "destination_off", json_boolean(off));
    return json_object_size(json_object_get(facts, "rows")) > 0 ? 0 : 1;
}

static int admit(const struct pair_view *p, const char *phase, const json_t *settings,
                 struct fault *reterr)
{
    json_t *facts = vm_facts_of(p);
    if (!vm_type_of_plan(vm_plan_of(p)))
        return fault_set(reterr, FAULT_STOP_JOB, EPROTO, "pair %u has no plan", p->n);
    if (strcmp(phase, "move") == 0)
        return admit_move(p, facts, reterr);
    return admit_back(p, facts, settings, reterr);
}

/* ── the job's options ── */

static int check_plan(const json_t *plan, size_t n, struct fault *reterr)
{
    const json_t *move = json_object_get(plan, "move");
    if (json_is_object(move) && vm_flag(plan, "ok") && vm_type_of_plan(plan) &&
        *vm_text(move, "uuid") && strlen(vm_text(move, "uuid")) < 64 &&
        json_is_array(json_object_get(move, "disks")))
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                     "plans[%zu]: no plan by which a machine may move; godwit vm plan makes them",
                     n);
}

static int check_options(json_t *options, struct fault *reterr)
{
    const json_t *plans = json_object_get(options, "plans"), *one;
    size_t i;
    int rc = 0;
    if (!json_is_array(plans) || json_array_size(plans) < 1 || json_array_size(plans) > MOVES_MAX ||
        json_object_size(options) != 1)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "options: jobs of machines have plans and nothing else: use godwit vm "
                         "migrate");
    json_array_foreach(plans, i, one)
    {
        rc = rc < 0 ? rc : check_plan(one, i, reterr);
    }
    return rc;
}

static int check_pairs(const json_t *options, const char *const *sources, unsigned n,
                       struct fault *reterr)
{
    const json_t *plans = json_object_get(options, "plans");
    if (json_array_size(plans) != n)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "plans: one for each pair");
    for (unsigned i = 0; i < n; i++)
        if (!sources[i] || strcmp(sources[i], vm_text(json_array_get(plans, i), "from")) != 0)
            return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                             "plans[%u]: it is for another source than pair %u has", i, i + 1);
    return 0;
}

/* libvirt's own rule for names, and what a console can show. */
static const char *check_place(const char *place)
{
    size_t n = strlen(place);
    if (n < 1 || n > 240)
        return "must be a machine's name";
    for (const char *c = place; *c; c++)
        if (*c == '/' || (unsigned char)*c < 0x20 || *c == 0x7f)
            return "a machine's name has no slash and no control characters";
    return strcmp(place, ".") == 0 || strcmp(place, "..") == 0 ? "must be a machine's name" : NULL;
}

/* ── the stages ── */

static char undo_names[VM_ROWS][96];

static void put(struct stage *s, enum vm_deed d, unsigned row)
{
    const struct vm_row *r = &vm_rows[row];
    bool undo = d == VM_DEED_UNDO && !(r->traits & VM_OWN) && strcmp(r->id, "forget") != 0;
    if (undo)
        (void)snprintf(undo_names[row], sizeof undo_names[row], "Taking back: %s", r->text);
    bool copies = r->traits & VM_LANE && r->limit_s == 0;
    *s = (struct stage){.percent = r->percent,
                        .phase = d == VM_DEED_DO ? "move" : "rollback",
                        .name = undo ? undo_names[row] : r->text,
                        .resumes = copies,
                        .aside = !copies,
                        .lanes = r->traits & VM_LANE && d == VM_DEED_DO,
                        .apart = true,
                        .loose = d == VM_DEED_UNDO,
                        .limit_s = r->limit_s,
                        .waits = r->waits,
                        .tag = (unsigned)d << 8 | row,
                        .plan = vm_plan_stage,
                        .judge = vm_judge_stage,
                        .wanted = is_wanted};
}

static struct stage stages[VM_STAGES];

/* Forth in the table's order; back: where it is after a live move, whether a host that was said to
 * be off is, the acts from the last to the first, the notes, and a last look. */
__attribute__((constructor)) static void lay_out(void)
{
    unsigned n = 0, judge = vm_row_find("judge"), forget = vm_row_find("forget");
    unsigned verdict = vm_row_find("verdict"), look = vm_row_find("look");
    for (unsigned i = 0; i < VM_ROWS; i++)
        put(&stages[n++], VM_DEED_DO, i);
    first_undo = n;
    put(&stages[n++], VM_DEED_UNDO, verdict);
    put(&stages[n++], VM_DEED_UNDO, look);
    for (unsigned i = VM_ROWS; i-- > 0;)
        if (i != judge && i != forget && i != verdict && i != look)
            put(&stages[n++], VM_DEED_UNDO, i);
    put(&stages[n++], VM_DEED_UNDO, forget);
    put(&stages[n++], VM_DEED_UNDO, judge);
}

const struct workload workload_vm = {.name = "vm",
                                     .stages = stages,
                                     .nstages = VM_STAGES,
                                     .commands = "godwit vm migrate",
                                     .in_windows = true,
                                     .check_options = check_options,
                                     .check_pairs = check_pairs,
                                     .check_place = check_place,
                                     .admit = admit,
                                     .back = back,
                                     .ready = ready,
                                     .patience = patience,
                                     .outline = vm_outline};
