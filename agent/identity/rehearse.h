/* rehearse: this host plays what it is to be, in a network of its own without a way out, on copies
 * that lie in memory alone. Its own process, in a unit that ends with it and all that it started.
 */
#pragma once
#include "agent/identity/stage.h"

/* Everything it learns is in result.checks; -errno when it could not even begin. home: STATE_DIR/
 * cutover. The caller's namespaces are changed: the process has to end afterwards. */
int rehearse(const char *home, const Godwit__IdentityOrder *o, Godwit__IdentityResult *ret,
             struct fault *reterr);
/* Is this order one of those? */
bool rehearse_is(const Godwit__IdentityOrder *o);
/* Shares in what `smbclient -g -L` printed: "Disk|data|…". Hostile bytes. */
bool rehearse_lists(const char *text, const char *share);
