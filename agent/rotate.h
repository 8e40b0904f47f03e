/* rotate: the agent's CURVE key, and its successor while a rotation is under way: agent.key and
 * agent.key.next. Says which of the two to connect with. Main thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct curve_key;
struct keyring;

/* -ENOENT: no key yet. Others as curve_key_load(). */
int keyring_load(const char *state_dir, struct keyring **ret);
struct keyring *keyring_free(struct keyring *k); /* wipes */

/* The one to connect with now; what follows is about a connection made with it. Borrowed. */
const struct curve_key *keyring_take(struct keyring *k);
bool keyring_has_next(const struct keyring *k);
/* Makes the next key (or finds the one of an earlier try), durable before this returns; from now on
 * it is tried first. */
int keyring_rotate(struct keyring *k, uint8_t ret[32]);
/* The orchestrator let the taken key in. 1: it was the next one, and is the key from now on. */
int keyring_welcomed(struct keyring *k);
/* It did not: the other one's turn. */
void keyring_refused(struct keyring *k);
