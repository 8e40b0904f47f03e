/* vm_order: what the acts of a move send to the agents. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/json_message.h"
#include "orchestrator/workload/vm_ask.h"
#include "orchestrator/workload/vm_checks.h"
#include "orchestrator/workload/vm_move_priv.h"
#include "proto/vm_look.pb-c.h"

#define TICKET_MS INT64_C(86400000) /* lanes of one attempt may be opened for a day */

struct ordering {
    Godwit__VmMoveOrder order;
    uint8_t secret[32];
    char pair[32], ticket[17], endpoint[300], *endpoints[1];
};

/* ── a look at both hosts ── */

/* A host that was said to be off: does anybody answer at its address? */
static int plan_reach(const struct pair_view *p, const char *uuid, struct planned_step *ret)
{
    text_new_id(ret->op_id);
    ret->side = SIDE_SOURCE;
    ret->kind = "vm.look";
    ret->args = vm_reach_order(uuid, vm_reach_of(p->to, false), &ret->args_len);
    return 1;
}

/* Once it has begun to move only where it is counts, and it may hang. */
static int plan_looks(const struct pair_view *p, struct planned_step ret[2])
{
    const char *uuid = vm_text(json_object_get(vm_plan_of(p), "move"), "uuid");
    bool all = strcmp(vm_rows[vm_row_of(p->stage)].id, "look") == 0;
    if (all && vm_deed_of(p->stage) == VM_DEED_UNDO)
        return plan_reach(p, uuid, ret);
    for (int i = 0; i < 2; i++) {
        text_new_id(ret[i].op_id);
        ret[i].side = i == 0 ? SIDE_SOURCE : SIDE_DESTINATION;
        ret[i].kind = "vm.look";
        ret[i].args = all ? vm_look_order(uuid, false, NULL, &ret[i].args_len)
                          : vm_sight_order(uuid, &ret[i].args_len);
        if (vm_is_given_up(p))
            return 1;
    }
    return 2;
}

/* ── marks ── */

static json_t *marked_disks(const struct pair_view *p)
{
    const json_t *plan = vm_plan_of(p), *disk, *target;
    json_t *list = json_array();
    size_t i, k;
    json_array_foreach(json_object_get(plan, "mark"), i, target)
    {
        json_array_foreach(json_object_get(json_object_get(plan, "move"), "disks"), k, disk)
        {
            if (strcmp(vm_text(disk, "target"), json_string_value(target)) == 0)
                (void)json_array_append_new(list, json_pack("{s:s,s:s}", "target",
                                                            vm_text(disk, "target"), "path",
                                                            vm_text(disk, "source")));
        }
    }
    return list;
}

static int plan_marks(const struct pair_view *p, const struct vm_row *r, bool undo,
                      struct planned_step *ret)
{
    char pair[32];
    bool see = strcmp(r->id, "see") == 0;
    json_t *nonces = see ? json_incref(json_object_get(vm_facts_of(p), "nonces")) : marked_disks(p);
    files_pair_name(p, pair);
    json_t *o = json_pack("{s:s,s:b,s:o?}", "move", pair, "undo", undo, "nonces", nonces);
    ProtobufCMessage *m = json_message(&godwit__vm_mark_order__descriptor, o);
    files_plan_step(ret, see ? SIDE_DESTINATION : SIDE_SOURCE, see ? "vm.see" : "vm.mark", m);
    protobuf_c_message_free_unpacked(m, NULL);
    json_decref(o);
    return 1;
}

/* ── acts ── */

static void give_ticket(const struct pair_view *p, struct ordering *o)
{
    (void)text_random(o->secret, sizeof o->secret);
    text_new_id(o->ticket);
    o->order.ticket_id = o->ticket;
    o->order.ticket_secret = files_bytes(o->secret, sizeof o->secret);
    o->order.not_after_ms = clock_wall_ms() + TICKET_MS;
    files_endpoint_of(p->to, o->endpoint, sizeof o->endpoint);
    o->endpoints[0] = o->endpoint;
}

