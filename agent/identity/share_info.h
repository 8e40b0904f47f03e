/* share_info: what shares' descriptors become when a machine's SID moves here: those of the source
 * that name its own accounts stand for themselves again. The file is Samba's share_info.tdb. */
#pragma once
#include <stddef.h>

/* here: the file as it is, which need not be there; from: the source's content; sid: its machine's,
 * as text. folder: a private one. *ret: what the file is to hold, malloc'd; NULL: what it holds. 0
 * or -errno. Samba must not run. */
int share_info_merge(const char *here, const void *from, size_t fromlen, const char *sid,
                     const char *folder, char **ret, size_t *retlen);
