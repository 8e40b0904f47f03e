/* finish: what can only be done once everything is in place: later names of hard-linked files,
 * extras, and the folders' own metadata, deepest first. The thread of the lane that brought FINISH.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/attrs.h"
#include "agent/store/beneath.h"
#include "agent/transfer/compare_priv.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

#define LINK_ROWS (1U << 20)

static struct bytes blob(struct cursor *c, size_t max)
{
    struct bytes b;
    b.p = cursor_blob(c, max, &b.n);
    return b;
}

static bool gone(const struct rlane *l)
{
    return step_cancelled(l->r->step);
}

static bool is_gone(const void *arg)
{
    return gone(arg);
}

/* ── hard links ── */

/* Is what has the first name the file that the source links to? Not when that one failed and an
 * older one stands there, nor when at the source another took its name between the look at it and
 * its sending: what was sent is in its row. One that came in this run may be older than the look at
 * its later name. */
static bool is_first(const struct receiver *r, const struct stat *st, const struct meta *m,
                     const struct catalogue_entry *row)
{
    if (((st->st_mode ^ m->mode) & S_IFMT) || !row || row->ino != m->ino)
        return false;
    if (r->privileged && st->st_nlink > 1 && st->st_uid == r->euid && m->uid != r->euid)
        return false; /* root's own under a name of somebody's: a link that we did not make */
    if (!S_ISREG(m->mode) || st->st_ctim.tv_sec >= r->began_s)
        return true;
    return (uint64_t)st->st_size == m->size && st->st_mtim.tv_sec == m->mtime.tv_sec;
}

/* An immutable file takes no further name, an immutable folder none at all. The folders get their
 * flags back with their metadata. */
static bool link_unlock(int dir, const char *first, int to, uint32_t *retlate)
{
    struct meta m;
    *retlate = meta_stat(dir, first, &m) == 0 ? m.shown : 0;
    bool freed = attrs_unlock(dir, first);
    return attrs_unlock(to, NULL) || freed;
}

static void link_lock(int dir, const char *first, uint32_t late)
{
    CLEANUP(fd_close) int fd = openat(dir, first, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd >= 0)
        (void)attrs_set_late(fd, late);
}

/* By its handle: whoever owns the folder may have put a link to another file under the name since
 * the look at it. */
