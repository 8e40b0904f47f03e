/* dfs: the links of a DFS root: symbolic links that begin with "msdfs:". Reads only. Worker
 * threads. */
#pragma once
#include <stddef.h>

struct dfs_link {
    char *path;   /* below the root */
    char *target; /* without "msdfs:" */
};
struct dfs_links {
    struct dfs_link *list;
    size_t n;
};

#define DFS_LINKS_MAX 500

/* As far as 6 folders deep and 50,000 entries; never through a link. An unreadable folder is passed
 * over. */
void dfs_scan(const char *root, struct dfs_links *ret);
void dfs_done(struct dfs_links *l);
