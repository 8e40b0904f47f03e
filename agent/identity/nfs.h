/* nfs: what a source's NFS server exports while its last changes are copied: for reading only, then
 * nothing. By other files in the place of /etc/exports and exports.d; the note has the real ones.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "agent/identity/site.h"
#include "common/base/fault.h"

#define NFS_EXPORTS "/etc/exports"
#define NFS_EXPORTS_DIR "/etc/exports.d"

#define NFS_MARK "# written by godwit while this server moves: the real file comes back by itself\n"

/* The exports of such a file read-only, behind the mark. Pure; malloc'd. -EINVAL: a line is no
 * export. */
int nfs_render(const char *text, size_t len, char **ret, struct fault *reterr);
/* Notes, writes, has the kernel told. 1 when something changed; 0 where nothing is exported. */
int nfs_raise(const struct site *v, bool closed, struct fault *reterr);
/* Notes the files alone, for a person who does the rest. */
int nfs_note(const struct site *v, struct fault *reterr);
/* Is nothing exported for writing, or at all? */
bool nfs_holds(const struct site *v, bool closed);
/* After the note was put back. */
void nfs_reload(const struct site *v);
/* "PATH CLIENTS" of each export; adds to a list as capture_add() does. */
void nfs_list(const struct site *v, char ***list, size_t *n);
