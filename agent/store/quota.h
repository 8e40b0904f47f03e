/* quota: limits of users, groups and projects on the file system of an open folder, by quotactl(2).
 * Needs CAP_SYS_ADMIN. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum quota_kind { QUOTA_USER, QUOTA_GROUP, QUOTA_PROJECT, QUOTA_KINDS };

struct quota {
    uint64_t soft_bytes, hard_bytes, soft_files, hard_files; /* 0: no limit */
    uint64_t used_bytes, used_files;
};

/* A bit for each kind that is counted; *retenforced: and whose limits hold. Either may be 0. */
unsigned quota_kinds(int fd, unsigned *retenforced);
/* From *id on the next one that the file system knows: 1, *id is its; 0: none. -ENOSYS: it does not
 * list them. */
int quota_next(int fd, enum quota_kind kind, uint32_t *id, struct quota *ret);
/* -errno; one that is not known has no limits. */
int quota_get(int fd, enum quota_kind kind, uint32_t id, struct quota *ret);
int quota_set(int fd, enum quota_kind kind, uint32_t id, const struct quota *limits);

/* How long a soft limit may be passed; one for all of a kind on a file system. */
struct quota_grace {
    uint64_t bytes_s, files_s;
};
#define QUOTA_GRACE_USUAL 604800U /* the kernel's own: a week */
int quota_grace_get(int fd, enum quota_kind kind, struct quota_grace *ret);
int quota_grace_set(int fd, enum quota_kind kind, const struct quota_grace *g);

bool quota_is_limited(const struct quota *q);
/* Bytes in steps of 4 KiB, to which some file systems round them up. */
bool quota_same_limits(const struct quota *a, const struct quota *b);
