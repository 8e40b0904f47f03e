/* session: this agent's standing with its orchestrator: connecting, hello, heartbeats, noticing
 * silence, trying the next key or endpoint. Knows no orders. Main thread. */
#pragma once
#include <czmq.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/envelope.pb-c.h"

struct session;

enum session_state {
    SESSION_OFF,   /* not enrolled */
    SESSION_WAIT,  /* no connection; a pause before the next try */
    SESSION_HELLO, /* connecting, or hello is not answered yet */
    SESSION_LIVE,
};

enum session_event {
    SESSION_EV_HOME,   /* orchestrator.json appeared or changed */
    SESSION_EV_DUE,    /* the pause, or the time for this try, is over */
    SESSION_EV_UP,     /* the connection stands */
    SESSION_EV_DOWN,   /* it is gone */
    SESSION_EV_DENIED, /* the handshake was refused: this key or that server key */
    SESSION_EV_WELCOME,
    SESSION_EV_UNKNOWN, /* say hello first */
    SESSION_EV_REFUSED, /* revoked, or versions that do not fit */
    SESSION_EV_SILENT,  /* three beats without a sound */
    SESSION_EV_GOODBYE, /* the orchestrator leaves */
    SESSION_EV_MOVE,    /* another key or endpoint is to be used from now on */
};

enum session_act {
    SESSION_ACT_NONE,
    SESSION_ACT_CONNECT, /* to the present choice of keys and endpoint */
    SESSION_ACT_NEXT,    /* to the next choice */
    SESSION_ACT_HELLO,
    SESSION_ACT_LIVE,
    SESSION_ACT_PAUSE,      /* close; come back after a drawn pause */
    SESSION_ACT_PAUSE_NEXT, /* the same, with the next choice */
    SESSION_ACT_PAUSE_LONG, /* the same choice, after minutes */
};

/* The table. -EPROTO: the event means nothing in that state, and nothing happens. */
int session_rule(enum session_state in, enum session_event on, enum session_state *ret,
                 enum session_act *retact);
const char *session_state_name(enum session_state s);

struct session_setup {
    zloop_t *loop;
    const char *state_dir;                           /* borrowed */
    void *arg;                                       /* of all below */
    void (*fill_hello)(void *arg, Godwit__Hello *h); /* lends what the session does not know */
    uint32_t (*running)(void *arg);                  /* for heartbeats */
    void (*online)(void *arg);                       /* after each Welcome */
    void (*revoked)(void *arg);
    void (*message)(void *arg, const Godwit__Envelope *e); /* order, cancel, result_ack, rate */
    void (*changed)(void *arg);                            /* state or reason are different now */
};

/* Not enrolled is fine: SESSION_OFF until session_look() finds orchestrator.json. */
int session_new(const struct session_setup *setup, struct session **ret);
struct session *session_free(struct session *s);

enum session_state session_state(const struct session *s);
const char *
session_reason(const struct session *s);           /* why it is not live, for people; never NULL */
const char *session_host(const struct session *s); /* NULL when not enrolled */
const char *session_endpoint(const struct session *s); /* "" when there is none */

/* -ENOTCONN: no session now. -EAGAIN: no room in the queue. */
int session_say(struct session *s, const Godwit__Envelope *e);
void session_goodbye(struct session *s, const char *reason);
void session_tick(struct session *s, int64_t now_ms); /* several times a second */
/* This host's addresses changed: a connection from one that is gone would only die of silence. */
void session_redial(struct session *s);
