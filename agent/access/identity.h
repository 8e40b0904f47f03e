/* identity: what this host makes of ids and SIDs, in both directions, asked of its data base of
 * users and of winbind. Changes nothing: where asking would give a SID its first id (idmap tdb),
 * the data base is read instead. Blocking; worker threads. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "proto/access.pb-c.h"

struct idents;

/* Rows of what occurs, with this host's answers. identity_free() frees them. */
Godwit__Identities *identity_of(const struct idents *t);
void identity_free(Godwit__Identities *all);
/* Fills in name, has_sid, as and as_id of each row, and what is said of the whole. */
void identity_resolve(Godwit__Identities *all);

/* Sets nobody of each SID that this host can tell to be nobody's. After identity_resolve(). */
void identity_find_orphans(Godwit__Identities *all);

/* A list with room for n, and one row more in it. */
Godwit__Identities *identity_list(size_t n);
Godwit__Identity *identity_add(Godwit__Identities *all);

/* ── for tests ── */
/* Line k of out is the SID of ids[k], or says that there is none. False: they are not n lines. */
bool identity_take_sids(char *out, Godwit__Identity *const *rows, size_t n);
/* "S-1-5-21-… -> uid/gid 101105", in any order. */
void identity_take_ids(char *out, Godwit__Identity *const *rows, size_t n);
/* "GID 3006 S-1-5-11", as net idmap dump prints them. */
void identity_take_dump(char *out, Godwit__Identity *const *rows, size_t n);
/* "S-1-5-21-… -> LAB\alice 1", as wbinfo prints them: the number tells whether it is somebody. */
void identity_take_names(char *out, Godwit__Identity *const *rows, size_t n);
/* Each SID in the text is somebody's. */
void identity_take_known(const char *out, Godwit__Identity *const *rows, size_t n);
