/* vm: the steps about virtual machines that this agent's host runs. Worker threads. */
#pragma once
#include <stddef.h>

#include "agent/vm/virt.h"
#include "common/base/cleanup.h"
#include "proto/vm_look.pb-c.h"

#define VM_DOMAINS_MAX 1024
#define VM_ANSWER_MAX (900U << 10) /* of an inventory as it travels: a result holds 1 MiB */

/* What the host is and its machines, as many as an answer holds. Freed with vm_inventory_free(). */
int vm_look(struct virt *v, Godwit__VmInventory **ret, struct fault *reterr);
Godwit__VmInventory *vm_inventory_free(Godwit__VmInventory *i); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(vm_inventory_free, Godwit__VmInventory *)

/* A machine as its definition and its host tell it, with what could not be told as its trouble.
 * Never NULL; freed with domain_free(). */
Godwit__VmDomain *vm_domain_of(struct virt *v, const struct virt_domain *d);

/* ── look.c, check.c, mark.c: what planning asks. They change no machine. ── */
/* Into *ret, which is initialised and has the caller's memory; what it points to is malloc'd. */
int vm_look_at(struct virt *v, const Godwit__VmLookOrder *o, Godwit__VmLook *ret,
               struct fault *reterr);
int vm_sight(struct virt *v, const char *word, Godwit__VmMoveSight **ret, struct fault *reterr);
int vm_check(struct virt *v, const Godwit__VmCheckOrder *o, Godwit__VmCheck *ret,
             struct fault *reterr);
/* Whether other hosts are reached, as o asks; into ret. */
void vm_reach(const Godwit__VmLookOrder *o, int cancel_fd, Godwit__VmLook *ret);
/* The move of that machine that this host has notes of; malloc'd, "": none. */
char *vm_open_move(const char *state_dir, const char *uuid);
#define VM_NOTE_MACHINE "machine" /* the note that says which machine a move is of */
/* Makes or takes away marks, or looks for those of another host. */
int vm_marks(const Godwit__VmMarkOrder *o, bool see, Godwit__VmMarks *ret, struct fault *reterr);
/* Stages of moves that this agent can do, by number; NULL beyond the last. Static. */
const char *vm_stage_name(size_t i);
void vm_tell_stages(char ***ret, size_t *retn);
