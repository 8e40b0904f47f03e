/* stage: one act of moving a machine, as an order asks for it: done, probed or undone. The table is
 * in stages.c. Worker threads, one stage of a move at a time. */
#pragma once
#include <stdbool.h>

#include "agent/vm/note.h"
#include "agent/vm/virt.h"
#include "common/base/fault.h"
#include "proto/vm_move.pb-c.h"

#define STAGE_DISKS_MAX 64
#define STAGE_BASES_MAX 256

struct step;
struct step_result;
struct ticket;

struct vm_stage_run {
    struct step *step;
    const char *state_dir;
    const Godwit__VmMoveOrder *order;
    const Godwit__VmMovePlan *plan; /* never NULL */
    struct virt *virt;
    struct note *note;
    Godwit__VmMoveAnswer *answer;
    struct step_result *result; /* counters */
    struct fault *reterr;
};

/* One that does something: 1: acted, 0: was so already, -errno with the fault. May run again after
 * a crash at any point. probe: 1: it is so; 0: not. NULL probe: nobody knows; NULL undo: by the
 * note alone. */
struct vm_stage {
    const char *name;
    Godwit__VmMoveRole role; /* UNSPECIFIED: both */
    int (*act)(struct vm_stage_run *r);
    int (*probe)(struct vm_stage_run *r);
    int (*undo)(struct vm_stage_run *r); /* before what the note says */
};

/* One order, with all of r but plan and note filled in. 1: acted; 0; -errno with the fault. */
int vm_stage_run(struct vm_stage_run *r);
void vm_stage_step(struct step *s, struct step_result *ret); /* the step "vm.stage" */

/* For a stage's answer: takes text over. */
void vm_stage_after(struct vm_stage_run *r, char *text);
int vm_stage_failed(struct vm_stage_run *r, int rc, const char *doing, const char *what);
bool vm_stage_is_source(const struct vm_stage_run *r);

/* A folder of ours beside path, for this move; malloc'd. */
char *vm_staging_of(const struct vm_stage_run *r, const char *path);
char *vm_staged(const struct vm_stage_run *r, const char *path, const char *name);

/* disks.c */
int vm_reserve(struct vm_stage_run *r);
int vm_fence(struct vm_stage_run *r);
int vm_fence_probe(struct vm_stage_run *r);
/* The name that a file has when it was put out of reach; malloc'd. */
char *vm_fenced_name(const struct vm_stage_run *r, const char *path);
int vm_fence_images(struct vm_stage_run *r);    /* whatever the machine does */
int vm_unfence_images(struct vm_stage_run *r);  /* those that are */
int vm_place_disks(struct vm_stage_run *r);     /* from staging to where they are to be */
int vm_drop_fenced(struct vm_stage_run *r);     /* the source's images */
void vm_unlock_devices(struct vm_stage_run *r); /* of the source: with what they hold they stay */
int vm_note_fenced(struct vm_stage_run *r, struct note *n); /* as placed: undone, they are gone */
void vm_refresh_pools(struct vm_stage_run *r);
/* From staged to path, noted as placed: an existing file there is never replaced. */
int vm_place_file(struct vm_stage_run *r, const char *staged, const char *path);
bool vm_disk_moves(const Godwit__VmMoveDisk *d); /* its content goes along */

/* copy.c */
int vm_copy(struct vm_stage_run *r);
void vm_copy_forget(struct vm_stage_run *r);
int vm_copy_blocks(struct vm_stage_run *r); /* blocks.c: disks that are devices here or there */
/* Where a disk of the plan is written at the destination; malloc'd. */
char *vm_written_at(const struct vm_stage_run *r, const Godwit__VmMoveDisk *d);

/* save.c */
#define VM_MEMORY_NAME "memory"
int vm_pause(struct vm_stage_run *r);
int vm_save(struct vm_stage_run *r);
int vm_save_undo(struct vm_stage_run *r);
/* How it is, once no job holds it any more: of one that was saved in a hurry, off. */
int vm_settled(struct vm_stage_run *r, struct virt_sight *ret);
int vm_go_on(struct vm_stage_run *r); /* at the destination, from its saved memory */
int vm_start_undo(struct vm_stage_run *r);

/* memory.c */
bool vm_takes_memory(const struct vm_stage_run *r); /* saved, in a file */
char *vm_memory_at(const struct vm_stage_run *r);   /* on this host; NULL: no disk bears it */
char *vm_memory_folder(const struct vm_stage_run *r);
/* Before its file is made: where there is plenty of memory it lies there from now on. */
int vm_memory_room(struct vm_stage_run *r);
int vm_memory_drop(struct vm_stage_run *r);

/* seed.c: from one stage to the next it is kept in memory: what a crash cuts off begins anew. */
int vm_seed(struct vm_stage_run *r);
int vm_seed_undo(struct vm_stage_run *r);
int vm_seed_end(struct vm_stage_run *r);  /* the source's machine stands still: all is there */
int vm_seed_done(struct vm_stage_run *r); /* both: let go of; the images are on disk */
bool vm_is_warm(const struct vm_stage_run *r);
bool vm_holds(const struct vm_stage_run *r); /* the source's machine, paused, to the end */

/* library.c */
int vm_shelve(struct vm_stage_run *r);
int vm_shelve_undo(struct vm_stage_run *r);
bool vm_is_library(const struct vm_stage_run *r);     /* a copy alone goes: the machine stays */
char *vm_library_entry(const struct vm_stage_run *r); /* the machine's folder in it; malloc'd */

/* shift.c */
int vm_shift(struct vm_stage_run *r);
int vm_shift_undo(struct vm_stage_run *r);
bool vm_stays(const struct vm_stage_run *r); /* on its host: its storage alone moves */

/* state.c */
int vm_state(struct vm_stage_run *r);
/* define.c */
int vm_define(struct vm_stage_run *r);
int vm_define_probe(struct vm_stage_run *r);
int vm_adopt(struct vm_stage_run *r);

/* life.c */
int vm_stop(struct vm_stage_run *r);
int vm_start(struct vm_stage_run *r);
int vm_runs_probe(struct vm_stage_run *r);
int vm_answers(struct vm_stage_run *r); /* answers.c */
int vm_drop(struct vm_stage_run *r);
int vm_drop_probe(struct vm_stage_run *r);
int vm_forget(struct vm_stage_run *r);
#define VM_KEPT "kept"                /* the folder of notes on what sources keep for a while */
void vm_sweep(const char *state_dir); /* what was kept long enough goes */

/* migrate.c */
int vm_migrate(struct vm_stage_run *r);
int vm_migrate_undo(struct vm_stage_run *r);
/* state.c: as the order says it. */
int vm_stage_ticket(struct vm_stage_run *r, struct ticket *ret);
