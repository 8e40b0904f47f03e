/* redefine: a machine's definition as another host is to have it: other paths, other networks, no
 * medium that stays behind. The text is users': parsed without entities and network. Any thread. */
#pragma once
#include <stddef.h>

#include "proto/vm_move.pb-c.h"

/* Of a machine, or of a snapshot (each disk in it). malloc'd; may hold secrets: wipe it. -EBADMSG;
 * -ENOENT: a disk of the plan is not in it (of a machine only). */
int redefine(const char *xml, size_t len, const Godwit__VmMovePlan *plan, char **ret);
