/* list: the shares of Samba, as it has them in force. Worker threads. */
#include "agent/share/list.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/share/belong.h"
#include "agent/share/dfs.h"
#include "agent/share/list_priv.h"
#include "agent/share/samba.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define WARNINGS_MAX 64

void list_text(char **field, const char *text)
{
    if (text && *text)
        *field = xstrdup(text);
}

void *list_grown(void *list, size_t n)
{
    return (n & (n - 1)) == 0 ? xrealloc(list, (n ? 2 * n : 1) * sizeof(void *)) : list;
}

void list_parameter(Godwit__ShareParameter ***list, size_t *n, const char *name, const char *value)
{
    Godwit__ShareParameter *p = xmalloc(sizeof *p);
    godwit__share_parameter__init(p);
    list_text(&p->name, name);
    list_text(&p->value, value);
    *list = list_grown(*list, *n);
    (*list)[(*n)++] = p;
}

void list_warn(struct listing *l, const char *fmt, ...)
{
    if (l->inv->n_warnings == WARNINGS_MAX)
        return;
    va_list ap;
    va_start(ap, fmt);
    CLEANUP(mem_free) char *text = xvasprintf(fmt, ap);
    va_end(ap);
    l->inv->warnings = list_grown(l->inv->warnings, l->inv->n_warnings);
    l->inv->warnings[l->inv->n_warnings++] = text_printable(text, strlen(text));
}

Godwit__Share *list_add(struct listing *l, const char *name, Godwit__ShareOrigin origin)
{
    Godwit__Share *s = xmalloc(sizeof *s);
    godwit__share__init(s);
    list_text(&s->name, name);
    s->origin = origin;
    l->inv->shares = list_grown(l->inv->shares, l->inv->n_shares);
    l->inv->shares[l->inv->n_shares++] = s;
    return s;
}

Godwit__ShareKind list_kind(const char *name, const char *printable)
{
    if (smbconf_same(name, "homes"))
        return GODWIT__SHARE_KIND__SHARE_HOMES;
    bool yes = printable && strcmp(printable, "Yes") == 0;
    return yes || smbconf_same(name, "printers") || smbconf_same(name, "print$")
               ? GODWIT__SHARE_KIND__SHARE_PRINTER
               : GODWIT__SHARE_KIND__SHARE_DISK;
}

/* [homes] without a path is the home folder of each account: it goes with the pair that has them.
 */
static bool homes_inside(const struct listing *l)
{
    FILE *f = fopen(l->server->passwd, "re");
    char line[2048];
    bool inside = false;
    while (f && !inside && fgets(line, sizeof line, f)) {
        char *field[7] = {line};
        size_t n = 1;
        for (char *p = line; *p && n < 7; p++)
            if (*p == ':') {
                *p = '\0';
                field[n++] = p + 1;
            }
        if (n < 7 || strtoul(field[2], NULL, 10) < 1000 || strtoul(field[2], NULL, 10) >= 65534)
            continue;
        CLEANUP(mem_free) char *below = NULL;
        CLEANUP(mem_free) char *real = NULL;
        inside = belong_inside(l->order->path, field[5], &below, &real);
    }
    if (f)
        (void)fclose(f);
    return inside;
}

static void add_links(Godwit__Share *s)
{
    struct dfs_links links;
    dfs_scan(s->real_path, &links);
    for (size_t i = 0; i < links.n; i++) {
        Godwit__DfsLink *d = xmalloc(sizeof *d);
        godwit__dfs_link__init(d);
        list_text(&d->path, links.list[i].path);
        list_text(&d->target, links.list[i].target);
        s->links = list_grown(s->links, s->n_links);
        s->links[s->n_links++] = d;
    }
    dfs_done(&links);
}

static const char *value_of(const Godwit__Share *s, const char *name)
{
    for (size_t i = s->n_parameters; i-- > 0;)
        if (smbconf_same(s->parameters[i]->name, name))
            return s->parameters[i]->value;
    return NULL;
}

void list_place(struct listing *l, Godwit__Share *s)
{
    const char *path = value_of(s, "path");
    s->kind = list_kind(s->name, value_of(s, "printable"));
    list_text(&s->path, path);
    if (s->kind == GODWIT__SHARE_KIND__SHARE_PRINTER)
        return;
    if (!path || !*path) {
        s->inside = s->kind == GODWIT__SHARE_KIND__SHARE_HOMES && homes_inside(l);
        return;
    }
    CLEANUP(mem_free) char *below = NULL;
    CLEANUP(mem_free) char *real = NULL;
    s->inside = belong_inside(l->order->path, path, &below, &real);
    s->missing = !real;
    list_text(&s->below, below);
    if (real && !strchr(path, '%'))
        list_text(&s->real_path, real);
    const char *root = value_of(s, "msdfs root");
    if (root && strcmp(root, "Yes") == 0 && s->real_path[0])
        add_links(s);
}

/* Includes and copies are followed already: what they say stands among the share's own. */
static bool is_followed(const char *name)
{
    return smbconf_same(name, "include") || smbconf_same(name, "copy");
}

