/* facts: what this host says about itself. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "proto/control.pb-c.h"

struct facts; /* owns the strings that facts_wire() lends */

struct facts *facts_new(void);
struct facts *facts_free(struct facts *f);
Godwit__HostFacts *facts_wire(struct facts *f); /* borrowed */
/* May own, chown and read past modes: what a copy of a system tree needs. */
bool facts_privileged(void);
uint32_t facts_load_percent(void); /* load average of a minute, by CPUs */
