/* steps: the steps about virtual machines: orders unpacked, answers packed. What they do stands in
 * the files of their nouns. Worker threads. */
#include <errno.h>

#include "agent/step.h"
#include "agent/vm/stage.h"
#include "agent/vm/vm.h"
#include "common/base/mem.h"

static void answer(const ProtobufCMessage *m, struct step_result *ret)
{
    ret->body_len = protobuf_c_message_get_packed_size(m);
    ret->body = xmalloc(ret->body_len + 1);
    (void)protobuf_c_message_pack(m, ret->body);
    ret->status = STEP_DONE;
}

/* NULL, and said: it is not readable. */
static ProtobufCMessage *order_of(struct step *s, const ProtobufCMessageDescriptor *d,
                                  struct step_result *ret)
{
    size_t n = 0;
    const void *args = step_args(s, &n);
    ProtobufCMessage *m = protobuf_c_message_unpack(d, NULL, n, args);
    ret->status = STEP_FAILED;
    if (!m)
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    return m;
}

static void *empty(const ProtobufCMessageDescriptor *d)
{
    ProtobufCMessage *m = xcalloc(1, d->sizeof_message);
    protobuf_c_message_init(d, m);
    return m;
}

static void inventory(struct step *s, struct step_result *ret)
{
    CLEANUP(virt_close) struct virt *v = NULL;
    CLEANUP(vm_inventory_free) Godwit__VmInventory *i = NULL;
    (void)s;
    ret->status = STEP_FAILED;
    if (virt_open(&v, VIRT_URI, false, &ret->fault) == 0 && vm_look(v, &i, &ret->fault) == 0)
        answer(&i->base, ret);
}

static void look(struct step *s, struct step_result *ret)
{
    CLEANUP(virt_close) struct virt *v = NULL;
    Godwit__VmLookOrder *o = (void *)order_of(s, &godwit__vm_look_order__descriptor, ret);
    Godwit__VmLook *l = empty(&godwit__vm_look__descriptor);
    vm_sweep(step_env(s)->state_dir);
    /* What would go to another host is told to those alone that may act. */
    if (o && virt_open(&v, VIRT_URI, *o->machine != '\0', &ret->fault) == 0 &&
        vm_look_at(v, o, l, &ret->fault) == 0) {
        if (l->machine || o->sight_only)
            vm_reach(o, step_cancel_fd(s), l);
        if (l->machine)
            l->open_move = vm_open_move(step_env(s)->state_dir, l->machine->domain->uuid);
        answer(&l->base, ret);
    }
    godwit__vm_look__free_unpacked(l, NULL);
    if (o)
        godwit__vm_look_order__free_unpacked(o, NULL);
}

static void check(struct step *s, struct step_result *ret)
{
    CLEANUP(virt_close) struct virt *v = NULL;
    Godwit__VmCheckOrder *o = (void *)order_of(s, &godwit__vm_check_order__descriptor, ret);
    Godwit__VmCheck *c = empty(&godwit__vm_check__descriptor);
    if (o && virt_open(&v, VIRT_URI, true, &ret->fault) == 0 && vm_check(v, o, c, &ret->fault) == 0)
        answer(&c->base, ret);
    godwit__vm_check__free_unpacked(c, NULL);
    if (o)
        godwit__vm_check_order__free_unpacked(o, NULL);
}

static void marks(struct step *s, bool see, struct step_result *ret)
{
    Godwit__VmMarkOrder *o = (void *)order_of(s, &godwit__vm_mark_order__descriptor, ret);
    Godwit__VmMarks *m = empty(&godwit__vm_marks__descriptor);
    if (o && vm_marks(o, see, m, &ret->fault) == 0)
        answer(&m->base, ret);
    godwit__vm_marks__free_unpacked(m, NULL);
    if (o)
        godwit__vm_mark_order__free_unpacked(o, NULL);
}

static void mark(struct step *s, struct step_result *ret)
{
    marks(s, false, ret);
}

static void see(struct step *s, struct step_result *ret)
{
    marks(s, true, ret);
}

const struct step_kind vm_steps[] = {
    {"vm.inventory", inventory    },
    {"vm.look",      look         },
    {"vm.check",     check        },
    {"vm.mark",      mark         },
    {"vm.see",       see          },
    {"vm.stage",     vm_stage_step},
    {NULL,           NULL         },
};
