/* pull_depot: named streams where the destination's share keeps them in a depot. Which entries have
 * some is put aside while the session goes on; when all has its place they are read from the server
 * into the depot, which goes by the entries' inodes. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pull/depot.h"
#include "agent/pull/pull_priv.h"
#include "agent/store/beneath.h"
#include "agent/store/dents.h"
#include "agent/transfer/spool.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/xxh3.h"

#define TEMP ".godwit-stream"

/* One stream on its way. */
struct incoming_stream {
    struct worker *w;
    struct smb_handle from;
    uint64_t size;
    int fd; /* what is there, or what comes to be */
    uint8_t *room;
    XXH3_state_t *digest; /* of what was written */
};

int pull_depot_open(struct pull *p, struct fault *reterr)
{
    const char *folder = smbacl_depot(p->smbacl);
    p->depot = -1;
    if (!folder)
        return 0;
    if (mkdir(folder, 0755) == 0)
        (void)chmod(folder, 0755); /* as smbd would, whatever our umask */
    int fd = beneath_root(folder, strlen(folder), false);
    int rc = fd < 0 ? fd : spool_new(&p->streams, step_env(p->step)->state_dir);
    if (rc < 0 && fd >= 0)
        (void)fd_close(fd);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "the share's depot of streams, %.100s: %s",
                         folder, strerror(-rc));
    p->depot = fd;
    return 0;
}

void pull_depot_close(struct pull *p)
{
    if (p->depot < 0)
        return;
    (void)fd_close(p->depot);
    (void)spool_free(p->streams);
}

int pull_depot_note(struct worker *w, const struct pull_entry *e)
{
    struct buf b;
    buf_init(&b, PATH_BYTES_MAX);
    buf_put(&b, e->folder->path, e->folder->len);
    if (e->name && b.len > 0)
        buf_put_u8(&b, '/');
    if (e->name)
        buf_put(&b, e->name, strlen(e->name));
    int rc = b.overflow ? -ENAMETOOLONG : spool_put(pull_of(w)->streams, 0, b.data, b.len);
    buf_done(&b);
    return rc;
}

/* ── one stream ── */

/* 1: there it is otherwise. */
static int compare(struct incoming_stream *s, uint64_t at, const void *data, size_t n)
{
    ssize_t k = pread(s->fd, s->room, n, (off_t)at);
    return k == (ssize_t)n && memcmp(s->room, data, n) == 0 ? 0 : 1;
}

static int keep(struct incoming_stream *s, uint64_t at, const void *data, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t k = pwrite(s->fd, (const char *)data + done, n - done, (off_t)(at + done));
        if (k < 0 && errno != EINTR)
            return -errno;
        done += k > 0 ? (size_t)k : 0;
    }
    return XXH3_64bits_update(s->digest, data, n) == XXH_OK ? 0 : -EIO;
}

static int each_block(struct incoming_stream *s,
                      int (*fn)(struct incoming_stream *s, uint64_t at, const void *p, size_t n))
{
    struct puller *k = s->w->own;
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < s->size;) {
        uint32_t n = s->size - at < SMB_READ_MAX ? (uint32_t)(s->size - at) : SMB_READ_MAX;
        const void *data = NULL;
        size_t len = 0;
        CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
        if (n > smb_read_max(k->smb))
            n = smb_read_max(k->smb); /* one that negotiated less */
        rc = pull_ask(s->w, c, smb_put_read(c, &s->from, at, n));
        if (rc == 0)
            rc = smb_get_data(c, 0, &data, &len);
        if (rc == 0 && len != n)
            rc = -EBUSY;
        if (rc == 0)
            rc = fn(s, at, data, len);
        at += n;
    }
    return rc;
}

