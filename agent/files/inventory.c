/* inventory: the step "files.inventory": counts a tree with several walkers, in bounded memory, and
 * changes nothing. Worker thread and its walkers. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "agent/files/crew.h"
#include "agent/files/files.h"
#include "agent/files/order.h"
#include "agent/files/place.h"
#include "agent/files/tally.h"
#include "agent/step.h"
#include "agent/store/attrs.h"
#include "agent/store/beneath.h"
#include "agent/store/dents.h"
#include "agent/store/extents.h"
#include "agent/store/failures.h"
#include "agent/store/meta_priv.h"
#include "agent/store/subvolume.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "proto/files.pb-c.h"

#define NAMES_BYTES 4096 /* more names than this: classified by those that fit not at all */
#define SHARED_LEAST (1 << 20)
#define LOOK_EVERY 1024 /* entries between two looks at the cancel flag */

struct counter { /* one per walker */
    struct dents dents;
    struct tally tally; /* the walker's own */
    struct tally shown; /* a copy for progress, under the inventory's lock */
    bool asked, has_own_cwd;
};

struct inventory {
    struct step *step;
    int root;
    dev_t dev;
    bool one_file_system, may_share;
    int64_t began_ms;
    const struct filter *filter;
    struct failures *failures;
    struct counter *counters;
    unsigned ncounters;
    pthread_mutex_t lock; /* guards shown */
};

struct visit {
    struct inventory *inv;
    struct crew *crew;
    struct counter *counter;
    const char *rel;
    size_t len, depth;
    int fd;
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

static unsigned xattrs_of(const struct visit *v, const char *name)
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
    return tally_xattr_names(names, (size_t)n);
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
                         .st_size = (off_t)x->stx_size,
                         .st_blocks = (blkcnt_t)x->stx_blocks,
                         .st_dev = makedev(x->stx_dev_major, x->stx_dev_minor)};
    ret->st_mtim.tv_sec = x->stx_mtime.tv_sec;
    ret->st_mtim.tv_nsec = x->stx_mtime.tv_nsec;
}

/* Of large files only: what a copy of small ones takes more is little, and each costs an open. */
static void count_shared(struct visit *v, const char *name, const struct stat *st)
{
    if (!v->inv->may_share || !S_ISREG(st->st_mode) || st->st_size < SHARED_LEAST)
        return;
    uint64_t bytes = extents_shared(v->fd, name);
    v->counter->tally.shared_files += bytes > 0;
    v->counter->tally.shared_bytes += bytes;
}

static bool is_left_out(const struct visit *v, const struct dents_entry *e, const struct stat *st)
{
    const struct filter *x = v->inv->filter;
    int64_t ms = (int64_t)st->st_mtim.tv_sec * 1000 + st->st_mtim.tv_nsec / 1000000;
    return x && (filter_name(x, v->rel, v->len, e->name, e->len, S_ISDIR(st->st_mode)) ||
                 (S_ISREG(st->st_mode) && filter_file(x, (uint64_t)st->st_size, ms)));
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
    tally_entry(t, &st, xattrs_of(v, e->name) | facts_of(t, &x));
    count_shared(v, e->name, &st);
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

static int visit_folder(struct crew *crew, unsigned worker, const char *rel, size_t len, void *arg)
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
    struct attrs attrs;
    attrs_of(fd, &attrs);
    v.counter->tally.with_project += attrs.has_project;
    enter(&v);
    int rc = count_folder(&v);
    publish(&v);
    return rc;
}

static struct tally sum_shown(struct inventory *inv)
{
    struct tally sum = {.files = 0};
    (void)pthread_mutex_lock(&inv->lock);
    for (unsigned i = 0; i < inv->ncounters; i++)
        tally_add(&sum, &inv->counters[i].shown);
    (void)pthread_mutex_unlock(&inv->lock);
    return sum;
}

static struct counters counters_of(const struct inventory *inv, const struct tally *t)
{
    return (struct counters){
        .files = t->files,
        .bytes = t->bytes,
        .entries = tally_entries(t),
        .failed = t->unreadable,
        .elapsed_ms = (uint64_t)(clock_mono_ms() - inv->began_ms),
    };
}

static void tick(void *arg)
{
    struct inventory *inv = arg;
    struct tally sum = sum_shown(inv);
    struct counters c = counters_of(inv, &sum);
    step_progress(inv->step, &c, 0, "Counting files");
}

