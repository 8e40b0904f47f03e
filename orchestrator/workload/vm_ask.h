/* vm_ask: what hosts of machines are asked for a plan, and how their answers read. Main thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/control.pb-c.h"

/* NULL: not readable. New references. */
json_t *vm_look_answer(const Godwit__Result *r);
json_t *vm_check_answer(const Godwit__Result *r);
/* Packed orders, malloc'd. measure: also how fast it writes to its memory, which takes a second. */
uint8_t *vm_look_order(const char *machine, bool measure, size_t *retlen);
/* Where it is and no more: answered also of one that hangs. */
uint8_t *vm_sight_order(const char *machine, size_t *retlen);
/* look: what the source answered. */
uint8_t *vm_check_order(const json_t *look, const json_t *options, size_t *retlen);
