/* oplog: what this agent did with each order, so that a repeat is answered and not run again:
 * SQLite, durable before anything is said. Holds the highest epoch seen too. Main thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"

#define OPLOG_ID_MAX 32 /* as the wire allows */

enum oplog_state { OPLOG_STARTED = 1, OPLOG_FINISHED };

struct oplog;

/* Makes the file (0600) when it is missing. -EBADMSG: damaged, or of a newer version. */
int oplog_open(const char *path, struct oplog **ret);
struct oplog *oplog_close(struct oplog *l); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(oplog_close, struct oplog *)

uint64_t oplog_epoch(const struct oplog *l);          /* highest seen, 0 before any */
int oplog_saw_epoch(struct oplog *l, uint64_t epoch); /* lower or equal: nothing happens */

/* 1: *ret set; 0: not there. */
int oplog_find(struct oplog *l, const char *op_id, enum oplog_state *ret);
/* The order is about to run; a row that is there already stays as it is. */
int oplog_start(struct oplog *l, const char *op_id, const char *kind, const char *job,
                uint64_t epoch);
/* Stores the packed Result; call before sending it. Makes the row when it is missing. */
int oplog_finish(struct oplog *l, const char *op_id, const void *result, size_t len);
/* 1: *ret (malloc'd) set; 0: no result. */
int oplog_result(struct oplog *l, const char *op_id, void **ret, size_t *retlen);
int oplog_forget(struct oplog *l, const char *op_id); /* acknowledged */

struct oplog_row {
    const char *op_id; /* borrowed for the call */
    const char *kind;
    const char *job;
    enum oplog_state state;
    int64_t at_ms;
};
/* Oldest first, in one state or (0) in any; fn returns non-zero to stop. Must not call into l. */
int oplog_each(struct oplog *l, enum oplog_state state,
               int (*fn)(void *arg, const struct oplog_row *row), void *arg);
