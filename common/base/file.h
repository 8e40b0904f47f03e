/* file: whole small files, read with a limit and written so that they are old or new. Any thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* *ret is malloc'd, NUL-terminated beyond *retlen. -EFBIG over max. */
int file_read(const char *path, size_t max, char **ret, size_t *retlen);
/* All of it, at this place of an open file. */
int file_write_at(int fd, const void *data, size_t n, uint64_t at);
/* Begins to read what of it is not in memory, and does not wait. */
void file_read_ahead(int fd, uint64_t at, uint64_t n);
/* Temporary name, fsync, rename, fsync of the folder. Mode is exact whatever the umask. */
int file_write(const char *path, mode_t mode, const void *data, size_t len);
/* Each connection, file and folder is a descriptor: this process gets what it may have, up to
 * 65,536. */
void file_raise_limit(void);
/* Makes every missing folder of path with this mode. 0 when it is there already. */
int file_mkdirs(const char *path, mode_t mode);
/* A new name, under which nothing may be: -EEXIST. Also where the file system knows no such rename
 * (NFS, FUSE). */
int file_rename_new(const char *from, const char *to);
/* How it is done there. Cut short, both are names of the file; doing it again goes on. */
int file_rename_by_link(const char *from, const char *to);
