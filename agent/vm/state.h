/* state: what came of a machine beside its images, as the destination keeps it until the move is
 * over. Holds secrets. Worker threads. */
#pragma once
#include "agent/vm/stage.h"
#include "proto/vm_state.pb-c.h"

#define VM_STATE_MAX (64U << 20)
#define VM_SNAPSHOTS_MAX 256
#define VM_TPM_HOME "/var/lib/libvirt/swtpm"

int vm_state_load(struct vm_stage_run *r, Godwit__VmState **ret);
Godwit__VmState *vm_state_free(Godwit__VmState *s); /* wiped; NULL is fine; returns NULL */
DEFINE_CLEANUP(vm_state_free, Godwit__VmState *)
void vm_state_shred(struct vm_stage_run *r);
/* Is path where the firmware's variables and the TPM's state are kept? Nothing else is written or
 * removed for them. */
bool vm_is_state_file(const char *path);
