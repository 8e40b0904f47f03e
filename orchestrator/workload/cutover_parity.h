/* cutover_parity: do both hosts treat users alike? Pure. */
#pragma once
#include <jansson.h>

/* Captures of both and the plan's moves; lines as in cutover_plan(). None of them fails. */
void cutover_parity(const json_t *source, const json_t *destination, const json_t *moves,
                    json_t *checks);
