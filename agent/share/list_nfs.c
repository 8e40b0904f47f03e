/* list_nfs: what this host exports: /etc/exports and exports.d. Worker threads. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/share/belong.h"
#include "agent/share/exports.h"
#include "agent/share/list_priv.h"
#include "common/base/file.h"
#include "common/base/mem.h"

static void add_export(struct listing *l, const struct export_line *line, const char *file)
{
    Godwit__NfsExport *e = xmalloc(sizeof *e);
    godwit__nfs_export__init(e);
    CLEANUP(mem_free) char *below = NULL;
    CLEANUP(mem_free) char *real = NULL;
    list_text(&e->path, line->path);
    list_text(&e->clients, line->clients);
    list_text(&e->file, file);
    e->inside = belong_inside(l->order->path, line->path, &below, &real);
    list_text(&e->below, below);
    l->inv->exports = list_grown(l->inv->exports, l->inv->n_exports);
    l->inv->exports[l->inv->n_exports++] = e;
}

static void read_exports(struct listing *l, const char *file)
{
    CLEANUP(mem_free) char *text = NULL;
    struct exports e;
    struct fault why = {0};
    size_t len = 0;
    int rc = file_read(file, EXPORTS_MAX, &text, &len);
    if (rc == -ENOENT)
        return;
    l->inv->has_nfs = true;
    if (rc < 0 || exports_parse(text, len, &e, &why) < 0) {
        list_warn(l, "%s is not taken: %s", file, rc < 0 ? strerror(-rc) : why.text);
        return;
    }
    for (size_t i = 0; i < e.n; i++)
        add_export(l, &e.list[i], file);
    exports_done(&e);
}

static int only_exports(const struct dirent *e)
{
    static const char end[] = ".exports";
    size_t n = strlen(e->d_name);
    return e->d_name[0] != '.' && n > sizeof end - 1 &&
           strcmp(e->d_name + n - (sizeof end - 1), end) == 0;
}

void list_exports(struct listing *l)
{
    struct dirent **names = NULL;
    const char *ganesha = l->server->ganesha;
    if (ganesha && access(ganesha, F_OK) == 0)
        list_warn(l,
                  "%s is there: exports of NFS-Ganesha are not read, nor moved; write them as "
                  "/etc/exports on the destination, or export them by hand",
                  ganesha);
    read_exports(l, l->server->exports);
    int n = scandir(l->server->exports_dir, &names, only_exports, alphasort);
    for (int i = 0; i < n; i++) {
        CLEANUP(mem_free) char *file = xasprintf("%s/%s", l->server->exports_dir, names[i]->d_name);
        read_exports(l, file);
        free(names[i]);
    }
    free(names);
}
