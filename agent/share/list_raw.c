/* list_raw: what only the files themselves tell: includes that depend on who connects, where a
 * section was copied from, parameters that this Samba does not know. Worker threads. */
#include <errno.h>
#include <string.h>

#include "agent/share/list_priv.h"
#include "agent/share/samba.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define FILES_MAX 64
#define DEPTH_MAX 8
#define INCLUDES_MAX 16 /* of one share */

struct raw {
    struct listing *l;
    const struct samba *samba;
    unsigned files;
};

static Godwit__Share *share_of(const struct raw *r, const char *name)
{
    for (size_t i = 0; i < r->l->inv->n_shares; i++)
        if (smbconf_same(r->l->inv->shares[i]->name, name))
            return r->l->inv->shares[i];
    return NULL;
}

static bool is_unknown(const struct raw *r, const char *name)
{
    for (size_t i = 0; i < r->samba->nunknown; i++)
        if (smbconf_same(r->samba->unknown[i], name))
            return true;
    return false;
}

static void take_include(struct raw *r, const char *section, const char *path)
{
    Godwit__Share *s = share_of(r, section);
    if (!s)
        list_warn(
            r->l,
            "the server includes %s for all shares, which depends on who connects; it is not moved",
            path);
    else if (s->n_includes < INCLUDES_MAX) {
        s->includes = list_grown(s->includes, s->n_includes);
        s->includes[s->n_includes++] = xstrdup(path);
    }
}

static void take_unknown(struct raw *r, const char *section, const struct smbconf_param *p)
{
    Godwit__Share *s = share_of(r, section);
    if (s)
        list_parameter(&s->unknown, &s->n_unknown, p->name, p->value);
    else
        list_warn(r->l, "[%s] sets %s, which this Samba does not know", section, p->name);
}

static void read_file(struct raw *r, const char *path, const char *within, unsigned depth);

static void take(struct raw *r, const char *section, const struct smbconf_param *p,
                 unsigned depth) // NOLINT(misc-no-recursion)
{
    if (smbconf_same(p->name, "include")) {
        if (strchr(p->value, '%'))
            take_include(r, section, p->value);
        else if (!smbconf_same(p->value, "registry"))
            read_file(r, p->value, section, depth + 1);
    } else if (smbconf_same(p->name, "copy")) {
        Godwit__Share *s = share_of(r, section);
        if (s && !s->copied_from[0])
            list_text(&s->copied_from, p->value);
    } else if (is_unknown(r, p->name)) {
        take_unknown(r, section, p);
    }
}

/* What stands before a file's first section goes on with the section that includes it. */
static void read_file(struct raw *r, const char *path, const char *within,
                      unsigned depth) // NOLINT(misc-no-recursion)
{
    CLEANUP(mem_free) char *text = NULL;
    CLEANUP(smbconf_free) struct smbconf *c = NULL;
    struct fault why = {0};
    size_t len = 0;
    if (depth > DEPTH_MAX || ++r->files > FILES_MAX || path[0] != '/')
        return;
    int rc = file_read(path, SMBCONF_MAX, &text, &len);
    if (rc == -ENOENT)
        return; /* as Samba has it: no error */
    if (rc == 0)
        rc = smbconf_parse(text, len, &c, &why);
    if (rc < 0) {
        list_warn(r->l, "%s is not readable: %s", path, why.text[0] ? why.text : strerror(-rc));
        return;
    }
    if (c->bad_line)
        list_warn(r->l, "%s line %u is no parameter: Samba passes over it", path, c->bad_line);
    for (size_t i = 0; i < c->nsections; i++) {
        const struct smbconf_section *s = &c->sections[i];
        const char *name = depth && smbconf_same(s->name, "global") ? within : s->name;
        for (size_t k = 0; k < s->nparams; k++)
            take(r, name, &s->params[k], depth);
    }
}

void list_raw(struct listing *l, const struct samba *s)
{
    struct raw r = {.l = l, .samba = s};
    if (s->config)
        read_file(&r, s->config, "global", 0);
}