static void add_parameters(Godwit__Share *s, const struct smbconf_section *defaults,
                           const struct smbconf_section *own)
{
    for (size_t i = 0; defaults && i < defaults->nparams; i++) {
        const struct smbconf_param *p = &defaults->params[i];
        if (!smbconf_value(own, p->name) && !smbconf_same(p->name, "path"))
            list_parameter(&s->parameters, &s->n_parameters, p->name, p->value);
    }
    for (size_t i = 0; i < own->nparams; i++)
        if (!is_followed(own->params[i].name))
            list_parameter(&s->parameters, &s->n_parameters, own->params[i].name,
                           own->params[i].value);
}

static int add_shares(struct listing *l, const struct samba *s, struct fault *reterr)
{
    CLEANUP(smbconf_free) struct smbconf *defaults = NULL;
    CLEANUP(smbconf_free) struct smbconf *registry = NULL;
    int rc = samba_share_defaults(l->server, s, &defaults, reterr);
    if (rc == 0)
        rc = samba_registry(l->server, &registry, reterr);
    if (rc < 0)
        return rc;
    const struct smbconf_section *from = smbconf_find(defaults, SAMBA_PROBE);
    for (size_t i = 0; i < s->conf->nsections; i++) {
        const struct smbconf_section *section = &s->conf->sections[i];
        if (smbconf_same(section->name, "global") || !section->name[0])
            continue;
        Godwit__Share *share =
            list_add(l, section->name,
                     smbconf_find(registry, section->name) ? GODWIT__SHARE_ORIGIN__SHARE_REGISTRY
                                                           : GODWIT__SHARE_ORIGIN__SHARE_FILE);
        add_parameters(share, from, section);
        list_place(l, share);
    }
    return 0;
}

static void add_globals(struct listing *l, const struct samba *s)
{
    const struct smbconf_section *g = smbconf_find(s->conf, "global");
    for (size_t i = 0; g && i < g->nparams; i++)
        if (!is_followed(g->params[i].name))
            list_parameter(&l->inv->globals, &l->inv->n_globals, g->params[i].name,
                           g->params[i].value);
}

static int add_descriptors(struct listing *l, struct fault *reterr)
{
    struct samba_acls acls;
    int rc = samba_acls(l->server, &acls, reterr);
    for (size_t i = 0; rc == 0 && i < acls.n; i++) {
        for (size_t k = 0; k < l->inv->n_shares; k++) {
            Godwit__Share *s = l->inv->shares[k];
            if (!smbconf_same(s->name, acls.list[i].share) || s->sddl[0])
                continue;
            char *sddl = NULL;
            rc = samba_sddl(l->server, s->name, &sddl, reterr);
            if (rc == 0) {
                s->sddl = sddl;
                list_text(&s->acl, acls.list[i].text);
            }
            break;
        }
    }
    samba_acls_done(&acls);
    return rc;
}

static int list_samba(struct listing *l, struct fault *reterr)
{
    CLEANUP(samba_free) struct samba *s = NULL;
    struct fault why = {0};
    int rc = samba_ask(l->server, NULL, &s, &why);
    if (rc == -ENOENT)
        return 0;
    if (rc < 0) {
        *reterr = why;
        return rc;
    }
    l->inv->has_samba = true;
    l->inv->version = samba_version(l->server);
    samba_machine(l->server, &l->inv->netbios_name, &l->inv->machine_sid);
    list_text(&l->inv->role, s->role);
    list_text(&l->inv->config, s->config);
    for (size_t i = 0; i < s->nwarnings; i++)
        list_warn(l, "Samba: %s", s->warnings[i]);
    add_globals(l, s);
    rc = add_shares(l, s, reterr);
    if (rc < 0)
        return rc;
    list_usershares(l, s);
    list_raw(l, s);
    return add_descriptors(l, reterr);
}

/* Of shares of other folders only what tells them apart travels. */
static void strip(const Godwit__SharesOrder *o, Godwit__SharesInventory *inv)
{
    for (size_t i = 0; i < inv->n_shares; i++) {
        Godwit__Share *s = inv->shares[i];
        if (s->inside || o->smb == SHARE_ALL)
            continue;
        for (size_t k = 0; k < s->n_links; k++)
            godwit__dfs_link__free_unpacked(s->links[k], NULL);
        for (size_t k = 0; k < s->n_parameters; k++)
            godwit__share_parameter__free_unpacked(s->parameters[k], NULL);
        s->n_links = s->n_parameters = 0;
    }
}

int list_shares(const struct server *v, const Godwit__SharesOrder *o, Godwit__SharesInventory **ret,
                struct fault *reterr)
{
    Godwit__SharesInventory *inv = xmalloc(sizeof *inv);
    godwit__shares_inventory__init(inv);
    struct listing l = {.server = v, .order = o, .inv = inv};
    int rc = o->smb != SHARE_NONE ? list_samba(&l, reterr) : 0;
    if (rc == 0 && o->nfs != SHARE_NONE)
        list_exports(&l);
    if (rc < 0) {
        godwit__shares_inventory__free_unpacked(inv, NULL);
        return rc;
    }
    strip(o, inv);
    *ret = inv;
    return 0;
}
