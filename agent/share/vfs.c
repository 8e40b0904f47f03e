/* vfs: `smbd -b` tells the folder of modules and which are built in. Worker threads. */
#include "agent/share/vfs.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/share/samba.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define NAME_BYTES 100

struct vfs {
    char *folder;
    char *builtin; /* " vfs_default vfs_posixacl …" */
};

/* What follows head on its line; malloc'd, NULL: there is no such line. */
static char *line_after(const char *text, const char *head)
{
    const char *at = strstr(text, head);
    if (!at)
        return NULL;
    at += strlen(head);
    at += strspn(at, " \t\n");
    return xmemdup(at, strcspn(at, "\n"));
}

struct vfs *vfs_ask(const struct server *v)
{
    const char *const argv[] = {"smbd", "-b", NULL};
    struct program_output o;
    struct fault none = {0};
    if (samba_tool(v, argv, &o, &none) < 0)
        return NULL;
    struct vfs *m = xcalloc(1, sizeof *m);
    CLEANUP(mem_free) char *built = line_after(o.out, "Builtin modules:");
    m->folder = line_after(o.out, "MODULESDIR:");
    m->builtin = xasprintf(" %s ", built ? built : "");
    program_done(&o);
    return m->folder && m->folder[0] == '/' ? m : vfs_free(m);
}

struct vfs *vfs_free(struct vfs *m)
{
    if (!m)
        return NULL;
    free(m->folder);
    free(m->builtin);
    free(m);
    return NULL;
}

static bool is_here(const struct vfs *m, const char *name)
{
    CLEANUP(mem_free) char *built = xasprintf(" vfs_%s ", name);
    CLEANUP(mem_free) char *file = xasprintf("%s/vfs/%s.so", m->folder, name);
    return strstr(m->builtin, built) || access(file, F_OK) == 0;
}

/* "acl_xattr, streams_xattr:second": what follows a colon tells one use of it from another. */
char *vfs_missing(const struct vfs *m, const char *objects)
{
    for (const char *at = objects; *at;) {
        at += strspn(at, " ,\t");
        size_t whole = strcspn(at, " ,\t"), n = strcspn(at, " ,\t:/");
        if (n > 0 && n < NAME_BYTES && at[n] != '/') {
            char *name = xmemdup(at, n);
            if (!is_here(m, name))
                return name;
            free(name);
        }
        at += whole;
    }
    return NULL;
}
