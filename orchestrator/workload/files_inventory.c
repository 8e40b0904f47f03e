/* files_inventory: what a count says, into the pair's facts, and from there to whoever asks. Main
 * thread. */
#include <errno.h>

#include "orchestrator/workload/files_facts.h"
#include "orchestrator/workload/files_priv.h"
#include "orchestrator/workload/message_json.h"
#include "orchestrator/workload/shares_parts.h"
#include "proto/host.pb-c.h"

/* A destination that does not say is unknown, which is no failure of the count. */
static void take_destination(const struct pair_view *p, const Godwit__Result *r)
{
    (void)json_object_del(p->facts, "destination_host");
    (void)json_object_del(p->facts, "place");
    Godwit__HostResult *body = r->status == GODWIT__RESULT__STATUS__DONE
                                   ? godwit__host_result__unpack(NULL, r->body.len, r->body.data)
                                   : NULL;
    if (!body)
        return;
    if (body->host)
        (void)json_object_set_new(p->facts, "destination_host", message_json(&body->host->base));
    if (body->place)
        (void)json_object_set_new(p->facts, "place", message_json(&body->place->base));
    godwit__host_result__free_unpacked(body, NULL);
}

enum verdict files_judge_inventory(const struct pair_view *p,
                                   const Godwit__Result *const results[2], struct fault *reterr)
{
    enum verdict v = files_verdict(results[0], reterr);
    if (v != VERDICT_FAIL && v != VERDICT_AGAIN && !results[1] && !p->to_endpoint)
        return VERDICT_WAIT;
    if (v != VERDICT_NEXT && v != VERDICT_PARTIAL)
        return v;
    /* One that could not look just now (its disk is full) is waited for: checks go by what it says.
     */
    struct fault theirs = {.err = 0};
    if (results[1] && files_verdict(results[1], &theirs) == VERDICT_AGAIN) {
        *reterr = theirs;
        return VERDICT_AGAIN;
    }
    Godwit__InventoryResult *body =
        godwit__inventory_result__unpack(NULL, results[0]->body.len, results[0]->body.data);
    if (!body) {
        (void)fault_set(reterr, FAULT_STOP_JOB, EBADMSG, "the inventory's result is not readable");
        return VERDICT_FAIL;
    }
    (void)json_object_set_new(p->facts, "inventory", files_inventory_json(body));
    (void)json_object_del(p->facts, "traits");
    json_t *whole = message_json(&body->base);
    (void)json_object_set(p->facts, "traits", json_object_get(whole, "traits"));
    (void)json_object_del(p->facts, "identities");
    if (body->identities)
        (void)json_object_set(p->facts, "identities", json_object_get(whole, "identities"));
    (void)json_object_del(p->facts, "quotas");
    if (body->quotas)
        (void)json_object_set(p->facts, "quotas", json_object_get(whole, "quotas"));
    json_decref(whole);
    (void)json_object_set_new(p->facts, "parts", shares_parts_json(body));
    if (body->host)
        (void)json_object_set_new(p->facts, "source_host", message_json(&body->host->base));
    godwit__inventory_result__free_unpacked(body, NULL);
    (void)json_object_set_new(p->facts, "to_endpoint", json_boolean(p->to_endpoint != NULL));
    (void)json_object_set_new(p->facts, "from_endpoint", json_boolean(p->endpoint != NULL));
    if (results[1])
        take_destination(p, results[1]);
    return v;
}

json_t *files_shown_inventory(const json_t *facts)
{
    json_t *inventory = json_object_get(facts, "inventory");
    json_t *shares = json_object_get(facts, "shares");
    json_t *all = inventory ? json_copy(inventory) : json_null();
    if (inventory && shares)
        (void)json_object_set_new(all, "shares",
                                  shares_with_parts(shares, json_object_get(facts, "parts")));
    json_t *accounts = json_object_get(facts, "accounts_seen");
    if (inventory && accounts)
        (void)json_object_set(all, "accounts", accounts);
    json_t *quotas = json_object_get(facts, "quotas");
    if (inventory && quotas)
        (void)json_object_set(all, "quotas", quotas);
    json_t *identities = json_object_get(facts, "identities_compared");
    if (inventory && identities)
        (void)json_object_set(all, "identities", identities);
    return all;
}

static const char *const host_keys[] = {"source_host", "destination_host"};

json_t *files_shown_host(const json_t *facts, enum step_side side)
{
    return json_incref(json_object_get(facts, host_keys[side]));
}
