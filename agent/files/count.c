/* count: what is in one folder of a tree, for the inventory. Walker threads; changes nothing. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/files/inventory_priv.h"
#include "agent/store/attrs.h"
#include "agent/store/beneath.h"
#include "agent/store/extents.h"
#include "agent/store/failures.h"
#include "agent/store/meta_priv.h"
#include "agent/store/ntacl.h"
#include "agent/store/subvolume.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define NAMES_BYTES 4096 /* more names than this: classified by those that fit not at all */
#define SHARED_LEAST (1 << 20)
#define LOOK_EVERY 1024 /* entries between two looks at the cancel flag */

struct visit {
    struct inventory *inv;
    struct crew *crew;
    struct counter *counter;
    const char *rel;
    size_t len, depth;
    int fd;
    unsigned in[PARTS_DEEP]; /* shared folders that this one lies in */
    size_t nin;
};

/* A working folder of the thread's own lets listxattr take bare names: there is no call that takes
 * a folder handle before Linux 6.13. Where a sandbox forbids it, the way goes through /proc. */
static void enter(struct visit *v)
{
    struct counter *c = v->counter;
    if (!c->asked) {
        c->asked = true;
        c->has_own_cwd = unshare(CLONE_FS) == 0;
    }
    if (c->has_own_cwd && fchdir(v->fd) < 0)
        c->has_own_cwd = false;
}

#define VALUE_BYTES (64U << 10)

/* Whose names stand in an attribute of the entry. */
static void take_idents(const struct visit *v, const char *name, const char *attr,
                        void (*take)(struct idents *, const void *, size_t))
{
    char path[PROC_FD_MAX + 260];
    CLEANUP(mem_free) uint8_t *value = xmalloc(VALUE_BYTES);
    if (!v->counter->has_own_cwd)
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", v->fd, name);
    ssize_t n = lgetxattr(v->counter->has_own_cwd ? name : path, attr, value, VALUE_BYTES);
    if (n > 0)
        take(v->counter->idents, value, (size_t)n);
}

static void take_all_idents(const struct visit *v, const char *name, const char *names, size_t len)
{
    for (const char *p = names; p < names + len; p += strlen(p) + 1) {
        if (strncmp(p, "system.posix_acl_", 17) == 0)
            take_idents(v, name, p, idents_acl);
        else if (strcmp(p, NTACL_NAME) == 0)
            take_idents(v, name, p, idents_ntacl);
    }
}

/* The tree's own folder is nobody's entry. */
static void take_root(const struct visit *v)
{
    struct stat st;
    char names[NAMES_BYTES];
    if (fstat(v->fd, &st) == 0)
        idents_owner(v->counter->idents, st.st_uid, st.st_gid);
    ssize_t n = flistxattr(v->fd, names, sizeof names);
    if (n > 0)
        take_all_idents(v, ".", names, (size_t)n);
}

static unsigned xattrs_of(const struct visit *v, const char *name, const struct traits_at *at)
{
    char names[NAMES_BYTES];
    ssize_t n;
    if (v->counter->has_own_cwd) {
        n = llistxattr(name, names, sizeof names);
    } else {
        char path[PROC_FD_MAX + 260];
        (void)snprintf(path, sizeof path, "/proc/self/fd/%d/%s", v->fd, name);
        n = llistxattr(path, names, sizeof names);
    }
    if (n < 0)
        return errno == ERANGE ? TALLY_XATTR : 0;
    traits_xattrs(v->counter->traits, names, (size_t)n, at);
    take_all_idents(v, name, names, (size_t)n);
    return tally_xattr_names(names, (size_t)n);
}

static void note_facts(struct traits *r, const struct statx *x, const struct traits_at *at)
{
    if (x->stx_mask & STATX_BTIME)
        traits_note(r, TRAIT_BIRTH_TIME, at);
    if (attrs_shown(x->stx_attributes))
        traits_note(r, TRAIT_FLAGS, at);
    if (x->stx_attributes & STATX_ATTR_ENCRYPTED)
        traits_note(r, TRAIT_ENCRYPTED, at);
    if (x->stx_attributes & STATX_ATTR_VERITY)
        traits_note(r, TRAIT_VERITY, at);
}

/* What statx(2) tells beyond a stat, without another call. */
static unsigned facts_of(struct tally *t, const struct statx *x)
{
    if (x->stx_mask & STATX_BTIME)
        tally_birth(t, x->stx_btime.tv_sec * 1000 + x->stx_btime.tv_nsec / 1000000);
    unsigned sealed = x->stx_attributes & (STATX_ATTR_ENCRYPTED | STATX_ATTR_VERITY);
    return (attrs_shown(x->stx_attributes) ? TALLY_FLAGS : 0U) | (sealed ? TALLY_SEALED : 0U);
}

static void stat_of(const struct statx *x, struct stat *ret)
{
    *ret = (struct stat){.st_mode = x->stx_mode,
                         .st_nlink = x->stx_nlink,
                         .st_uid = x->stx_uid,
                         .st_gid = x->stx_gid,
                         .st_ino = x->stx_ino,
                         .st_size = (off_t)x->stx_size,
                         .st_blocks = (blkcnt_t)x->stx_blocks,
                         .st_dev = makedev(x->stx_dev_major, x->stx_dev_minor)};
    ret->st_mtim.tv_sec = x->stx_mtime.tv_sec;
    ret->st_mtim.tv_nsec = x->stx_mtime.tv_nsec;
}

