/* vm_rows: the acts of moving a machine, in the order in which they are done: one row each, for all
 * types. A type names those that it has (vm_types.h). Pure. */
#pragma once
#include <stdbool.h>

#include "orchestrator/workload/vm_types.h"

enum vm_side { VM_ON_SOURCE = 1, VM_ON_DESTINATION = 2, VM_ON_BOTH = 3 };

struct vm_row {
    const char *id; /* of the agents' stage too, where it is one of theirs */
    unsigned percent;
    const char *text;
    enum vm_side on;
    unsigned limit_s; /* 0: as long as it takes */
    const char *waits;
    unsigned traits; /* enum vm_row_trait */
};

enum vm_row_trait {
    VM_UNDOES = 1,  /* can be taken back */
    VM_LANE = 2,    /* both sides over a lane of its own */
    VM_RUNNING = 4, /* only for machines that ran */
    VM_COMMITS = 8, /* no way back from here on */
    VM_OWN = 16,    /* no act of agents: a look at both */
    VM_MARKS = 32,  /* only where storage is to be proven shared */
    VM_BASES = 64,  /* only where disks stand on images that go along */
};

#define VM_ROWS 24
extern const struct vm_row vm_rows[VM_ROWS];
#define VM_NO_ROW VM_ROWS
unsigned vm_row_find(const char *id); /* VM_NO_ROW: there is none */
/* What of a plan decides which acts it has. */
struct vm_row_case {
    bool runs, marks, bases;
};
/* Is it a part of such a move? */
bool vm_row_applies(const struct vm_row *r, const struct vm_type *t, const struct vm_row_case *c);
