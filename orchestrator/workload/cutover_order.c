/* cutover_order: what the stages of a cutover send to the agents. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/cutover_carry.h"
#include "orchestrator/workload/cutover_priv.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/json_message.h"
#include "proto/identity.pb-c.h"

#define SILENCE_S 120U
#define HAND_SILENCE_S 14400U
#define SOURCE_SILENCE_S 60U /* so much longer: the destination lets go first */
#define TICKET_MS 600000
#define TOGETHER_MAX 16 /* stages of one order: an agent takes no more */

struct ordering {
    Godwit__IdentityOrder order;
    uint8_t secret[32];
    char pair[32], endpoint[300], *endpoints[1];
    char *then[2][CUTOVER_ROWS]; /* further stages, by enum step_side */
    size_t nthen[2];
};

static uint32_t silence_of(const json_t *facts, const struct stage *s, enum step_side side)
{
    const json_t *settings = json_object_get(facts, "settings");
    unsigned row = row_of(s);
    bool arms = cutover_rows[row].stage && strcmp(cutover_rows[row].stage, "guard") == 0;
    bool armed = arms || cutover_kept(facts, cutover_find("source.guard")) != NULL;
    bool over = cutover_is_done(facts, cutover_find("destination.unguard")) ||
                cutover_is_done(facts, cutover_find("source.unguard"));
    if (!armed || over || side == SIDE_WITNESS || deed_of(s) == DEED_COMMIT ||
        deed_of(s) == DEED_FORGET || deed_of(s) == DEED_LOOK)
        return 0;
    json_int_t given = number_of(settings, "silence");
    /* A person is slower than the hosts. */
    bool hands = json_array_size(json_object_get(settings, "by_hand")) > 0;
    uint32_t silence = given > 0 ? (uint32_t)given : hands ? HAND_SILENCE_S : SILENCE_S;
    return silence + (side == SIDE_SOURCE ? SOURCE_SILENCE_S : 0);
}

static void give_ticket(const struct pair_view *p, struct ordering *o, const char *id)
{
    (void)text_random(o->secret, sizeof o->secret);
    o->order.ticket_id = files_text(id);
    o->order.ticket_secret = files_bytes(o->secret, sizeof o->secret);
    o->order.not_after_ms = clock_wall_ms() + TICKET_MS;
    files_endpoint_of(p->to, o->endpoint, sizeof o->endpoint);
    o->endpoints[0] = o->endpoint;
}

static void plan_side(const struct pair_view *p, struct ordering *o, enum step_side side,
                      struct planned_step *ret)
{
    const json_t *facts = json_object_get(p->facts, "cutover");
    const struct fleet_host *peer = side == SIDE_SOURCE ? p->to : p->from;
    bool ticket = *o->order.ticket_id != '\0';
    o->order.role = side == SIDE_SOURCE ? GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE
                                        : GODWIT__IDENTITY_ROLE__IDENTITY_DESTINATION;
    o->order.silence_s = silence_of(facts, p->stage, side);
    if (side == SIDE_DESTINATION && o->order.silence_s)
        (void)json_object_set_new(cutover_facts(p), "destination_silence",
                                  json_integer(o->order.silence_s));
    if (side == SIDE_WITNESS)
        o->order.role = GODWIT__IDENTITY_ROLE__IDENTITY_WITNESS;
    else if (o->nthen[side]) {
        o->order.stage = o->then[side][0];
        o->order.then = o->then[side] + 1;
        o->order.n_then = o->nthen[side] - 1;
    }
    if (ticket)
        o->order.peer_pin = files_bytes(peer->lane_pin, 32);
    o->order.n_peer_endpoints = ticket && side == SIDE_SOURCE ? 1 : 0;
    o->order.peer_endpoints = o->endpoints;
    files_plan_step(ret, side, "identity.stage", &o->order.base);
}

