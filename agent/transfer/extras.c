/* extras: what stands only at the destination: stale temporaries, and names that the source does
 * not have. What the job's filter leaves out is none. One lane's thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/store/aside.h"
#include "agent/store/leftover.h"
#include "agent/transfer/compare_priv.h"
#include "agent/transfer/receiver_priv.h"
#include "common/base/cleanup.h"
#include "common/base/filter.h"
#include "common/base/mem.h"

#define DEPTH_MAX 2000 /* of folders in a folder that goes, where something may be left out */

static bool temp_wanted(struct rlane *l, const char *name)
{
    const struct compare *k = &l->compare;
    uint64_t key = 0;
    if (!temp_is_large(l->r->token, name, &key))
        return naming_is_ours(l->r, key);
    bool wanted = k->nkept == ARRAY_SIZE(k->kept_temps); /* too many to know: this run keeps all */
    for (size_t i = 0; i < k->nkept && !wanted; i++)
        wanted = k->kept_temps[i] == key;
    return wanted;
}

/* A folder of the destination while its extras are looked for. */
struct spot {
    struct rlane *l;
    int fd;
    const char *path;
    size_t len;
    unsigned depth;
};

static const struct filter *filter_of(const struct rlane *l)
{
    const struct transfer_options *o = &l->r->spec->options;
    return o->delete_excluded ? NULL : o->filter;
}

static bool is_folder(int fd, const struct dirent *e)
{
    struct stat st;
    if (e->d_type != DT_UNKNOWN)
        return e->d_type == DT_DIR;
    return fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* What was there before the first pass goes only when a person removes it. */
static bool is_aside(const struct spot *at, const char *name)
{
    return at->len == 0 && strncmp(name, ASIDE, sizeof ASIDE - 1) == 0;
}

static bool is_left_out(const struct spot *at, const char *name, bool folder)
{
    const struct filter *x = filter_of(at->l);
    return x && filter_name(x, at->path, at->len, name, strlen(name), folder);
}

/* The folder name of at; its path is malloc'd. NULL: cannot be read, or is too deep. */
static DIR *spot_open(const struct spot *at, const char *name, struct spot *ret, char **retpath)
{
    if (at->depth >= DEPTH_MAX)
        return NULL;
    int fd = openat(at->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return NULL;
    size_t n = strlen(name), len = at->len + (at->len > 0) + n;
    *retpath = xmalloc(len + 1);
    memcpy(*retpath, at->path, at->len);
    (*retpath)[at->len] = '/';
    memcpy(*retpath + len - n, name, n + 1);
    *ret = (struct spot){at->l, dirfd(dir), *retpath, len, at->depth + 1};
    return dir;
}

/* Is something in the folder name left out, at any depth? When in doubt, yes. */
static bool holds_left_out(const struct spot *at, const char *name)
{
    struct spot in;
    CLEANUP(mem_free) char *path = NULL;
    DIR *dir = spot_open(at, name, &in, &path);
    bool holds = !dir;
    for (const struct dirent *e; !holds && (e = readdir(dir)) != NULL;) {
        if (is_dots(e->d_name))
            continue;
        bool folder = is_folder(in.fd, e);
        holds = is_left_out(&in, e->d_name, folder) || (folder && holds_left_out(&in, e->d_name));
    }
    if (dir)
        (void)closedir(dir);
    return holds;
}

bool extras_hold_left_out(struct rlane *l, int dir, struct bytes path, const char *name)
{
    CLEANUP(mem_free) char *copy = xmemdup(path.p, path.n);
    const struct spot at = {l, dir, copy, path.n, 0};
    return filter_of(l) && holds_left_out(&at, name);
}

static int extra_put(const struct spot *at, const char *name)
{
    struct receiver *r = at->l->r;
    struct buf b;
    buf_init(&b, PATH_BYTES_MAX + 512);
    buf_put_blob(&b, at->path, at->len);
    buf_put_blob(&b, name, strlen(name));
    int rc = spool_put(r->extras, 0, b.data, b.len);
    buf_done(&b);
    return rc;
}

/* A folder that holds what is left out stays, without the rest. */
static int extra_found(const struct spot *at, const char *name, bool folder)
{
    struct spot in;
    CLEANUP(mem_free) char *path = NULL;
    if (is_left_out(at, name, folder) || is_aside(at, name))
        return 0;
    if (!folder || !filter_of(at->l) || !holds_left_out(at, name))
        return extra_put(at, name);
    DIR *dir = spot_open(at, name, &in, &path);
    int rc = 0;
    for (const struct dirent *e; dir && rc == 0 && (e = readdir(dir)) != NULL;)
        if (!is_dots(e->d_name))
            rc = extra_found(&in, e->d_name, is_folder(in.fd, e));
    if (dir)
        (void)closedir(dir);
    return rc;
}

int extras_find(struct rlane *l, bool complete)
{
    const struct transfer_options *o = &l->r->spec->options;
    bool want = o->delete_extras && complete && !o->only_failed && !l->compare.names_lost;
    if (l->at.fd < 0 || (!complete && !l->compare.names_lost))
        return 0; /* some of its entries only: nothing is known of the others */
    if (l->compare.names_lost && o->delete_extras) {
        struct failure f = {l->at.path, NULL, l->at.len, 0, E2BIG, "extras of a huge folder"};
        int rc = receiver_failed(l, &f);
        if (rc < 0)
            return rc;
    }
    int fd = openat(l->at.fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return 0;
    int rc = 0;
    uint64_t gone = 0;
    const struct spot at = {l, dirfd(dir), l->at.path, l->at.len, 0};
    for (const struct dirent *e; rc == 0 && (e = readdir(dir)) != NULL;) {
        if (is_dots(e->d_name))
            continue;
        if (pair_is_temp(l->r->token, e->d_name, strlen(e->d_name))) {
            if (complete && !o->dry_run && !o->only_failed && !temp_wanted(l, e->d_name))
                (void)leftover_remove(l->at.fd, e->d_name, &gone);
        } else if (want && !compare_names(&l->compare, e->d_name, strlen(e->d_name))) {
            rc = extra_found(&at, e->d_name, is_folder(at.fd, e));
        }
    }
    (void)closedir(dir);
    return rc;
}
