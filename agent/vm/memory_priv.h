/* memory_priv: for tests of memory.c. */
#pragma once
#include "agent/vm/stage.h"

extern const char *vm_memory_home; /* the folder in this host's memory */
