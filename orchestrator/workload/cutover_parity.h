/* cutover_parity: do both hosts treat users alike? Pure. */
#pragma once
#include <jansson.h>

/* Captures of both; lines as in cutover_plan(). None of them fails. */
void cutover_parity(const json_t *source, const json_t *destination, json_t *checks);
