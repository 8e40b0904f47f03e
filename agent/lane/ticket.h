/* ticket: which lanes an agent waits for: id, secret, end, the peer's key, the pair. Locks inside;
 * any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "agent/lane/lane.h"

#define TICKET_ID_MAX 64
#define TICKET_PAIR_MAX 96
#define LANE_ROOT_MAX 128

/* What a lane said when it was let in. */
struct lane_entry {
    uint64_t session;
    uint32_t lane;
    uint64_t can; /* bits of lane_can */
    uint8_t
        root[LANE_ROOT_MAX]; /* what the source reads, as it says; nothing is known of it here */
    size_t root_len;
};

/* Takes the lane over. Runs on a thread of the server that may be used as long as it takes to hand
 * the lane to another one. */
typedef void (*ticket_enter_fn)(void *arg, struct lane *l, const struct lane_entry *entry);

struct ticket {
    char id[TICKET_ID_MAX + 1];
    uint8_t secret[LANE_SECRET_BYTES];
    int64_t not_after_ms; /* by clock_fleet_ms() */
    uint8_t peer_pin[LANE_PIN_BYTES];
    char pair[TICKET_PAIR_MAX + 1];
    ticket_enter_fn enter;
    void *arg;
};

struct ticket_book;
struct ticket_book *ticket_book_new(void);
struct ticket_book *ticket_book_free(struct ticket_book *b);
int ticket_add(struct ticket_book *b, const struct ticket *t); /* copied; -EEXIST; -ENOSPC */
/* When it returns no enter() of this ticket runs or will run. */
void ticket_remove(struct ticket_book *b, const char *id);
/* May a peer with this key shake hands at all? */
bool ticket_pin_expected(struct ticket_book *b, const uint8_t pin[LANE_PIN_BYTES]);

/* What a lane presents. */
struct ticket_claim {
    const char *id, *pair;
    const uint8_t *secret; /* LANE_SECRET_BYTES */
    const uint8_t *pin;    /* of the TLS session */
};
/* Lets the lane in (enter() owns it now) or returns -EACCES: unknown id, wrong secret, expired,
 * other key, other pair; which one is not said. */
int ticket_enter(struct ticket_book *b, const struct ticket_claim *claim, struct lane *l,
                 const struct lane_entry *entry);
