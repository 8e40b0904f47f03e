/* session_priv: the inside of a session, for session.c (table, acts) and talk.c (messages). */
#pragma once
#include "agent/home.h"
#include "agent/link.h"
#include "agent/session.h"

struct session {
    struct session_setup setup;
    enum session_state state;
    char reason[160];
    char instance[17];
    char *home_path;
    struct home home;
    int64_t home_stamp; /* of orchestrator.json as we know it; 0: none */
    struct keyring *keys;
    size_t at_key; /* home.keys[at_key] is the server key in use */
    char endpoint[HOME_ENDPOINT_MAX + 16];
    struct link *link;
    bool clock_wrong; /* said so already */

    uint32_t heartbeat_ms, reconnect_min_ms, reconnect_max_ms; /* as the orchestrator sets them */
    int64_t due_ms;   /* WAIT: end of the pause; HELLO: end of this try */
    int64_t hello_ms; /* when hello was last tried */
    int64_t heard_ms; /* when anything last came in */
    int64_t beat_ms;  /* when the next heartbeat is due */
    int64_t look_ms;  /* when orchestrator.json was last looked at */
    int64_t move_ms;  /* when to move to another key or endpoint; 0: not planned */
};

void session_handle(struct session *s, enum session_event on, const char *why);
/* Anything from min to max, ms: a fleet that comes back must not come back at once. */
int64_t session_draw(uint32_t min, uint32_t max);
void session_set_pace(struct session *s, uint32_t heartbeat, uint32_t min, uint32_t max);
void session_say_hello(struct session *s);
void session_beat(struct session *s, int64_t now_ms);
/* Everything that waits on the link, up to a bound. */
void session_receive(struct session *s);
void session_save_home(struct session *s);
