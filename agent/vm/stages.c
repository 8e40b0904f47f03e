/* stages: the table of what can be done to a machine that moves, and the frame around each: the
 * order checked, the note, the way back. Worker threads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/step.h"
#include "agent/store/beneath.h"
#include "agent/store/pairname.h"
#include "agent/vm/bases.h"
#include "agent/vm/stage.h"
#include "agent/vm/vm.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define SOURCE GODWIT__VM_MOVE_ROLE__VM_MOVE_SOURCE
#define DESTINATION GODWIT__VM_MOVE_ROLE__VM_MOVE_DESTINATION
#define BOTH GODWIT__VM_MOVE_ROLE__VM_MOVE_ROLE_UNSPECIFIED

static const struct vm_stage stages[] = {
    {"reserve", DESTINATION, vm_reserve, NULL,            NULL           },
    {"bases",   BOTH,        vm_bases,   NULL,            vm_bases_undo  },
    {"seed",    BOTH,        vm_seed,    NULL,            vm_seed_undo   },
    {"stop",    SOURCE,      vm_stop,    NULL,            NULL           },
    {"pause",   SOURCE,      vm_pause,   NULL,            NULL           },
    {"save",    SOURCE,      vm_save,    NULL,            vm_save_undo   },
    {"copy",    BOTH,        vm_copy,    NULL,            NULL           },
    {"state",   BOTH,        vm_state,   NULL,            NULL           },
    {"migrate", BOTH,        vm_migrate, NULL,            vm_migrate_undo},
    {"fence",   SOURCE,      vm_fence,   vm_fence_probe,  NULL           },
    {"define",  DESTINATION, vm_define,  vm_define_probe, NULL           },
    {"start",   DESTINATION, vm_start,   vm_runs_probe,   vm_start_undo  },
    {"answers", DESTINATION, vm_answers, NULL,            NULL           },
    {"drop",    SOURCE,      vm_drop,    vm_drop_probe,   NULL           },
    {"adopt",   DESTINATION, vm_adopt,   NULL,            NULL           },
    {"shift",   SOURCE,      vm_shift,   NULL,            vm_shift_undo  },
    {"shelve",  DESTINATION, vm_shelve,  NULL,            vm_shelve_undo },
    {"forget",  BOTH,        vm_forget,  NULL,            NULL           },
};

const char *vm_stage_name(size_t i)
{
    return i < ARRAY_SIZE(stages) ? stages[i].name : NULL;
}

/* ── for the stages ── */

void vm_stage_after(struct vm_stage_run *r, char *text)
{
    if (r->answer->after != protobuf_c_empty_string)
        free(r->answer->after);
    r->answer->after = text;
}

int vm_stage_failed(struct vm_stage_run *r, int rc, const char *doing, const char *what)
{
    return fault_set(r->reterr, rc == -ECANCELED ? FAULT_RETRY : FAULT_STOP_JOB, -rc,
                     "%s '%.120s': %s", doing, what, strerror(-rc));
}

bool vm_stage_is_source(const struct vm_stage_run *r)
{
    return r->order->role == SOURCE;
}

char *vm_staging_of(const struct vm_stage_run *r, const char *path)
{
    char token[PAIR_TOKEN_LEN + 1];
    pair_token(r->order->move, token);
    /* An entry of a library appears whole: until then its folder is not there. */
    if (r->plan && vm_is_library(r) && !vm_stage_is_source(r))
        return xasprintf("%s/.godwit-vm-%s", r->plan->library, token);
    return xasprintf("%.*s/.godwit-vm-%s", (int)(strrchr(path, '/') - path), path, token);
}

char *vm_staged(const struct vm_stage_run *r, const char *path, const char *name)
{
    CLEANUP(mem_free) char *folder = vm_staging_of(r, path);
    return xasprintf("%s/%s", folder, name);
}

/* ── the order ── */

static bool disk_ok(const Godwit__VmMoveDisk *d)
{
    if (!text_is_name(d->target, 32))
        return false;
    if (d->how == GODWIT__VM_MOVE_DISK__HOW__EJECT)
        return true;
    return note_path_ok(d->source) && note_path_ok(d->path);
}

/* Its files lie in LIBRARY/NAME and nowhere else. */
static bool library_ok(const Godwit__VmMovePlan *p)
{
    if (p->type != GODWIT__VM_MOVE_TYPE__VM_MOVE_LIBRARY)
        return true;
    if (!note_path_ok(p->library) || !beneath_valid_name(p->name, strlen(p->name)))
        return false;
    CLEANUP(mem_free) char *home = xasprintf("%s/%s/", p->library, p->name);
    for (size_t i = 0; i < p->n_disks; i++)
        if (p->disks[i]->how != GODWIT__VM_MOVE_DISK__HOW__EJECT &&
            (strncmp(p->disks[i]->path, home, strlen(home)) != 0 ||
             strchr(p->disks[i]->path + strlen(home), '/')))
            return false;
    return p->n_bases == 0;
}

static int check(const Godwit__VmMoveOrder *o, struct fault *reterr)
{
    const Godwit__VmMovePlan *p = o->plan;
    bool ok = pair_valid(o->move) && p && p->n_disks <= STAGE_DISKS_MAX && strlen(p->uuid) == 36 &&
              strspn(p->uuid, "0123456789abcdef-") == 36 &&
              (o->role == SOURCE || o->role == DESTINATION);
    for (size_t i = 0; ok && i < p->n_disks; i++)
        ok = disk_ok(p->disks[i]);
    ok = ok && p->n_bases <= STAGE_BASES_MAX;
    for (size_t i = 0; ok && i < p->n_bases; i++)
        ok = note_path_ok(p->bases[i]->source) && note_path_ok(p->bases[i]->path);
    ok = ok && library_ok(p);
    return ok ? 0 : fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the order is not well formed");
}

