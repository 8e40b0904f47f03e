/* inventory: what the two ways to count a tree share. Worker thread. */
#pragma once
#include <stdint.h>

#include "agent/files/place.h"
#include "agent/files/tally.h"
#include "proto/files.pb-c.h"

struct step;
struct step_result;

struct traits;

/* traits, who: NULL of an endpoint. */
void inventory_pack(const struct tally *t, const struct traits *traits, Godwit__Identities *who,
                    const struct place *place, uint64_t elapsed_ms, struct step_result *ret);
/* inventory_smb.c */
void inventory_of_endpoint(struct step *s, const Godwit__SmbSource *o, struct step_result *ret);
