/* vm_ask: what hosts of machines are asked for a plan, and how their answers read. Main thread. */
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/control.pb-c.h"

struct fleet_host;

/* NULL: not readable. New references. */
json_t *vm_look_answer(const Godwit__Result *r);
json_t *vm_check_answer(const Godwit__Result *r);
/* Packed orders, malloc'd. measure: also how fast it writes to its memory, which takes a second;
 * reach: taken, NULL: nobody is to be reached. */
uint8_t *vm_look_order(const char *machine, bool measure, json_t *reach, size_t *retlen);
/* Where it is and no more: answered also of one that hangs. */
uint8_t *vm_sight_order(const char *machine, size_t *retlen);
/* The same, and whether anybody answers at those addresses and ports, which are taken. */
uint8_t *vm_reach_order(const char *machine, json_t *reach, size_t *retlen);
/* Where a move reaches that host: its lanes; own_tcp: its libvirt too. New reference. */
json_t *vm_reach_of(const struct fleet_host *h, bool own_tcp);
/* look: what the source answered. */
uint8_t *vm_check_order(const json_t *look, const json_t *options, size_t *retlen);
