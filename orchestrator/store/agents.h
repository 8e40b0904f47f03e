/* agents: durable rows of hosts, their keys, and enrolment tokens. No rules here: fleet has them.
 * Main thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct store;

enum agent_state { AGENT_PENDING = 1, AGENT_APPROVED, AGENT_DENIED, AGENT_REVOKED };

struct agent_row {
    char agent_id[17];
    char host[64]; /* unique among those pending and approved */
    enum agent_state state;
    char reason[160];
    char token_id[17]; /* by which it enrolled */
    int64_t created_ms;
    int64_t seen_ms; /* last hello; 0 never */
    char version[64], os[128], kernel[128], machine[32], hostname[128];
    uint32_t cpus;
    uint64_t memory_bytes;
    char address[256]; /* lane address; "" unknown */
    uint32_t lane_port;
    uint8_t lane_pin[32];
    bool has_lane_pin;
};

struct key_row {
    uint8_t key[32];
    char agent_id[17];
    int64_t created_ms;
    int64_t not_after_ms; /* 0: no end */
};

struct token_row {
    char id[17];
    char host[64];
    uint8_t secret_hash[32];
    int64_t created_ms, expires_ms;
    uint32_t uses_left;
};

/* A server key and the slot that it serves. The key itself is a file. */
struct gate_row {
    char slot; /* 'a' or 'b' */
    int64_t created_ms;
    int64_t not_after_ms; /* 0: the current one */
};

/* Each calls back for every row; a negative return of the callback ends it and is returned. */
int agents_each(struct store *s, int (*each)(void *arg, const struct agent_row *row), void *arg);
int keys_each(struct store *s, int (*each)(void *arg, const struct key_row *row), void *arg);

int gates_each(struct store *s, int (*each)(void *arg, const struct gate_row *row), void *arg);

int agents_put(struct store *s, const struct agent_row *a); /* new or changed, by agent_id */
int keys_put(struct store *s, const struct key_row *k);     /* new or changed, by key */
int keys_delete(struct store *s, const uint8_t key[32]);

int tokens_put(struct store *s, const struct token_row *t);             /* new or changed, by id */
int tokens_get(struct store *s, const char *id, struct token_row *ret); /* -ENOENT */
int tokens_expire(struct store *s, int64_t now_ms); /* forgets those that ended a day before */
int gates_put(struct store *s, const struct gate_row *g); /* new or changed, by slot */
int gates_delete(struct store *s, char slot);
