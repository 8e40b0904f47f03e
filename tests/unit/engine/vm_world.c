/* vm_world: a machine on two made-up hosts, and the agents that act on it. Only tests. */
#include "tests/unit/engine/vm_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "orchestrator/workload/vm_types.h"
#include "tests/unit/test.h"

struct world *w;
struct bad bad;
unsigned failed;
bool tells_nothing;
int tells_there;
bool tells_defined;

static void act_forth(const char *stage, bool source)
{
    if (strcmp(stage, "reserve") == 0)
        w->reserved = true;
    else if (strcmp(stage, "seed") == 0)
        w->seeded = true;
    else if (strcmp(stage, "stop") == 0)
        w->here = SIGHT(OFF);
    else if (strcmp(stage, "pause") == 0)
        w->here = SIGHT(PAUSED);
    else if (strcmp(stage, "save") == 0)
        w->here = SIGHT(OFF), w->saved = true;
    else if (strcmp(stage, "state") == 0)
        w->stated = true;
    else if (strcmp(stage, "migrate") == 0)
        w->here = SIGHT(MIGRATED), w->there = SIGHT(RUNNING);
    else if (strcmp(stage, "fence") == 0)
        w->fenced = true;
    else if (strcmp(stage, "define") == 0 && w->there == SIGHT(ABSENT))
        w->there = SIGHT(OFF);
    else if (strcmp(stage, "start") == 0)
        w->there = SIGHT(RUNNING);
    else if (strcmp(stage, "drop") == 0)
        w->here = SIGHT(ABSENT);
    else if (strcmp(stage, "shelve") == 0)
        w->shelved = true, w->reserved = false;
    else if (w->shelved && strcmp(stage, "forget") == 0)
        w->stated = false;
    else if (strcmp(stage, "forget") == 0 && w->there == SIGHT(ABSENT)) {
        if (source && bad.how == FALLS) /* its host fell */
            w->here = SIGHT(RUNNING);
        return; /* on the way back: what was made must be gone before */
    } else if (strcmp(stage, "forget") == 0 && source)
        w->saved = w->seeded = false;
    else if (strcmp(stage, "forget") == 0)
        w->stated = false;
}

static void act_back(const char *stage)
{
    if (strcmp(stage, "reserve") == 0)
        w->reserved = false;
    else if (strcmp(stage, "shelve") == 0)
        w->shelved = false;
    else if (strcmp(stage, "seed") == 0)
        w->seeded = false;
    else if (strcmp(stage, "stop") == 0 || strcmp(stage, "pause") == 0)
        w->here = w->ran ? SIGHT(RUNNING) : SIGHT(OFF);
    else if (strcmp(stage, "save") == 0)
        w->here = SIGHT(RUNNING), w->saved = false;
    else if (strcmp(stage, "state") == 0)
        w->stated = false;
    else if (strcmp(stage, "fence") == 0)
        w->fenced = false;
    else if (strcmp(stage, "define") == 0)
        w->there = SIGHT(ABSENT);
    else if (strcmp(stage, "start") == 0)
        w->there = w->there == SIGHT(ABSENT) ? SIGHT(ABSENT) : SIGHT(OFF);
}

static void act(const struct fake_op *op)
{
    if (strcmp(op->stage, "mark") == 0 || strcmp(op->stage, "unmark") == 0)
        w->marked = strcmp(op->stage, "mark") == 0;
    else if (op->action == UNDO)
        act_back(op->stage);
    else if (op->action == DO)
        act_forth(op->stage, op->source);
    if (w->here == SIGHT(RUNNING) && w->there == SIGHT(RUNNING))
        fail_msg("the machine runs twice after %s", op->stage);
}

static bool is_bad(const struct fake_op *op)
{
    const char *stage = strcmp(op->kind, "vm.see") == 0 ? "see" : op->stage;
    return bad.stage && strcmp(stage, bad.stage) == 0 &&
           (!op->action || op->action == bad.action) && (!bad.times || failed < bad.times);
}

