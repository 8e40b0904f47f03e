/* examine: one entry at a time, by folder handle; each worker takes a few in a row, so that it
 * opens a folder once. Workers live for one group. */
#include "agent/files/examine.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/crew.h"
#include "agent/step.h"
#include "agent/store/beneath.h"
#include "agent/store/meta.h"
#include "agent/transfer/digest.h"
#include "agent/transfer/look.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define IN_A_ROW 16
#define LINKS_KEPT 16384 /* a power of two */

/* The later names of a hard-linked file need not be read again. */
struct link_seen {
    uint64_t dev, ino;
    struct timespec ctime;
    uint8_t digest[16], sha256[SHA256_LEN];
};

struct examiner {
    struct examiner_conf conf;
    struct examined *group;
    size_t n;
    atomic_size_t next;
    unsigned nworkers;
    pthread_mutex_t lock; /* links */
    struct link_seen *links;
};

struct worker {
    struct examiner *x;
    struct sha256 *sha;
    int folder_fd; /* -errno: it cannot be opened */
    const char *folder;
    size_t folder_len;
};

/* ── content ── */

struct reading {
    struct worker *w;
};

static int on_bytes(void *arg, const void *p, size_t n)
{
    struct reading *r = arg;
    sha256_add(r->w->sha, p, n);
    __atomic_fetch_add(r->w->x->conf.read_bytes, n, __ATOMIC_RELAXED);
    return step_cancelled(r->w->x->conf.step) ? -ECANCELED : 0;
}

static bool known(const uint8_t digest[DIGEST_BYTES])
{
    static const uint8_t none[DIGEST_BYTES];
    return memcmp(digest, none, DIGEST_BYTES) != 0;
}

static struct link_seen *link_slot(struct examiner *x, const struct stat *st)
{
    uint64_t h = (st->st_ino ^ st->st_dev << 20) * 0x9e3779b97f4a7c15ULL;
    return &x->links[h >> 40 & (LINKS_KEPT - 1)];
}

static bool link_known(struct examiner *x, const struct stat *st, struct examined *e)
{
    (void)pthread_mutex_lock(&x->lock);
    const struct link_seen *s = link_slot(x, st);
    bool is = s->ino == st->st_ino && s->dev == st->st_dev &&
              s->ctime.tv_sec == st->st_ctim.tv_sec && s->ctime.tv_nsec == st->st_ctim.tv_nsec;
    if (is) {
        memcpy(e->row.sha256, s->sha256, SHA256_LEN);
        e->row.has_sha256 = true;
        if (known(e->row.digest) && memcmp(e->row.digest, s->digest, DIGEST_BYTES) != 0)
            e->differs = "content differs";
    }
    (void)pthread_mutex_unlock(&x->lock);
    return is;
}

static void link_keep(struct examiner *x, const struct stat *st, const uint8_t digest[DIGEST_BYTES],
                      const struct examined *e)
{
    (void)pthread_mutex_lock(&x->lock);
    struct link_seen *s = link_slot(x, st);
    *s = (struct link_seen){.dev = st->st_dev, .ino = st->st_ino, .ctime = st->st_ctim};
    memcpy(s->digest, digest, DIGEST_BYTES);
    memcpy(s->sha256, e->row.sha256, SHA256_LEN);
    (void)pthread_mutex_unlock(&x->lock);
}

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static int failed(struct examined *e, int err, const char *what)
{
    e->err = err;
    e->differs = what;
    return 0;
}

