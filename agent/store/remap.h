/* remap: what an id map makes of one entry: owner, group, POSIX ACLs, NT descriptor. The source
 * does it as it reads, so that all behind it (listings, comparisons, catalogue, manifest) has to do
 * with what the destination is to have. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "agent/store/meta.h"

struct idmap;

enum remap_loss {
    REMAP_LOSS_NTACL = 1, /* the descriptor's digest cannot be made; it is left out */
    REMAP_LOSS_SHAPE = 2, /* an ACL that is none, which nobody will take; a descriptor: left out */
};

/* Owner and group; map NULL: nothing. */
void remap_meta(const struct idmap *map, struct meta *m);
/* Packed attributes of an entry whose metadata went through remap_meta(), in place. xattrs has room
 * for XATTRS_MAX. retlosses is added to. */
void remap_attrs(const struct idmap *map, const struct meta *m, struct buf *xattrs,
                 unsigned *retlosses);
/* A POSIX ACL as the kernel packs it: its ids mapped, in order again; entries that became one have
 * the rights of both. -EINVAL: none. Appends to ret. */
int remap_acl(const struct idmap *map, const void *acl, size_t len, struct buf *ret);
