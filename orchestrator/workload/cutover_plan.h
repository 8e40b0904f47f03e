/* cutover_plan: what is to become of names and addresses, from what both hosts are. Pure: JSON to
 * JSON, as message_json has IdentityCapture and IdentityPlan. */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "common/base/fault.h"

/* Settings: "method", "new_name", "source_address", "name_only", "ssh_keys", "map" (array of
 * "MAC=MAC"), "probe_user". The new name has to be there. checks is an array that what was looked
 * at is added to: {id, result "pass", "warn" or "fail", text}. NULL with a fault when one failed.
 * New reference. */
json_t *cutover_plan(const json_t *source, const json_t *destination, const json_t *settings,
                     json_t *checks, struct fault *reterr);
/* A name of at most 15 characters after the source's own, with four random digits. */
void cutover_new_name(const char *netbios, char ret[16]);
int cutover_check_name(const char *name); /* -EINVAL: no NetBIOS and host name */
/* "192.0.2.7/24" and another in one network? */
bool cutover_same_network(const char *a, const char *b);
