/* copy: a folder of a move through the transfer engine. Worker threads. */
#pragma once
#include "agent/vm/stage.h"

#define VM_BASE_PARTS 1000 /* numbers of the transfers of bases, behind those of disks */

/* Both sides call it with a folder of their own: what lies in the source's lies in the
 * destination's afterwards. part: another number for each folder of a move. */
int vm_copy_folder(struct vm_stage_run *r, const char *folder, unsigned part);
