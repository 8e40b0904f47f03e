/* written: what was written below a folder since this host took another's place: files whose inode
 * was changed since. Changes nothing. Worker thread, or a process of its own. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/identity/stage.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define DEPTH_MAX 200
#define WALK_MS 10000 /* users are served meanwhile, and somebody waits */
#define PATHS_MAX 100

struct looking {
    Godwit__IdentityResult *to;
    int64_t since_ms, until; /* wall clock; the other one */
};

static void add(struct looking *l, const char *path, const struct stat *st)
{
    Godwit__IdentityResult *to = l->to;
    to->written++;
    to->written_bytes += st->st_size > 0 ? (uint64_t)st->st_size : 0;
    if (to->n_written_paths == PATHS_MAX)
        return;
    to->written_paths =
        xrealloc(to->written_paths, (to->n_written_paths + 1) * sizeof *to->written_paths);
    to->written_paths[to->n_written_paths++] = text_printable(path, strnlen(path, 1000));
}

static void look(struct looking *l, int parent, const char *name, const char *path, int depth);

static void look_at(struct looking *l, int dir, const char *name, const char *path, int depth)
{
    struct stat st;
    CLEANUP(mem_free) char *full = xasprintf("%s%s%s", path, *path ? "/" : "", name);
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return;
    if (S_ISDIR(st.st_mode))
        look(l, dir, name, full, depth + 1);
    else if ((int64_t)st.st_ctim.tv_sec * 1000 + st.st_ctim.tv_nsec / 1000000 >= l->since_ms)
        add(l, full, &st);
}

static void look(struct looking *l, int parent, const char *name, const char *path, int depth)
{
    int fd = depth > DEPTH_MAX || clock_mono_ms() > l->until
                 ? -1
                 : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd < 0 ? NULL : fdopendir(fd);
    if (!d) {
        if (fd >= 0)
            (void)close(fd);
        l->to->written_more = true; /* it is not known what is there */
        return;
    }
    for (const struct dirent *e; (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strncmp(e->d_name, ".godwit-", 8) != 0)
            look_at(l, fd, e->d_name, path, depth);
    (void)closedir(d);
}

int stage_written(struct stage_run *r)
{
    const ProtobufCBinaryData *f = &r->order->folder;
    struct looking l = {.to = r->result,
                        .since_ms = clock_wall_ms() - r->order->served_ms,
                        .until = clock_mono_ms() + WALK_MS};
    if (f->len == 0 || f->len > 4096 || f->data[0] != '/' || memchr(f->data, 0, f->len) ||
        r->order->served_ms < 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order names no folder");
    CLEANUP(mem_free) char *folder = xmemdup(f->data, f->len);
    CLEANUP(mem_free) char *full = xasprintf("%s%s", r->site.root, folder);
    CLEANUP(fd_close) int fd = open(full, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, errno, "cannot look into the folder");
    look(&l, fd, ".", "", 0);
    return 1;
}
