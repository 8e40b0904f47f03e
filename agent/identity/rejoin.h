/* rejoin: a host leaves its domain and its account stays; another joins as that account. Rights are
 * looked at before every call that changes the directory. Process with rights. */
#pragma once
#include "agent/identity/ads.h"
#include "agent/identity/stage.h"

/* The stage "leave", both roles: the account is disabled, not deleted; this host has no key any
 * more. */
int rejoin_leave(struct stage_run *r);
int rejoin_leave_note(struct stage_run *r); /* for a person, who leaves */
int rejoin_leave_probe(struct stage_run *r);
/* After the files are back: the account counts again, with the key that this host has. */
int rejoin_leave_undone(struct stage_run *r);

/* Joins as NAME: of the plan's old name an existing account alone; of the source's new one also one
 * that is to be made. 1, 0, -errno (-ENOKEY: no credential is here). */
int rejoin_join(struct stage_run *r);
int rejoin_join_note(struct stage_run *r); /* for a person, who joins */
int rejoin_join_probe(struct stage_run *r);
/* An account that was made for it goes. */
int rejoin_join_undone(struct stage_run *r);
/* How the credential's owner asks at dc; who is the caller's to free, also after a failure. */
int rejoin_ask(struct stage_run *r, const char *dc, struct credential **retwho, struct ads *ret);
/* Before it changes: which account, at which controller, in which container; made: it was not there
 * before. */
int rejoin_note(struct stage_run *r, const char *netbios, const char *dc, const char *dn,
                bool made);
/* The computer account that nobody is any more; 1: removed, 0: there was none, -ENOKEY: a person
 * has to, -errno. */
int rejoin_remove(struct stage_run *r, const char *dc, const char *netbios);
