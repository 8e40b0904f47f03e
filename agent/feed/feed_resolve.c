/* feed_resolve: from handles to paths, as they are when a pass begins. A folder that moved away
 * since it changed is found where it is now; one that is gone was told of at its parent. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/feed/feed_list.h"
#include "agent/feed/feed_log.h"
#include "agent/feed/feed_path.h"
#include "agent/feed/feed_priv.h"
#include "agent/store/beneath.h"
#include "common/base/mem.h"

struct resolving {
    const struct feed_root *root;
    struct feed_list *list;
    struct feed_handle last; /* records of one folder come together */
    bool known, below;
    char path[PATH_MAX];
    size_t len;
};

/* 1: r->path is where it stands. 0: not below the root. */
static int folder(struct resolving *r, const struct feed_handle *h)
{
    if (r->known && r->last.type == h->type && r->last.len == h->len &&
        memcmp(r->last.bytes, h->bytes, h->len) == 0)
        return r->below;
    int rc = feed_path_of(r->root, h, r->path, &r->len);
    if (rc < 0)
        return rc;
    r->last = *h;
    r->known = true;
    r->below = rc == 1;
    return rc;
}

/* malloc'd; NULL: no name that an entry can have. */
static char *join(const struct resolving *r, const char *name, size_t *retlen)
{
    size_t n = strlen(name);
    if (!beneath_valid_name(name, n))
        return NULL;
    *retlen = r->len + (r->len > 0) + n;
    return r->len ? xasprintf("%.*s/%s", (int)r->len, r->path, name) : xstrdup(name);
}

static int add_whole(struct resolving *r, const struct feed_place *p)
{
    size_t len = 0;
    char *path = join(r, p->name, &len);
    int rc = path ? feed_list_add(r->list, path, len, true) : -EBADMSG;
    free(path);
    return rc;
}

static int add_move(struct resolving *r, const struct feed_record *m)
{
    size_t to_len = 0, from_len = 0;
    char *to = join(r, m->at.name, &to_len);
    int rc = to ? folder(r, &m->from.folder) : 0;
    char *from = rc == 1 ? join(r, m->from.name, &from_len) : NULL;
    if (to && from)
        feed_list_moved(r->list, from, from_len, to, to_len);
    free(to);
    free(from);
    return rc < 0 ? rc : 0;
}

/* One name now, and none come or gone since the last pass: its folder was told, that is all there
 * is to look at. Else the others may lie where nothing happened; and a name that is gone may have
 * been the one that it was changed by. */
static int file(struct resolving *r, const struct feed_record *m)
{
    struct stat st;
    int rc = feed_file_of(r->root, &m->at.folder, &st);
    if (rc != 1)
        return rc;
    if (S_ISDIR(st.st_mode))
        return -EBADMSG;
    if (st.st_nlink == 1 && m->what == FEED_FILE)
        return 0;
    return feed_list_add_inode(r->list, st.st_dev, st.st_ino);
}

static int one(void *arg, const struct feed_record *m)
{
    struct resolving *r = arg;
    if (m->what == FEED_FILE || m->what == FEED_NAMES)
        return file(r, m);
    int rc = folder(r, &m->at.folder);
    if (rc != 1)
        return rc;
    switch (m->what) {
    case FEED_FOLDER:
        return feed_list_add(r->list, r->path, r->len, false);
    case FEED_WHOLE:
        return add_whole(r, &m->at);
    case FEED_MOVED:
    case FEED_FILE:
    case FEED_NAMES:
        break;
    }
    return add_move(r, m);
}

const char *feed_resolve(int log_fd, uint64_t from, uint64_t to, const struct feed_root *root,
                         struct feed_list **ret)
{
    struct resolving *r = xcalloc(1, sizeof *r);
    r->root = root;
    r->list = feed_list_new();
    int rc = feed_log_each(log_fd, from, to, one, r);
    if (rc == 0) {
        feed_list_settle(r->list);
        *ret = r->list;
    } else {
        (void)feed_list_free(r->list);
    }
    free(r);
    return rc == 0        ? NULL
           : rc == -E2BIG ? "so much changed that a full scan costs less"
                          : "a changed folder could not be found";
}
