/* shares_parts: which folders of a pair are shared, so that each is counted by itself; and what was
 * counted, put beside each share. Main thread, pure. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "proto/files.pb-c.h"
#include "proto/shares.pb-c.h"

/* The part of "homes/%S" that is a folder: "homes"; its length. */
size_t shares_part_len(const char *below);
/* Is this one of a folder that can be counted? */
bool shares_is_part(const Godwit__Share *s);

/* Each folder once; borrows from inv. malloc'd. */
ProtobufCBinaryData *shares_parts(const Godwit__SharesInventory *inv, size_t *retn);
json_t *shares_parts_json(const Godwit__InventoryResult *r); /* new reference */
/* A copy of what is shared, in which each has "counted" where it was. New reference. */
json_t *shares_with_parts(const json_t *shares, const json_t *parts);
