/* snapshot: the record of each is a file STATE_DIR/snapshot/PAIR; one that a dead agent left is
 * renamed to PAIR.stale at the start, so that nobody takes it for one in use. Worker threads. */
#include "agent/files/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/files/hook.h"
#include "agent/store/beneath.h"
#include "agent/store/pairname.h"
#include "agent/store/subvolume.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define RECORD_MAX (64 << 10)
#define STALE ".stale"
#define HOOK "hook:"

enum kind { KIND_BTRFS = 1, KIND_HOOK = 2 };

/* What is needed to release it. */
struct record {
    enum kind kind;
    char *path; /* btrfs: of the subvolume's root; hook: of the source */
    char *name; /* btrfs: the snapshot's; hook: the hook's */
    char *pair;
    char *snapshot; /* hook: what pre printed */
    uint64_t id;    /* btrfs; 0: not known yet */
};

struct snapshot {
    struct record record;
    char *file, *hooks, *shown; /* shown: where to read */
    int fd;                     /* btrfs: the folder that stands for the source */
};

/* Releasing what is stale and making anew for the same pair are not done at once. */
static pthread_mutex_t stale_lock = PTHREAD_MUTEX_INITIALIZER;

bool snapshot_policy_valid(const char *policy)
{
    if (policy[0] == '\0' || strcmp(policy, "none") == 0 || strcmp(policy, "auto") == 0)
        return true;
    return strncmp(policy, HOOK, sizeof HOOK - 1) == 0 && hook_name_valid(policy + sizeof HOOK - 1);
}

/* ── records ── */

static void record_done(struct record *r)
{
    free(r->path);
    free(r->name);
    free(r->pair);
    free(r->snapshot);
    *r = (struct record){0};
}

static char *record_dir(const char *state_dir)
{
    return xasprintf("%s/snapshot", state_dir);
}

static int record_save(const struct record *r, const char *file)
{
    const char *const texts[] = {r->path, r->name, r->pair, r->snapshot ? r->snapshot : ""};
    struct buf b;
    buf_init(&b, RECORD_MAX);
    buf_put_u8(&b, (uint8_t)r->kind);
    buf_put_u64(&b, r->id);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        buf_put_blob(&b, texts[i], strlen(texts[i]));
    int rc = b.overflow ? -ENAMETOOLONG : file_write(file, 0600, b.data, b.len);
    buf_done(&b);
    return rc;
}

static char *text_get(struct cursor *c)
{
    size_t len = 0;
    const void *p = cursor_blob(c, RECORD_MAX, &len);
    return xmemdup(p, p ? len : 0);
}

static int record_load(const char *file, struct record *ret)
{
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    int rc = file_read(file, RECORD_MAX, &text, &len);
    if (rc < 0)
        return rc;
    struct cursor c = cursor_of(text, len);
    struct record r = {.kind = (enum kind)cursor_u8(&c), .id = cursor_u64(&c)};
    r.path = text_get(&c);
    r.name = text_get(&c);
    r.pair = text_get(&c);
    r.snapshot = text_get(&c);
    if (c.bad || (r.kind != KIND_BTRFS && r.kind != KIND_HOOK)) {
        record_done(&r);
        return -EBADMSG;
    }
    *ret = r;
    return 0;
}

/* ── releasing ── */

static int release_btrfs(const struct record *r, struct fault *reterr)
{
    CLEANUP(fd_close) int root = open(r->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = root < 0 ? -errno : subvolume_drop(root, r->name, r->id);
    if (rc == 0 || rc == -ENOENT || rc == -ESTALE) /* gone, or the name is another's: not ours */
        return 0;
    return fault_set(reterr, FAULT_RETRY, -rc, "cannot remove the snapshot %s in %s: %s", r->name,
                     r->path, strerror(-rc));
}

static int release(const struct record *r, const char *hooks, struct fault *reterr)
{
    if (r->kind == KIND_BTRFS)
        return release_btrfs(r, reterr);
    CLEANUP(mem_free) char *line = NULL;
    const struct hook_call c = {.dir = hooks,
                                .name = r->name,
                                .verb = "post",
                                .path = r->path,
                                .pair = r->pair,
                                .snapshot = r->snapshot,
                                .cancel_fd = -1};
    return hook_run(&c, &line, reterr);
}

/* The record goes when there is nothing to release any more. */
static int release_file(const char *file, const char *hooks)
{
    struct record r;
    struct fault f = {0};
    int rc = record_load(file, &r);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0) {
        rc = release(&r, hooks, &f);
        record_done(&r);
    } else {
        (void)fault_set(&f, FAULT_RETRY, -rc, "the record of a snapshot cannot be read: %s", file);
    }
    if (rc < 0)
        log_warning("%s", f.text);
    else
        (void)unlink(file);
    return rc;
}

