/* push_depot: named streams that this host's share keeps as files (vfs_streams_depot), onto the
 * server. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pull/depot.h"
#include "agent/pull/smbacl.h"
#include "agent/push/push_priv.h"
#include "agent/store/beneath.h"
#include "agent/store/meta_priv.h"
#include "common/base/mem.h"

int push_depot_open(struct push *p)
{
    const char *folder = smbacl_depot(p->smbacl);
    int fd = folder ? beneath_root(folder, strlen(folder), false) : -ENOENT;
    p->depot = fd < 0 ? -1 : fd;
    return fd < 0 && fd != -ENOENT ? fd : 0; /* -ENOENT: nobody has made a stream yet */
}

static bool is_marked(const struct pusher *k)
{
    struct cursor c = cursor_of(k->xattrs.data, k->xattrs.len);
    struct xattr_view x;
    while (xattrs_next(&c, &x))
        if (x.name_len == sizeof DEPOT_MARK - 1 && memcmp(x.name, DEPOT_MARK, x.name_len) == 0)
            return true;
    return false;
}

void push_depot_leave(struct pusher *k)
{
    if (k->streams >= 0)
        k->streams = fd_close(k->streams);
}

int push_depot_enter(struct pusher *k, int fd)
{
    char path[DEPOT_PATH_MAX];
    struct stat st;
    push_depot_leave(k);
    if (k->p->depot < 0 || !is_marked(k))
        return 0;
    if (fstat(fd, &st) < 0)
        return -errno;
    depot_path(&st, path);
    int folder = beneath_open(k->p->depot, path, strlen(path), O_RDONLY | O_DIRECTORY, 0);
    if (folder >= 0)
        k->streams = folder;
    return folder < 0 && folder != -ENOENT ? folder : 0;
}

/* In blocks, each answered before the next. */
static int write_all(struct pusher *k, int fd, const struct smb_handle *h)
{
    size_t max = smb_write_max(k->smb) < SMB_READ_MAX ? smb_write_max(k->smb) : SMB_READ_MAX;
    int rc = 0;
    ssize_t n = 1;
    for (uint64_t at = 0; rc == 0; at += (uint64_t)n) {
        n = pread(fd, k->room, max, (off_t)at);
        if (n <= 0)
            return n < 0 ? -errno : 0;
        rc = push_pace(k, (uint64_t)n);
        CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
        if (rc == 0)
            rc = smb_ask(c, smb_put_write(c, h, at, k->room, (uint32_t)n));
        if (rc == 0)
            rc = smb_get_done(c, 0);
    }
    return rc;
}

static int write_one(struct pusher *k, const char *path, size_t len, const char *name)
{
    struct stat st;
    struct smb_handle h;
    size_t n = strlen(name);
    CLEANUP(fd_close)
    int fd = openat(k->streams, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return -EBADMSG;
    CLEANUP(mem_free) char *whole = xmalloc(len + n);
    memcpy(whole, path, len);
    memcpy(whole + len, name, n);
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = smb_ask(c, smb_put_make(c, whole, len + n, SMB_MAKE_FILE));
    if (rc == 0)
        rc = smb_get_open(c, 0, &h, NULL);
    if (rc < 0)
        return rc;
    rc = write_all(k, fd, &h);
    CLEANUP(smb_call_free) struct smb_call *end = smb_call_new(k->smb);
    if (smb_is_lost(k->smb))
        return rc;
    int closed = smb_ask(end, smb_put_close(end, &h));
    return rc < 0 ? rc : closed;
}

int push_depot_each(struct pusher *k, const char *path, size_t len)
{
    CLEANUP(mem_free) struct dents *d = xmalloc(sizeof *d);
    struct dents_entry e;
    int rc = 0, more = 0;
    dents_init(d, k->streams);
    while (rc == 0 && (more = dents_next(d, &e)) == 1)
        if (e.name[0] == ':')
            rc = write_one(k, path, len, e.name);
    return rc < 0 ? rc : more < 0 ? more : 0;
}

bool push_depot_has(const struct pusher *k, const struct smb_stream *s)
{
    return !memchr(s->name, '/', s->name_len) &&
           faccessat(k->streams, s->name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}