static void plan_side(const struct pair_view *p, struct ordering *o, enum step_side side,
                      struct planned_step *ret)
{
    const struct fleet_host *peer = side == SIDE_SOURCE ? p->to : p->from;
    bool ticket = *o->order.ticket_id != '\0';
    o->order.role = side == SIDE_SOURCE ? GODWIT__VM_MOVE_ROLE__VM_MOVE_SOURCE
                                        : GODWIT__VM_MOVE_ROLE__VM_MOVE_DESTINATION;
    if (ticket)
        o->order.peer_pin = files_bytes(peer->lane_pin, LANE_PIN_LEN);
    o->order.n_peer_endpoints = ticket && side == SIDE_SOURCE ? 1 : 0;
    o->order.peer_endpoints = o->endpoints;
    files_plan_step(ret, side, "vm.stage", &o->order.base);
}

static int plan_act(const struct pair_view *p, const struct vm_row *r, Godwit__VmMoveAction action,
                    struct planned_step ret[2], struct fault *reterr)
{
    struct ordering o = {.secret = {0}};
    int n = 0;
    godwit__vm_move_order__init(&o.order);
    files_pair_name(p, o.pair);
    o.order.move = o.pair;
    o.order.stage = files_text(r->id);
    o.order.action = action;
    if (r->traits & VM_LANE && action == GODWIT__VM_MOVE_ACTION__VM_MOVE_DO) {
        int rc = files_check_ways(p, reterr);
        if (rc < 0)
            return rc;
        give_ticket(p, &o);
    }
    ProtobufCMessage *m =
        json_message(&godwit__vm_move_plan__descriptor, json_object_get(vm_plan_of(p), "move"));
    memcpy(&o.order.plan, &m, sizeof m);
    if (r->on & VM_ON_SOURCE)
        plan_side(p, &o, SIDE_SOURCE, &ret[n++]);
    if (r->on & VM_ON_DESTINATION && !vm_is_given_up(p))
        plan_side(p, &o, SIDE_DESTINATION, &ret[n++]);
    protobuf_c_message_free_unpacked(m, NULL);
    explicit_bzero(o.secret, sizeof o.secret);
    return n;
}

static void note_begun(const struct pair_view *p, unsigned row)
{
    json_t *facts = vm_facts_of(p), *kept = vm_kept(facts, row);
    if (vm_deed_of(p->stage) != VM_DEED_DO)
        return;
    (void)json_object_set_new(facts, "state", json_string("moving"));
    if (!(vm_rows[row].traits & VM_OWN))
        (void)json_object_set_new(facts, "touched", json_true());
    if (!kept)
        (void)json_object_set_new(json_object_get(facts, "rows"), vm_rows[row].id,
                                  json_pack("{s:s,s:I,s:I}", "state", "begun", "at_ms",
                                            (json_int_t)clock_wall_ms(), "trouble_ms",
                                            (json_int_t)clock_mono_ms()));
}

int vm_plan_stage(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    unsigned row = vm_row_of(p->stage);
    const struct vm_row *r = &vm_rows[row];
    bool undo = vm_deed_of(p->stage) == VM_DEED_UNDO && strcmp(r->id, "forget") != 0;
    int n;
    (void)json_object_set_new(vm_facts_of(p), "alone", json_boolean(vm_is_given_up(p)));
    if (r->traits & VM_OWN)
        n = plan_looks(p, ret);
    else if (r->traits & VM_MARKS)
        n = plan_marks(p, r, undo || strcmp(r->id, "unmark") == 0, &ret[0]);
    else
        n = plan_act(
            p, r, undo ? GODWIT__VM_MOVE_ACTION__VM_MOVE_UNDO : GODWIT__VM_MOVE_ACTION__VM_MOVE_DO,
            ret, reterr);
    if (n > 0)
        note_begun(p, row);
    return n;
}
