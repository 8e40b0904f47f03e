/* lease: who holds the lease of an interface, and that it does not go on holding an address which
 * has moved to another host. Worker thread, or a process of its own. */
#pragma once
#include "agent/identity/site.h"
#include "common/base/fault.h"
#include "proto/undo.pb-c.h"

enum lease_holder {
    LEASE_UNKNOWN,
    LEASE_NETWORKD, /* ends it when its file says so */
    LEASE_DHCLIENT, /* a process, started by ifupdown */
};

enum lease_holder lease_find(const struct site *v, const char *interface);
/* Name servers and domain that came with it, as the holder wrote them; malloc'd, NULL: not known.
 */
void lease_names(const struct site *v, const char *interface, char **retdns, char **retdomain);
/* Into the note: the words by which the process was started; nothing where there is none. */
void lease_tell(const struct site *v, Godwit__UndoInterface *i);
/* The process ends, without giving the lease back: the address goes on to be used. 0 or -errno. */
int lease_end(const struct site *v, const char *interface, struct fault *reterr);
/* As it was noted; 0 also where there was none. */
int lease_begin(const struct site *v, const Godwit__UndoInterface *was, struct fault *reterr);
