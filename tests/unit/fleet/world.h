/* world: one orchestrator's control plane on loopback, for tests, and what it told the engine. */
#pragma once
#include "common/base/fault.h"
#include "common/wire/token.h"
#include "orchestrator/fleet/fleet_priv.h"
#include "tests/unit/fleet/peer.h"

struct world {
    char folder[32];
    struct orchestrator_conf conf;
    struct store *store;
    struct zap *zap;
    zloop_t *loop;
    struct fleet *fleet;
    unsigned online, lost, revoked, messages;
    char last_lost[160];
};

/* Fixtures of a test: *state is the world. */
int world_set_up(void **state);
int world_tear_down(void **state);
/* The daemon's part alone: what is below folder stays. */
void world_start(struct world *w);
void world_stop(struct world *w);

void world_pump(struct world *w, size_t ms); /* runs the loop */
/* The loop runs until the peer hears something; NULL after a while. */
Godwit__Envelope *world_hear(struct world *w, struct peer *p);
Godwit__Refusal__Code world_hear_refusal(struct world *w, struct peer *p);

void world_token(struct world *w, const char *host, int64_t ttl_ms, struct token *ret);
/* One request and the answer's state. */
Godwit__EnrolReply__State world_enrol(struct world *w, struct peer *p, struct token *t);
void world_connect(struct world *w, struct peer *p, const struct curve_key *key);
/* Enrols under this name and says hello. */
void world_join(struct world *w, const char *host, struct peer *ret);
