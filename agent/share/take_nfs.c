/* take_nfs: exports come as a file of the pair in /etc/exports.d. Worker threads. */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "agent/share/before.h"
#include "agent/share/belong.h"
#include "agent/share/exports.h"
#include "agent/share/list.h"
#include "agent/share/take_priv.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

static int check_folder(const struct take *t, const Godwit__NfsExport *e, const char *path,
                        struct fault *reterr)
{
    struct stat st;
    if ((t->dry && e->inside) || stat(path, &st) == 0)
        return 0;
    CLEANUP(mem_free) char *shown = text_quote(path, strnlen(path, 100));
    return fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                     "export %s: the folder is not there on the destination; nothing was changed",
                     shown);
}

/* One file of this server: does it export path to anybody in another way? */
static int check_file(const char *file, const char *path, const char *clients, struct fault *reterr)
{
    CLEANUP(mem_free) char *text = NULL;
    struct exports e = {.n = 0};
    struct fault why = {0};
    size_t len = 0;
    int rc = file_read(file, EXPORTS_MAX, &text, &len);
    if (rc == -ENOENT)
        return 0;
    if (rc == 0)
        rc = exports_parse(text, len, &e, &why);
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL,
                         "%.80s on the destination has an error: %s", file,
                         why.text[0] ? why.text : strerror(-rc));
    for (size_t i = 0; rc == 0 && i < e.n; i++)
        if (strcmp(e.list[i].path, path) == 0 && strcmp(e.list[i].clients, clients) != 0) {
            CLEANUP(mem_free) char *shown = text_quote(path, strnlen(path, 80));
            rc = fault_set(
                reterr, FAULT_STOP_JOB, EEXIST,
                "%s is exported on the destination already, in another way (%.80s); nothing "
                "was changed",
                shown, file);
        }
    exports_done(&e);
    return rc;
}

static int check_others(const struct take *t, const char *mine, const char *path,
                        const char *clients, struct fault *reterr)
{
    int rc = check_file(t->server->exports, path, clients, reterr);
    DIR *d = opendir(t->server->exports_dir);
    for (const struct dirent *e; rc == 0 && d && (e = readdir(d)) != NULL;) {
        size_t n = strlen(e->d_name);
        if (e->d_name[0] == '.' || n < 9 || strcmp(e->d_name + n - 8, ".exports") != 0)
            continue;
        CLEANUP(mem_free) char *file = xasprintf("%s/%s", t->server->exports_dir, e->d_name);
        if (strcmp(file, mine) != 0)
            rc = check_file(file, path, clients, reterr);
    }
    if (d)
        (void)closedir(d);
    return rc;
}

/* What is written is read as what was meant, or it is not written. */
static bool is_sound(const char *line, const char *path, const char *clients)
{
    struct exports e = {.n = 0};
    struct fault why = {0};
    bool sound = exports_parse(line, strlen(line), &e, &why) == 0 && e.n == 1 &&
                 strcmp(e.list[0].path, path) == 0 && strcmp(e.list[0].clients, clients) == 0;
    exports_done(&e);
    return sound;
}

static int add_export(struct take *t, const Godwit__NfsExport *e, const char *mine, struct buf *to,
                      struct fault *reterr)
{
    CLEANUP(mem_free)
    char *path = e->inside ? belong_map(t->order->destination, e->below) : xstrdup(e->path);
    CLEANUP(mem_free) char *escaped = exports_escape(path);
    CLEANUP(mem_free) char *line = xasprintf("%s %s\n", escaped, e->clients);
    if (exports_clients_valid(e->clients) < 0 || !is_sound(line, path, e->clients)) {
        take_note(take_outcome(t, e->path, "export", path, "left out"),
                  "it cannot be written into a file of exports");
        return 0;
    }
    int rc = check_folder(t, e, path, reterr);
    if (rc == 0)
        rc = check_others(t, mine, path, e->clients, reterr);
    if (rc < 0)
        return rc;
    buf_put(to, line, strlen(line));
    Godwit__ShareOutcome *o = take_outcome(t, e->path, "export", path, "new");
    if (strstr(e->clients, "fsid="))
        take_note(o, "its fsid comes along: see that no other export here has the same");
    return 0;
}

static int check_tools(const struct take *t, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = NULL;
    if (program_find("exportfs", t->server->search, &path) == 0)
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                     "there is no NFS server on the destination: install one (Debian: apt install "
                     "nfs-kernel-server), or say nfs: off");
}

int take_nfs_plan(struct take *t, struct fault *reterr)
{
    const Godwit__SharesInventory *from = t->order->from;
    CLEANUP(mem_free)
    char *file = xasprintf("%s/godwit-%s.exports", t->server->exports_dir, t->order->pair);
    size_t first = t->result->n_outcomes, had = t->before->n_files;
    struct buf b;
    int rc = 0;
    buf_init(&b, EXPORTS_MAX);
    for (size_t i = 0; rc == 0 && i < from->n_exports; i++) {
        if (!from->exports[i]->inside && t->order->nfs != SHARE_ALL)
            continue;
        if (b.len == 0)
            rc = check_tools(t, reterr);
        if (rc == 0)
            rc = add_export(t, from->exports[i], file, &b, reterr);
    }
    CLEANUP(mem_free) char *text = b.len ? xmemdup(b.data, b.len) : NULL;
    buf_done(&b);
    if (rc == 0 && text && !t->dry)
        rc = file_mkdirs(t->server->exports_dir, 0755);
    if (rc == 0)
        rc = before_file(t->before, file, text, 0644);
    if (rc < 0)
        return reterr->text[0] ? rc
                               : fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot look at %s: %s",
                                           file, strerror(-rc));
    t->nfs = t->before->n_files > had;
    for (size_t i = first; !t->nfs && i < t->result->n_outcomes; i++)
        if (strcmp(t->result->outcomes[i]->outcome, "new") == 0) {
            free(t->result->outcomes[i]->outcome);
            t->result->outcomes[i]->outcome = xstrdup("same");
        }
    return 0;
}
