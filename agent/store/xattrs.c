/* xattrs: extended attributes of one entry as one packed, sorted list, and that list checked.
 * Setting them is meta.c. Any thread. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "agent/store/attrs.h"
#include "agent/store/meta.h"
#include "agent/store/meta_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

#define LIST_FIRST 1024 /* names of nearly every entry that has any */
#define TRIES 8         /* the list may grow between asking for its size and reading it */

void proc_fd_path(int fd, char ret[PROC_FD_MAX])
{
    (void)snprintf(ret, PROC_FD_MAX, "/proc/self/fd/%d", fd);
}

/* An O_PATH descriptor answers EBADF to the f* calls. Its link in /proc leads to the very entry,
 * even when that is a symbolic link: the kernel jumps to the inode and follows nothing after it. */
static ssize_t list_fd(int fd, char *names, size_t cap)
{
    ssize_t n = flistxattr(fd, names, cap);
    if (n < 0 && errno == EBADF) {
        char path[PROC_FD_MAX];
        proc_fd_path(fd, path);
        n = listxattr(path, names, cap);
    }
    return n;
}

static ssize_t get_fd(int fd, const char *name, void *value, size_t cap)
{
    ssize_t n = fgetxattr(fd, name, value, cap);
    if (n < 0 && errno == EBADF) {
        char path[PROC_FD_MAX];
        proc_fd_path(fd, path);
        n = getxattr(path, name, value, cap);
    }
    return n;
}

ssize_t xattrs_list(int fd, char *small, size_t small_cap, char **retbig)
{
    ssize_t n = list_fd(fd, small, small_cap);
    for (int i = 0; n < 0 && errno == ERANGE && i < TRIES; i++) {
        ssize_t want = list_fd(fd, NULL, 0);
        if (want < 0)
            return -errno;
        free(*retbig);
        *retbig = xmalloc((size_t)want);
        n = list_fd(fd, *retbig, (size_t)want);
    }
    if (n < 0)
        return errno == EOPNOTSUPP || errno == ENOSYS ? 0 : -errno;
    return n;
}

/* What the kernel computes cannot be set elsewhere; ACLs can. */
bool xattr_is_kept(const char *name, size_t len)
{
    static const char system_ns[] = "system.", ours[] = "godwit.", xfs[] = "trusted.SGI_ACL_";
    if (len >= sizeof ours && strncmp(name, ours, sizeof ours - 1) == 0)
        return false; /* a file system that holds any name (FUSE) must not speak for attrs.h */
    if (len >= sizeof xfs - 1 && strncmp(name, xfs, sizeof xfs - 1) == 0)
        return false; /* the ACL once more, as xfs keeps it */
    if (len < sizeof system_ns || strncmp(name, system_ns, sizeof system_ns - 1) != 0)
        return true;
    return xattr_is_acl(name, len) || xattr_is_nfs4(name, len);
}

static bool name_is(const char *name, size_t len, const char *want)
{
    return len == strlen(want) && memcmp(name, want, len) == 0;
}

