/* fleet: who the agents are, whether they are there, and how orders reach them. Owns the gates (the
 * bound sockets), enrolment and the key tables. Knows no jobs. Main thread. */
#pragma once
#include <czmq.h>
#include <jansson.h>

#include "proto/envelope.pb-c.h"

struct fleet;
struct store;
struct zap;

/* What fleet tells the engine; all on the main thread, borrowed for the call. */
struct fleet_events {
    void *arg;
    /* After a valid hello. Orders without a result have to be sent again: the agent answers a repeat
     * from its op log. */
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
};

/* NULL when no approved agent has that name. Borrowed until the next call into fleet. */
const struct fleet_host *fleet_find(struct fleet *f, const char *host);
/* Sends any message to one agent. -ENOTCONN: not there now; -EAGAIN: its queue is full, try later. */
int fleet_send(struct fleet *f, const char *host, const Godwit__Envelope *e);
void fleet_set_events(struct fleet *f, const struct fleet_events *events);
/* Drain for shutdown: goodbye to all agents. */
void fleet_goodbye(struct fleet *f, const char *reason);
