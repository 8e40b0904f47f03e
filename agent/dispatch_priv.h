/* dispatch_priv: what dispatch.c (orders) and outbox.c (results and progress on their way out)
 * share. */
#pragma once
#include "agent/dispatch.h"
#include "agent/oplog.h"

/* A result that was not acknowledged yet. */
struct outgoing {
    char op_id[OPLOG_ID_MAX + 1];
    int64_t due_ms; /* monotonic */
    void *packed;   /* not in the op log yet (a full disk): never sent before it is */
    size_t len;
    struct outgoing *next;
};

/* What was last said about a running step. */
struct watch {
    char op_id[OPLOG_ID_MAX + 1];
    uint64_t seq;
    struct counters counters;
    int64_t moved_ms;
    bool stalled;
    struct watch *next;
};

struct names {
    char **list;
    size_t n;
};

struct dispatch {
    struct dispatch_setup setup;
    struct outgoing *outgoing; /* oldest first */
    struct watch *watches;
    int64_t progress_ms;            /* when progress was last looked at */
    bool leaving;                   /* steps were cancelled because this process ends */
    bool revoked;                   /* steps were cancelled because this agent was thrown out */
    struct names running, finished; /* what dispatch_running() and dispatch_finished() lent */
};

/* Takes packed (malloc'd; NULL: the op log has it), stores it and sends it, now or later. */
void outbox_add(struct dispatch *d, const char *op_id, void *packed, size_t len);
bool outbox_has(struct dispatch *d, const char *op_id);
void outbox_remove(struct dispatch *d, const char *op_id);
/* Sends the result once it is stored; it stays until outbox_remove(). */
void outbox_send(struct dispatch *d, const char *op_id);
void watch_remove(struct dispatch *d, const char *op_id);