static void fill_counts(const struct tally *t, Godwit__InventoryResult *r)
{
    r->files = t->files;
    r->folders = t->folders;
    r->symlinks = t->symlinks;
    r->devices = t->devices;
    r->fifos = t->fifos;
    r->sockets = t->sockets;
    r->bytes = t->bytes;
    r->allocated_bytes = t->allocated;
    r->hard_linked = t->hard_linked;
    r->sparse = t->sparse;
    r->with_acl = t->with_acl;
    r->with_xattr = t->with_xattr;
    r->with_capability = t->with_capability;
    r->setid = t->setid;
    r->non_utf8 = t->non_utf8;
    r->longest_path = t->longest_path;
    r->deepest = t->deepest;
    r->largest_folder = t->largest_folder;
    r->newest_ms = t->newest_ms;
    r->oldest_ms = t->oldest_ms;
    r->unreadable = t->unreadable;
    r->with_flags = t->with_flags;
    r->with_project = t->with_project;
    r->with_nfs4_acl = t->with_nfs4_acl;
    r->with_birth = t->with_birth;
    r->oldest_birth_ms = t->oldest_birth_ms;
    r->newest_birth_ms = t->newest_birth_ms;
    r->sealed = t->sealed;
    r->shared_files = t->shared_files;
    r->shared_bytes = t->shared_bytes;
    r->left_out = t->left_out;
}

static void pack_result(const struct tally *t, const struct place *place, uint64_t elapsed_ms,
                        struct step_result *ret)
{
    Godwit__InventoryResult r = GODWIT__INVENTORY_RESULT__INIT;
    struct place p = *place;
    uint64_t sizes[TALLY_SIZES];
    struct rusage usage;
    fill_counts(t, &r);
    memcpy(sizes, t->sizes, sizeof sizes);
    r.size_histogram = sizes;
    r.n_size_histogram = TALLY_SIZES;
    r.file_system = p.file_system;
    r.fs_size = p.size;
    r.fs_used = p.used;
    r.peak_rss = getrusage(RUSAGE_SELF, &usage) == 0 ? (uint64_t)usage.ru_maxrss * 1024 : 0;
    r.elapsed_ms = elapsed_ms;
    ret->body_len = godwit__inventory_result__get_packed_size(&r);
    ret->body = xmalloc(ret->body_len);
    (void)godwit__inventory_result__pack(&r, ret->body);
}

static int run(struct inventory *inv)
{
    struct crew_conf conf = {
        .spill_dir = step_env(inv->step)->state_dir,
        .cancel_fd = step_cancel_fd(inv->step),
        .arg = inv,
        .visit = visit_folder,
        .tick = tick,
    };
    inv->ncounters = crew_size(conf.workers);
    inv->counters = xcalloc(inv->ncounters, sizeof *inv->counters);
    (void)pthread_mutex_init(&inv->lock, NULL);
    int rc = crew_run(&conf);
    (void)pthread_mutex_destroy(&inv->lock);
    return rc;
}

static void finish(struct inventory *inv, int rc, const struct place *place,
                   struct step_result *ret)
{
    struct tally sum = {.folders = 1}; /* the root itself */
    for (unsigned i = 0; i < inv->ncounters; i++)
        tally_add(&sum, &inv->counters[i].tally);
    ret->counters = counters_of(inv, &sum);
    failures_take(inv->failures, ret);
    if (rc == -ECANCELED) {
        ret->status = STEP_STOPPED;
    } else if (rc < 0) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_RETRY, -rc, "the count broke off: %s", strerror(-rc));
    } else {
        ret->status = sum.unreadable ? STEP_PARTIAL : STEP_DONE;
        pack_result(&sum, place, ret->counters.elapsed_ms, ret);
    }
}

static void count_tree(struct step *s, const Godwit__InventoryOrder *o, struct step_result *ret)
{
    CLEANUP(filter_free) struct filter *filter = NULL;
    if (order_filter(o->filter, &filter, &ret->fault) < 0) {
        ret->status = STEP_FAILED;
        return;
    }
    struct inventory inv = {.step = s,
                            .filter = filter,
                            .one_file_system = o->one_file_system,
                            .began_ms = clock_mono_ms()};
    CLEANUP(mem_free) char *shown = text_quote(o->path.data, o->path.len);
    CLEANUP(fd_close) int root = beneath_root((const char *)o->path.data, o->path.len, false);
    struct place place = {.size = 0};
    struct stat st;
    int rc = root < 0 ? root : place_of(root, &place);
    if (rc == 0 && fstat(root, &st) < 0)
        rc = -errno;
    if (rc < 0) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "cannot open the source folder %s: %s",
                        shown, strerror(-rc));
        return;
    }
    inv.root = root;
    inv.dev = st.st_dev;
    inv.may_share =
        strcmp(place.file_system, "btrfs") == 0 || strcmp(place.file_system, "xfs") == 0;
    inv.failures = failures_new();
    finish(&inv, run(&inv), &place, ret);
    (void)failures_free(inv.failures);
    free(inv.counters);
}

void files_inventory(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__InventoryOrder *o = godwit__inventory_order__unpack(NULL, len, args);
    if (!o) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
        return;
    }
    count_tree(s, o, ret);
    godwit__inventory_order__free_unpacked(o, NULL);
}
