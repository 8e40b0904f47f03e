/* peer: a raw end of the control plane, that says what a test wants and hears what it gets. Checks
 * only shapes. Test thread. */
#pragma once
#include <czmq.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/wire/curve.h"
#include "common/wire/envelope.h"

struct peer {
    zsock_t *sock; /* DEALER */
    zsock_t *monitor;
    struct curve_key key;
};

enum peer_fate { PEER_NOTHING, PEER_ADMITTED, PEER_REFUSED };

/* Connects; aborts the test when that is impossible. key NULL: a fresh one. */
void peer_open(struct peer *p, const char *endpoint, const uint8_t server[32],
               const struct curve_key *key);
void peer_close(struct peer *p); /* nothing queued is sent any more */
/* The first end of a handshake within ms. PEER_REFUSED also: closed by the server in it. */
enum peer_fate peer_fate(struct peer *p, int ms);

/* False: the queue stayed full for ms. */
bool peer_say_bytes(struct peer *p, const void *data, size_t len, int ms);
void peer_say(struct peer *p, const Godwit__Envelope *e);
/* A message of that type with no fields set. */
void peer_say_type(struct peer *p, Godwit__Envelope__BodyCase type);
/* NULL: silence for ms. Else freed with wire_free(). A reply outside the orchestrator's list fails
 * the test. */
Godwit__Envelope *peer_hear(struct peer *p, int ms);
/* The next message that is not of the types to be passed over (0: none). */
Godwit__Envelope *peer_hear_type(struct peer *p, Godwit__Envelope__BodyCase type, int ms);
/* 0: silence, or no refusal came. */
Godwit__Refusal__Code peer_hear_refusal(struct peer *p, int ms);