struct fake_answer agents(const struct fake_op *op, unsigned nth)
{
    struct fake_answer a = {.silent = false};
    (void)nth;
    if (bad.looks && failed > 0 && strcmp(op->kind, "vm.look") == 0)
        return (struct fake_answer){.status = GODWIT__RESULT__STATUS__FAILED,
                                    .next = FAULT_STOP_JOB,
                                    .err = ECONNREFUSED,
                                    .text = "libvirt does not answer"};
    if (!is_bad(op)) {
        act(op);
        return a;
    }
    failed++;
    if (bad.how == AFTER)
        act(op);
    if (bad.how == BREAKS) {
        w->here = SIGHT(PAUSED);
        w->there = SIGHT(STUCK);
    }
    if (bad.how == FALLS)
        w->here = SIGHT(OFF);
    if (bad.how == LINGERS)
        w->there = SIGHT(MIGRATED);
    if (bad.how == SILENT)
        return (struct fake_answer){.silent = true};
    if (bad.how == CANCELS)
        return a;
    return (struct fake_answer){.status = GODWIT__RESULT__STATUS__FAILED,
                                .next = bad.how == RETRIES ? FAULT_RETRY : FAULT_STOP_JOB,
                                .err = EIO,
                                .text = "it will not"};
}

/* ── what they say ── */

static size_t say_look(const struct fake_op *op, uint8_t *ret)
{
    bool source = strcmp(op->host, "s1") == 0;
    Godwit__VmLook l = GODWIT__VM_LOOK__INIT;
    Godwit__VmMachine m = GODWIT__VM_MACHINE__INIT;
    Godwit__VmMoveSight s = GODWIT__VM_MOVE_SIGHT__INIT;
    s.is = (Godwit__VmMoveSight__Is)(source ? w->here : w->there);
    m.digest = w->digest;
    l.sight = &s;
    l.machine = source ? &m : NULL;
    Godwit__VmReach reach = GODWIT__VM_REACH__INIT, *reaches[] = {&reach};
    reach.on = w->on;
    l.n_reaches = source ? 1 : 0;
    l.reaches = reaches;
    return godwit__vm_look__pack(&l, ret);
}

static size_t say_marks(const struct fake_op *op, uint8_t *ret)
{
    Godwit__VmMarks m = GODWIT__VM_MARKS__INIT;
    Godwit__VmNonce n = GODWIT__VM_NONCE__INIT, *ns[] = {&n};
    Godwit__VmFinding f = GODWIT__VM_FINDING__INIT, *fs[] = {&f};
    bool see = strcmp(op->kind, "vm.see") == 0;
    f.result = w->marked && !w->blind ? GODWIT__VM_FINDING__RESULT__PASS
                                      : GODWIT__VM_FINDING__RESULT__FAIL;
    m.n_nonces = see ? 0 : 1;
    m.nonces = ns;
    m.n_findings = see ? 1 : 0;
    m.findings = fs;
    return godwit__vm_marks__pack(&m, ret);
}

static size_t say(const struct fake_op *op, uint8_t ret[FAKE_BODY])
{
    char text[] = "over the promise";
    if (strcmp(op->kind, "vm.look") == 0)
        return say_look(op, ret);
    if (strcmp(op->kind, "vm.mark") == 0 || strcmp(op->kind, "vm.see") == 0)
        return say_marks(op, ret);
    Godwit__VmMoveAnswer a = GODWIT__VM_MOVE_ANSWER__INIT;
    Godwit__VmMoveSight sight = GODWIT__VM_MOVE_SIGHT__INIT;
    a.is = a.acted = true;
    sight.is = (Godwit__VmMoveSight__Is)(op->source ? w->here : w->there);
    if (tells_there && !op->source)
        sight.is = (Godwit__VmMoveSight__Is)tells_there;
    sight.defined = tells_defined;
    a.sight = tells_nothing ? NULL : &sight;
    if (bad.how == CANCELS && is_bad(op)) {
        a.cancelled = true;
        a.after = text;
    }
    return godwit__vm_move_answer__pack(&a, ret);
}

/* ── the bench ── */

