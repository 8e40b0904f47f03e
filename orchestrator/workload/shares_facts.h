/* shares_facts: what a server shares, and what became of it at the destination, as JSON. Agents are
 * not believed: all of their text is escaped. Main thread. */
#pragma once
#include <jansson.h>

#include "proto/shares.pb-c.h"

json_t *shares_inventory_json(const Godwit__SharesInventory *v); /* new reference */
json_t *shares_applied_json(const Godwit__ShareApplyResult *r);  /* new reference */
