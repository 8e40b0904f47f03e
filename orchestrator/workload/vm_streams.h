/* vm_streams: through how many compressed streams the memory of a machine goes that moves while it
 * runs. Main thread, pure. */
#pragma once
#include "orchestrator/workload/vm_checks.h"
#include "orchestrator/workload/vm_types.h"

#define VM_STREAMS_MOST 16

/* 0: one, as it is. As asked for, else as many as link and processors of both hosts allow. */
uint32_t vm_streams(const struct vm_facts *f, const struct vm_type *t, const struct vm_load *l);
/* What does not know them: a host's name; NULL: both do, or they were not asked for. */
const char *vm_streams_lack(const struct vm_facts *f);
