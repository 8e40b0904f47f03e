/* rename: gives an entry a name that nothing has. Any thread. */
#pragma once

/* -EEXIST: something has it. On a file system that cannot spare what is there by itself (NFS, some
 * of FUSE) a look comes first: a file, or an empty folder over which a folder comes, that another
 * puts there in between goes. */
int rename_new(int from, const char *name, int to, const char *new_name);
