/* nfs: files of exports, and exportfs. Worker thread, or a process of its own. */
#include "agent/identity/nfs.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "agent/identity/capture_priv.h"
#include "agent/identity/names.h"
#include "agent/identity/service.h"
#include "agent/identity/undo.h"
#include "agent/share/exports.h"
#include "common/base/buf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define RELOAD_MS 30000

/* "10.0.0.0/8(rw,sync) *(ro)": each rw between commas or brackets. */
static void put_read_only(struct buf *to, const char *clients)
{
    for (const char *at = clients; *at; at++) {
        bool begins = at > clients && (at[-1] == '(' || at[-1] == ',');
        if (begins && strncmp(at, "rw", 2) == 0 && (at[2] == ',' || at[2] == ')')) {
            buf_put(to, "ro", 2);
            at++;
        } else {
            buf_put_u8(to, (uint8_t)*at);
        }
    }
    buf_put_u8(to, '\n');
}

int nfs_render(const char *text, size_t len, char **ret, struct fault *reterr)
{
    struct exports e = {.n = 0};
    struct buf b;
    int rc = exports_parse(text, len, &e, reterr);
    if (rc < 0)
        return rc;
    buf_init(&b, 4 * EXPORTS_MAX);
    buf_put(&b, NFS_MARK, sizeof NFS_MARK - 1);
    for (size_t i = 0; i < e.n; i++) {
        CLEANUP(mem_free) char *path = exports_escape(e.list[i].path);
        buf_put(&b, path, strlen(path));
        buf_put_u8(&b, ' ');
        put_read_only(&b, e.list[i].clients);
    }
    if (!b.overflow)
        *ret = xmemdup(b.data, b.len);
    rc = b.overflow ? fault_set(reterr, FAULT_STOP_JOB, E2BIG, "too much is exported") : 0;
    buf_done(&b);
    exports_done(&e);
    return rc;
}

static int only_exports(const struct dirent *e)
{
    static const char end[] = ".exports";
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > sizeof end - 1 &&
           strcmp(e->d_name + n - (sizeof end - 1), end) == 0;
}

/* Each file of exports, by its path on the host; the first that fails ends it. */
static int each_file(const struct site *v, int (*act)(void *arg, const char *path), void *arg)
{
    CLEANUP(mem_free) char *folder = xasprintf("%s" NFS_EXPORTS_DIR, v->root);
    struct dirent **names = NULL;
    int rc = act(arg, NFS_EXPORTS), n = scandir(folder, &names, only_exports, alphasort);
    for (int i = 0; i < n; i++) {
        CLEANUP(mem_free) char *path = xasprintf(NFS_EXPORTS_DIR "/%s", names[i]->d_name);
        if (rc >= 0)
            rc = act(arg, path);
        free(names[i]);
    }
    free(names);
    return rc;
}

static int read_one(const struct site *v, const char *path, char **ret, size_t *retlen)
{
    CLEANUP(mem_free) char *full = xasprintf("%s%s", v->root, path);
    return file_read(full, EXPORTS_MAX, ret, retlen);
}

struct raising {
    const struct site *site;
    struct fault *reterr;
    bool closed;
    bool some, changed;
};

/* A file that exports nothing stays as it is. */
static int raise_one(void *arg, const char *path)
{
    struct raising *g = arg;
    CLEANUP(mem_free) char *now = NULL;
    CLEANUP(mem_free) char *open = NULL;
    struct fault why = {.err = 0};
    size_t len = 0;
    int rc = read_one(g->site, path, &now, &len);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = nfs_render(now, len, &open, &why);
    if (rc == 0 && strcmp(open, NFS_MARK) == 0 && strncmp(now, NFS_MARK, sizeof NFS_MARK - 1) != 0)
        return 0;
    g->some = true;
    if (rc == 0)
        rc = names_write(g->site, path, g->closed ? NFS_MARK : open, 0644);
    g->changed = g->changed || rc > 0;
    return rc < 0 ? fault_set(g->reterr, FAULT_STOP_JOB, -rc, "%.120s cannot be made read-only: %s",
                              path, why.text[0] ? why.text : strerror(-rc))
                  : 0;
}

