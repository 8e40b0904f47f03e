/* snapshot: one moment of a source for the time of a step: a btrfs snapshot, or whatever a hook
 * makes. Written down durably before it is made, and released in every case: at the step's end, or
 * at the agent's next start. Blocking; worker threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "agent/step.h"
#include "common/base/fault.h"

#define SNAPSHOT_POLICY_MAX 40

struct snapshot;

struct snapshot_want {
    const char *policy; /* "" or "none", "auto", "hook:NAME" */
    const char *pair;
    const char *path; /* of the source; absolute, not NUL-terminated */
    size_t path_len;
    int cancel_fd;
};

bool snapshot_policy_valid(const char *policy);
/* *ret is NULL when the source is to be read as it is; with policy "auto" *retwhy then says why
 * (malloc'd). A hook that fails is a fault; what its pre began is released. */
int snapshot_take(const struct agent_env *env, const struct snapshot_want *w, struct snapshot **ret,
                  char **retwhy, struct fault *reterr);
const char *snapshot_path(const struct snapshot *s); /* where to read instead; borrowed */
/* NULL is fine; returns NULL. What could not be released stays written down, and is logged. */
struct snapshot *snapshot_release(struct snapshot *s);

/* Once at the agent's start, before any step: what an agent that died left is released by a thread
 * of its own. */
void snapshot_recover(const struct agent_env *env);
