/* vm: the steps about virtual machines that this agent's host runs. Worker threads. */
#pragma once
#include <stddef.h>

#include "agent/vm/virt.h"
#include "common/base/cleanup.h"

#define VM_DOMAINS_MAX 1024
#define VM_ANSWER_MAX (900U << 10) /* of an inventory as it travels: a result holds 1 MiB */

/* What the host is and its machines, as many as an answer holds. Freed with vm_inventory_free(). */
int vm_look(struct virt *v, Godwit__VmInventory **ret, struct fault *reterr);
Godwit__VmInventory *vm_inventory_free(Godwit__VmInventory *i); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(vm_inventory_free, Godwit__VmInventory *)