static int send_sides(const struct pair_view *p, struct ordering *o, enum cutover_side on,
                      struct planned_step ret[2])
{
    int n = 0;
    if (on == ON_DESTINATION || on == ON_BOTH)
        plan_side(p, o, SIDE_DESTINATION, &ret[n++]);
    if (on == ON_SOURCE || on == ON_BOTH)
        plan_side(p, o, SIDE_SOURCE, &ret[n++]);
    if (on == ON_WITNESS)
        plan_side(p, o, SIDE_WITNESS, &ret[n++]);
    return n;
}

/* The rows that go in one order with the row at hand, which is the first of them. */
static enum cutover_side add_group(const json_t *facts, struct ordering *o, enum cutover_side on)
{
    unsigned all = 0;
    size_t i;
    const json_t *id;
    json_array_foreach(json_object_get(facts, "group"), i, id)
    {
        const struct cutover_row *r = &cutover_rows[cutover_find(json_string_value(id))];
        if (r->on & ON_SOURCE)
            o->then[SIDE_SOURCE][o->nthen[SIDE_SOURCE]++] = files_text(r->stage);
        if (r->on & ON_DESTINATION)
            o->then[SIDE_DESTINATION][o->nthen[SIDE_DESTINATION]++] = files_text(r->stage);
        all |= (unsigned)r->on;
    }
    return all ? (enum cutover_side)all : on;
}

static int plan_order(const struct pair_view *p, const char *stage, Godwit__IdentityAction action,
                      enum cutover_side on, struct planned_step ret[2], struct fault *reterr)
{
    json_t *facts = cutover_facts(p);
    struct ordering o = {.secret = {0}};
    godwit__identity_order__init(&o.order);
    on = add_group(facts, &o, on);
    files_pair_name(p, o.pair);
    o.order.cutover = o.pair;
    o.order.stage = files_text(stage);
    o.order.action = action;
    if (strcmp(stage, "written") == 0) {
        o.order.folder = files_bytes(p->destination, strlen(p->destination));
        o.order.served_ms = clock_wall_ms() - number_of(facts, "served_since");
    }
    bool lane = strcmp(stage, "bundle") == 0 || (strcmp(stage, "rehearse") == 0 && on == ON_BOTH);
    if (lane && action == GODWIT__IDENTITY_ACTION__IDENTITY_DO) {
        int rc = files_check_ways(p, reterr);
        if (rc < 0)
            return rc;
        text_new_id(ret[0].op_id);
        give_ticket(p, &o, ret[0].op_id);
    }
    const json_t *plan = json_object_get(facts, "plan");
    ProtobufCMessage *m = plan ? json_message(&godwit__identity_plan__descriptor, plan) : NULL;
    memcpy(&o.order.plan, &m, sizeof m);
    int n = send_sides(p, &o, on, ret);
    if (m)
        protobuf_c_message_free_unpacked(m, NULL);
    explicit_bzero(o.secret, sizeof o.secret);
    return n;
}

/* ── how long users will wait ── */

#define TYPICAL_MS 200
#define TYPICAL_START_MS 800
#define TYPICAL_JOIN_MS 1800 /* rejoin: the directory is asked and written */
#define TYPICAL_LEAVE_MS 500

static int64_t typical(const json_t *facts, unsigned row)
{
    json_int_t took = number_of(json_object_get(facts, "took"), cutover_rows[row].id);
    if (took > 0)
        return took;
    const char *stage = cutover_rows[row].stage;
    bool rejoin = cutover_method_of(facts) == METHOD_REJOIN && cutover_in_domain(facts);
    if (rejoin && strcmp(stage, "join") == 0)
        return TYPICAL_JOIN_MS;
    if (strcmp(stage, "leave") == 0)
        return TYPICAL_LEAVE_MS;
    return strcmp(stage, "start") == 0 ? TYPICAL_START_MS : TYPICAL_MS;
}

