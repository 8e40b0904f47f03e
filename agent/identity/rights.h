/* rights: may a credential do to an account what a join does? Asked by reading alone, since a join
 * that fails half way may delete the account that it was to take. Worker thread. */
#pragma once
#include "agent/identity/ads.h"

/* Of a, on the account `had` (as `a` reads it): 0, or -EACCES with all that is missing. */
int rights_to_take(const struct ads *a, const struct ads_account *had, struct fault *reterr);
/* … on one that was made empty by the same credential, whose owner has what a maker has: the
 * password, and to enable it. */
int rights_to_fill(const struct ads *a, const struct ads_account *had, struct fault *reterr);
/* … to make a computer in the container. */
int rights_to_make(const struct ads *a, const char *ou_dn, struct fault *reterr);
/* May it set the password of the account whose descriptor this is? sids: whose rights count, the
 * person's own and those of groups. Hostile bytes. Pure. */
bool rights_may_reset(const uint8_t *sd, size_t len, char *const *sids, size_t nsids);
