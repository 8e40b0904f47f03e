/* peer: the other end of a gate, for tests: says what it is told to and shows what comes back. */
#pragma once
#include <czmq.h>

#include "common/wire/curve.h"
#include "common/wire/envelope.h"

struct peer {
    struct curve_key key;
    zsock_t *sock;
};

/* A fresh key when key is NULL. */
void peer_open(struct peer *p, const char *endpoint, const uint8_t server[32],
               const struct curve_key *key);
void peer_close(struct peer *p);
void peer_say(struct peer *p, const Godwit__Envelope *e);
void peer_hello(struct peer *p, const char *instance);
void peer_beat(struct peer *p);
/* The next message, or NULL. Freed with wire_free(). */
Godwit__Envelope *peer_hear(struct peer *p);
