/* vm_types: the ways in which a machine can move: what each is called, which acts it consists of,
 * what it costs. Pure. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/vm_move.pb-c.h"

enum vm_trait {
    VM_FOR_RUNNING = 1,  /* machines that run */
    VM_FOR_OFF = 2,      /* machines that are off */
    VM_WITHIN = 4,       /* one host */
    VM_WITH_MEMORY = 8,  /* what it has in memory goes along: no new start */
    VM_ON_SHARED = 16,   /* both hosts see all its disks; else some are copied */
    VM_STARTS_ANEW = 32, /* a machine that runs is shut down or started anew for it */
    VM_COPIES = 64,      /* no move: a copy goes into a library, the machine stays */
};

struct vm_type {
    Godwit__VmMoveType type;
    const char *id;            /* "live": in plans and files */
    const char *name;          /* "Live": for people */
    unsigned traits;           /* enum vm_trait */
    const char *const *stages; /* acts of agents, ends with NULL */
};

/* Best first. */
const struct vm_type *vm_type_at(size_t i); /* NULL beyond the last */
const struct vm_type *vm_type_of(Godwit__VmMoveType t);
const struct vm_type *vm_type_named(const char *id); /* NULL: there is none */
bool vm_type_is(const struct vm_type *t, unsigned trait);
bool vm_type_has(const struct vm_type *t, const char *stage);

/* What a move is going to take, from what was measured. */
struct vm_load {
    uint64_t disk_bytes; /* that are copied */
    uint64_t memory_bytes;
    uint64_t rate;       /* bytes a second between the hosts */
    uint64_t limit;      /* what it may send of that; 0: all */
    uint64_t dirty_rate; /* of its memory */
    bool runs;
};
struct vm_cost {
    uint64_t bytes;
    uint64_t seconds;
    uint64_t outage_ms;
    bool ends;   /* false: it writes faster than can be sent, also when it is slowed */
    bool slowed; /* its processors have to be, so that it ends */
    bool lifted; /* its limit is, for the last rounds */
};
struct vm_cost vm_type_cost(const struct vm_type *t, const struct vm_load *l);
