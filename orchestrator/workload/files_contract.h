/* files_contract: what this destination keeps, translates or loses of what the source has, class by
 * class, and which losses were accepted. Main thread, pure. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "common/base/fault.h"

struct pair_view;

/* From facts "traits" and "place": an array of {class, count, examples, verdict, why, accepted}.
 * verdict: kept, translated, lost, unknown, or note for what is no matter of metadata. New
 * reference; NULL: nothing was counted yet. */
json_t *contract_json(const json_t *facts, const json_t *options);
/* The classes that are lost or unknown and not accepted, for people; how many. */
unsigned contract_open(const json_t *facts, const json_t *options, char *ret, size_t size);
/* Is it a class, or "all"? -EINVAL with a fault that lists them. */
int contract_check_class(const char *name, struct fault *reterr);
