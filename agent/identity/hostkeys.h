/* hostkeys: the SSH host keys of a server that moves with them (--ssh-keys): sshd has to read what
 * came, and the source makes keys of its own when the move is final. Worker thread, or a process of
 * its own. */
#pragma once
#include "agent/identity/stage.h"
#include "agent/identity/undo.h"

#define HOSTKEY_KINDS 3
extern const char *const hostkey_kinds[HOSTKEY_KINDS]; /* "rsa": ssh_host_rsa_key */

/* sshd reads its keys; nobody waits for it, and sessions go on. */
void hostkeys_reload(const struct site *v);
bool hostkeys_noted(const struct undo *u); /* has a note one of them? */
/* Of each kind that is here another one; what cannot be made stays, and is told. */
void hostkeys_renew(struct stage_run *r);
