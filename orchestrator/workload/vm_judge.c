/* vm_judge: what came of an act. Where a machine is, both hosts say: what a call returned is not
 * the truth. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/message_json.h"
#include "orchestrator/workload/vm_ask.h"
#include "orchestrator/workload/vm_checks.h"
#include "orchestrator/workload/vm_move_priv.h"
#include "proto/vm_look.pb-c.h"

#define BODY_MAX (1U << 20)
#define STUCK_MS INT64_C(10000)
#define SETTLE_MS INT64_C(15000)

static enum verdict fail(struct fault *reterr, int err, const char *text)
{
    (void)fault_set(reterr, FAULT_STOP_JOB, err, "%s", text);
    return VERDICT_FAIL;
}

static json_t *body_of(const Godwit__Result *r, const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = r->body.len <= BODY_MAX
                              ? protobuf_c_message_unpack(d, NULL, r->body.len, r->body.data)
                              : NULL;
    json_t *o = m ? message_json(m) : NULL;
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    return o;
}

/* The machine stays, and what the destination has of it is no machine. */
static bool is_copy(const struct pair_view *p)
{
    return vm_type_is(vm_type_of_plan(vm_plan_of(p)), VM_COPIES);
}

static enum verdict took(const struct pair_view *p, unsigned row)
{
    json_t *kept = vm_kept(vm_facts_of(p), row);
    int64_t began = (int64_t)vm_number(kept, "at_ms");
    (void)json_object_set_new(kept, "state", json_string("done"));
    (void)json_object_set_new(kept, "took_ms", json_integer(clock_wall_ms() - began));
    if (strcmp(vm_rows[row].id, "forget") == 0)
        (void)json_object_set_new(vm_facts_of(p), "state",
                                  json_string(is_copy(p) ? "copied" : "moved"));
    return VERDICT_NEXT;
}

/* ── where the machine is ── */

struct sights {
    const char *here, *there; /* "running", "absent" … */
};

static bool is(const char *sight, const char *a, const char *b, const char *c)
{
    return strcmp(sight, a) == 0 || (b && strcmp(sight, b) == 0) || (c && strcmp(sight, c) == 0);
}

static void keep_sights(const struct pair_view *p, const struct sights *s)
{
    (void)json_object_set_new(vm_facts_of(p), "sights",
                              json_pack("{s:s,s:s}", "source", s->here, "destination", s->there));
}

/* What nobody but a person can decide, with what there is to do. */
static void ask_person(const struct pair_view *p, const struct sights *s)
{
    json_t *facts = vm_facts_of(p);
    const json_t *plan = vm_plan_of(p);
    const char *name = vm_text(plan, "machine");
    bool ran = vm_flag(json_object_get(plan, "move"), "runs");
    json_t *remedy;
    if (!is(s->there, "absent", NULL, NULL) && !is(s->here, "absent", NULL, NULL))
        remedy = json_sprintf(
            "look at %s on both hosts; where it does not count switch it off and take its "
            "definition away (virsh undefine --keep-nvram --keep-tpm), never its disks; then "
            "godwit "
            "vm rollback looks again",
            name);
    else if (ran && is(s->here, "off", "saved", NULL))
        remedy =
            json_sprintf("it ran before: start it on %s (virsh start %s), whose images are back",
                         p->source_host, name);
    else if (is(s->here, "absent", NULL, NULL) && is(s->there, "absent", NULL, NULL))
        remedy = json_sprintf("neither host knows %s: its disks lie on %s (names with "
                              ".godwit-fenced- are its own); define it there from a backup of its "
                              "definition",
                              name, p->source_host);
    else
        remedy = json_sprintf("virsh dominfo %s on both hosts tells more; make it what it was (%s "
                              "on %s), then godwit vm rollback looks again",
                              name, ran ? "running" : "off", p->source_host);
    (void)json_object_set_new(facts, "state", json_string("needs a person"));
    (void)json_object_set_new(facts, "remedy", remedy);
}

static enum verdict freeze(const struct pair_view *p, const struct sights *s, struct fault *reterr)
{
    json_t *facts = vm_facts_of(p);
    (void)json_object_set_new(facts, "frozen", json_true());
    ask_person(p, s);
    (void)fault_set(reterr, FAULT_STOP_JOB, EUCLEAN,
                    "nothing is done any more: the machine is %s at the source and %s at the "
                    "destination, and a person has to decide which one counts",
                    s->here, s->there);
    return VERDICT_FAIL;
}

