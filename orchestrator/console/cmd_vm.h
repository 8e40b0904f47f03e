/* cmd_vm: the commands of `godwit vm`; the rows stand in cmd_vm.c. Main thread. */
#pragma once
#include "orchestrator/console/run.h"

/* ── cmd_vm_move.c ── */
int vm_plan_command(struct run *r);
char *vm_words(const struct run *r); /* newline between them; malloc'd */
int vm_migrate_command(struct run *r);
int vm_copy_command(struct run *r);
int vm_moves_command(struct run *r);
int vm_rollback_command(struct run *r);
int vm_resume_command(struct run *r);
int vm_evacuate_command(struct run *r); /* cmd_vm_evacuate.c */
/* One job for all of these plans, which send no more than that rate (NULL: no limit), watched to
 * its end; then promise and fact. An exit code. */
int vm_move(struct run *r, const json_t *plans, const char *rate);

/* ── vm_moves.c ── */
void vm_moves_show(const struct run *r, json_t *doc);
