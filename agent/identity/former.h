/* former: whose card had this host's addresses before it took them over. A destination that was
 * away and starts asks by ARP whether that one has them again: then it is the server no more.
 * Blocking; at the start of a host, before its network. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "proto/identity.pb-c.h"

#define FORMER_FILE "former"
#define FORMER_MAX 16 /* addresses; one that answers is enough */

struct former {
    char address[64];          /* without a prefix */
    char theirs[18], mine[18]; /* MACs, small letters */
};

/* Remembers it in a cutover's folder; nothing where no address moves. 0 or -errno. */
int former_note(const char *folder, const Godwit__IdentityPlan *p);
/* Lines of the file, at most FORMER_MAX; what is none is left out. */
size_t former_parse(const char *text, struct former ret[FORMER_MAX]);
/* Does the source's card answer for one of them? Sets our cards up to ask, and waits for them a few
 * seconds. False also where that cannot be told. */
bool former_is_back(const char *folder);