static const struct vm_stage *row_of(const Godwit__VmMoveOrder *o)
{
    for (size_t i = 0; i < ARRAY_SIZE(stages); i++)
        if (strcmp(stages[i].name, o->stage) == 0 &&
            (stages[i].role == BOTH || stages[i].role == o->role))
            return &stages[i];
    return NULL;
}

/* ── the frame ── */

static int undo(struct vm_stage_run *r, const struct vm_stage *w)
{
    int rc = w->undo ? w->undo(r) : 0;
    return rc < 0 ? rc : note_undo(r->note, r->virt, r->reterr);
}

static int act(struct vm_stage_run *r, const struct vm_stage *w)
{
    if (r->order->action == GODWIT__VM_MOVE_ACTION__VM_MOVE_UNDO)
        return undo(r, w);
    int is = w->probe ? w->probe(r) : 0;
    if (is < 0 || r->order->action == GODWIT__VM_MOVE_ACTION__VM_MOVE_PROBE) {
        r->answer->is = is > 0;
        return is < 0 ? is : 0;
    }
    if (r->order->action != GODWIT__VM_MOVE_ACTION__VM_MOVE_DO)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order asks for nothing");
    int rc = is ? 0 : w->act(r);
    r->answer->is = rc >= 0;
    return rc;
}

/* What the machine is here afterwards, whatever became of the stage. */
static void look(struct vm_stage_run *r)
{
    struct virt_sight s;
    struct fault unused = {.err = 0};
    if (r->virt->ops->sight(r->virt, r->plan->uuid, &s, &unused) < 0)
        return;
    Godwit__VmMoveSight *t = xcalloc(1, sizeof *t);
    godwit__vm_move_sight__init(t);
    t->is = (Godwit__VmMoveSight__Is)(s.is + 1);
    t->reason = xstrdup(s.reason);
    t->defined = s.defined;
    t->fenced = vm_stage_is_source(r) && vm_fence_probe(r) > 0;
    r->answer->sight = t;
}

/* Which machine the notes of this move are of; "forget" takes this one away with them. */
static int note_machine(const struct vm_stage_run *r, const struct vm_stage *w)
{
    CLEANUP(note_free) struct note *n = NULL;
    if (r->order->action != GODWIT__VM_MOVE_ACTION__VM_MOVE_DO || strcmp(w->name, "forget") == 0)
        return 0;
    int rc = note_open(r->state_dir, r->order->move, VM_NOTE_MACHINE, &n);
    return rc < 0 ? rc : note_add(n, NOTE_FACT, r->plan->uuid, "1", NULL);
}

int vm_stage_run(struct vm_stage_run *r)
{
    int rc = check(r->order, r->reterr);
    int64_t began = clock_mono_ms();
    if (rc < 0)
        return rc;
    const struct vm_stage *w = row_of(r->order);
    if (!w)
        return fault_set(r->reterr, FAULT_STOP_JOB, EOPNOTSUPP, "this agent knows no stage '%.32s'",
                         r->order->stage);
    r->plan = r->order->plan;
    rc = note_machine(r, w);
    if (rc == 0)
        rc = note_open(r->state_dir, r->order->move, w->name, &r->note);
    if (rc < 0)
        return vm_stage_failed(r, rc, "cannot read the note of stage", w->name);
    rc = act(r, w);
    r->answer->acted = rc > 0;
    if (rc >= 0 && r->order->action == GODWIT__VM_MOVE_ACTION__VM_MOVE_UNDO)
        r->answer->is = true;
    look(r);
    if (!r->answer->figures) {
        r->answer->figures = xcalloc(1, sizeof *r->answer->figures);
        godwit__vm_move_figures__init(r->answer->figures);
    }
    if (!r->answer->figures->bytes)
        r->answer->figures->bytes = r->result->counters.wire_bytes;
    r->answer->figures->took_ms = (uint64_t)(clock_mono_ms() - began);
    r->note = note_free(r->note);
    return rc;
}

void vm_stage_step(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__VmMoveOrder *o = godwit__vm_move_order__unpack(NULL, len, args);
    Godwit__VmMoveAnswer *a = xcalloc(1, sizeof *a);
    CLEANUP(virt_close) struct virt *v = NULL;
    godwit__vm_move_answer__init(a);
    ret->status = STEP_FAILED;
    vm_sweep(step_env(s)->state_dir);
    struct vm_stage_run r = {.step = s,
                             .state_dir = step_env(s)->state_dir,
                             .order = o,
                             .answer = a,
                             .result = ret,
                             .reterr = &ret->fault};
    int rc = -EBADMSG;
    if (!o)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    else if ((rc = virt_open(&v, VIRT_URI, true, &ret->fault)) == 0) {
        r.virt = v;
        rc = vm_stage_run(&r);
    }
    ret->body_len = godwit__vm_move_answer__get_packed_size(a);
    ret->body = xmalloc(ret->body_len + 1);
    (void)godwit__vm_move_answer__pack(a, ret->body);
    if (rc >= 0)
        ret->status = STEP_DONE;
    else if (rc == -ECANCELED)
        ret->status = STEP_STOPPED;
    godwit__vm_move_answer__free_unpacked(a, NULL);
    if (o)
        godwit__vm_move_order__free_unpacked(o, NULL);
}