static int read_content(struct worker *w, struct examined *e, const char *name,
                        const struct stat *st)
{
    uint8_t digest[DIGEST_BYTES];
    struct stat after;
    struct reading r = {.w = w};
    CLEANUP(fd_close)
    int fd = openat(w->folder_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0)
        return failed(e, errno, "open at the destination");
    if (w->x->conf.from_disk)
        (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    sha256_begin(w->sha);
    int rc = digest_file_and(fd, (uint64_t)st->st_size, on_bytes, &r, digest);
    if (rc == -ECANCELED)
        return rc;
    if (rc < 0 && rc != -EBUSY)
        return failed(e, -rc, "read at the destination");
    if (rc == -EBUSY || fstat(fd, &after) < 0 || after.st_ino != st->st_ino ||
        after.st_size != st->st_size || !same_time(after.st_mtim, st->st_mtim)) {
        e->differs = "changed at the destination";
        return 0;
    }
    e->was_read = true;
    sha256_end(w->sha, e->row.sha256);
    e->row.has_sha256 = true;
    /* A later name of a file: the first one's row has the digest. */
    bool later_name = st->st_nlink > 1 && !e->row.has_meta;
    e->unknown = !known(e->row.digest) && !later_name;
    if (known(e->row.digest) && memcmp(digest, e->row.digest, DIGEST_BYTES) != 0)
        e->differs = "content differs";
    else if (st->st_nlink > 1)
        link_keep(w->x, st, digest, e);
    return 0;
}

static int examine_file(struct worker *w, struct examined *e, const char *name,
                        const struct stat *st)
{
    bool need = w->x->conf.manifest && !e->row.has_sha256;
    if (!need && !e->read_again) {
        if (st->st_nlink > 1 && e->row.has_sha256)
            link_keep(w->x, st, e->row.digest, e);
        return 0;
    }
    if (st->st_nlink > 1 && !known(e->row.digest) && link_known(w->x, st, e)) {
        e->unknown = false;
        return 0;
    }
    return read_content(w, e, name, st);
}

/* ── what is not content ── */

static void examine_target(const struct worker *w, struct examined *e, const char *name)
{
    char target[SYMLINK_TARGET_MAX + 1];
    uint8_t digest[DIGEST_BYTES];
    ssize_t n = readlinkat(w->folder_fd, name, target, sizeof target);
    if (n < 0) {
        (void)failed(e, errno, "read link at the destination");
        return;
    }
    digest_bytes(target, (size_t)n, digest);
    e->target = xmemdup(target, (size_t)n);
    if (known(e->row.digest) && memcmp(digest, e->row.digest, DIGEST_BYTES) != 0)
        e->differs = "link target differs";
}

static bool attributes_differ(const struct worker *w, const struct catalogue_entry *k,
                              const char *name)
{
    struct meta m; /* for the flags that it shows */
    uint64_t digest = 0;
    return meta_stat(w->folder_fd, name, &m) < 0 ||
           look_xattrs_digest(w->folder_fd, name, m.shown, &digest) < 0 ||
           digest != k->xattrs_digest;
}

/* Nothing is recorded of it (a later name of a file): the list says what stands here. */
static void show_what_stands(const struct worker *w, struct examined *e, const char *name,
                             const struct stat *st)
{
    struct meta m;
    e->row.uid = st->st_uid;
    e->row.gid = st->st_gid;
    if (w->x->conf.attributes && meta_stat(w->folder_fd, name, &m) == 0)
        (void)look_xattrs_digest(w->folder_fd, name, m.shown, &e->row.xattrs_digest);
}

/* What differs, or NULL. Times of a row are always known, the rest when has_meta. */
static const char *meta_differs(const struct worker *w, struct examined *e, const char *name,
                                const struct stat *st)
{
    const struct catalogue_entry *k = &e->row;
    const struct examiner_conf *c = &w->x->conf;
    uint32_t bits = c->privileged ? 07777U : 0777U;
    bool node = S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode);
    if (S_ISREG(st->st_mode) && (uint64_t)st->st_size != k->size)
        return "size differs";
    if (!same_time(st->st_mtim, k->mtime))
        return "times differ";
    if (!k->has_meta) {
        show_what_stands(w, e, name, st);
        return NULL;
    }
    if (node && st->st_rdev != k->size)
        return "device number differs";
    if (!S_ISLNK(st->st_mode) && ((st->st_mode ^ k->mode) & bits))
        return "mode differs";
    if (c->privileged && (st->st_uid != k->uid || st->st_gid != k->gid))
        return "owner differs";
    return c->attributes && attributes_differ(w, k, name) ? "attributes differ" : NULL;
}

