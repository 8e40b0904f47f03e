/* smbacl: what this host's smbd makes of a security descriptor: owner, mode, ACL and its own
 * attribute. smbd's code sets each different descriptor once, on a scratch entry that nobody else
 * can reach; what it wrote there is what every file with that descriptor gets, byte for byte.
 * Locks inside; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/cleanup.h"
#include "common/base/fault.h"

struct smbacl;

struct smbacl_look {
    uint32_t mode; /* permissions only */
    uint32_t uid, gid;
    const void *xattrs; /* packed; borrowed until smbacl_free() */
    size_t xattrs_len;
    bool known; /* false: smbd did not take it (-errno in err), or there is none */
    int err;
};

/* scratch: a folder that is made, and removed in the end. destination: where files will lie: the
 * share that holds it says how. Without Samba on this host: 0, and nothing is known. */
int smbacl_new(struct smbacl **ret, const char *scratch, const char *destination,
               struct fault *reterr);
struct smbacl *smbacl_free(struct smbacl *n);
DEFINE_CLEANUP(smbacl_free, struct smbacl *)
bool smbacl_is_there(const struct smbacl *n);
/* Where the share keeps named streams as files (vfs_streams_depot); NULL: it does not. */
const char *smbacl_depot(const struct smbacl *n);
/* The same of a folder, asked when nothing is under way. */
bool smbacl_has_depot(const char *destination);

/* The other way: the descriptor that smbd reads of an entry with this owner, mode and attributes,
 * in look's xattrs, borrowed likewise. Needs root. */
struct meta;
int smbacl_tell(struct smbacl *n, const struct meta *m, const void *xattrs, size_t len,
                struct smbacl_look *ret);

int smbacl_look(struct smbacl *n, const void *descriptor, size_t len, bool folder,
                struct smbacl_look *ret);
