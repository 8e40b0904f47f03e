/* attrs: inode flags (chattr) and project ids of an open entry. In packed attributes they stand
 * beside the extended ones as "godwit.flags" and "godwit.project", names that no file system can
 * hold: what an older peer does not know it counts as an attribute that could not be kept. Nothing
 * here follows a link. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

struct xattr_view;

#define ATTRS_FLAGS "godwit.flags"     /* u32 of FS_*_FL */
#define ATTRS_PROJECT "godwit.project" /* u32 id, u8 inherit */

struct attrs {
    uint32_t flags; /* of those that are kept */
    uint32_t project;
    bool has_project, inherit; /* new entries of a folder get its project */
};

/* All zero where the file system or this descriptor (O_PATH) has none. */
void attrs_of(int fd, struct attrs *ret);
/* statx(2) tells these three without an open: as FS_*_FL. */
uint32_t attrs_shown(uint64_t stx_attributes);
/* Those of flags that statx(2) would tell. */
uint32_t attrs_showable(uint32_t flags);
bool attrs_none(const struct attrs *a);
bool attrs_is_name(const char *name, size_t len);
/* Appends the value of one of the two names. */
void attrs_put_value(struct buf *b, const char *name, const struct attrs *a);
/* Takes x when it is one of the two and well formed. */
bool attrs_take(const struct xattr_view *x, struct attrs *ret);
void attrs_parse(const void *packed, size_t len, struct attrs *ret);

/* Immutable and append-only: they forbid the rename, the links and the metadata that are still to
 * come, so they are set when all else is done. */
uint32_t attrs_late(const void *packed, size_t len);
/* Before the first byte of content: what cannot be set any more afterwards. */
void attrs_set_early(int fd, const void *packed, size_t len);
/* Makes the kept flags what a says, but for the late ones, which go; sets the project when a has
 * one. False: some could not be set. */
bool attrs_set(int fd, const struct attrs *a);
bool attrs_set_late(int fd, uint32_t late);
/* Takes immutable and append-only from the open folder dir and from name in it (NULL: only dir).
 * True: one of them was in the way. */
bool attrs_unlock(int dir, const char *name);
/* Takes them from an open entry; what it had, 0 for none. */
uint32_t attrs_unlock_fd(int fd);
/* Hands an open folder down flags or a project to what is made in it? */
bool attrs_inherited(int fd);
