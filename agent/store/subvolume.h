/* subvolume: read-only snapshots of btrfs subvolumes. Blocking; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SUBVOLUME_NAME_MAX 255

/* The subvolume that the open folder fd lies in: *retroot is an open descriptor of its root,
 * *retrel (malloc'd) the way from there to fd. -ENOTSUP: not on btrfs. */
int subvolume_of(int fd, int *retroot, char **retrel);
/* A snapshot shows a subvolume inside it as an empty folder: is there one below the open folder fd,
 * but for our own snapshots? Its path in *retname (malloc'd, printable by the caller). */
bool subvolume_has_nested(int fd, char **retname);
/* Makes root's read-only snapshot as name inside it; what has that name and is one of root's
 * read-only snapshots is replaced. An open descriptor; *retid names it for subvolume_drop(). */
int subvolume_snapshot(int root, const char *name, uint64_t *retid);
/* Drops root's snapshot by its id, or with id 0 by its name if it is one of root's. -ENOENT: gone.
 */
int subvolume_drop(int root, const char *name, uint64_t id);
/* Is name in dir a snapshot of ours (of another pair, or left by a dead agent)? It is no part of a
 * source. Costs a call only where the name says so. */
bool subvolume_is_ours(int dir, const char *name);