/* A job that verifies believes the disk alone. */
static void from_disk(const struct incoming_stream *s)
{
    if (s->w->s->spec->options.evidence)
        (void)posix_fadvise(s->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static int read_again(struct incoming_stream *s, int folder, const char *name)
{
    uint64_t was = XXH3_64bits_digest(s->digest), at = 0;
    CLEANUP(fd_close) int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    s->fd = fd;
    from_disk(s);
    (void)XXH3_64bits_reset(s->digest);
    for (ssize_t n; (n = pread(fd, s->room, SMB_READ_MAX, (off_t)at)) != 0; at += (uint64_t)n)
        if (n < 0 || XXH3_64bits_update(s->digest, s->room, (size_t)n) != XXH_OK)
            return -EIO;
    return at == s->size && XXH3_64bits_digest(s->digest) == was ? 0 : -EUCLEAN;
}

/* 1: it stands there as it is at the server. */
static int is_there(struct incoming_stream *s, int folder, const char *name)
{
    struct stat st;
    CLEANUP(fd_close)
    int old = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (old < 0 || fstat(old, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != s->size)
        return 0;
    s->fd = old;
    from_disk(s);
    int rc = each_block(s, compare);
    return rc < 0 ? rc : rc == 0;
}

static int take(struct incoming_stream *s, int folder, const char *name, int file)
{
    int rc = is_there(s, folder, name);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    (void)unlinkat(folder, TEMP, 0); /* of one that was killed */
    CLEANUP(fd_close)
    int fd = openat(folder, TEMP, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    s->fd = fd;
    (void)XXH3_64bits_reset(s->digest);
    rc = each_block(s, keep);
    if (rc == 0)
        rc = depot_place(folder, fd, TEMP, name, file);
    if (rc < 0)
        (void)unlinkat(folder, TEMP, 0);
    return rc == 0 && s->w->s->spec->options.evidence ? read_again(s, folder, name) : rc;
}

static int stream(struct worker *w, const char *path, size_t len, const struct smb_stream *of,
                  int folder, int file)
{
    struct puller *k = w->own;
    if (!beneath_valid_name(of->name, of->name_len))
        return -ENAMETOOLONG;
    CLEANUP(mem_free) char *name = xmemdup(of->name, of->name_len);
    CLEANUP(mem_free) char *whole = xmalloc(len + of->name_len);
    memcpy(whole, path, len);
    memcpy(whole + len, of->name, of->name_len);
    CLEANUP(mem_free) uint8_t *room = xmalloc(SMB_READ_MAX);
    struct incoming_stream s = {.w = w, .size = of->size, .fd = -1, .room = room};
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = pull_ask(w, c, smb_put_open(c, whole, len + of->name_len, 0));
    if (rc == 0)
        rc = smb_get_open(c, 0, &s.from, NULL);
    if (rc < 0)
        return rc;
    s.digest = XXH3_createState();
    rc = s.digest ? take(&s, folder, name, file) : -ENOMEM;
    (void)XXH3_freeState(s.digest);
    smb_shut(k->smb, &s.from);
    return rc;
}

/* ── one entry ── */

static bool listed(const void *data, size_t n, const char *name)
{
    struct cursor c = cursor_of(data, n);
    struct smb_stream s;
    while (smb_stream_next(&c, &s) == 1)
        if (s.name_len == strlen(name) && memcmp(s.name, name, s.name_len) == 0)
            return true;
    return false;
}

/* What the server has no more. */
static void prune(int folder, const void *data, size_t n)
{
    CLEANUP(mem_free) struct dents *d = xmalloc(sizeof *d);
    struct dents_entry e;
    dents_init(d, folder);
    while (dents_next(d, &e) == 1)
        if (e.name[0] == ':' && !listed(data, n, e.name))
            (void)unlinkat(folder, e.name, 0);
}

static int streams(struct worker *w, const char *path, size_t len, const struct smb_call *c,
                   int file)
{
    struct puller *k = w->own;
    struct stat st;
    struct smb_stream s;
    const void *data = NULL;
    size_t n = 0;
    int rc = smb_get_data(c, 1, &data, &n), more = 0;
    if (rc == 0 && fstat(file, &st) < 0)
        rc = -errno;
    CLEANUP(fd_close) int folder = rc < 0 ? rc : depot_enter(k->p->depot, &st);
    if (folder < 0)
        return folder;
    struct cursor at = cursor_of(data, n);
    while (!smb_is_lost(k->smb) && (more = smb_stream_next(&at, &s)) == 1) {
        int err = stream(w, path, len, &s, folder, file);
        rc = rc < 0 ? rc : err; /* the others come all the same */
    }
    if (more == 0)
        prune(folder, data, n);
    return rc < 0 ? rc : more;
}

static int entry(void *arg, const void *row, size_t len)
{
    struct worker *w = arg;
    struct puller *k = w->own;
    CLEANUP(mem_free) char *rel = xmemdup(row, len);
    struct folder f = {.path = rel, .len = len};
    const char *path = NULL;
    size_t n = 0;
    CLEANUP(fd_close) int file = beneath_open(k->p->root, rel, len, O_PATH, 0);
    if (file < 0)
        return 0; /* it could not be placed, and is named for that */
    int rc = pull_path(w, &f, NULL, &path, &n);
    CLEANUP(mem_free) char *whole = xmemdup(path ? path : "", n);
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    if (rc == 0)
        rc = smb_put_open(c, whole, n, SMB_OPEN_ATTRIBUTES);
    if (rc == 0)
        rc = smb_put_streams(c, NULL);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = pull_ask(w, c, rc);
    if (rc == 0)
        rc = smb_get_open(c, 0, NULL, NULL);
    if (rc == 0)
        rc = streams(w, whole, n, c, file);
    if (smb_is_lost(k->smb))
        return rc < 0 ? rc : -ENOTCONN;
    if (rc < 0)
        worker_failed(w, &f, NULL, rc == -EUCLEAN ? 0 : -rc,
                      rc == -EUCLEAN ? "content differs" : "stream");
    return rc == -ECANCELED ? rc : 0;
}

int pull_depot_finish(struct worker *w)
{
    struct pull *p = pull_of(w);
    if (p->depot < 0 || w->s->spec->options.dry_run)
        return 0;
    const char *to = p->from->destination;
    p->root = beneath_root(to, strlen(to), false);
    if (p->root < 0)
        return p->root;
    int rc = spool_each(p->streams, entry, w);
    p->root = fd_close(p->root);
    return rc;
}