/* As NFS mounts show them, and what file systems call them that hold them. */
bool xattr_is_nfs4(const char *name, size_t len)
{
    static const char *const names[] = {"system.nfs4_acl", "system.nfs4_dacl", "system.nfs4_sacl",
                                        "system.nfs4_acl_xdr"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        if (name_is(name, len, names[i]))
            return true;
    return false;
}

bool xattr_is_acl(const char *name, size_t len)
{
    static const char access[] = "system.posix_acl_access", def[] = "system.posix_acl_default";
    return (len == sizeof access - 1 && memcmp(name, access, len) == 0) ||
           (len == sizeof def - 1 && memcmp(name, def, len) == 0);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t sorted_names(char *list, size_t len, const char **ret)
{
    size_t n = 0;
    for (char *p = list; p < list + len; p += strlen(p) + 1)
        if (xattr_is_kept(p, strlen(p)))
            ret[n++] = p;
    if (n > 1)
        qsort(ret, n, sizeof *ret, by_name);
    return n;
}

static int append_one(int fd, const char *name, void *value, struct buf *ret)
{
    ssize_t n = get_fd(fd, name, value, XATTR_SIZE_MAX);
    if (n < 0) {
        /* Gone since it was listed, or listed but never readable: neither belongs to the copy. */
        return errno == ENODATA || errno == EOPNOTSUPP ? 0 : -errno;
    }
    buf_put_blob(ret, name, strlen(name));
    buf_put_blob(ret, value, (size_t)n);
    return ret->overflow ? -E2BIG : 0;
}

static size_t add_attrs(const struct attrs *a, const char **names, size_t n)
{
    if (a && a->flags)
        names[n++] = ATTRS_FLAGS;
    if (a && a->has_project)
        names[n++] = ATTRS_PROJECT;
    if (a && n > 1)
        qsort(names, n, sizeof *names, by_name);
    return n;
}

static int append_all(int fd, const struct attrs *a, const char *const *names, size_t count,
                      struct buf *ret)
{
    CLEANUP(mem_free) void *value = count ? xmalloc(XATTR_SIZE_MAX) : NULL;
    size_t from = ret->len;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++) {
        if (attrs_is_name(names[i], strlen(names[i]))) {
            buf_put_blob(ret, names[i], strlen(names[i]));
            attrs_put_value(ret, names[i], a);
        } else {
            rc = append_one(fd, names[i], value, ret);
        }
        if (rc == 0 && (ret->overflow || ret->len - from > XATTRS_MAX))
            rc = -E2BIG;
    }
    if (rc < 0)
        ret->len = from;
    return rc;
}

int xattrs_read_with(int fd, const struct attrs *a, struct buf *ret)
{
    char small[LIST_FIRST];
    CLEANUP(mem_free) char *big = NULL;
    bool more = a && !attrs_none(a);
    ssize_t len = xattrs_list(fd, small, sizeof small, &big);
    if (len < 0 || (len == 0 && !more))
        return (int)len;
    CLEANUP(mem_free) const char **names = xcalloc((size_t)len + 2, sizeof *names);
    size_t count = sorted_names(big ? big : small, (size_t)len, names);
    count = add_attrs(a, names, count);
    return append_all(fd, a, names, count, ret);
}

int xattrs_read(int fd, struct buf *ret)
{
    return xattrs_read_with(fd, NULL, ret);
}

/* Where one side has NFSv4 ACLs on every file and the other has none, no two files would ever be
 * the same: such an ACL is not part of the digest. The ctime of the source tells when it changed.
 */
uint64_t xattrs_digest(const void *packed, size_t len)
{
    static const char nfs4[] = "system.nfs4_";
    if (len == 0 || !memmem(packed, len, nfs4, sizeof nfs4 - 1))
        return len ? XXH3_64bits(packed, len) : 0;
    struct buf b;
    buf_init(&b, XATTRS_MAX + 1);
    struct cursor c = cursor_of(packed, len);
    struct xattr_view x;
    while (xattrs_next(&c, &x)) {
        if (xattr_is_nfs4(x.name, x.name_len))
            continue;
        buf_put_blob(&b, x.name, x.name_len);
        buf_put_blob(&b, x.value, x.value_len);
    }
    uint64_t digest = b.len ? XXH3_64bits(b.data, b.len) : 0;
    buf_done(&b);
    return digest;
}

uint64_t xattrs_shown_digest(const void *packed, size_t len)
{
    static const char own[] = "godwit.";
    if (len == 0 || !memmem(packed, len, own, sizeof own - 1))
        return xattrs_digest(packed, len);
    struct buf b;
    buf_init(&b, XATTRS_MAX + 1);
    struct cursor c = cursor_of(packed, len);
    struct xattr_view x;
    while (xattrs_next(&c, &x)) {
        struct attrs a = {.flags = 0};
        bool is_own = attrs_take(&x, &a);
        a.flags = attrs_showable(a.flags);
        if (is_own && !a.flags)
            continue;
        buf_put_blob(&b, x.name, x.name_len);
        if (is_own) {
            buf_put_varint(&b, sizeof a.flags);
            buf_put_u32(&b, a.flags);
        } else {
            buf_put_blob(&b, x.value, x.value_len);
        }
    }
    uint64_t digest = xattrs_digest(b.data, b.len);
    buf_done(&b);
    return digest;
}

bool xattrs_next(struct cursor *c, struct xattr_view *ret)
{
    if (c->bad || cursor_left(c) == 0)
        return false;
    ret->name = cursor_blob(c, XATTR_NAME_MAX, &ret->name_len);
    ret->value = cursor_blob(c, XATTR_SIZE_MAX, &ret->value_len);
    return !c->bad;
}

int xattr_name_order(const char *a, size_t a_len, const char *b, size_t b_len)
{
    int d = memcmp(a, b, a_len < b_len ? a_len : b_len);
    return d ? d : (a_len > b_len) - (a_len < b_len);
}

static bool name_valid(const struct xattr_view *x)
{
    const char *dot = memchr(x->name, '.', x->name_len);
    return x->name_len > 0 && !memchr(x->name, '\0', x->name_len) && dot && dot > x->name &&
           dot < x->name + x->name_len - 1 &&
           (attrs_is_name(x->name, x->name_len) || xattr_is_kept(x->name, x->name_len));
}

bool xattrs_valid(const void *packed, size_t len)
{
    if (len > XATTRS_MAX)
        return false;
    if (len == 0)
        return true;
    struct cursor c = cursor_of(packed, len);
    struct xattr_view x, before = {.name = NULL};
    while (xattrs_next(&c, &x)) {
        if (!name_valid(&x))
            return false;
        if (before.name && xattr_name_order(before.name, before.name_len, x.name, x.name_len) >= 0)
            return false;
        before = x;
    }
    return !c.bad;
}