static void new_world(bool runs)
{
    bool blind = false;
    if (!w)
        w = mmap(NULL, sizeof *w, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(w != MAP_FAILED);
    *w = (struct world){.here = runs ? SIGHT(RUNNING) : SIGHT(OFF),
                        .there = SIGHT(ABSENT),
                        .ran = runs,
                        .blind = blind,
                        .digest = "d1"};
    memset(&bad, 0, sizeof bad);
    bad.action = DO;
    failed = 0;
    fake_body = say;
}

void move_job(struct bench *b, const char *type, bool runs)
{
    const struct vm_type *t = vm_type_named(type);
    bool shared = vm_type_is(t, VM_ON_SHARED);
    CLEANUP(mem_free)
    char *spec = xasprintf(
        "{\"name\":\"wave\",\"workload\":\"vm\",\"pairs\":[{\"source\":{\"host\":\"s1\",\"path\":"
        "\"web\"},\"destination\":{\"host\":\"d1\",\"path\":\"web\"}}],\"options\":{\"plans\":[{"
        "\"ok\":true,\"machine\":\"web\",\"from\":\"s1\",\"to\":\"d1\",\"type\":\"%s\",\"mark\":[%"
        "s],"
        "\"move\":{\"type\":%d,\"uuid\":\"u1\",\"name\":\"web\",\"runs\":%s,\"definition\":\"d1\","
        "\"disks\":[{\"target\":\"vda\",\"how\":%d,\"source\":\"/i/web\",\"path\":\"/i/"
        "web\"}]}}]}}",
        type, shared ? "\"vda\"" : "", (int)t->type, runs ? "true" : "false", shared ? 1 : 2);
    bench_create(b, spec);
    new_world(runs);
}

char *story(const struct bench *b)
{
    char *all = xstrdup("");
    for (size_t i = 0; i < b->fleet->nops; i++) {
        const struct fake_op *op = &b->fleet->ops[i];
        bool look = strcmp(op->kind, "vm.look") == 0, see = strcmp(op->kind, "vm.see") == 0;
        char side = strcmp(op->host, "s1") == 0 ? 'S' : 'D';
        char *more = xasprintf("%s%s%s.%c ", all, op->action == UNDO ? "-" : "",
                               look  ? op->sight_only ? "sight" : "look"
                               : see ? "see"
                                     : op->stage,
                               side);
        free(all);
        all = more;
    }
    return all;
}

void check_back(const char *what)
{
    if (w->here != (w->ran ? SIGHT(RUNNING) : SIGHT(OFF)) || w->there != SIGHT(ABSENT) ||
        w->reserved || w->shelved || w->stated || w->fenced || w->saved || w->seeded || w->marked)
        fail_msg("%s: here %d there %d, left: reserved %d stated %d fenced %d saved %d seeded %d "
                 "marked %d",
                 what, w->here, w->there, w->reserved, w->stated, w->fenced, w->saved, w->seeded,
                 w->marked);
}

void check_moved(const char *what)
{
    if (w->shelved && w->here == SIGHT(OFF) && w->there == SIGHT(ABSENT) && !w->stated)
        return; /* a copy */
    if (w->here != SIGHT(ABSENT) || w->there != (w->ran ? SIGHT(RUNNING) : SIGHT(OFF)) ||
        w->stated || w->marked)
        fail_msg("%s: here %d there %d", what, w->here, w->there);
}

/* ── what is asked of the engine ── */

int enter(struct bench *b, const char *phase)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    int rc = engine_job_enter(b->engine, "wave", phase, NULL, &json, &why);
    json_decref(json);
    return rc;
}

const char *state_of(struct bench *b)
{
    static char ret[32];
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_job_outline(b->engine, "wave", &json, &why), 0);
    const json_t *pair = json_array_get(json_object_get(json, "pairs"), 0);
    const char *s = json_string_value(json_object_get(pair, "state"));
    (void)snprintf(ret, sizeof ret, "%s", s ? s : "");
    json_decref(json);
    return ret;
}

char *remedy_of(struct bench *b)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_job_outline(b->engine, "wave", &json, &why), 0);
    const char *s = json_string_value(
        json_object_get(json_array_get(json_object_get(json, "pairs"), 0), "remedy"));
    char *ret = xstrdup(s ? s : "");
    json_decref(json);
    return ret;
}

void go_back(struct bench *b)
{
    struct fault why = {.err = 0};
    json_t *json = NULL;
    assert_int_equal(engine_job_back(b->engine, "wave", "rollback", NULL, &json, &why), 0);
    json_decref(json);
    bench_run(b, agents, 300);
}
