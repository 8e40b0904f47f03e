/* push_walk: one folder: what is here against what is there. Worker threads. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/push/push_priv.h"
#include "agent/store/beneath.h"
#include "agent/store/pathstack.h"
#include "agent/store/subvolume.h"
#include "common/base/filter.h"
#include "common/base/mem.h"

/* What no server of Windows takes: control bytes, some signs, a dot or blank at the end. */
bool push_name_good(const char *name, size_t len)
{
    bool good = len > 0 && name[len - 1] != '.' && name[len - 1] != ' ';
    for (size_t i = 0; good && i < len; i++)
        good = (unsigned char)name[i] >= 0x20 && !strchr("\"*:<>?\\|/", name[i]);
    return good && smb_name_good(name, len);
}

static int push_below(struct pusher *k, const char *name, uint32_t flags)
{
    size_t n = strlen(name), len = k->path_len + (k->path_len > 0) + n;
    if (len > PUSH_PATH_MAX) {
        push_failed(k, name, ENAMETOOLONG, "open folder");
        return 0;
    }
    CLEANUP(mem_free) char *path = xmalloc(len + 1);
    memcpy(path, k->path, k->path_len);
    path[k->path_len] = '/';
    memcpy(path + len - n, name, n);
    return pathstack_push(k->p->stack, path, len, flags);
}

/* ── a folder in it ── */

/* With its descriptor: what comes into it is nobody's who may not see it. */
static int make_folder(struct pusher *k, const char *name, const struct outgoing *x)
{
    size_t len = 0;
    CLEANUP(mem_free) char *path = push_path(k, name, &len);
    CLEANUP(smb_call_free) struct smb_call *c = smb_call_new(k->smb);
    int rc = path ? smb_put_make(c, path, len, SMB_MAKE_FOLDER) : -ENAMETOOLONG;
    if (rc == 0 && x->sd)
        rc = push_describe(c, NULL, x);
    if (rc == 0)
        rc = smb_put_close(c, NULL);
    rc = smb_ask(c, rc);
    return rc == 0 ? smb_get_done(c, 0) : rc; /* the second round tells of its descriptor */
}

