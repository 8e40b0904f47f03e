/* dfs: a bounded walk by folder handle. Worker threads. */
#include "agent/share/dfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"

#define DEPTH_MAX 6
#define ENTRIES_MAX 50000

struct scan {
    struct dfs_links *links;
    unsigned entries;
};

static void take_link(struct scan *s, int dir, const char *name, const char *path)
{
    static const char scheme[] = "msdfs:";
    char target[4096];
    ssize_t n = readlinkat(dir, name, target, sizeof target - 1);
    if (n < (ssize_t)sizeof scheme || s->links->n == DFS_LINKS_MAX)
        return;
    target[n] = '\0';
    if (strncmp(target, scheme, sizeof scheme - 1) != 0)
        return;
    struct dfs_links *l = s->links;
    if ((l->n & (l->n - 1)) == 0)
        l->list = xrealloc(l->list, (l->n ? 2 * l->n : 1) * sizeof *l->list);
    l->list[l->n++] =
        (struct dfs_link){.path = xstrdup(path), .target = xstrdup(target + sizeof scheme - 1)};
}

/* Takes fd. */
static void walk(struct scan *s, int fd, const char *path,
                 unsigned depth) // NOLINT(misc-no-recursion)
{
    DIR *d = fdopendir(fd);
    if (!d) {
        (void)fd_close(fd);
        return;
    }
    for (const struct dirent *e; s->entries < ENTRIES_MAX && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        s->entries++;
        CLEANUP(mem_free) char *below = xasprintf("%s%s%s", path, *path ? "/" : "", e->d_name);
        if (e->d_type == DT_LNK || e->d_type == DT_UNKNOWN)
            take_link(s, dirfd(d), e->d_name, below);
        if (depth == 0 || (e->d_type != DT_DIR && e->d_type != DT_UNKNOWN))
            continue;
        int next = openat(dirfd(d), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (next >= 0)
            walk(s, next, below, depth - 1);
    }
    (void)closedir(d);
}

void dfs_scan(const char *root, struct dfs_links *ret)
{
    struct scan s = {.links = ret};
    *ret = (struct dfs_links){.n = 0};
    int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0)
        walk(&s, fd, "", DEPTH_MAX);
}

void dfs_done(struct dfs_links *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->list[i].path);
        free(l->list[i].target);
    }
    free(l->list);
    *l = (struct dfs_links){.n = 0};
}
