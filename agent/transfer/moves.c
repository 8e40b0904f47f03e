/* moves: renames at the destination what the source has under another name. Noted in the catalogue
 * before the first rename, in its rows after the sync that follows the last: a crash between leaves
 * notes, and moves_recover() looks which of them happened. Nothing else goes by the rename having
 * worked: the entries are listed once more and compared. The lane's thread. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/store/attrs.h"
#include "agent/store/beneath.h"
#include "agent/store/rename.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"

static void name_of(const char *path, size_t len, char ret[NAME_BYTES_MAX + 1], size_t *retparent)
{
    const char *slash = memrchr(path, '/', len);
    size_t parent = slash ? (size_t)(slash - path) : 0, skip = slash ? parent + 1 : 0;
    memcpy(ret, path + skip, len - skip);
    ret[len - skip] = '\0';
    *retparent = parent;
}

static bool is_there(const struct receiver *r, int dir, const char *name,
                     const struct catalogue_move *m)
{
    struct stat st;
    return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == m->ino &&
           st.st_dev == r->root_dev && !((st.st_mode ^ m->row.mode) & S_IFMT);
}

/* ── one rename ── */

struct way { /* folders by handle, names in them */
    int from, to;
    char from_name[NAME_BYTES_MAX + 1], to_name[NAME_BYTES_MAX + 1];
};

static int way_open(struct receiver *r, const struct catalogue_move *m, struct way *ret)
{
    size_t from = 0, to = 0;
    bool made = false;
    name_of(m->from, m->from_len, ret->from_name, &from);
    name_of(m->to, m->to_len, ret->to_name, &to);
    ret->to = -1;
    ret->from = place_open_folder(r, m->from, from, false, &made);
    if (ret->from < 0)
        return ret->from;
    ret->to = place_open_folder(r, m->to, to, false, &made);
    return ret->to < 0 ? ret->to : 0;
}

static void way_close(struct way *w)
{
    if (w->from >= 0)
        (void)fd_close(w->from);
    if (w->to >= 0)
        (void)fd_close(w->to);
}

/* What is in the way; a folder with entries only when extras may be deleted, as planned. */
static int clear(struct receiver *r, const struct way *w)
{
    uint64_t removed = 0;
    if (unlinkat(w->to, w->to_name, 0) == 0 || errno == ENOENT)
        return 0;
    if (unlinkat(w->to, w->to_name, AT_REMOVEDIR) == 0)
        return 0;
    return r->spec->options.delete_extras ? beneath_remove(w->to, w->to_name, &removed) : -errno;
}

static int rename_once(const struct way *w, unsigned flags)
{
    if (flags == RENAME_NOREPLACE)
        return rename_new(w->from, w->from_name, w->to, w->to_name);
    return renameat2(w->from, w->from_name, w->to, w->to_name, flags) < 0 ? -errno : 0;
}

/* Whoever owns the folders may have put something else there since the look: then it goes back. */
static int rename_checked(struct receiver *r, const struct way *w, const struct catalogue_move *m,
                          unsigned flags)
{
    int rc = rename_once(w, flags);
    if (rc == -EPERM && r->privileged) {
        (void)attrs_unlock(w->from, w->from_name);
        (void)attrs_unlock(w->to, w->to_name);
        rc = rename_once(w, flags);
    }
    if (rc < 0 || is_there(r, w->to, w->to_name, m))
        return rc;
    struct way back = {.from = w->to, .to = w->from};
    memcpy(back.from_name, w->to_name, sizeof back.from_name);
    memcpy(back.to_name, w->from_name, sizeof back.to_name);
    (void)rename_once(&back, m->swap ? RENAME_EXCHANGE : RENAME_NOREPLACE);
    return -EBUSY;
}

static int hop_do(struct receiver *r, const struct hop *h)
{
    static const unsigned flags[] = {[HOP_NEW] = RENAME_NOREPLACE,
                                     [HOP_OVER] = 0,
                                     [HOP_CLEAR] = RENAME_NOREPLACE,
                                     [HOP_SWAP] = RENAME_EXCHANGE};
    struct way w = {.from = -1, .to = -1};
    int rc = way_open(r, &h->m, &w);
    if (rc == 0 && !is_there(r, w.from, w.from_name, &h->m))
        rc = -ESTALE;
    if (rc == 0 && h->how == HOP_CLEAR)
        rc = clear(r, &w);
    if (rc == 0)
        rc = rename_checked(r, &w, &h->m, flags[h->how]);
    way_close(&w);
    FAULT_POINT("moved");
    return rc;
}

/* ── a block ── */

static int note_all(struct receiver *r, const struct hops *h)
{
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h->n; i++)
        rc = catalogue_move_note(r->cat, &h->all[i].m);
    if (rc == 0)
        rc = catalogue_commit(r->cat);
    else
        catalogue_abandon(r->cat);
    (void)pthread_mutex_unlock(&r->cat_lock);
    return rc;
}

/* What was renamed is durable before its rows are. */
static int sync_all(struct receiver *r)
{
    (void)pthread_mutex_lock(&r->flush_lock);
    int rc = r->sync_failed ? -EIO : written_sync(r);
    r->sync_failed = rc < 0;
    (void)pthread_mutex_unlock(&r->flush_lock);
    if (rc == 0)
        return 0;
    struct fault f;
    (void)fault_set(&f, FAULT_STOP_JOB, -rc, "cannot make the destination durable: %s",
                    strerror(-rc));
    receiver_stop(r, &f);
    return rc;
}