static int link_handle(int first, int dir, const char *name)
{
    char proc[32];
    (void)snprintf(proc, sizeof proc, "/proc/self/fd/%d", first);
    return linkat(AT_FDCWD, proc, dir, name, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int link_make(struct rlane *l, struct bytes name, const struct meta *m, struct bytes target,
                     const struct catalogue_entry *row, bool *retdone)
{
    struct receiver *r = l->r;
    char to[NAME_BYTES_MAX + 1], first[NAME_BYTES_MAX + 1], temp[PAIR_TEMP_MAX];
    struct stat a, b;
    const char *slash = memrchr(target.p, '/', target.n);
    size_t parent = slash ? (size_t)(slash - target.p) : 0, skip = slash ? parent + 1 : 0;
    memcpy(to, name.p, name.n);
    to[name.n] = '\0';
    memcpy(first, target.p + skip, target.n - skip);
    first[target.n - skip] = '\0';
    CLEANUP(fd_close) int dir = beneath_open(r->root, target.p, parent, O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0)
        return dir;
    CLEANUP(fd_close) int file = openat(dir, first, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0 || fstat(file, &a) < 0)
        return -errno;
    if (!is_first(r, &a, m, row))
        return -ESTALE;
    if (fstatat(l->at.fd, to, &b, AT_SYMLINK_NOFOLLOW) == 0 && a.st_ino == b.st_ino &&
        a.st_dev == b.st_dev)
        return 0;
    temp_small(r->token, atomic_fetch_add(&r->temp_number, 1), temp);
    uint32_t late = 0;
    int rc = link_handle(file, l->at.fd, temp);
    if (rc == -EPERM && r->privileged && link_unlock(dir, first, l->at.fd, &late))
        rc = link_handle(file, l->at.fd, temp);
    if (rc == 0)
        rc = place_rename(r, l->at.fd, temp, to);
    if (late)
        link_lock(dir, first, late);
    if (rc < 0)
        (void)unlinkat(l->at.fd, temp, 0);
    *retdone = rc == 0;
    return rc;
}

/* What is known of a first name; all rows are there: finish_run(). Names of one file come together,
 * so it is looked up once for them. */
static bool first_row(struct rlane *l, struct bytes target, struct catalogue_entry *ret)
{
    const char *slash = memrchr(target.p, '/', target.n);
    size_t parent = slash ? (size_t)(slash - target.p) : 0, skip = slash ? parent + 1 : 0;
    struct bytes folder = {target.p, parent}, name = {target.p + skip, target.n - skip};
    const struct catalogue_entry *e = rows_find(l->r, &l->firsts, folder, name);
    if (e)
        *ret = *e;
    return e;
}

static int link_row(void *arg, const void *row, size_t len)
{
    struct rlane *l = arg;
    struct cursor c = cursor_of(row, len);
    struct bytes folder = blob(&c, PATH_BYTES_MAX), name = blob(&c, NAME_BYTES_MAX);
    struct meta m;
    bool done = false, sound = meta_get(&c, &m);
    struct bytes target = blob(&c, PATH_BYTES_MAX);
    if (gone(l) || !sound || c.bad)
        return gone(l) ? -ECANCELED : -EBADMSG;
    struct catalogue_entry of;
    bool known = first_row(l, target, &of);
    int rc = place_enter(l, folder, true);
    if (rc == 0)
        rc = link_make(l, name, &m, target, known ? &of : NULL, &done);
    if (rc < 0) {
        struct failure f = {folder.p, name.p, folder.n, name.n, -rc, "link"};
        return receiver_failed(l, &f);
    }
    l->placed.entries += done;
    l->placed.files += done;
    /* The catalogue is to know each name of a file: find.c. */
    evidence_link(l, folder, name, &m, &of);
    return l->placed.rows.len > LINK_ROWS ? durable_note(l) : 0;
}

/* ── extras ── */

/* What would be renamed is no extra. */
static int extra_would_go(struct rlane *l, struct bytes folder, const char *name)
{
    struct receiver *r = l->r;
    size_t n = strlen(name), len = folder.n + (folder.n > 0) + n;
    CLEANUP(mem_free) char *path = xmalloc(len + 1);
    if (folder.n)
        memcpy(path, folder.p, folder.n);
    path[folder.n] = '/';
    memcpy(path + len - n, name, n);
    if (moves_dry_leaves(r, path, len) || place_enter(l, folder, false) < 0)
        return 0;
    const struct failure x = {folder.p, name, folder.n, n, 0, "would delete"};
    l->delta.deleted += extras_count(l->at.fd, name);
    faillist_note(r->failures, &x);
    return 0;
}

static int extra_row(void *arg, const void *row, size_t len)
{
    struct rlane *l = arg;
    struct cursor c = cursor_of(row, len);
    struct bytes folder = blob(&c, PATH_BYTES_MAX), name = blob(&c, NAME_BYTES_MAX);
    char text[NAME_BYTES_MAX + 1];
    uint64_t removed = 0;
    if (gone(l))
        return -ECANCELED;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    if (l->r->spec->options.dry_run)
        return extra_would_go(l, folder, text);
    int rc = place_enter(l, folder, true);
    if (rc == 0)
        rc = beneath_remove_unless(l->at.fd, text, is_gone, l, &removed);
    l->delta.deleted += removed;
    if (rc == 0 || rc == -ENOENT || rc == -ECANCELED)
        return rc == -ECANCELED ? rc : 0;
    struct failure f = {folder.p, name.p, folder.n, name.n, -rc, "delete"};
    return receiver_failed(l, &f);
}

/* ── immutable and append-only files ── */

static void late_lost(struct rlane *l, bool kept)
{
    l->delta.skipped_meta += !kept;
    l->lost |= kept ? 0 : (unsigned)META_LOSS_FLAGS;
}

/* Nothing but a regular file of the source's owner and of no more names: it was placed by this run.
 */
static int late_set(struct rlane *l, const char *name, const struct meta *want, uint32_t late)
{
    struct meta m;
    int rc = meta_stat(l->at.fd, name, &m);
    if (rc < 0 || !S_ISREG(m.mode))
        return rc < 0 ? rc : -EBUSY;
    CLEANUP(fd_close)
    int fd = openat(l->at.fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || (rc = meta_stat(fd, "", &m)) < 0)
        return fd < 0 ? -errno : rc;
    if (!S_ISREG(m.mode) || m.nlink > want->nlink || m.uid != want->uid)
        return -EBUSY;
    late_lost(l, attrs_set_late(fd, late));
    return 0;
}

static int late_row(void *arg, const void *row, size_t len)
{
    struct rlane *l = arg;
    struct cursor c = cursor_of(row, len);
    struct bytes folder = blob(&c, PATH_BYTES_MAX), name = blob(&c, NAME_BYTES_MAX);
    struct meta m = {.nlink = cursor_u32(&c)};
    m.uid = cursor_u32(&c);
    uint32_t late = cursor_u32(&c);
    char text[NAME_BYTES_MAX + 1];
    if (gone(l) || c.bad)
        return gone(l) ? -ECANCELED : -EBADMSG;
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    int rc = place_enter(l, folder, false);
    if (rc == 0)
        rc = late_set(l, text, &m, late);
    place_note_losses(l, folder, name);
    if (rc == 0)
        return 0;
    struct failure f = {folder.p, name.p, folder.n, name.n, -rc, "metadata"};
    return receiver_failed(l, &f);
}

/* ── folders ── */

static bool folder_is_right(const struct receiver *r, int fd, const struct meta *m,
                            struct bytes xattrs)
{
    struct stat st;
    uint32_t bits = r->privileged ? 07777U : 0777U;
    if (fstat(fd, &st) < 0 || ((st.st_mode ^ m->mode) & bits) ||
        st.st_mtim.tv_sec != m->mtime.tv_sec || st.st_mtim.tv_nsec != m->mtime.tv_nsec)
        return false;
    if (r->privileged && (st.st_uid != m->uid || st.st_gid != m->gid))
        return false;
    struct buf b;
    struct attrs here, want;
    attrs_parse(xattrs.p, xattrs.n, &want);
    attrs_of(fd, &here);
    here.has_project = here.has_project && want.has_project; /* else it is this side's own */
    buf_init(&b, XATTRS_MAX + 1);
    bool same = xattrs_read_with(fd, &here, &b) == 0 &&
                xattrs_digest(b.data, b.len) == xattrs_digest(xattrs.p, xattrs.n);
    buf_done(&b);
    return same;
}

/* What is mounted there is synced too, also where no entry of it was touched. */
static int folder_note(struct receiver *r, int fd)
{
    struct stat st;
    return fstat(fd, &st) < 0 ? -errno : written_note(r, fd, st.st_dev);
}

static int folder_row(void *arg, const void *row, size_t len)
{
    struct rlane *l = arg;
    struct cursor c = cursor_of(row, len);
    struct meta m;
    bool existed = cursor_u8(&c), made = false;
    struct bytes folder = blob(&c, PATH_BYTES_MAX);
    bool sound = meta_get(&c, &m);
    struct bytes xattrs = blob(&c, XATTRS_MAX);
    if (gone(l) || !sound || c.bad)
        return gone(l) ? -ECANCELED : -EBADMSG;
    CLEANUP(fd_close) int fd = place_open_folder(l->r, folder.p, folder.n, false, &made);
    int rc = fd < 0 ? fd : 0;
    bool right = rc == 0 && existed && folder_is_right(l->r, fd, &m, xattrs);
    if (rc == 0 && !right)
        rc = folder_note(l->r, fd);
    if (rc == 0 && !right)
        rc = place_meta(l, fd, &m, xattrs, true);
    if (rc == 0 && !right && l->r->privileged && attrs_late(xattrs.p, xattrs.n))
        late_lost(l, attrs_set_late(fd, attrs_late(xattrs.p, xattrs.n)));
    place_note_losses(l, folder, (struct bytes){NULL, 0});
    if (rc < 0) {
        struct failure f = {folder.p, NULL, folder.n, 0, -rc, "metadata"};
        return receiver_failed(l, &f);
    }
    l->delta.changed_meta += existed && !right;
    l->placed.entries += !existed;
    if (l->r->spec->options.evidence)
        evidence_folder(l, folder, &m, xattrs);
    return 0;
}

static void doing(struct rlane *l, const char *what)
{
    (void)pthread_mutex_lock(&l->r->lock);
    l->r->doing = what;
    (void)pthread_mutex_unlock(&l->r->lock);
}

/* From now on this is what the source left here. */
static int session_note(struct receiver *r)
{
    const struct transfer_options *o = &r->spec->options;
    if (o->dry_run || o->only_failed)
        return 0;
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = origin_note(r);
    if (rc == 0)
        rc = catalogue_session_put(r->cat, r->session);
    (void)pthread_mutex_unlock(&r->cat_lock);
    return rc;
}

int finish_run(struct rlane *l)
{
    struct receiver *r = l->r;
    FAULT_POINT("linking");
    doing(l, "linking");
    compare_done(&l->compare);
    /* Links go by the rows of their first names: those are to be in the catalogue. */
    int rc = spool_count(r->links) > 0 ? durable_flush(r) : durable_name(r);
    if (rc == 0)
        rc = receiver_say_unsaid(l);
    if (rc == 0)
        rc = spool_each(r->links, link_row, l);
    rows_done(&l->firsts);
    rows_done(&l->laters);
    if (rc == 0) {
        FAULT_POINT("deleting");
        doing(l, "deleting extras");
        rc = spool_each(r->extras, extra_row, l);
    }
    if (rc == 0)
        rc = spool_each(r->late, late_row, l);
    place_leave(l);
    if (rc == 0) {
        FAULT_POINT("folders");
        doing(l, "finishing folders");
        rc = spool_each(r->folders, folder_row, l);
    }
    if (rc == 0)
        rc = evidence_forget_gone(r);
    if (rc == 0)
        rc = durable_note(l);
    if (rc == 0)
        rc = durable_flush(r);
    return rc == 0 ? session_note(r) : rc;
}
