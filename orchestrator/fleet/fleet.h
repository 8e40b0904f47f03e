/* fleet: who the agents are, whether they are there, and how orders reach them. Owns the gates (the
 * bound sockets), enrolment and the key tables. Knows no jobs. Main thread. */
#pragma once
#include <czmq.h>
#include <jansson.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"
#include "proto/envelope.pb-c.h"

struct fleet;
struct orchestrator_conf;
struct store;
struct zap;

/* What fleet tells the engine; all on the main thread, borrowed for the call. */
struct fleet_events {
    void *arg;
    /* After a valid hello. Orders without a result have to be sent again: the agent answers a
     * repeat from its op log. */
    void (*online)(void *arg, const char *host, const Godwit__Hello *hello);
    void (*lost)(void *arg, const char *host, const char *reason); /* lease ran out, or goodbye */
    void (*revoked)(void *arg, const char *host);
    /* accepted, progress, result, refusal (of an order: op_id is set) */
    void (*message)(void *arg, const char *host, const Godwit__Envelope *e);
};

struct fleet_host {
    const char *name;
    const char *agent_id;
    bool online;
    const char *lane_address; /* where peers reach its lanes; "" unknown */
    uint32_t lane_port;
    const uint8_t *lane_pin; /* 32 bytes; NULL before the first hello */
    const uint8_t
        *sign_key;   /* 32 bytes: by which it signs manifests; NULL: not said since the start */
    uint64_t can;    /* of its last hello: WIRE_CAN_…; filled in by the engine */
    int64_t seen_ms; /* wall clock: last heard, as far as it is kept; 0 never */
};

/* NULL when no approved agent has that name. Borrowed until the next call into fleet. */
const struct fleet_host *fleet_find(struct fleet *f, const char *host);
/* Sends any message to one agent. -ENOTCONN: not there now; -EAGAIN: its queue is full, try later.
 */
int fleet_send(struct fleet *f, const char *host, const Godwit__Envelope *e);
void fleet_set_events(struct fleet *f, const struct fleet_events *events);
/* Drain for shutdown: goodbye to all agents. */
void fleet_goodbye(struct fleet *f, const char *reason);

/* ── for the daemon ── */

/* Loads keys and rows, allows what may enter, binds the gates, joins the loop. conf and the rest
 * are borrowed until free. */
int fleet_new(struct fleet **ret, const struct orchestrator_conf *conf, struct store *store,
              struct zap *zap, zloop_t *loop, struct fault *reterr);
struct fleet *fleet_free(struct fleet *f);
DEFINE_CLEANUP(fleet_free, struct fleet *)

/* What a console asks is answered by one JSON document of any length. */
struct fleet_answer {
    uint32_t code;
    char error[512];
    char *json; /* malloc'd; NULL when there is none */
    bool later; /* no answer yet: ask again when something happened, or 100 ms later */
};
/* waited_ms: since the request came; -1: it must be answered now. */
typedef void fleet_console_fn(void *arg, const Godwit__ConsoleRequest *req, int64_t waited_ms,
                              struct fleet_answer *ret);
void fleet_set_console(struct fleet *f, fleet_console_fn *fn, void *arg);

/* ── for serve: "who" is a host name or an agent id. -ENOENT, -EEXIST, -EINVAL, each with a fault
 * ── */

struct fleet_counts {
    unsigned online, lost, pending, revoked, denied;
    uint64_t dropped; /* messages without a proved sender */
    uint64_t cut;     /* connections that sent much and ended no message */
};
void fleet_count(struct fleet *f, struct fleet_counts *ret);
json_t *fleet_list(struct fleet *f);                  /* array of agents; new reference */
json_t *fleet_show(struct fleet *f, const char *who); /* one, with facts and keys; NULL: unknown */

struct fleet_token {
    const char *host;
    int64_t ttl_ms;
    unsigned uses;
};
/* The line is malloc'd; it is the only copy of its secret. */
int fleet_token_new(struct fleet *f, const struct fleet_token *ask, char **retline,
                    int64_t *retexpires_ms, struct fault *reterr);
int fleet_approve(struct fleet *f, const char *who, struct fault *reterr);
int fleet_deny(struct fleet *f, const char *who, struct fault *reterr);
/* Holds when it returns: its next message is refused, its next handshake fails. */
int fleet_revoke(struct fleet *f, const char *who, struct fault *reterr);
int fleet_rename(struct fleet *f, const char *who, const char *to, struct fault *reterr);
/* Asks the agent for a new key; the old one ends overlap_ms after the new one came. */
int fleet_rotate_agent(struct fleet *f, const char *who, int64_t overlap_ms, struct fault *reterr);

json_t *fleet_sign_keys(struct fleet *f); /* public, of hosts that said theirs; array */
json_t *fleet_keys(struct fleet *f);      /* the orchestrator's own; array, current first */
/* Binds a second gate with a new key and tells all agents. -EALREADY while one overlaps. */
int fleet_rotate_server(struct fleet *f, int64_t overlap_ms, struct fault *reterr);
int fleet_retire_server(struct fleet *f, struct fault *reterr); /* ends the overlap now */
