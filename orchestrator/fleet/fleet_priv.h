/* fleet_priv: what the files of this room share. For nobody else but its tests. */
#pragma once
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/fleet/gate.h"
#include "orchestrator/fleet/registry.h"
#include "orchestrator/orchestrator.h"

#define LEASE_BEATS 4

struct fleet {
    const struct orchestrator_conf *conf;
    struct store *store;
    struct zap *zap;
    zloop_t *loop;
    struct fleet_events events;
    fleet_console_fn *console;
    void *console_arg;
    struct registry *reg;
    struct gate *gates[2]; /* [0] the current one, [1] the one that overlaps, or NULL */
    struct curve_key console_key;
    struct enrol_rate *enrol_rate;
    int64_t swept_ms; /* last time that old tokens were forgotten */
    uint64_t cut;     /* connections that sent much and ended no message */
    uint64_t dropped; /* messages without a User-Id, or in pieces */
    int timer;
    uint64_t sweeps;
    struct held *held; /* held.c */
    unsigned nheld;
};

/* One message that arrived, its sender proved. Borrowed for the call. */
struct arrival {
    struct gate *gate;
    zsock_t *sock;
    const void *route;
    size_t route_len;
    const char *user;    /* Z85 of the sender's key */
    const char *address; /* of its connection, "" unknown */
    const void *data;
    size_t len;
};

/* Answers to the connection that it came by; what cannot be sent is lost, the peer asks again. */
void arrival_answer(const struct arrival *a, const Godwit__Envelope *e);
void arrival_refuse(const struct arrival *a, Godwit__Refusal__Code code, const char *text);
/* For a message that wire_unpack() refused with rc. */
void arrival_refuse_unpacked(const struct arrival *a, int rc);

/* note.c: a line about a host that the host itself can cause. Bounded a minute: it cannot fill the
 * disk of the orchestrator by misbehaving. */
void agent_note(struct agent *a, int level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* session.c */
void session_arrival(struct fleet *f, const struct arrival *from);
void session_sweep(struct fleet *f);                                    /* leases that ran out */
void session_end(struct fleet *f, struct agent *a, const char *reason); /* online → lost */
/* Into the rows of hosts that are there, when they are older than so much: when they were heard. */
void session_note_seen(struct fleet *f, int64_t older_ms);
int session_send(struct agent *a, const Godwit__Envelope *e);
int session_send_order(struct fleet *f, struct agent *a, const Godwit__Envelope *e);
void session_welcome(struct fleet *f, struct agent *a);

/* enrol.c */
void enrol_arrival(struct fleet *f, const struct arrival *from);

/* rotate.c */
void rotate_reply(struct fleet *f, struct agent *a, const Godwit__RotateKeyReply *reply);
void rotate_ask(struct agent *a);
void rotate_sweep(struct fleet *f); /* keys and gates whose time is over */
int rotate_open_gates(struct fleet *f, struct fault *reterr);
/* The keys that an agent may trust, current first. Freed with server_keys_done(). */
void server_keys(struct fleet *f, Godwit__ServerKeys *ret);
void server_keys_done(Godwit__ServerKeys *keys);

/* held.c */
bool held_room(const struct fleet *f);
/* Takes the request over. */
void held_keep(struct fleet *f, const struct arrival *a, Godwit__Envelope *request);
void held_look(struct fleet *f);                      /* something may have happened */
void held_drop(struct fleet *f, const zsock_t *sock); /* it is closed */

/* fleet.c: true: answered; false (only if it may): the answer comes later. */
bool console_answer(struct fleet *f, const struct arrival *a, const Godwit__Envelope *request,
                    int64_t waited_ms, bool may_wait);

/* gates' sockets into and out of the loop: fleet.c */
int fleet_watch_gate(struct fleet *f, struct gate *g);
void fleet_unwatch_gate(struct fleet *f, struct gate *g);
int fleet_write_console_json(struct fleet *f);
