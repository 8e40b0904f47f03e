/* bundle: what a Samba server is to its clients, as files: local SID, machine account, users, group
 * mappings, Kerberos keys. It goes from the source's agent to the destination's over a lane of its
 * own, to its key alone, and lies there in a file of 0600 until commit or rollback. */
#pragma once
#include "agent/identity/stage.h"

struct step;

#define BUNDLE_FILES 64

/* Where "private/secrets.tdb" and the like are on this host; malloc'd. */
char *bundle_place(const struct site *v, const char *name);
/* Of this host: each file as it is at one moment. malloc'd, to be wiped by the caller. */
int bundle_make(const struct site *v, const Godwit__IdentityPlan *p, uint8_t **ret, size_t *retlen,
                struct fault *reterr);
/* Puts each file in its place, having kept what was there; 1 when something changed. sid: the
 * source machine's, by which share descriptors go. anew: what Samba remembers of before goes. */
int bundle_install(const struct site *v, const char *sid, bool anew, struct fault *reterr);
/* 1: all files here are those of the bundle. */
int bundle_installed(const struct site *v, const char *sid, struct fault *reterr);
/* The source's own copies of what the destination is now. */
int bundle_forget_secrets(const struct site *v, struct fault *reterr);
int bundle_probe(struct stage_run *r); /* is it here? */

/* The stage "bundle", both roles, in the agent's own process: it has the lanes. */
int bundle_exchange(struct step *s, const struct site *v, const Godwit__IdentityOrder *o,
                    struct fault *reterr);