static int rows_all(struct receiver *r, const struct hops *h, size_t n)
{
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++) {
        rc = catalogue_move_rows(r->cat, &h->all[i].m);
        if (rc == 0 && S_ISDIR(h->all[i].m.row.mode))
            moves_renamed(r, &h->all[i].m);
    }
    if (rc == 0)
        rc = catalogue_move_clear(r->cat);
    if (rc == 0)
        rc = catalogue_commit(r->cat);
    else
        catalogue_abandon(r->cat);
    (void)pthread_mutex_unlock(&r->cat_lock);
    atomic_fetch_add(&r->moved, 1);
    return rc;
}

static int hops_do(struct rlane *l, const struct hops *h)
{
    struct receiver *r = l->r;
    size_t n = 0;
    int rc = note_all(r, h);
    if (rc < 0)
        return rc;
    FAULT_POINT("moves-noted");
    while (n < h->n && hop_do(r, &h->all[n]) == 0)
        n++; /* those behind one that fails count on it: they are sent */
    rc = sync_all(r);
    FAULT_POINT("moves-synced");
    if (rc == 0)
        rc = rows_all(r, h, n);
    FAULT_POINT("moves-committed");
    l->delta.renamed += n;
    return rc;
}

static bool has_folder(const struct hops *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (S_ISDIR(h->all[i].m.row.mode))
            return true;
    return false;
}

/* Another lane may have entered a folder since it was planned: it stays, and what counts on it. */
static void cut_touched(struct receiver *r, struct hops *h)
{
    size_t n = 0;
    while (n < h->n) {
        const struct catalogue_move *m = &h->all[n].m;
        if (S_ISDIR(m->row.mode) && (touched_has(r->touched, m->from, m->from_len) ||
                                     touched_has(r->touched, m->to, m->to_len)))
            break;
        n++;
    }
    while (h->n > n)
        catalogue_move_done(&h->all[--h->n].m);
}

/* Whoever entered a folder would go on in it by its old path: from the last look to the last row
 * nobody enters any. */
static int folders_do(struct rlane *l, struct hops *h)
{
    struct receiver *r = l->r;
    touched_hold(r->touched);
    cut_touched(r, h);
    /* Names that wait, and rows, are by the folders' paths. */
    int rc = h->n == 0 || durable_is(r) ? 0 : durable_flush(r);
    if (rc == 0 && h->n > 0)
        rc = hops_do(l, h);
    touched_release(r->touched);
    return rc;
}

static void would_rename(struct rlane *l, const struct hops *h)
{
    for (size_t i = 0; i < h->n; i++) {
        const struct catalogue_move *m = &h->all[i].m;
        const struct failure x = {"", m->from, 0, m->from_len, 0, "would rename"};
        size_t len = 0;
        CLEANUP(mem_free) char *came = moves_dry_origin(l->r, m->to, m->to_len, &len);
        if (came && len == m->from_len && memcmp(came, m->from, len) == 0)
            continue; /* it would have changed places with another before */
        moves_dry_note(l->r, m);
        faillist_note(l->r->failures, &x);
        l->delta.renamed++;
    }
}

/* False: nobody can go to a folder that is not there, but in a dry run. */
static bool enter(struct rlane *l, struct bytes folder)
{
    bool dry = l->r->spec->options.dry_run;
    CLEANUP(mem_free)
    char *origin = dry ? moves_dry_origin(l->r, folder.p, folder.n, &folder.n) : NULL;
    if (origin)
        folder.p = origin;
    if (place_enter(l, folder, false) == 0)
        return true;
    if (dry)
        l->at =
            (struct place_folder){.path = xmemdup(folder.p, folder.n), .len = folder.n, .fd = -1};
    return dry;
}

int moves_run(struct rlane *l, struct cursor *c)
{
    struct receiver *r = l->r;
    struct bytes folder;
    uint32_t count = 0;
    struct hops h = {.n = 0};
    int rc = l->can_move ? moves_head_get(c, &folder, &count) : -EPROTO;
    if (rc < 0 || !enter(l, folder))
        return rc;
    rc = moves_plan(l, c, count, &h);
    if (rc == 0 && h.n > 0 && r->spec->options.dry_run)
        would_rename(l, &h);
    else if (rc == 0 && h.n > 0)
        rc = has_folder(&h) ? folders_do(l, &h) : hops_do(l, &h);
    moves_hops_done(&h);
    if (l->at.fd < 0)
        place_leave(l);
    return rc;
}

/* ── after a crash ── */

static int collect(void *arg, struct catalogue_move *m)
{
    struct hops *h = arg;
    h->all = xrealloc(h->all, (h->n + 1) * sizeof *h->all);
    h->all[h->n++] = (struct hop){.m = *m};
    return 0;
}

static bool happened(struct receiver *r, const struct catalogue_move *m)
{
    char name[NAME_BYTES_MAX + 1];
    size_t parent = 0;
    name_of(m->to, m->to_len, name, &parent);
    CLEANUP(fd_close) int fd = beneath_open(r->root, m->to, parent, O_PATH | O_DIRECTORY, 0);
    return fd >= 0 && is_there(r, fd, name, m);
}

int moves_recover(struct receiver *r)
{
    struct hops h = {.n = 0};
    if (r->spec->options.dry_run)
        return 0;
    (void)pthread_mutex_lock(&r->cat_lock);
    int rc = catalogue_move_each(r->cat, collect, &h);
    (void)pthread_mutex_unlock(&r->cat_lock);
    bool some = h.n > 0 || rc == -EBADMSG; /* damaged: rows that do not fit cost a look */
    size_t n = rc == 0 ? h.n : 0;
    while (n > 0 && !happened(r, &h.all[n - 1].m))
        n--; /* they were done one after the other, and file systems keep the order */
    if (some)
        rc = sync_all(r);
    if (some && rc == 0)
        rc = rows_all(r, &h, n);
    moves_hops_done(&h);
    return rc;
}