/* Is it that long that this act has begun? The way back has no such figure: it is so. */
static bool is_over(const struct pair_view *p, int64_t ms)
{
    const json_t *kept = vm_kept(vm_facts_of(p), vm_row_of(p->stage));
    int64_t now = clock_mono_ms(), since = (int64_t)vm_number(kept, "trouble_ms");
    return vm_deed_of(p->stage) != VM_DEED_DO || since > now || now - since > ms;
}

/* After a live move, however it ended. */
static enum verdict judge_verdict(const struct pair_view *p, const struct sights *s,
                                  struct fault *reterr)
{
    json_t *facts = vm_facts_of(p);
    const char *why = vm_text(facts, "migrate_failed");
    bool left = is(s->here, "migrated", "off", "absent");
    bool back = vm_deed_of(p->stage) == VM_DEED_UNDO;
    if (is(s->there, "running", NULL, NULL) && left) {
        (void)json_object_del(facts, "migrate_failed");
        (void)json_object_set_new(facts, "arrived", json_true());
        (void)json_object_set_new(facts, "state", json_string(back ? "half done" : "moving"));
        return back ? VERDICT_NEXT : took(p, vm_row_of(p->stage));
    }
    /* Its host had no power, or its hypervisor was killed: off, and never elsewhere. */
    bool fell = is(s->here, "off", NULL, NULL) && is(s->there, "absent", NULL, NULL) &&
                vm_flag(facts, "absent_there");
    if (fell || (is(s->here, "running", NULL, NULL) && is(s->there, "absent", "off", NULL))) {
        (void)json_object_set_new(facts, "stayed", json_true());
        return back ? VERDICT_NEXT
                    : fail(reterr, ECANCELED, *why ? why : "the machine did not move");
    }
    /* What came there is taken down by its hypervisor as soon as that knows that nobody follows. */
    if (is(s->here, "running", NULL, NULL) && is(s->there, "migrated", "paused", NULL) &&
        !is_over(p, SETTLE_MS)) {
        (void)fault_set(reterr, FAULT_RETRY, EINPROGRESS,
                        "the destination has not let go of the machine yet");
        return VERDICT_AGAIN;
    }
    return freeze(p, s, reterr);
}

/* Off with its memory saved is another state than off. */
static bool is_as_planned(const json_t *move, const char *sight)
{
    size_t i;
    const json_t *disk;
    bool saved = false;
    json_array_foreach(json_object_get(move, "disks"), i, disk) saved =
        saved || vm_number(disk, "kind") == GODWIT__VM_MOVE_DISK__KIND__SAVED;
    return strcmp(sight, vm_flag(move, "runs") ? "running" : saved ? "saved" : "off") == 0;
}

/* Is all as it was when the plan was made? */
static enum verdict judge_start(const struct pair_view *p, const struct sights *s,
                                const json_t *here, struct fault *reterr)
{
    const json_t *move = json_object_get(vm_plan_of(p), "move");
    const char *digest = vm_text(json_object_get(here, "machine"), "digest");
    bool same_host = strcmp(p->source_host, p->destination_host) == 0;
    if (strcmp(digest, vm_text(move, "definition")) != 0)
        return fail(reterr, ESTALE, "the machine's definition was changed since it was planned");
    if (!is_as_planned(move, s->here))
        return fail(reterr, ESTALE, "the machine was started or stopped since it was planned");
    if (!same_host && !is_copy(p) && !is(s->there, "absent", NULL, NULL))
        return fail(reterr, EEXIST, "the destination has the machine already");
    return took(p, vm_row_of(p->stage));
}

