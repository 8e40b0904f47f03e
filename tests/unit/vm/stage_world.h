/* stage_world: a machine on two hosts in memory, with its image in real files, and orders to both:
 * what tests of stages act in. One thread. */
#pragma once
#include <stdbool.h>

#include "agent/vm/stage.h"
#include "proto/vm_state.pb-c.h"
#include "tests/unit/vm/fake_virt.h"

#define UUID "11111111-2222-4333-8444-555555555501"
#define MOVE "job.0"
#define DO GODWIT__VM_MOVE_ACTION__VM_MOVE_DO
#define UNDO GODWIT__VM_MOVE_ACTION__VM_MOVE_UNDO
#define SOURCE GODWIT__VM_MOVE_ROLE__VM_MOVE_SOURCE
#define DESTINATION GODWIT__VM_MOVE_ROLE__VM_MOVE_DESTINATION
#define TYPE(t) GODWIT__VM_MOVE_TYPE__VM_MOVE_##t

struct world {
    char dir[64];
    char *states[2];       /* of the source's agent, of the destination's */
    char *from, *to;       /* the image */
    char *source, *images; /* folders of these */
    struct fake_host here, there;
    Godwit__VmMovePlan plan;
    Godwit__VmMoveDisk disk, *disks[1];
    struct fault fault; /* of the last order */
};

/* No machine is defined yet. Of a quick move both hosts see the image. */
struct world *world_new(Godwit__VmMoveType type);
void world_free(struct world *w);
/* What the stage returns. */
int order(struct world *w, Godwit__VmMoveRole role, const char *stage, Godwit__VmMoveAction action);
/* A definition with its disk at path; malloc'd. */
char *xml_of(const char *path);
char *xml_with(const char *path, const char *more); /* more: elements beside its devices */
/* Where a file of that name is staged on that side; malloc'd. */
char *beside(const struct world *w, Godwit__VmMoveRole role, const char *name);
/* As lane and transfer leave it at the destination: this definition, files beside it, the image. */
void arrived(struct world *w, const char *xml, Godwit__VmStateFile *const *files, size_t n);
bool there(const char *path);
