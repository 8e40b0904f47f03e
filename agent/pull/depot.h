/* depot: where Samba's vfs_streams_depot looks for the named streams of a file: a folder of its own
 * below the share's depot, called by the file's device and inode. Any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define DEPOT_MARK "user.SAMBA_STREAMS" /* of value "1": the file's folder in the depot counts */
#define DEPOT_PATH_MAX 64

/* "F6/35/01FD…": below the depot. */
void depot_path(const struct stat *st, char ret[DEPOT_PATH_MAX]);
/* The folder of this file's streams, made when it is not there. A descriptor, or -errno. */
int depot_enter(int depot, const struct stat *st);
/* A stream of this name and content stands there under a temporary name, as fd: it gets the file's
 * owner, mode and ACL, is synced and renamed. 0 or -errno. */
int depot_place(int folder, int fd, const char *temp, const char *name, int file);
