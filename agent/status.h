/* status: what `godwit-agent status` shows: a file that the daemon keeps up to date, and what can
 * be read of keys and orchestrator beside it. The command is another process. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STATUS_FILE "status.json"
#define LOCK_FILE "agent.lock"

struct workers;

struct status {
    const char *state; /* "online", "connecting", "waiting", "unenrolled" */
    const char *reason;
    const char *endpoint;
    int64_t since_ms;              /* wall clock */
    const struct workers *workers; /* what runs */
    size_t unacknowledged;         /* results that wait to be acknowledged */
};

int status_write(const char *state_dir, const struct status *s);
/* One agent a state directory: *retfd holds the lock. -EBUSY: another one runs. */
int status_lock(const char *state_dir, int *retfd);
/* Exit code. */
int status_show(const char *state_dir, bool json);
