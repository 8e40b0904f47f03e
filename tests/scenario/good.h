/* good: agents with good manners, who prove that a daemon still serves. Test thread. */
#pragma once
#include "tests/scenario/daemon.h"

/* An enrolled agent with the manners of a real one. */
struct good {
    const struct daemon *daemon;
    struct peer peer;
    char host[64];
};

/* Sends what the token says with this key, and waits for the answer. Freed with wire_free(). */
Godwit__Envelope *enrol_try(struct daemon *d, const struct token *t, const struct curve_key *key);
Godwit__EnrolReply__State enrol_state(struct daemon *d, const struct token *t,
                                      const struct curve_key *key);
/* Enrols, connects, says hello, is welcomed. */
void good_join(struct daemon *d, struct good *g, const char *host);
void good_hello(struct good *g, const char *instance);
bool good_beat(struct good *g, int ms); /* a heartbeat was answered within ms */
void good_leave(struct good *g);
