/* idents: which users, groups and SIDs occur in a tree, each once with a count. Bounded; a struct
 * idents belongs to one thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/sid.h"

#define IDENTS_MAX 2000U

enum ident_kind { IDENT_UID, IDENT_GID, IDENT_SID };

struct ident {
    enum ident_kind kind;
    uint32_t id;
    struct sid sid;
    uint64_t count; /* 0: a free slot */
};

struct idents;

struct idents *idents_new(void);
struct idents *idents_free(struct idents *t); /* NULL is fine; returns NULL */
DEFINE_CLEANUP(idents_free, struct idents *)

/* Owner and group of an entry. Root is the same everywhere and is none of them. */
void idents_owner(struct idents *t, uint32_t uid, uint32_t gid);
/* The entries of a POSIX ACL as the kernel packs it; what is none adds nothing. */
void idents_acl(struct idents *t, const void *acl, size_t len);
/* The SIDs of an attribute security.NTACL that are of a domain (S-1-5-21-…) or of Unix ids. */
void idents_ntacl(struct idents *t, const void *blob, size_t len);
void idents_descriptor(struct idents *t, const void *sd, size_t len); /* likewise, as SMB has it */
void idents_merge(struct idents *to, const struct idents *from);

bool idents_full(const struct idents *t); /* something did not fit */
/* In the order of kind, id, SID. malloc'd. */
struct ident *idents_list(const struct idents *t, size_t *retn);
