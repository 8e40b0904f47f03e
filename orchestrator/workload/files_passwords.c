/* files_passwords: the stage that brings passwords and Samba's own users and groups along, from
 * agent to agent: nothing of it but what became of it is ever here. Main thread. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "common/wire/limits.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/message_json.h"
#include "proto/accounts.pb-c.h"

#define TICKET_MS INT64_C(86400000)

bool files_moves_passwords(const struct pair_view *p)
{
    const char *how = json_string_value(json_object_get(p->options, "passwords"));
    return !how || strcmp(how, "move") == 0;
}

bool files_wants_passwords(const struct pair_view *p)
{
    return files_wants_accounts(p) && !files_is_dry(p) && files_moves_passwords(p);
}

/* An older agent would say that it knows no such step; this says what to do. */
static int check_agents(const struct pair_view *p, struct fault *reterr)
{
    const struct fleet_host *both[] = {p->from, p->to};
    for (size_t i = 0; i < ARRAY_SIZE(both); i++)
        if (!(both[i]->can & WIRE_CAN_PASSWORDS))
            return fault_set(reterr, FAULT_STOP_JOB, EPROTONOSUPPORT,
                             "the agent of host %s is too old to move passwords: upgrade it, or "
                             "create the job with passwords: lock",
                             both[i]->name);
    return 0;
}

int files_plan_passwords(const struct pair_view *p, struct planned_step ret[2],
                         struct fault *reterr)
{
    uint8_t secret[32];
    char pair[32], endpoint[300];
    char *endpoints[] = {endpoint};
    int rc = check_agents(p, reterr);
    if (rc == 0)
        rc = files_check_lanes(p->from, false, reterr);
    if (rc == 0)
        rc = files_check_lanes(p->to, true, reterr);
    if (rc < 0)
        return rc;
    (void)text_random(secret, sizeof secret);
    text_new_id(ret[0].op_id);
    files_pair_name(p, pair);
    const char *map = files_map_option(p);
    Godwit__AccountsLaneOrder o = GODWIT__ACCOUNTS_LANE_ORDER__INIT;
    o.pair = pair;
    o.ticket_id = ret[0].op_id;
    o.ticket_secret = files_bytes(secret, sizeof secret);
    o.not_after_ms = clock_wall_ms() + TICKET_MS;
    o.peer_pin = files_bytes(p->from->lane_pin, LANE_PIN_LEN);
    o.source_host = files_text(p->source_host);
    o.conflict = files_text(json_string_value(json_object_get(p->options, "accounts")));
    o.map = files_bytes(map, strlen(map));
    files_plan_step(&ret[0], SIDE_DESTINATION, "accounts.take", &o.base);
    files_endpoint_of(p->to, endpoint, sizeof endpoint);
    o.peer_pin = files_bytes(p->to->lane_pin, LANE_PIN_LEN);
    o.map.len = 0;
    o.n_peer_endpoints = 1;
    o.peer_endpoints = endpoints;
    files_plan_step(&ret[1], SIDE_SOURCE, "accounts.give", &o.base);
    explicit_bzero(secret, sizeof secret);
    return 2;
}

/* The SIDs that became others stand behind the ids that did. */
static void keep(const struct pair_view *p, const Godwit__AccountsTaken *r)
{
    json_t *a = json_object_get(p->facts, "accounts");
    const char *had = json_string_value(json_object_get(a, "map"));
    CLEANUP(mem_free)
    char *map = xasprintf("%s%.*s", had ? had : "", (int)r->map.len,
                          r->map.data ? (const char *)r->map.data : "");
    json_t *told = message_json(&r->base);
    (void)json_object_del(told, "map");
    (void)json_object_set_new(a, "passwords", told);
    (void)json_object_set_new(a, "map", json_string(map));
}

enum verdict files_judge_passwords(const struct pair_view *p,
                                   const Godwit__Result *const results[2], struct fault *reterr)
{
    enum verdict v = files_worse_of(results, reterr);
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    Godwit__AccountsTaken *r =
        godwit__accounts_taken__unpack(NULL, results[0]->body.len, results[0]->body.data);
    if (!r) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EBADMSG,
                        "what became of passwords is not readable");
        return VERDICT_FAIL;
    }
    keep(p, r);
    godwit__accounts_taken__free_unpacked(r, NULL);
    return files_check_maps(p, reterr);
}
