/* audience: what a rehearsal in a domain needs of the world before it has none: a copy of the
 * source's machine identity, and a user's tickets for each of its names. In memory alone, root's,
 * and gone when the rehearsal is. Worker thread of the agent. */
#pragma once
#include "agent/identity/stage.h"

#define AUDIENCE_FOLDER "/run/godwit-rehearsal"
#define AUDIENCE_TICKETS AUDIENCE_FOLDER "/tickets"
#define AUDIENCE_NAME AUDIENCE_FOLDER "/name.%s" /* is there: a ticket for it is, too */

struct step;

/* One order for each role: the source gives a copy while it serves; the destination takes it, gets
 * the tickets, and then rehearses. *retlack: why no user can be tried, malloc'd, NULL: one can. */
int audience_give(struct step *s, const Godwit__IdentityOrder *o, struct fault *reterr);
void audience_come(struct step *s, const Godwit__IdentityOrder *o, char **retlack);
void audience_leave(void);
