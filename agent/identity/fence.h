/* fence: what a source's Samba offers while its last changes are copied: for reading only, then
 * nothing. By a flat configuration in the place of smb.conf; the note has the real one. */
#pragma once
#include <stdbool.h>

#include "agent/identity/site.h"
#include "agent/share/smbconf.h"
#include "common/base/fault.h"
#include "proto/identity.pb-c.h"

/* The configuration in force with all shares read-only, or closed. Pure; malloc'd. */
char *fence_render(const struct smbconf *c, bool closed);
/* Notes, writes, has smbd read it, and ends what clients have open: they come back and find it so.
 * 1 when it changed. */
int fence_raise(const struct site *v, bool closed, struct fault *reterr);
/* Is it so, whoever wrote it: nobody may write; closed: and no share is offered or in use? 1, 0,
 * -errno. */
int fence_holds(const struct site *v, bool closed, struct fault *reterr);
/* After the note was put back. */
void fence_reload(const struct site *v);
/* Who has what open, at most max of them; *retcount is of all. */
int fence_open_files(const struct site *v, size_t max, Godwit__IdentityOpenFile ***ret,
                     size_t *retn, size_t *retcount, struct fault *reterr);
/* What `smbstatus -j` printed. Hostile bytes. */
int fence_parse_open(const char *json, size_t max, Godwit__IdentityOpenFile ***ret, size_t *retn,
                     size_t *retcount);
