/* registry: hosts and keys in memory, changed only after their rows are. Knows no sockets but keeps
 * each agent's session. Main thread. */
#pragma once
#include <czmq.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/wire/curve.h"
#include "orchestrator/fleet/fleet.h"
#include "orchestrator/store/agents.h"

struct gate;
struct registry;

/* One hello, until the lease ends. */
struct session {
    bool online;
    struct gate *gate;
    uint8_t route[256]; /* ROUTER's id of the connection: not an identity, only where to answer */
    size_t route_len;
    uint8_t key[32];               /* the key that said hello */
    char instance[65], before[65]; /* of this session, of the one that it replaced */
    int64_t heard_mono_ms;
    int64_t clock_told_ms; /* our wall clock less the monotonic one, as the agent heard it last */
    int64_t since_ms;      /* wall clock: when online began or ended */
    char reason[160];
    uint64_t epoch_seen;
};

struct agent {
    struct agent_row row;
    struct session session;
    bool has_sign_key; /* said since the start */
    uint8_t sign_key[32];
    bool dirty;                  /* row differs from the store in facts alone */
    int64_t rotation_overlap_ms; /* > 0: we asked for a new key */
    int64_t noted_mono_ms;       /* start of the minute that agent_note() counts in */
    unsigned notes;              /* lines of that minute, also those not written */
    struct fleet_host view;
};

struct agent_key {
    struct key_row row;
    char z85[CURVE_Z85_LEN + 1];
    struct agent *agent;
};

int registry_new(struct registry **ret, struct store *store);
struct registry *registry_free(struct registry *r);

struct agent *registry_live(struct registry *r, const char *host); /* pending or approved */
struct agent *registry_any(struct registry *r, const char *who); /* live host, id, or newest row */
struct agent_key *registry_key(struct registry *r, const char *z85);

size_t registry_agents(struct registry *r, struct agent ***retlist);
size_t registry_keys(struct registry *r, struct agent_key ***retlist);
/* Fingerprints of an agent's keys, in order of creation, at most max. */
size_t registry_keys_of(struct registry *r, const struct agent *a, struct agent_key **ret,
                        size_t max);

/* All write the store first. New agents come with their first key. */
int registry_add(struct registry *r, const struct agent_row *row, const uint8_t key[32],
                 const struct token_row *spent);
int registry_save(struct registry *r, struct agent *a, const struct agent_row *row);
int registry_flush(struct registry *r); /* rows that are dirty */
int registry_add_key(struct registry *r, struct agent *a, const struct key_row *row);
int registry_save_key(struct registry *r, struct agent_key *k, int64_t not_after_ms);
int registry_drop_key(struct registry *r, struct agent_key *k); /* frees k */