static int enter(struct worker *w, const struct examined *e)
{
    if (w->folder && w->folder_len == e->folder_len &&
        memcmp(w->folder, e->folder, e->folder_len) == 0)
        return w->folder_fd < 0 ? w->folder_fd : 0;
    if (w->folder_fd >= 0)
        (void)fd_close(w->folder_fd);
    w->folder = e->folder;
    w->folder_len = e->folder_len;
    w->folder_fd =
        beneath_open(w->x->conf.root, e->folder, e->folder_len, O_RDONLY | O_DIRECTORY, 0);
    return w->folder_fd < 0 ? w->folder_fd : 0;
}

static bool is_absent(int rc)
{
    return rc == -ENOENT || rc == -ENOTDIR || rc == -ELOOP;
}

static int examine_one(struct worker *w, struct examined *e)
{
    char name[NAME_BYTES_MAX + 1];
    struct stat st;
    memcpy(name, e->name, e->name_len);
    name[e->name_len] = '\0';
    int rc = enter(w, e);
    if (rc == 0 && fstatat(w->folder_fd, name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) < 0)
        rc = -errno;
    if (rc < 0)
        return failed(e, is_absent(rc) ? 0 : -rc,
                      is_absent(rc) ? "missing" : "look at the destination");
    if ((st.st_mode ^ e->row.mode) & S_IFMT)
        return failed(e, 0, "type differs");
    e->differs = meta_differs(w, e, name, &st);
    if (!e->differs && S_ISLNK(st.st_mode))
        examine_target(w, e, name);
    return !e->differs && S_ISREG(st.st_mode) ? examine_file(w, e, name, &st) : 0;
}

/* ── workers ── */

static void *work(void *arg)
{
    struct examiner *x = arg;
    struct worker w = {.x = x, .sha = sha256_new(), .folder_fd = -1};
    int rc = 0;
    while (rc == 0 && !step_cancelled(x->conf.step)) {
        size_t i = atomic_fetch_add(&x->next, IN_A_ROW);
        size_t end = i + IN_A_ROW < x->n ? i + IN_A_ROW : x->n;
        if (i >= x->n)
            break;
        for (; rc == 0 && i < end; i++)
            rc = examine_one(&w, &x->group[i]);
    }
    if (w.folder_fd >= 0)
        (void)fd_close(w.folder_fd);
    (void)sha256_free(w.sha);
    return NULL;
}

int examiner_run(struct examiner *x, struct examined *group, size_t n)
{
    pthread_t threads[CREW_MAX];
    unsigned want = x->nworkers, started = 0;
    if (n <= IN_A_ROW)
        want = 1;
    x->group = group;
    x->n = n;
    atomic_store(&x->next, 0);
    while (started + 1 < want && pthread_create(&threads[started], NULL, work, x) == 0)
        started++;
    (void)work(x);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(threads[i], NULL);
    return step_cancelled(x->conf.step) ? -ECANCELED : 0;
}

struct examiner *examiner_new(const struct examiner_conf *conf)
{
    struct examiner *x = xcalloc(1, sizeof *x);
    x->conf = *conf;
    x->nworkers = crew_size(0);
    x->links = xcalloc(LINKS_KEPT, sizeof *x->links);
    if (pthread_mutex_init(&x->lock, NULL) != 0)
        abort();
    return x;
}

struct examiner *examiner_free(struct examiner *x)
{
    if (x) {
        (void)pthread_mutex_destroy(&x->lock);
        free(x->links);
        free(x);
    }
    return NULL;
}
