/* before: what stood on this server before shares were put there, on disk before the first change,
 * so that a failure or a crash is undone whole. Worker threads; one at a time (the caller's lock).
 */
#pragma once
#include <stdbool.h>

#include "agent/share/server.h"
#include "common/base/fault.h"
#include "proto/shares.pb-c.h"

/* One that is empty; freed with godwit__share_before__free_unpacked(). */
Godwit__ShareBefore *before_new(void);
/* path is to hold this (NULL: to be gone) from now on. What it holds now is read. mode: of a new
 * file. */
int before_file(Godwit__ShareBefore *b, const char *path, const char *after, unsigned mode);
void before_registry(Godwit__ShareBefore *b, const char *name, const char *text); /* NULL: absent */
void before_descriptor(Godwit__ShareBefore *b, const char *name, const char *sddl);

int before_save(const struct server *v, const char *pair, const Godwit__ShareBefore *b);
void before_forget(const struct server *v, const char *pair);
/* Puts every file in its new form, in order; stops at the first that fails. */
int before_write_files(const Godwit__ShareBefore *b);
/* Back to what was; what somebody else changed meanwhile stays. -errno of the first that failed. */
int before_undo(const struct server *v, const Godwit__ShareBefore *b);
/* Undoes what dead agents left, of every pair. */
void before_recover(const struct server *v);

/* Tell smbd and NFS. 0 or -errno; a server that does not run is no error. */
int before_reload(const struct server *v, bool samba, bool nfs, struct fault *reterr);
int before_import(const struct server *v, const char *name, const char *text, struct fault *reterr);