/* On the way back: where it ended. */
static enum verdict judge_end(const struct pair_view *p, const struct sights *s)
{
    json_t *facts = vm_facts_of(p);
    const json_t *move = json_object_get(vm_plan_of(p), "move");
    (void)json_object_set_new(facts, "judged", json_true());
    bool as_before = is_as_planned(move, s->here);
    if (vm_flag(facts, "frozen") || vm_flag(facts, "arrived"))
        return VERDICT_NEXT;
    bool alone = is_copy(p) || vm_went_alone(p) ||
                 strcmp(p->source_host, p->destination_host) == 0 ||
                 is(s->there, "absent", NULL, NULL);
    bool back = as_before && alone;
    if (vm_went_alone(p))
        (void)json_object_set_new(
            facts, "left",
            json_sprintf(
                "what the move made on host %s; godwit vm rollback takes it away when that "
                "host is up again",
                p->destination_host));
    if (vm_flag(facts, "touched") && !back)
        ask_person(p, s);
    else
        (void)json_object_set_new(facts, "state",
                                  json_string(vm_flag(facts, "touched") ? "went back" : "refused"));
    return VERDICT_NEXT;
}

static enum verdict judge_looks(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr)
{
    bool alone = vm_went_alone(p);
    json_t *here = vm_look_answer(results[0]);
    json_t *there = alone ? NULL : vm_look_answer(results[1]);
    struct sights s = {.here = vm_text(json_object_get(here, "sight"), "is"),
                       .there = alone ? "absent" : vm_text(json_object_get(there, "sight"), "is")};
    const char *id = vm_rows[vm_row_of(p->stage)].id;
    enum verdict v;
    if (!*s.here || !*s.there) {
        v = fail(reterr, EBADMSG, "a host's answer about the machine is not readable");
    } else {
        keep_sights(p, &s);
        v = strcmp(id, "look") == 0      ? judge_start(p, &s, here, reterr)
            : strcmp(id, "verdict") == 0 ? judge_verdict(p, &s, reterr)
                                         : judge_end(p, &s);
    }
    json_decref(here);
    json_decref(there);
    return v;
}

/* Is a host off that a person said to be off? When somebody answers there the word is not taken:
 * the machine may run there. */
static enum verdict judge_reach(const struct pair_view *p, const Godwit__Result *const results[2],
                                struct fault *reterr)
{
    json_t *facts = vm_facts_of(p);
    enum verdict v = files_verdict(results[0], reterr);
    if (v == VERDICT_FAIL) {
        reterr->what_next = FAULT_RETRY;
        return VERDICT_AGAIN;
    }
    if (v != VERDICT_NEXT)
        return v;
    json_t *here = vm_look_answer(results[0]), *one;
    bool reached = false;
    size_t i;
    json_array_foreach(json_object_get(here, "reaches"), i, one) reached |= vm_flag(one, "on");
    json_decref(here);
    (void)json_object_set_new(facts, reached ? "reached" : "unreached", json_true());
    if (reached)
        (void)json_object_set_new(facts, "destination_off", json_false());
    return VERDICT_NEXT;
}

/* ── marks ── */

static enum verdict judge_marks(const struct pair_view *p, const Godwit__Result *r,
                                struct fault *reterr)
{
    json_t *facts = vm_facts_of(p), *marks = body_of(r, &godwit__vm_marks__descriptor), *one;
    const char *id = vm_rows[vm_row_of(p->stage)].id;
    enum verdict v = VERDICT_NEXT;
    size_t i, seen = 0;
    json_array_foreach(json_object_get(marks, "findings"), i, one) seen +=
        strcmp(vm_text(one, "result"), "pass") == 0;
    if (strcmp(id, "mark") == 0)
        (void)json_object_set(facts, "nonces", json_object_get(marks, "nonces"));
    if (strcmp(id, "see") == 0 && (seen == 0 || seen != vm_count(facts, "nonces")))
        v = fail(reterr, EXDEV,
                 "the destination does not see what the source wrote beside a disk: their storage "
                 "is not shared, whatever its paths say");
    json_decref(marks);
    return v;
}

/* ── acts ── */

static void add_figures(json_t *facts, const json_t *figures)
{
    static const char *const sums[] = {"bytes", "disk_bytes", "memory_bytes"};
    static const char *const most[] = {"downtime_us", "outage_us", "rounds", "dirty_rate"};
    json_t *to = json_object_get(facts, "figures");
    for (size_t i = 0; i < ARRAY_SIZE(sums); i++)
        (void)json_object_set_new(
            to, sums[i],
            json_integer((json_int_t)(vm_number(to, sums[i]) + vm_number(figures, sums[i]))));
    for (size_t i = 0; i < ARRAY_SIZE(most); i++)
        if (vm_number(figures, most[i]) > vm_number(to, most[i]))
            (void)json_object_set(to, most[i], json_object_get(figures, most[i]));
}

