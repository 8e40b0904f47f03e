/* catalogue_prune: forgets rows of what the source has no more, by entry and by whole sub-folders.
 * One thread at a time. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/store/catalogue_priv.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"

/* folder, then one byte; malloc'd. */
static char *with_byte(const char *folder, size_t len, char byte)
{
    char *path = xmalloc(len + 1);
    if (len)
        memcpy(path, folder, len);
    path[len] = byte;
    return path;
}

/* The folder and all that begins with it and a slash: '0' is the byte after '/'. */
static int drop_below(struct catalogue *c, const char *folder, size_t len)
{
    sqlite3_stmt *st = c->st[ST_DROP_BELOW];
    CLEANUP(mem_free) char *from = with_byte(folder, len, '/');
    CLEANUP(mem_free) char *end = with_byte(folder, len, '0');
    int rc = catalogue_bind(st, 1, folder, len);
    if (rc == 0)
        rc = catalogue_bind(st, 2, from, len + 1);
    if (rc == 0)
        rc = catalogue_bind(st, 3, end, len + 1);
    return rc == 0 ? catalogue_step(c, ST_DROP_BELOW) : rc;
}

int catalogue_forget_below(struct catalogue *c, const char *folder, size_t len)
{
    int rc = catalogue_begin(c);
    if (rc < 0)
        return rc;
    if (len == 0)
        return catalogue_errno(sqlite3_exec(c->db, "DELETE FROM segment", NULL, NULL, NULL));
    return drop_below(c, folder, len);
}

/* The first folder at or behind from. 1 and *ret, malloc'd; 0: none. */
static int folder_at(struct catalogue *c, const char *from, size_t from_len, char **ret,
                     size_t *retlen)
{
    sqlite3_stmt *st = c->st[ST_CHILD];
    int rc = catalogue_bind(st, 1, from, from_len);
    int got = rc == 0 ? sqlite3_step(st) : SQLITE_DONE;
    if (got == SQLITE_ROW) {
        *retlen = (size_t)sqlite3_column_bytes(st, 0);
        *ret = xmemdup(sqlite3_column_blob(st, 0), *retlen);
    }
    (void)sqlite3_reset(st);
    (void)sqlite3_clear_bindings(st);
    rc = rc == 0 ? catalogue_errno(got) : rc;
    return rc < 0 ? rc : got == SQLITE_ROW;
}

/* Sub-folders in byte order: behind "a" come "a-b" and then "a/x", so that a name may be met twice.
 */
static int prune_folders(struct catalogue *c, const char *folder, size_t len,
                         bool (*keep)(void *arg, const char *name, size_t len), void *arg)
{
    char *at = len ? with_byte(folder, len, '/') : with_byte("", 0, '\1');
    size_t at_len = len + 1, prefix = len ? len + 1 : 0;
    int rc = 0;
    for (;;) {
        char *next = NULL;
        size_t next_len = 0;
        rc = folder_at(c, at, at_len, &next, &next_len);
        if (rc != 1 || next_len <= prefix || (prefix && memcmp(next, at, prefix) != 0)) {
            free(next);
            break;
        }
        const char *slash = memchr(next + prefix, '/', next_len - prefix);
        size_t child = slash ? (size_t)(slash - next) : next_len;
        rc = keep(arg, next + prefix, child - prefix) ? 0 : catalogue_forget_below(c, next, child);
        free(at);
        /* Past this folder, or past all below it. */
        at = with_byte(next, child, slash ? '0' : '\0');
        at_len = child + 1;
        free(next);
        if (rc < 0)
            break;
    }
    free(at);
    return rc < 0 ? rc : 0;
}

struct pruning {
    struct catalogue *c;
    const char *folder;
    size_t len;
    bool (*keep)(void *arg, const char *name, size_t len);
    void *arg;
};

static int prune_entry(void *arg, const char *name, size_t len)
{
    const struct pruning *p = arg;
    if (p->keep(p->arg, name, len))
        return 0;
    int rc = catalogue_forget(p->c, p->folder, p->len, name, len);
    if (rc == -EAGAIN) {
        rc = catalogue_commit(p->c);
        if (rc == 0)
            rc = catalogue_forget(p->c, p->folder, p->len, name, len);
    }
    return rc;
}

int catalogue_prune(struct catalogue *c, const struct catalogue_folder *f, const char *folder,
                    size_t len, bool (*keep)(void *arg, const char *name, size_t len), void *arg)
{
    struct pruning p = {c, folder, len, keep, arg};
    int rc = f ? catalogue_names(f, prune_entry, &p) : 0;
    return rc == 0 ? prune_folders(c, folder, len, keep, arg) : rc;
}
