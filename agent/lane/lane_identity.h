/* lane_identity: this agent's TLS key for lanes, kept in one 0600 file. Any thread once made. */
#pragma once
#include <stdint.h>

struct lane_identity;

int lane_identity_load_or_new(const char *path, struct lane_identity **ret);
struct lane_identity *lane_identity_free(struct lane_identity *id);
/* SHA-256 of the SubjectPublicKeyInfo: what the orchestrator hands to peers. 32 bytes. */
const uint8_t *lane_identity_pin(const struct lane_identity *id);
