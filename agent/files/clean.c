/* clean: the step "files.clean": forgets a pair's catalogue and removes the temporary files that it
 * left below its folder. Worker thread and its walkers. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/feed/feed.h"
#include "agent/files/crew.h"
#include "agent/files/files.h"
#include "agent/files/manifest.h"
#include "agent/step.h"
#include "agent/store/beneath.h"
#include "agent/store/dents.h"
#include "agent/store/failures.h"
#include "agent/store/leftover.h"
#include "agent/store/pairname.h"
#include "agent/transfer/temp.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "proto/files.pb-c.h"

struct cleaning {
    struct step *step;
    int root;
    dev_t dev;
    char token[PAIR_TOKEN_LEN + 1];
    struct failures *failures;
    atomic_ullong entries, deleted;
};

static bool is_folder(const struct cleaning *c, int fd, const struct dents_entry *e)
{
    struct stat st;
    if (e->type != DT_DIR && e->type != DT_UNKNOWN)
        return false;
    return fstatat(fd, e->name, &st, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0 &&
           S_ISDIR(st.st_mode) && st.st_dev == c->dev;
}

static int clean_entry(struct cleaning *c, struct crew *crew, int fd, const char *rel, size_t len,
                       const struct dents_entry *e)
{
    uint64_t removed = 0;
    if (!pair_is_temp(c->token, e->name, e->len))
        return is_folder(c, fd, e) ? crew_push(crew, rel, len, e->name, e->len) : 0;
    int rc = leftover_remove(fd, e->name, &removed);
    atomic_fetch_add(&c->deleted, removed);
    if (rc == -EBUSY) /* not ours: a folder as any other */
        return is_folder(c, fd, e) ? crew_push(crew, rel, len, e->name, e->len) : 0;
    if (rc < 0 && rc != -ENOENT)
        failures_add(c->failures, -rc, "remove", rel, len);
    return 0;
}

static int clean_folder(struct crew *crew, unsigned worker, const char *rel, size_t len, void *arg)
{
    struct cleaning *c = arg;
    (void)worker;
    CLEANUP(fd_close) int fd = beneath_open(c->root, rel, len, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0) {
        if (fd != -ENOENT && fd != -ENOTDIR && fd != -ELOOP)
            failures_add(c->failures, -fd, "open folder", rel, len);
        return 0;
    }
    CLEANUP(mem_free) struct dents *d = xmalloc(sizeof *d);
    struct dents_entry e;
    int rc = 0, more = 1;
    dents_init(d, fd);
    while (rc == 0 && !crew_cancelled(crew) && (more = dents_next(d, &e)) == 1) {
        rc = clean_entry(c, crew, fd, rel, len, &e);
        atomic_fetch_add(&c->entries, 1);
    }
    if (more < 0)
        failures_add(c->failures, -more, "read folder", rel, len);
    return rc;
}

static void tick(void *arg)
{
    struct cleaning *c = arg;
    struct counters n = {.entries = atomic_load(&c->entries), .deleted = atomic_load(&c->deleted)};
    step_progress(c->step, &n, 0, "Removing leftovers");
}

static int forget(const char *file)
{
    return unlink(file) < 0 && errno != ENOENT ? -errno : 0;
}

/* What a sender keeps between its runs. */
static int forget_lists(struct step *s, const char *pair)
{
    static const char *const suffix[] = {"failed", "failed.new", "sent", "seen", "root"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(suffix); i++) {
        CLEANUP(mem_free)
        char *file = temp_state_path(step_env(s)->state_dir, pair, suffix[i]);
        rc = forget(file);
    }
    return rc;
}

static int forget_catalogue(struct step *s, const char *pair)
{
    static const char *const suffix[] = {"-wal",         "-shm",         ".damaged",
                                         ".damaged-wal", ".damaged-shm", ""};
    CLEANUP(mem_free) char *path = pair_catalogue_path(step_env(s)->state_dir, pair);
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(suffix); i++) {
        CLEANUP(mem_free) char *file = xasprintf("%s%s", path, suffix[i]);
        rc = forget(file);
    }
    return rc;
}

static int forget_manifests(struct step *s, const char *pair)
{
    uint64_t removed = 0;
    CLEANUP(mem_free) char *parent = manifest_parent(step_env(s)->state_dir);
    CLEANUP(fd_close) int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? 0 : -errno;
    int rc = beneath_remove(fd, pair, &removed);
    return rc == -ENOENT ? 0 : rc;
}

static int walk(struct cleaning *c, const Godwit__CleanOrder *o)
{
    if (o->path.len == 0)
        return 0;
    CLEANUP(fd_close) int root = beneath_root((const char *)o->path.data, o->path.len, false);
    if (root < 0)
        return root == -ENOENT ? 0 : root;
    struct stat st;
    if (fstat(root, &st) < 0)
        return -errno;
    c->root = root;
    c->dev = st.st_dev;
    struct crew_conf conf = {
        .spill_dir = step_env(c->step)->state_dir,
        .cancel_fd = step_cancel_fd(c->step),
        .arg = c,
        .visit = clean_folder,
        .tick = tick,
    };
    return crew_run(&conf);
}

/* Leftovers first: while they may be there, the catalogue that knows them stays. */
static void clean(struct step *s, const Godwit__CleanOrder *o, struct step_result *ret)
{
    struct cleaning c = {.step = s, .failures = failures_new()};
    pair_token(o->pair, c.token);
    int rc = walk(&c, o);
    if (rc == 0)
        rc = forget_catalogue(s, o->pair);
    if (rc == 0)
        rc = forget_lists(s, o->pair);
    if (rc == 0)
        rc = forget_manifests(s, o->pair);
    feed_forget(step_env(s)->feed, o->pair);
    ret->counters.entries = atomic_load(&c.entries);
    ret->counters.deleted = atomic_load(&c.deleted);
    ret->counters.failed = failures_count(c.failures);
    failures_take(c.failures, ret);
    (void)failures_free(c.failures);
    ret->status = rc == -ECANCELED ? STEP_STOPPED
                  : rc < 0         ? STEP_FAILED
                  : ret->ngroups   ? STEP_PARTIAL
                                   : STEP_DONE;
    if (ret->status == STEP_FAILED)
        (void)fault_set(&ret->fault, FAULT_RETRY, -rc, "cannot clean up: %s", strerror(-rc));
}

void files_clean(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__CleanOrder *o = godwit__clean_order__unpack(NULL, len, args);
    if (!o || !pair_valid(o->pair)) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    } else {
        clean(s, o, ret);
    }
    if (o)
        godwit__clean_order__free_unpacked(o, NULL);
}
