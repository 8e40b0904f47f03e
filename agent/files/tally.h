/* tally: the sums of an inventory. Plain numbers without a lock: one per thread, added up at the
 * end. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define TALLY_SIZES 16 /* [0] empty, [n] below 4^n KiB, last: the rest */

#define TALLY_COLD 3 /* bytes that did not change for 1, 3, 5 years before now_s */

struct tally {
    int64_t now_s; /* 0: nothing is cold */
    uint64_t files, folders, symlinks, devices, fifos, sockets, bytes, allocated, hard_linked,
        sparse, with_acl, with_xattr, with_capability, setid, non_utf8, longest_path, deepest,
        largest_folder, unreadable;
    uint64_t with_flags, with_project, with_nfs4_acl, with_birth, sealed, shared_files,
        shared_bytes, left_out, cold[TALLY_COLD];
    int64_t oldest_birth_ms, newest_birth_ms; /* valid when with_birth > 0 */
    uint64_t sizes[TALLY_SIZES];
    int64_t newest_ms, oldest_ms; /* of regular files; valid when files > 0 */
};

enum tally_has {
    TALLY_ACL = 1,
    TALLY_CAPABILITY = 2,
    TALLY_XATTR = 4,
    TALLY_NFS4 = 8,
    TALLY_FLAGS = 16,
    TALLY_SEALED = 32,
};

void tally_entry(struct tally *t, const struct stat *st, unsigned has);
void tally_birth(struct tally *t, int64_t ms);
void tally_name(struct tally *t, const char *name, size_t len, size_t path_len, size_t depth);
bool tally_is_utf8(const char *name, size_t len);
unsigned tally_xattr_names(const char *names, size_t len); /* as listxattr(2) gives them */
void tally_add(struct tally *to, const struct tally *from);
uint64_t tally_entries(const struct tally *t);
