/* schema: each room's tables as numbered steps, brought up to date at open. Steps that were
 * released never change; a change of shape is one more step. Main thread. */
#pragma once
#include "common/base/fault.h"

struct db;

struct schema_room {
    const char *name;
    const char *const *steps; /* SQL; step n brings version n-1 to n; ends with NULL */
};

extern const char *const schema_base[];
extern const char *const schema_agents[];
extern const char *const schema_jobs[];
extern const char *const schema_journal[];
extern const char *const schema_reports[];
extern const char *const schema_limits[];
extern const char *const schema_endpoints[];

/* Runs what is missing, each room in one transaction. -ENOTSUP: the file is of a newer Godwit. */
int schema_update(struct db *d, struct fault *reterr);
