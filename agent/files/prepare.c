/* prepare: the step "files.prepare": is the destination fit to receive? Makes the folder when told
 * to and moves aside what stands in it, writes nothing else. Worker thread. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/files/files.h"
#include "agent/files/place.h"
#include "agent/step.h"
#include "agent/store/aside.h"
#include "agent/store/beneath.h"
#include "agent/store/pairname.h"
#include "agent/store/rename.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "proto/files.pb-c.h"

static int look(int fd, bool exists, Godwit__PrepareResult *r, struct place *place)
{
    int empty = 1, rc = place_of(fd, place);
    if (rc == 0 && exists)
        rc = empty = beneath_is_empty(fd, ".");
    if (rc < 0)
        return rc;
    if (place->is_kernel)
        return -ENOTSUP;
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
        return -errno;
    r->fs_free = place->free;
    r->inodes_free = place->inodes_free;
    r->file_system = place->file_system;
    r->empty = empty;
    r->has_xattr = place->has_xattr;
    r->has_acl = place->has_acl;
    return 0;
}

/* "lost+found" is the file system's own. */
static bool stays(const char *name, const char *aside)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || strcmp(name, aside) == 0 ||
           strcmp(name, "lost+found") == 0;
}

/* Entry by entry, each by one rename: what a crash left undone the next run of the step does. */
static int move_all(int fd, int to, const char *aside, uint64_t *ret)
{
    int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    int rc = dir ? 0 : -errno;
    for (const struct dirent *e; rc == 0 && (e = readdir(dir)) != NULL;) {
        if (stays(e->d_name, aside))
            continue;
        rc = rename_new(fd, e->d_name, to, e->d_name);
        *ret += rc == 0;
    }
    if (dir)
        (void)closedir(dir);
    return rc;
}

/* An empty folder keeps nothing aside, and gets no folder for it. */
static int move_aside(int fd, const char *aside, uint64_t *ret)
{
    struct stat st;
    if (strncmp(aside, ASIDE, sizeof ASIDE - 1) != 0 || strchr(aside, '/') || strlen(aside) > 100)
        return -EINVAL;
    bool begun = fstatat(fd, aside, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!begun && beneath_is_empty(fd, ".") == 1)
        return 0;
    if (!begun && mkdirat(fd, aside, 0700) < 0)
        return -errno;
    CLEANUP(fd_close)
    int to = openat(fd, aside, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (to < 0)
        return -errno;
    int rc = move_all(fd, to, aside, ret);
    if (rc == 0 && *ret == 0 && !begun)
        (void)unlinkat(fd, aside, AT_REMOVEDIR);
    if (rc == 0 && (fsync(to) < 0 || fsync(fd) < 0))
        rc = -errno;
    return rc;
}

static void prepare(struct step *s, const Godwit__PrepareOrder *o, struct step_result *ret)
{
    const char *path = (const char *)o->path.data;
    bool exists = true;
    CLEANUP(fd_close)
    int fd = o->create ? beneath_root(path, o->path.len, true)
                       : place_open_nearest(path, o->path.len, &exists);
    Godwit__PrepareResult r = GODWIT__PREPARE_RESULT__INIT;
    struct place place;
    int rc = fd < 0 ? fd : look(fd, exists, &r, &place);
    if (rc == 0 && *o->aside) {
        rc = o->create ? move_aside(fd, o->aside, &r.aside_entries) : -EINVAL;
        r.empty = r.empty || rc == 0;
    }
    if (rc < 0) {
        CLEANUP(mem_free) char *shown = text_quote(path, o->path.len);
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, -rc, "the destination %s cannot receive: %s",
                        shown, strerror(-rc));
        return;
    }
    r.privileged = step_env(s)->privileged;
    ret->body_len = godwit__prepare_result__get_packed_size(&r);
    ret->body = xmalloc(ret->body_len);
    (void)godwit__prepare_result__pack(&r, ret->body);
    ret->status = STEP_DONE;
}

void files_prepare(struct step *s, struct step_result *ret)
{
    size_t len = 0;
    const void *args = step_args(s, &len);
    Godwit__PrepareOrder *o = godwit__prepare_order__unpack(NULL, len, args);
    if (!o || !pair_valid(o->pair)) {
        ret->status = STEP_FAILED;
        (void)fault_set(&ret->fault, FAULT_STOP_JOB, EBADMSG, "the order is not readable");
    } else {
        prepare(s, o, ret);
    }
    if (o)
        godwit__prepare_order__free_unpacked(o, NULL);
}
