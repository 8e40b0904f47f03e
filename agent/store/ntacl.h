/* ntacl: Samba's NT security descriptor of an entry (attribute security.NTACL) with other SIDs in
 * it. Such a descriptor counts only while its digest of owner, group, mode and POSIX ACLs is right
 * (vfs_acl_xattr), so that is made anew. Bytes of files: hostile. Any thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "common/base/buf.h"

#define NTACL_NAME "security.NTACL"
#define NTACL_HASH_BYTES 32

struct idmap;
struct sid;

/* What Samba's digest covers. ACLs as the kernel packs them; NULL: none. */
struct ntacl_posix {
    uint32_t uid, gid, mode; /* mode with its type */
    const void *access, *inherit;
    size_t access_len, inherit_len;
};

/* -EINVAL: an ACL is malformed. */
int ntacl_posix_hash(const struct ntacl_posix *p, uint8_t ret[NTACL_HASH_BYTES]);

enum ntacl_fate {
    NTACL_KEPT,   /* nothing in it changes; ret has nothing added */
    NTACL_MAPPED, /* appended to ret */
    NTACL_LOST,   /* its digest is of a kind that only the Samba that made it can make */
};

/* before and after: what the map makes of the rest of the entry. -EBADMSG: it is no such
 * descriptor. A digest that was wrong before stays wrong: Samba passed over it, and goes on. */
int ntacl_map(const void *blob, size_t len, const struct idmap *map,
              const struct ntacl_posix *before, const struct ntacl_posix *after, struct buf *ret,
              enum ntacl_fate *retfate);

/* A self-relative descriptor alone, as SMB has it. 1: with other SIDs, appended to ret. 0: the map
 * changes nothing in it. -EBADMSG: it is none; -E2BIG. */
int ntacl_map_descriptor(const void *sd, size_t len, const struct idmap *map, struct buf *ret);

typedef void (*ntacl_each_sid)(void *arg, const struct sid *sid);
/* Each SID in it once or more: owner, group, entries. -EBADMSG. */
int ntacl_each(const void *blob, size_t len, ntacl_each_sid each, void *arg);
/* The same of a self-relative descriptor alone. */
int ntacl_each_descriptor(const void *sd, size_t len, ntacl_each_sid each, void *arg);