struct snapshot *snapshot_release(struct snapshot *s)
{
    if (!s)
        return NULL;
    if (s->fd >= 0)
        (void)fd_close(s->fd);
    (void)release_file(s->file, s->hooks);
    record_done(&s->record);
    free(s->file);
    free(s->hooks);
    free(s->shown);
    free(s);
    return NULL;
}

/* ── taking ── */

static int take_btrfs(struct snapshot *s, int source, int root, const char *rel)
{
    char token[PAIR_TOKEN_LEN + 1], link[64], path[RECORD_MAX];
    pair_token(s->record.pair, token);
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", root);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0)
        return n < 0 ? -errno : -EIO;
    s->record.kind = KIND_BTRFS;
    free(s->record.path);
    s->record.path = xmemdup(path, (size_t)n);
    s->record.name = xasprintf(".godwit-snapshot-%s", token);
    int rc = record_save(&s->record, s->file);
    if (rc < 0)
        return rc;
    (void)syncfs(source); /* what programs wrote a moment ago is in it as well */
    CLEANUP(fd_close) int snap = subvolume_snapshot(root, s->record.name, &s->record.id);
    if (snap < 0)
        return snap;
    rc = record_save(&s->record, s->file);
    if (rc < 0)
        return rc;
    s->fd = beneath_open(snap, rel, strlen(rel), O_RDONLY | O_DIRECTORY, 0);
    if (s->fd < 0)
        return s->fd;
    s->shown = xasprintf("/proc/self/fd/%d", s->fd);
    return 0;
}

/* "/srv" above "/srv/data/x"? Mounts are not part of a snapshot. */
static bool has_mounts(const char *path)
{
    char line[8192], point[4096];
    bool found = false;
    size_t len = strcmp(path, "/") == 0 ? 0 : strlen(path);
    FILE *in = fopen("/proc/self/mountinfo", "re");
    while (in && !found && fgets(line, sizeof line, in))
        found = sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1 &&
                strncmp(point, path, len) == 0 && point[len] == '/' && point[len + 1];
    if (in)
        (void)fclose(in);
    return found || !in;
}

/* NULL when nothing speaks against it. */
static char *why_not(int source, int rc, const char *path)
{
    char *nested = NULL;
    if (rc == -ENOTSUP)
        return xstrdup("its file system takes no snapshots");
    if (rc < 0)
        return xstrdup(strerror(-rc));
    if (has_mounts(path))
        return xstrdup("another file system is mounted below it");
    if (subvolume_has_nested(source, &nested)) {
        char *why = xasprintf("there is another subvolume in it: %.100s", nested);
        free(nested);
        return why;
    }
    return NULL;
}

static char *take_auto(struct snapshot *s, const char *path)
{
    CLEANUP(mem_free) char *rel = NULL;
    CLEANUP(fd_close) int root = -1;
    CLEANUP(fd_close) int source = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char link[64], real[4096];
    int rc = source < 0 ? -errno : subvolume_of(source, &root, &rel);
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", source);
    ssize_t n = source < 0 ? -1 : readlink(link, real, sizeof real - 1);
    if (rc == 0 && n < 0)
        rc = -errno;
    real[n < 0 ? 0 : n] = '\0'; /* a link on the way must not hide a mount */
    char *why = why_not(source, rc, real);
    if (why)
        return why;
    rc = take_btrfs(s, source, root, rel);
    return rc < 0 ? xasprintf("btrfs: %s", strerror(-rc)) : NULL;
}

static int take_hook(struct snapshot *s, const char *name, int cancel_fd, struct fault *reterr)
{
    struct record *r = &s->record;
    r->kind = KIND_HOOK;
    r->name = xstrdup(name);
    int rc = hook_check(s->hooks, name, reterr); /* what cannot begin needs no end */
    if (rc < 0)
        return rc;
    rc = record_save(r, s->file);
    if (rc < 0)
        return fault_set(reterr, FAULT_RETRY, -rc, "cannot write down the hook %s: %s", name,
                         strerror(-rc));
    const struct hook_call c = {.dir = s->hooks,
                                .name = r->name,
                                .verb = "pre",
                                .path = r->path,
                                .pair = r->pair,
                                .snapshot = "",
                                .cancel_fd = cancel_fd};
    rc = hook_run(&c, &r->snapshot, reterr);
    if (rc == 0)
        rc = record_save(r, s->file);
    if (rc < 0 && reterr->what_next == FAULT_NONE)
        (void)fault_set(reterr, FAULT_RETRY, -rc, "cannot write down the hook %s", name);
    if (rc == 0 && r->snapshot[0] && r->snapshot[0] != '/')
        rc = fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                       "hook %s pre: its first line is no absolute path", name);
    if (rc == 0)
        s->shown = xstrdup(r->snapshot[0] ? r->snapshot : r->path);
    return rc;
}