/* Of large files only: what a copy of small ones takes more is little, and each costs an open. */
static void count_shared(struct visit *v, const char *name, const struct stat *st,
                         const struct traits_at *at)
{
    if (!v->inv->may_share || !S_ISREG(st->st_mode) || st->st_size < SHARED_LEAST)
        return;
    uint64_t bytes = extents_shared(v->fd, name);
    v->counter->tally.shared_files += bytes > 0;
    v->counter->tally.shared_bytes += bytes;
    if (bytes > 0)
        traits_note(v->counter->traits, TRAIT_SHARED_BLOCKS, at);
}

static bool is_left_out(const struct visit *v, const struct dents_entry *e, const struct stat *st)
{
    const struct filter *x = v->inv->filter;
    int64_t ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    return x && (filter_name(x, v->rel, v->len, e->name, e->len, S_ISDIR(st->st_mode)) ||
                 (S_ISREG(st->st_mode) && filter_file(x, (uint64_t)st->st_size, ms)));
}

/* By the way to its target on this host, wherever that lies. A link of DFS leads to a server. */
static bool is_dangling(const struct visit *v, const char *name)
{
    struct stat st;
    char target[6];
    if (readlinkat(v->fd, name, target, sizeof target) == sizeof target &&
        memcmp(target, "msdfs:", sizeof target) == 0)
        return false;
    return fstatat(v->fd, name, &st, AT_NO_AUTOMOUNT) < 0 && (errno == ENOENT || errno == ELOOP);
}

static int count_entry(struct visit *v, const struct dents_entry *e)
{
    struct tally *t = &v->counter->tally;
    struct statx x;
    struct stat st;
    if (subvolume_is_ours(v->fd, e->name))
        return 0;
    if (statx(v->fd, e->name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
              STATX_BASIC_STATS | STATX_BTIME, &x) < 0) {
        int err = errno;
        if (err != ENOENT) {
            t->unreadable++;
            CLEANUP(mem_free)
            char *path = xasprintf("%.*s%s%s", (int)v->len, v->rel, v->len ? "/" : "", e->name);
            failures_add(v->inv->failures, err, "stat", path, strlen(path));
        }
        return 0;
    }
    stat_of(&x, &st);
    if (is_left_out(v, e, &st)) {
        t->left_out++;
        return 0;
    }
    const struct traits_at at = {v->rel, v->len, e->name, e->len};
    struct traits *r = v->counter->traits;
    unsigned has = xattrs_of(v, e->name, &at) | facts_of(t, &x);
    tally_entry(t, &st, has);
    for (size_t i = 0; i < v->nin; i++)
        tally_entry(&v->counter->parts[v->in[i]], &st, has);
    note_facts(r, &x, &at);
    traits_stat(r, &st, &at);
    idents_owner(v->counter->idents, st.st_uid, st.st_gid);
    traits_name(r, &at);
    if (S_ISLNK(st.st_mode) && is_dangling(v, e->name))
        traits_note(r, TRAIT_DANGLING_LINK, &at);
    count_shared(v, e->name, &st, &at);
    tally_name(t, e->name, e->len, v->len + (v->len ? 1 : 0) + e->len, v->depth + 1);
    if (!S_ISDIR(st.st_mode) || (v->inv->one_file_system && st.st_dev != v->inv->dev))
        return 0;
    return crew_push(v->crew, v->rel, v->len, e->name, e->len);
}

static void publish(struct visit *v)
{
    (void)pthread_mutex_lock(&v->inv->lock);
    v->counter->shown = v->counter->tally;
    (void)pthread_mutex_unlock(&v->inv->lock);
}

static int count_folder(struct visit *v)
{
    struct dents_entry e;
    uint64_t n = 0;
    int rc, failed = 0;
    dents_init(&v->counter->dents, v->fd);
    traits_folder(v->counter->traits);
    while (failed == 0 && (rc = dents_next(&v->counter->dents, &e)) == 1) {
        failed = count_entry(v, &e);
        if (++n % LOOK_EVERY != 0)
            continue;
        publish(v);
        if (crew_cancelled(v->crew))
            return -ECANCELED;
    }
    if (n > v->counter->tally.largest_folder)
        v->counter->tally.largest_folder = n;
    if (failed == 0 && rc < 0) {
        v->counter->tally.unreadable++;
        failures_add(v->inv->failures, -rc, "read folder", v->rel, v->len);
    }
    return failed;
}

static size_t depth_of(const char *rel, size_t len)
{
    size_t depth = len > 0;
    for (size_t i = 0; i < len; i++)
        depth += rel[i] == '/';
    return depth;
}

/* Gone or replaced since its parent was read: a tree in use; it is not there to be counted. */
static bool has_vanished(int err)
{
    return err == ENOENT || err == ENOTDIR || err == ELOOP;
}

int count_visit(struct crew *crew, unsigned worker, const char *rel, size_t len, void *arg)
{
    struct inventory *inv = arg;
    struct visit v = {.inv = inv,
                      .crew = crew,
                      .counter = &inv->counters[worker],
                      .rel = rel,
                      .len = len,
                      .depth = depth_of(rel, len)};
    CLEANUP(fd_close) int fd = beneath_open(inv->root, rel, len, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        if (has_vanished(-fd))
            return 0;
        v.counter->tally.unreadable++;
        failures_add(inv->failures, -fd, "open folder", rel, len);
        return 0;
    }
    v.fd = fd;
    v.nin = parts_holding(inv->parts, rel, len, v.in);
    struct attrs attrs;
    attrs_of(fd, &attrs);
    v.counter->tally.with_project += attrs.has_project;
    if (attrs.has_project)
        traits_note(v.counter->traits, TRAIT_PROJECT, &(struct traits_at){"", 0, rel, len});
    enter(&v);
    if (len == 0)
        take_root(&v);
    int rc = count_folder(&v);
    publish(&v);
    return rc;
}