/* Of an act on both sides the source's figures count. */
static void take_answer(const struct pair_view *p, unsigned row, const json_t *a, bool counts)
{
    static const char *const texts[] = {"before", "after"};
    json_t *facts = vm_facts_of(p), *kept = vm_kept(facts, row);
    for (size_t i = 0; kept && i < ARRAY_SIZE(texts); i++)
        if (*vm_text(a, texts[i]))
            (void)json_object_set_new(kept, texts[i], json_string(vm_text(a, texts[i])));
    if (vm_count(a, "ladder") > 0)
        (void)json_object_set(facts, "ladder", json_object_get(a, "ladder"));
    if (counts && json_is_object(json_object_get(a, "figures")))
        add_figures(facts, json_object_get(a, "figures"));
}

/* What goes by the transfer engine is counted as transfers are. */
static void add_counters(json_t *facts, const Godwit__Counters *c)
{
    json_t *to = json_object_get(facts, "figures");
    uint64_t bytes = c->sent_bytes ? c->sent_bytes : c->bytes;
    if (bytes > INT64_MAX / 2)
        bytes = 0;
    (void)json_object_set_new(to, "bytes",
                              json_integer((json_int_t)(vm_number(to, "bytes") + bytes)));
}

static enum verdict read_answer(const struct pair_view *p, unsigned row, const Godwit__Result *r,
                                bool counts, struct fault *reterr)
{
    json_t *a = body_of(r, &godwit__vm_move_answer__descriptor);
    enum verdict v = VERDICT_NEXT;
    if (!a)
        return fail(reterr, EBADMSG, "an agent's answer is not readable");
    take_answer(p, row, a, counts);
    if (counts && r->counters && !vm_number(json_object_get(a, "figures"), "bytes"))
        add_counters(vm_facts_of(p), r->counters);
    if (vm_flag(a, "cancelled"))
        v = fail(reterr, ETIMEDOUT,
                 *vm_text(a, "after") ? vm_text(a, "after")
                                      : "what was promised could not be kept: it was given up");
    else if (!vm_flag(a, "is"))
        v = fail(reterr, EREMOTEIO, *vm_text(a, "after") ? vm_text(a, "after") : "it is not so");
    json_decref(a);
    return v;
}

static enum verdict judge_sides(const Godwit__Result *const results[2], bool both,
                                struct fault *reterr)
{
    return both ? files_worse_of(results, reterr) : files_verdict(results[0], reterr);
}

static enum verdict judge_act(const struct pair_view *p, const Godwit__Result *const results[2],
                              struct fault *reterr)
{
    unsigned row = vm_row_of(p->stage);
    bool both = vm_rows[row].on == VM_ON_BOTH && !vm_went_alone(p);
    enum verdict v = judge_sides(results, both, reterr);
    for (int i = 0; v == VERDICT_NEXT && i < (both ? 2 : 1); i++)
        v = read_answer(p, row, results[i], i == 0, reterr);
    return v;
}

/* A live move that failed, or of which nobody knows: the look that follows tells. */
static enum verdict after_migrate(const struct pair_view *p, enum verdict v, struct fault *reterr)
{
    if (v != VERDICT_FAIL)
        return v == VERDICT_NEXT ? took(p, vm_row_of(p->stage)) : v;
    (void)json_object_set_new(vm_facts_of(p), "migrate_failed", json_string(reterr->text));
    *reterr = (struct fault){.err = 0};
    return VERDICT_NEXT;
}

/* What the destination itself said at the end of it, its streams cut: no machine came to be there,
 * or one whose memory was not whole and that can only go away again; off and not defined is one
 * that goes away just then, for a machine is defined there before it runs. */
static void keep_absent(const struct pair_view *p, const Godwit__Result *r)
{
    json_t *a = body_of(r, &godwit__vm_move_answer__descriptor);
    const json_t *sight = json_object_get(a, "sight");
    const char *there = vm_text(sight, "is");
    bool absent = is(there, "absent", "migrated", "paused") ||
                  (is(there, "off", NULL, NULL) && !vm_flag(sight, "defined"));
    (void)json_object_set_new(vm_facts_of(p), "absent_there", json_boolean(absent));
    json_decref(a);
}

