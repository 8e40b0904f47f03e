/* confine: what this process may do, and how a helper gets rights that its caller lacks: as a unit
 * of systemd that lives for as long as the helper. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

uint64_t confine_caps(void);     /* CAP_* as bits, in effect; 0 also when nobody tells */
bool confine_may_set_user(void); /* becomes another user without help */

/* Puts at argv what runs the command behind it as such a unit, on our standard input and output,
 * and waits for it. Returns how many; the caller adds properties, then the command. */
#define CONFINE_ARGS 24
size_t confine_unit(const char **argv);
