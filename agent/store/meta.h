/* meta: everything of an entry but its name and content; read from and set on an open file, never
 * through a path that another user could swap. Blocking; any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "common/base/buf.h"
#include "common/base/fault.h"

#define XATTRS_MAX (1 << 20) /* packed bytes of one entry; more is a fault of that entry */
#define SYMLINK_TARGET_MAX 4096

struct meta {
    uint32_t mode; /* type and permissions, as st_mode */
    uint32_t uid, gid, nlink;
    uint64_t size, blocks512, ino, dev, rdev;
    struct timespec mtime, ctime, atime;
    struct timespec btime;     /* birth; all zero: not told. Can be read, never set; stays here */
    uint32_t shown;            /* inode flags that statx(2) tells: attrs.h; stays here */
    uint32_t own_uid, own_gid; /* after remap_meta(): as it was before; stays here */
};

void meta_from_stat(const struct stat *st, struct meta *ret);
/* By statx(2), with birth time and flags; name "" is dir itself. No link is followed. */
int meta_stat(int dir, const char *name, struct meta *ret);
/* Same size, mtime and type (and ctime and inode with strict): what "unchanged" means. */
bool meta_same_content(const struct meta *a, const struct meta *b, bool strict);

struct attrs;

/* Appends all extended attributes (POSIX ACLs are among them) sorted by name, as varint-length name
 * and value pairs, to ret. fd may be O_PATH. None is 0 with nothing appended. */
int xattrs_read(int fd, struct buf *ret);
/* The same with flags and project (attrs.h) among them; NULL: none. */
int xattrs_read_with(int fd, const struct attrs *a, struct buf *ret);
/* XXH3-64; 0 when there is none but NFSv4 ACLs, which do not count. */
uint64_t xattrs_digest(const void *packed, size_t len);
/* Of packed attributes with all flags: what a look without an open (look.h) would give. */
uint64_t xattrs_shown_digest(const void *packed, size_t len);
bool xattrs_valid(const void *packed, size_t len); /* hostile bytes: shape, limits, order */

/* What could not be kept, as bits. */
enum meta_loss {
    META_LOSS_OWNER = 1,
    META_LOSS_MODE = 2,
    META_LOSS_TIMES = 4,
    META_LOSS_XATTR = 8,
    META_LOSS_ACL = 16,
    META_LOSS_FLAGS = 32, /* inode flags or the project */
    META_LOSS_NFS4 = 64,
};

/* Sets owner, xattrs (removing those that are not in packed), mode and times, in the order that
 * keeps capabilities and setid bits. fd: an open file or folder, or O_PATH for other types.
 * Attributes that this user or file system cannot hold are set in *retlosses and are no error;
 * privileged false makes owner and trusted./security. attributes such losses; then setid bits go as
 * well. An ACL that cannot be set narrows the group bits to what it gave the owning group.
 * Immutable and append-only are taken away and not set: attrs_set_late() does, when all is done.
 * retlosses is added to. Returns 0 or -errno for real errors; -EINVAL: type or packed attributes
 * are not what the caller said. */
int meta_apply(int fd, const struct meta *m, const void *xattrs, size_t xattrs_len, bool privileged,
               unsigned *retlosses);
/* The same for an entry that the caller just created and that inherited nothing: in a folder made
 * by beneath_mkdirs() whose own metadata is not yet set, or any symlink. Saves listing attributes.
 * In other folders a default ACL may have been inherited: use meta_apply(). */
int meta_apply_new(int fd, const struct meta *m, const void *xattrs, size_t xattrs_len,
                   bool privileged, unsigned *retlosses);
