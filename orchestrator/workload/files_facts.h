/* files_facts: the bodies of the files workload's results as JSON. Main thread. */
#pragma once
#include <jansson.h>

#include "proto/files.pb-c.h"

json_t *files_inventory_json(const Godwit__InventoryResult *r); /* new reference */
json_t *files_prepare_json(const Godwit__PrepareResult *r);     /* new reference */