/* What a dead agent, or a release that failed, left of this pair is in the way of a new one. */
static int clear_old(const struct snapshot *s)
{
    CLEANUP(mem_free) char *stale = xasprintf("%s" STALE, s->file);
    (void)pthread_mutex_lock(&stale_lock);
    int rc = release_file(stale, s->hooks);
    if (rc == 0)
        rc = release_file(s->file, s->hooks);
    (void)pthread_mutex_unlock(&stale_lock);
    return rc;
}

static struct snapshot *snapshot_new(const struct agent_env *env, const struct snapshot_want *w)
{
    CLEANUP(mem_free) char *dir = record_dir(env->state_dir);
    struct snapshot *s = xcalloc(1, sizeof *s);
    (void)file_mkdirs(dir, 0700);
    s->fd = -1;
    s->file = xasprintf("%s/%s", dir, w->pair);
    s->hooks = xstrdup(env->hooks ? env->hooks : "");
    s->record.pair = xstrdup(w->pair);
    s->record.path = xmemdup(w->path, w->path_len);
    return s;
}

int snapshot_take(const struct agent_env *env, const struct snapshot_want *w, struct snapshot **ret,
                  char **retwhy, struct fault *reterr)
{
    *ret = NULL;
    struct snapshot *s = snapshot_new(env, w);
    int rc = clear_old(s);
    if (rc < 0) {
        rc = fault_set(reterr, FAULT_STOP_JOB, -rc,
                       "what an earlier run left of its snapshot cannot be released; the agent's "
                       "log says why; undone by hand, remove %s",
                       s->file);
    } else if (strcmp(w->policy, "auto") == 0) {
        CLEANUP(mem_free) char *path = xmemdup(w->path, w->path_len);
        *retwhy = take_auto(s, path);
    } else if (strncmp(w->policy, HOOK, sizeof HOOK - 1) == 0) {
        rc = take_hook(s, w->policy + sizeof HOOK - 1, w->cancel_fd, reterr);
    }
    if (rc == 0 && s->shown)
        *ret = s;
    else
        (void)snapshot_release(s);
    return rc;
}

const char *snapshot_path(const struct snapshot *s)
{
    return s->shown;
}

/* ── what a dead agent left ── */

struct recovery {
    char *dir, *hooks;
};

static bool is_stale(const char *name)
{
    size_t n = strlen(name), k = sizeof STALE - 1;
    return n > k && strcmp(name + n - k, STALE) == 0;
}

static void *recover_run(void *arg)
{
    struct recovery *r = arg;
    DIR *d = opendir(r->dir);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (!is_stale(e->d_name))
            continue;
        CLEANUP(mem_free) char *file = xasprintf("%s/%s", r->dir, e->d_name);
        (void)pthread_mutex_lock(&stale_lock);
        (void)release_file(file, r->hooks);
        (void)pthread_mutex_unlock(&stale_lock);
    }
    if (d)
        (void)closedir(d);
    free(r->dir);
    free(r->hooks);
    free(r);
    return NULL;
}

/* Those of running steps come later and are not stale. True: there is something to do. */
static bool mark_stale(const char *dir)
{
    bool any = false;
    DIR *d = opendir(dir);
    for (const struct dirent *e; d && (e = readdir(d)) != NULL;) {
        if (e->d_name[0] == '.')
            continue;
        any = true;
        if (is_stale(e->d_name))
            continue;
        CLEANUP(mem_free) char *from = xasprintf("%s/%s", dir, e->d_name);
        CLEANUP(mem_free) char *to = xasprintf("%s" STALE, from);
        (void)rename(from, to);
    }
    if (d)
        (void)closedir(d);
    return any;
}

void snapshot_recover(const struct agent_env *env)
{
    pthread_t thread;
    struct recovery *r = xcalloc(1, sizeof *r);
    r->dir = record_dir(env->state_dir);
    r->hooks = xstrdup(env->hooks ? env->hooks : "");
    if (mark_stale(r->dir) && pthread_create(&thread, NULL, recover_run, r) == 0) {
        (void)pthread_detach(thread);
        return;
    }
    free(r->dir);
    free(r->hooks);
    free(r);
}
