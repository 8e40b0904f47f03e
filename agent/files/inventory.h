/* inventory: what the two ways to count a tree share. Worker thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/files/place.h"
#include "agent/files/tally.h"
#include "proto/files.pb-c.h"

struct step;
struct step_result;

struct idents;
struct parts;
struct traits;

/* What was found; parts are NULL of an endpoint. */
struct inventory_found {
    bool endpoint; /* the host that counted is its proxy, and says nothing of itself */
    const struct tally *sum;
    const struct traits *traits;
    Godwit__Identities *who;
    Godwit__Quotas *quotas;
    const struct parts *parts;
    const struct tally *of_parts; /* one for each */
    const struct place *place;
    uint64_t elapsed_ms;
};
void inventory_pack(const struct inventory_found *found, struct step_result *ret);
/* What this host knows of who occurs; a class of those that are nobody's. identity_free() frees it.
 */
Godwit__Identities *inventory_who(const struct idents *idents, struct traits *traits);
/* inventory_smb.c */
void inventory_of_endpoint(struct step *s, const Godwit__InventoryOrder *o,
                           struct step_result *ret);