/* The destination is gone, and the machine runs at the source without a job: whatever becomes of
 * that host, it has no copy that runs. */
static bool runs_on(const struct pair_view *p, const Godwit__Result *const results[2])
{
    if (vm_deed_of(p->stage) != VM_DEED_DO || !results[0] || results[1] ||
        !p->away_ms[SIDE_DESTINATION] || results[0]->status == GODWIT__RESULT__STATUS__DONE)
        return false;
    json_t *a = body_of(results[0], &godwit__vm_move_answer__descriptor);
    bool runs = strcmp(vm_text(json_object_get(a, "sight"), "is"), "running") == 0;
    json_decref(a);
    return runs;
}

/* The hosts do not reach each other. What keeps nothing of a failed try, and what a machine stands
 * still for, is not tried for minutes: the machine goes on where it was. A copy of one that is off
 * by itself goes on whenever they do. */
static bool is_stuck(const struct pair_view *p)
{
    unsigned row = vm_row_of(p->stage);
    const char *id = vm_rows[row].id;
    bool anew = strcmp(id, "migrate") == 0 || strcmp(id, "seed") == 0;
    return vm_rows[row].traits & VM_LANE && vm_deed_of(p->stage) == VM_DEED_DO &&
           (anew || vm_is_held(p)) && is_over(p, STUCK_MS);
}

static enum verdict judge_back(const struct pair_view *p, enum verdict v)
{
    unsigned row = vm_row_of(p->stage);
    if (v == VERDICT_NEXT && strcmp(vm_rows[row].id, "forget") == 0)
        (void)json_object_set_new(vm_facts_of(p), "forgotten", json_true());
    else if (v == VERDICT_NEXT && vm_went_alone(p) && vm_rows[row].on == VM_ON_BOTH)
        (void)json_object_set_new(vm_kept(vm_facts_of(p), row), "state", json_string("left"));
    else if (v == VERDICT_NEXT)
        (void)json_object_del(json_object_get(vm_facts_of(p), "rows"), vm_rows[row].id);
    return v;
}

enum verdict vm_judge_stage(const struct pair_view *p, const Godwit__Result *const results[2],
                            struct fault *reterr)
{
    unsigned row = vm_row_of(p->stage);
    const struct vm_row *r = &vm_rows[row];
    if (strcmp(r->id, "look") == 0 && vm_deed_of(p->stage) == VM_DEED_UNDO)
        return judge_reach(p, results, reterr);
    if (r->traits & (VM_OWN | VM_MARKS)) {
        bool both = r->traits & VM_OWN && !vm_went_alone(p);
        enum verdict v = judge_sides(results, both, reterr);
        /* As long as nobody knows where it is, nothing is taken back. */
        if (v == VERDICT_FAIL && strcmp(r->id, "verdict") == 0) {
            reterr->what_next = FAULT_RETRY;
            return VERDICT_AGAIN;
        }
        if (v == VERDICT_NEXT)
            v = r->traits & VM_OWN ? judge_looks(p, results, reterr)
                                   : judge_marks(p, results[0], reterr);
        if (vm_deed_of(p->stage) == VM_DEED_UNDO)
            return r->traits & VM_OWN ? v : judge_back(p, v);
        return v == VERDICT_NEXT && r->traits & VM_MARKS ? took(p, row) : v;
    }
    /* Of a live move nothing may run any more when both are asked where the machine is. */
    if (strcmp(r->id, "migrate") == 0 && runs_on(p, results)) {
        (void)json_object_set_new(vm_facts_of(p), "stayed", json_true());
        return fail(reterr, EHOSTDOWN,
                    "the destination was lost, and the machine runs on at the source; what was "
                    "begun at the destination is removed when it is back");
    }
    if (strcmp(r->id, "migrate") == 0 && !vm_went_alone(p) && (!results[0] || !results[1]))
        return VERDICT_WAIT;
    enum verdict v = judge_act(p, results, reterr);
    if (vm_deed_of(p->stage) == VM_DEED_UNDO)
        return judge_back(p, v);
    if (v == VERDICT_AGAIN && is_stuck(p))
        v = VERDICT_FAIL;
    if (strcmp(r->id, "migrate") == 0) {
        keep_absent(p, results[1]);
        return after_migrate(p, v, reterr);
    }
    return v == VERDICT_NEXT ? took(p, row) : v;
}