int nfs_raise(const struct site *v, bool closed, struct fault *reterr)
{
    static const char *const reload[] = {"exportfs", "-ra", NULL};
    CLEANUP(mem_free) char *program = NULL;
    struct raising g = {.site = v, .reterr = reterr, .closed = closed};
    if (program_find("exportfs", v->search, &program) < 0)
        return 0; /* no server: nobody is given anything */
    int rc = each_file(v, raise_one, &g);
    if (rc == 0 && g.some) /* also a second time: the first may have been cut short before this */
        rc = service_tool(v, reload, RELOAD_MS, reterr);
    return rc < 0 ? rc : g.changed;
}

static int note_one(void *arg, const char *path)
{
    const struct site *v = arg;
    CLEANUP(mem_free) char *full = xasprintf("%s%s", v->root, path);
    return undo_keep_file(v->undo, full);
}

int nfs_note(const struct site *v, struct fault *reterr)
{
    struct site own = *v;
    int rc = each_file(v, note_one, &own);
    return rc < 0 ? fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot note what is exported: %s",
                              strerror(-rc))
                  : 0;
}

static bool may_write(const char *clients)
{
    for (const char *at = clients; *at; at++)
        if (at > clients && (at[-1] == '(' || at[-1] == ',') && strncmp(at, "rw", 2) == 0 &&
            (at[2] == ',' || at[2] == ')'))
            return true;
    return false;
}

static int look_at_one(void *arg, const char *path)
{
    struct raising *g = arg;
    CLEANUP(mem_free) char *now = NULL;
    struct exports e = {.n = 0};
    size_t len = 0;
    if (read_one(g->site, path, &now, &len) < 0)
        return 0;
    g->some = g->some || exports_parse(now, len, &e, g->reterr) < 0;
    for (size_t i = 0; i < e.n; i++)
        g->some = g->some || g->closed || may_write(e.list[i].clients);
    exports_done(&e);
    return 0;
}

bool nfs_holds(const struct site *v, bool closed)
{
    struct fault unused = {.err = 0};
    struct raising g = {.site = v, .reterr = &unused, .closed = closed};
    CLEANUP(mem_free) char *program = NULL;
    if (program_find("exportfs", v->search, &program) < 0)
        return true;
    (void)each_file(v, look_at_one, &g);
    return !g.some;
}

void nfs_reload(const struct site *v)
{
    static const char *const reload[] = {"exportfs", "-ra", NULL};
    CLEANUP(mem_free) char *program = NULL;
    struct fault unused = {.err = 0};
    if (program_find("exportfs", v->search, &program) == 0)
        (void)service_tool(v, reload, RELOAD_MS, &unused);
}

struct listing_of {
    const struct site *site;
    char ***list;
    size_t *n;
};

static int list_one(void *arg, const char *path)
{
    const struct listing_of *l = arg;
    CLEANUP(mem_free) char *text = NULL;
    struct exports e = {.n = 0};
    struct fault unused = {.err = 0};
    size_t len = 0;
    if (read_one(l->site, path, &text, &len) < 0 || exports_parse(text, len, &e, &unused) < 0)
        return 0;
    for (size_t i = 0; i < e.n; i++) {
        CLEANUP(mem_free) char *path_text = exports_escape(e.list[i].path);
        CLEANUP(mem_free) char *line = xasprintf("%s %s", path_text, e.list[i].clients);
        capture_add(l->list, l->n, line);
    }
    exports_done(&e);
    return 0;
}

void nfs_list(const struct site *v, char ***list, size_t *n)
{
    struct listing_of l = {v, list, n};
    (void)each_file(v, list_one, &l);
}
