/* gate: one server key and the three sockets that are bound with it. Two slots exist, so that a key
 * can be replaced while both work. Knows no messages. Main thread. */
#pragma once
#include <czmq.h>
#include <stdint.h>

#include "common/base/fault.h"
#include "common/wire/curve.h"
#include "proto/envelope.pb-c.h"

#define DOMAIN_AGENTS "agents"
#define DOMAIN_ENROL "enrol"
#define DOMAIN_CONSOLE "console"

struct meter;
struct orchestrator_conf;

struct gate {
    char slot; /* 'a' or 'b' */
    struct curve_key key;
    zsock_t *agents, *enrol, *console; /* ROUTERs */
    struct meter *agents_meter, *enrol_meter;
    unsigned agents_port, enrol_port; /* as bound: the configuration may say 0 for any */
    char console_endpoint[160];
    int64_t created_ms;
    int64_t not_after_ms; /* 0: the current one */
};

/* Loads state_dir/keys/server-SLOT.key (or makes it) and binds. Ports 0 take any free one. */
int gate_open(struct gate **ret, const struct orchestrator_conf *conf, char slot,
              struct fault *reterr);
struct gate *gate_close(struct gate *g);
/* The key's file goes too: its time is over. */
int gate_forget_key(const struct orchestrator_conf *conf, char slot);

/* Never waits. -EAGAIN: the peer's queue is full; -ENOTCONN: there is no such connection. */
int gate_send(zsock_t *sock, const void *route, size_t route_len, const Godwit__Envelope *e);