int64_t cutover_predict(const json_t *facts)
{
    unsigned from = cutover_rows[cutover_find("source.close")].percent;
    unsigned to = cutover_rows[cutover_find("users")].percent;
    int64_t sum = number_of(json_object_get(facts, "took"), "final");
    for (unsigned i = 0; i < CUTOVER_ROWS; i++) {
        unsigned at = cutover_rows[i].percent;
        if (at >= from && at <= to && cutover_rows[i].by == DOER_IDENTITY && !cutover_not(facts, i))
            sum += typical(facts, i);
    }
    return sum;
}

/* When the shares are about to be closed: is it worth it? */
static int check_outage(json_t *facts, struct fault *reterr)
{
    json_int_t most = number_of(json_object_get(facts, "settings"), "max_outage");
    int64_t ms = cutover_predict(facts);
    (void)json_object_set_new(facts, "outage", json_pack("{s:I}", "predicted_ms", (json_int_t)ms));
    if (most == 0 || ms <= most * 1000)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, ETIMEDOUT,
                     "users would be without the server for about %lld s, %lld s are allowed "
                     "(--max-outage)",
                     (long long)(ms + 999) / 1000, (long long)most);
}

static void note_begun(json_t *facts, unsigned row)
{
    json_t *had = cutover_kept(facts, row);
    json_t *rows = json_object_get(facts, "rows");
    if (cutover_rows[row].by == DOER_IDENTITY)
        (void)json_object_set_new(facts, "noted", json_true());
    if (!had)
        (void)json_object_set_new(
            rows, cutover_rows[row].id,
            json_pack("{s:s,s:I}", "state", "begun", "at_ms", (json_int_t)clock_wall_ms()));
}

/* Rows of the swap that stand behind each other and are not done: users wait for the last of them,
 * so that no order waits for the answer to another. */
static void make_group(json_t *facts, unsigned row)
{
    enum cutover_method m = cutover_method_of(facts);
    unsigned order[CUTOVER_ROWS], i = 0;
    json_t *list = json_array();
    cutover_order(m, order);
    while (order[i] != row)
        i++;
    for (; i < CUTOVER_ROWS; i++) {
        const struct cutover_row *r = &cutover_rows[order[i]];
        if (r->commit || cutover_not(facts, order[i]) || cutover_is_done(facts, order[i]))
            continue;
        if (!r->swap || cutover_by_hand(facts, order[i]))
            break;
        (void)json_array_append_new(list, json_string(r->id));
        note_begun(facts, order[i]);
    }
    (void)json_object_set_new(facts, "group", list);
}

static int plan_row(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    unsigned row = row_of(p->stage);
    const struct cutover_row *r = &cutover_rows[row];
    json_t *facts = cutover_facts(p);
    Godwit__IdentityAction action = strcmp(r->id, "witness.before") == 0
                                        ? GODWIT__IDENTITY_ACTION__IDENTITY_PROBE
                                        : GODWIT__IDENTITY_ACTION__IDENTITY_DO;
    int n = 0;
    bool hand = deed_of(p->stage) == DEED_DO && cutover_by_hand(facts, row);
    if (hand)
        action = cutover_held(facts, row) ? GODWIT__IDENTITY_ACTION__IDENTITY_PROBE
                                          : GODWIT__IDENTITY_ACTION__IDENTITY_NOTE;
    if (hand) /* an answer may be judged more than once */
        (void)json_object_set_new(facts, "hand", json_integer(action));
    if (strcmp(r->id, "source.close") == 0 && !cutover_kept(facts, row) &&
        check_outage(facts, reterr) < 0)
        return -ETIMEDOUT;
    if (r->swap && deed_of(p->stage) == DEED_DO && !hand)
        make_group(facts, row);
    if (r->by == DOER_COPY)
        n = files_plan_transfer(p, ret, reterr);
    else if (r->by == DOER_VERIFY)
        n = files_plan_verify(p, ret, reterr);
    else
        n = plan_order(p, r->stage, action, r->on, ret, reterr);
    if (n > 0 && (deed_of(p->stage) != DEED_PREPARE || r->early)) {
        if (deed_of(p->stage) == DEED_DO && strcmp(r->id, "after") != 0)
            cutover_set_state(facts, "running");
        note_begun(facts, row);
    }
    return n;
}