static int new_folder(struct pusher *k, const char *name)
{
    struct outgoing x;
    if (push_is_dry(k))
        return push_below(k, name, PUSH_FRESH);
    CLEANUP(fd_close) int fd = openat(k->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = fd < 0 ? -errno : push_outgoing(k, fd, name, &x);
    if (rc == 0)
        rc = make_folder(k, name, &x);
    if (rc == 0)
        return push_below(k, name, PUSH_FRESH);
    if (smb_is_lost(k->smb) || rc == -ENOSPC || rc == -EDQUOT || rc == -EROFS)
        return rc;
    push_failed(k, name, -rc,
                rc == -EEXIST ? "another name is the same to the server" : "make folder");
    return 0;
}

/* Something of another kind stands there. 1: it is gone now. */
static int clear_way(struct pusher *k, const char *name, const struct there *t)
{
    size_t len = 0;
    bool folder = (t->attributes & (SMB_ATTR_FOLDER | SMB_ATTR_REPARSE)) == SMB_ATTR_FOLDER;
    if (folder && !k->p->order->options->delete_extras) {
        push_failed(k, name, ENOTEMPTY, "a folder is in the way");
        return 0;
    }
    CLEANUP(mem_free) char *path = push_path(k, name, &len);
    int rc = !path ? -ENAMETOOLONG : push_is_dry(k) ? 0 : push_remove(k, path, len, folder, 0);
    if (rc == 0)
        return 1;
    if (smb_is_lost(k->smb))
        return rc;
    push_failed(k, name, -rc, "replace");
    return 0;
}

static int one_folder(struct pusher *k, const char *name, const struct there *t)
{
    if (t && (t->attributes & (SMB_ATTR_FOLDER | SMB_ATTR_REPARSE)) == SMB_ATTR_FOLDER)
        return push_below(k, name, 0);
    int rc = t ? clear_way(k, name, t) : 1;
    return rc == 1 ? new_folder(k, name) : rc;
}

/* ── a file in it ── */

static bool same_content(const struct there *t, const struct meta *m)
{
    return t->size == m->size && t->write.tv_sec == m->mtime.tv_sec &&
           t->write.tv_nsec / 100 == m->mtime.tv_nsec / 100;
}

static int one_file(struct pusher *k, const char *name, const struct there *t, const struct meta *m)
{
    push_count(k, offsetof(struct counters, total_files), 1);
    push_count(k, offsetof(struct counters, total_bytes), m->size);
    if (t && (t->attributes & (SMB_ATTR_FOLDER | SMB_ATTR_REPARSE))) {
        int rc = clear_way(k, name, t);
        if (rc != 1)
            return rc;
        t = NULL;
    }
    if (t && same_content(t, m)) {
        push_count(k, offsetof(struct counters, unchanged_files), 1);
        push_count(k, offsetof(struct counters, unchanged_bytes), m->size);
        return push_is_dry(k) ? 0 : push_same(k, name);
    }
    if (push_is_dry(k)) {
        push_count(k, offsetof(struct counters, files), 1);
        push_count(k, offsetof(struct counters, bytes), m->size);
        return 0;
    }
    return push_file(k, name, t);
}

/* ── the folder ── */

static bool left_out(const struct pusher *k, const char *name, const struct meta *m)
{
    const struct transfer_options *o = k->p->order->options;
    int64_t ms = (int64_t)m->mtime.tv_sec * 1000 + m->mtime.tv_nsec / 1000000;
    if (o->one_file_system && m->dev != k->p->root_dev)
        return true;
    return o->filter &&
           (filter_name(o->filter, k->path, k->path_len, name, strlen(name), S_ISDIR(m->mode)) ||
            (S_ISREG(m->mode) && filter_file(o->filter, m->size, ms)));
}

static int one(struct pusher *k, const struct dents_entry *e)
{
    struct meta m;
    struct there *t = there_find(k, e->name, e->len);
    if (subvolume_is_ours(k->fd, e->name))
        return 0;
    int rc = meta_stat(k->fd, e->name, &m);
    if (rc < 0) {
        if (rc != -ENOENT)
            push_failed(k, e->name, -rc, "stat");
        return 0;
    }
    if (left_out(k, e->name, &m))
        return 0;
    if (k->p->folders_only)
        return S_ISDIR(m.mode) && push_name_good(e->name, e->len) ? push_below(k, e->name, 0) : 0;
    bool twice = t && t->seen;
    if (t)
        t->seen = true;
    if (twice || !push_name_good(e->name, e->len))
        push_failed(k, e->name, twice ? EEXIST : EILSEQ,
                    twice ? "another name is the same to the server" : "name");
    else if (S_ISDIR(m.mode))
        return one_folder(k, e->name, t);
    else if (S_ISREG(m.mode))
        return one_file(k, e->name, t, &m);
    else
        push_failed(k, e->name, EOPNOTSUPP, S_ISLNK(m.mode) ? "symbolic link" : "special file");
    return 0;
}

static int entries(struct pusher *k)
{
    struct dents_entry e;
    int rc = 0, more = 0;
    const struct transfer_options *o = k->p->order->options;
    dents_init(&k->dents, k->fd);
    while (rc == 0 && (more = dents_next(&k->dents, &e)) == 1)
        rc = step_cancelled(k->p->step) ? -ECANCELED : one(k, &e);
    if (rc == 0)
        rc = push_drain(k);
    if (rc == 0 && more < 0)
        push_failed(k, NULL, -more, "read folder");
    bool all = o->delete_extras && more == 0;
    if (rc == 0 && !k->p->folders_only && (k->stale || (all && k->nthere > 0)))
        rc = push_extras(k, all);
    return rc;
}

int push_folder(struct pusher *k, const char *path, size_t len, uint32_t flags)
{
    k->path = path;
    k->path_len = len;
    k->nthere = 0;
    k->stale = false;
    k->fd = beneath_open(k->p->root, path, len, O_RDONLY | O_DIRECTORY, 0);
    int rc = k->fd;
    if (rc >= 0 && k->p->folders_only)
        rc = push_same(k, NULL);
    else if (rc >= 0 && !(flags & PUSH_FRESH))
        rc = there_read(k);
    if (rc == -ENOENT && push_is_dry(k))
        rc = 0;
    if (smb_is_lost(k->smb))
        rc = rc < 0 ? rc : -ENOTCONN;
    else if (rc < 0) {
        push_failed(k, NULL, -rc, "open folder");
        rc = 0;
    } else
        rc = entries(k);
    if (k->fd >= 0)
        k->fd = fd_close(k->fd);
    return rc;
}
