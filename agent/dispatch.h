/* dispatch: what happens to each order: answered from the op log, refused, run or put in line; and
 * how results get to the orchestrator for certain. Knows no sockets. Main thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/step.h"
#include "common/base/cleanup.h"
#include "proto/envelope.pb-c.h"

struct dispatch;
struct oplog;
struct workers;

#define DISPATCH_RESEND_MS 10000 /* a result without an acknowledgement is sent again */
#define DISPATCH_STALL_MS 30000  /* nothing moved for so long: "stalled" */

struct dispatch_setup {
    struct oplog *log; /* borrowed, as all below */
    struct workers *workers;
    const struct step_kind *const *tables; /* ends with NULL; each ends with kind NULL */
    /* 0: on its way. -errno: not now; results are tried again by themselves. */
    int (*send)(void *arg, const Godwit__Envelope *e);
    void *arg;
    const char *host; /* for logs; NULL is fine */
};

/* Reads the results that wait for an acknowledgement from the op log. */
int dispatch_new(const struct dispatch_setup *setup, struct dispatch **ret);
struct dispatch *dispatch_free(struct dispatch *d);
DEFINE_CLEANUP(dispatch_free, struct dispatch *)
void dispatch_set_host(struct dispatch *d, const char *host);

/* order, cancel, result_ack, rate; others are not for it: -EPROTO. Always answers what has to be
 * answered; -errno only when the op log fails. */
int dispatch_message(struct dispatch *d, const Godwit__Envelope *e);
/* Steps that ended: stores their results, then sends them. Call when workers_fd() is readable. */
void dispatch_reap(struct dispatch *d);
/* A session just began: every waiting result is due now. */
void dispatch_online(struct dispatch *d);
/* Once a second at most: progress; and results that are due. live: there is a session. */
void dispatch_tick(struct dispatch *d, int64_t now_ms, bool live);
/* The process ends: cancels all steps and keeps their orders as started, to run again when they are
 * asked for again. */
void dispatch_leave(struct dispatch *d);
/* This agent was revoked: cancels all steps; their results say so, should it be let in again. */
void dispatch_revoked(struct dispatch *d);

/* For hello: op_ids, borrowed until the next call. */
size_t dispatch_running(struct dispatch *d, char ***ret);
size_t dispatch_finished(struct dispatch *d, char ***ret);
