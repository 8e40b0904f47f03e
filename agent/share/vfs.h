/* vfs: which modules this host's smbd has. A share that names one that is not there can be opened
 * by nobody. Blocking; worker threads. */
#pragma once
#include "agent/share/server.h"
#include "common/base/cleanup.h"

struct vfs;

/* NULL: smbd is not there, or does not say. */
struct vfs *vfs_ask(const struct server *v);
struct vfs *vfs_free(struct vfs *m); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(vfs_free, struct vfs *)
/* objects: the value of "vfs objects". The first module that is not here; malloc'd, NULL: all are.
 */
char *vfs_missing(const struct vfs *m, const char *objects);