static void note_undoing(json_t *facts, unsigned row, unsigned now)
{
    (void)json_object_set_new(cutover_kept(facts, row), "undoing", json_integer(now));
}

/* What this side alone takes back next goes in one order with it: a source waits for nobody else's
 * answer meanwhile. */
static void make_way_back(const struct pair_view *p, unsigned row, unsigned now)
{
    json_t *facts = cutover_facts(p), *list = json_array();
    unsigned order[CUTOVER_ROWS], i = CUTOVER_ROWS;
    char unused[FAULT_TEXT_MAX];
    cutover_order(cutover_method_of(facts), order);
    while (order[--i] != row)
        ;
    do {
        const struct cutover_row *r = &cutover_rows[order[i]];
        if (!r->undo || !cutover_kept(facts, order[i]))
            continue;
        if ((unsigned)r->on != now || cutover_undo_now(p, order[i], unused, sizeof unused) != now ||
            json_array_size(list) == TOGETHER_MAX)
            break;
        (void)json_array_append_new(list, json_string(r->id));
        note_undoing(facts, order[i], now);
    } while (i-- > 0);
    (void)json_object_set_new(facts, "group", list);
}

static int plan_undo(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    unsigned row = row_of(p->stage);
    json_t *facts = cutover_facts(p);
    char why[FAULT_TEXT_MAX] = "its host is away";
    if (cutover_rows[row].by == DOER_COPY) {
        cutover_set_state(facts, "going back");
        return carry_plan(p, ret, reterr);
    }
    unsigned now = cutover_undo_now(p, row, why, sizeof why);
    cutover_set_state(facts, "going back");
    if (!now)
        return fault_set(reterr, FAULT_RETRY, EHOSTDOWN, "%s", why);
    note_undoing(facts, row, now);
    if ((unsigned)cutover_rows[row].on == now && now != ON_BOTH)
        make_way_back(p, row, now);
    return plan_order(p, cutover_rows[row].stage, GODWIT__IDENTITY_ACTION__IDENTITY_UNDO,
                      (enum cutover_side)now, ret, reterr);
}

static int plan_forget(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    return plan_order(p, "forget", GODWIT__IDENTITY_ACTION__IDENTITY_DO, ON_BOTH, ret, reterr);
}

/* As whom it is tried in a domain decides whether the source gives a copy of its key. */
bool cutover_rehearses_user(const json_t *facts)
{
    const char *user =
        json_string_value(json_object_get(json_object_get(facts, "plan"), "probe_user"));
    return cutover_in_domain(facts) && user && *user;
}

int cutover_plan_stage(const struct pair_view *p, struct planned_step ret[2], struct fault *reterr)
{
    (void)json_object_del(cutover_facts(p), "group"); /* of an earlier stage */
    (void)json_object_del(cutover_facts(p), "hand");
    switch (deed_of(p->stage)) {
    case DEED_UNDO:
        return plan_undo(p, ret, reterr);
    case DEED_FORGET:
        return plan_forget(p, ret, reterr);
    case DEED_LOOK:
        return plan_order(p, "written", GODWIT__IDENTITY_ACTION__IDENTITY_DO, ON_DESTINATION, ret,
                          reterr);
    case DEED_CLEAN:
        return carry_plan_clean(p, ret);
    case DEED_REHEARSE:
        return plan_order(p, "rehearse", GODWIT__IDENTITY_ACTION__IDENTITY_DO,
                          cutover_rehearses_user(cutover_facts(p)) ? ON_BOTH : ON_DESTINATION, ret,
                          reterr);
    case DEED_PREPARE:
    case DEED_DO:
    case DEED_COMMIT:
        break;
    }
    return plan_row(p, ret, reterr);
}
