/* meta_priv: what meta.c and xattrs.c share, and tests look at. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "common/base/buf.h"

#define PROC_FD_MAX 32

enum { META_PRIVILEGED = 1, META_NEW = 2 };

void proc_fd_path(int fd, char ret[PROC_FD_MAX]);

/* Names as the kernel lists them: into small, or into *retbig (malloc'd, was NULL) when they do not
 * fit. Length or -errno; 0 also where the file system has no attributes. */
ssize_t xattrs_list(int fd, char *small, size_t small_cap, char **retbig);

struct xattr_view { /* borrows the packed bytes; name has no NUL behind it */
    const char *name;
    const void *value;
    size_t name_len, value_len;
};
/* False at the end or at a bad byte (c->bad). */
bool xattrs_next(struct cursor *c, struct xattr_view *ret);
int xattr_name_order(const char *a, size_t a_len, const char *b, size_t b_len);
bool xattr_is_kept(const char *name, size_t len);
bool xattr_is_acl(const char *name, size_t len);
bool xattr_is_nfs4(const char *name, size_t len);
