/* cutover_routes: ways that the source has and the destination has not. Pure. */
#pragma once
#include <jansson.h>

/* Captures of both; the plan's moves get the routes that the destination lacks; lines as in
 * cutover_plan(). None of them fails. */
void cutover_routes(const json_t *source, const json_t *destination, json_t *moves, json_t *checks);
