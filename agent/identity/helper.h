/* helper: has an order done by a process of its own that has the rights which the agent has not
 * (godwit-identity@.service). Worker threads of the agent. */
#pragma once
#include "agent/identity/site.h"
#include "common/base/fault.h"
#include "proto/identity.pb-c.h"

/* v: programs are looked for in its search; once its cancel_fd is readable, what is done there
 * waits for no other host any more. *ret is the caller's, also with an error where it is set. */
int helper_run(const char *home, const struct site *v, const Godwit__IdentityOrder *o,
               Godwit__IdentityResult **ret, struct fault *reterr);
/* What an agent that died has left of orders, which hold secrets. When the agent starts. */
void helper_sweep(const char *home);
