/* result: turns what a step leaves behind into the packed Result that the op log keeps and the wire
 * carries, always within the wire's limits. Any thread. */
#pragma once
#include <stddef.h>

struct fault;
struct step_result;

/* *ret is malloc'd. A result that cannot fit becomes FAILED and says so. */
void result_pack(const struct step_result *r, void **ret, size_t *retlen);
/* A result that no step made: FAILED with this fault, or STOPPED when fault is NULL. */
void result_pack_plain(const struct fault *fault, void **ret, size_t *retlen);

struct counters;
typedef struct Godwit__Counters Godwit__Counters;
void counters_to_wire(const struct counters *c, Godwit__Counters *ret);
