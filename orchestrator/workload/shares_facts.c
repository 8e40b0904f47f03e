/* shares_facts: messages to JSON. Main thread. */
#include "orchestrator/workload/shares_facts.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"
#include "orchestrator/workload/share_property.h"
#include "orchestrator/workload/shares_parts.h"

static json_t *shown(const char *s)
{
    CLEANUP(mem_free) char *text = text_printable(s, strlen(s));
    return json_string(text);
}

static void put(json_t *to, const char *key, const char *text)
{
    if (*text)
        (void)json_object_set_new(to, key, shown(text));
}

static json_t *texts(char **list, size_t n)
{
    json_t *j = json_array();
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(j, shown(list[i]));
    return j;
}

static json_t *parameters(Godwit__ShareParameter **list, size_t n)
{
    json_t *j = json_object();
    for (size_t i = 0; i < n; i++) {
        CLEANUP(mem_free) char *name = text_printable(list[i]->name, strlen(list[i]->name));
        (void)json_object_set_new(j, name, shown(list[i]->value));
    }
    return j;
}

static const char *origin_name(Godwit__ShareOrigin o)
{
    if (o == GODWIT__SHARE_ORIGIN__SHARE_REGISTRY)
        return "registry";
    return o == GODWIT__SHARE_ORIGIN__SHARE_USER ? "usershare" : "file";
}

static const char *kind_name(Godwit__ShareKind k)
{
    if (k == GODWIT__SHARE_KIND__SHARE_HOMES)
        return "homes";
    return k == GODWIT__SHARE_KIND__SHARE_PRINTER ? "printer" : "disk";
}

static json_t *properties(const Godwit__Share *s)
{
    json_t *j = json_object();
    for (size_t i = 0; i < SHARE_PROPERTIES; i++) {
        const char *value = share_property_of(s, &share_properties[i]);
        (void)json_object_set_new(j, share_properties[i].windows,
                                  value ? shown(value) : json_null());
    }
    return j;
}

static json_t *links(const Godwit__Share *s)
{
    json_t *j = json_array();
    for (size_t i = 0; i < s->n_links; i++) {
        json_t *one = json_object();
        (void)json_object_set_new(one, "path", shown(s->links[i]->path));
        (void)json_object_set_new(one, "target", shown(s->links[i]->target));
        (void)json_array_append_new(j, one);
    }
    return j;
}

/* Below the pair's folder, without what follows a macro. */
static json_t *folder_of(const char *below)
{
    CLEANUP(mem_free) char *text = text_printable(below, shares_part_len(below));
    return json_string(text);
}

static json_t *share_json(const Godwit__Share *s)
{
    json_t *j = json_object();
    (void)json_object_set_new(j, "name", shown(s->name));
    (void)json_object_set_new(j, "kind", json_string(kind_name(s->kind)));
    (void)json_object_set_new(j, "origin", json_string(origin_name(s->origin)));
    (void)json_object_set_new(j, "path", shown(s->path));
    (void)json_object_set_new(j, "inside", json_boolean(s->inside));
    (void)json_object_set_new(j, "missing", json_boolean(s->missing));
    if (shares_is_part(s))
        (void)json_object_set_new(j, "folder", folder_of(s->below));
    put(j, "real_path", s->real_path);
    put(j, "owner", s->owner);
    put(j, "copied_from", s->copied_from);
    put(j, "acl", s->acl);
    put(j, "sddl", s->sddl);
    (void)json_object_set_new(j, "parameters", parameters(s->parameters, s->n_parameters));
    (void)json_object_set_new(j, "properties", properties(s));
    if (s->n_unknown)
        (void)json_object_set_new(j, "unknown", parameters(s->unknown, s->n_unknown));
    if (s->n_includes)
        (void)json_object_set_new(j, "includes", texts(s->includes, s->n_includes));
    if (s->n_links)
        (void)json_object_set_new(j, "dfs_links", links(s));
    return j;
}

static json_t *export_json(const Godwit__NfsExport *e)
{
    json_t *j = json_object();
    (void)json_object_set_new(j, "path", shown(e->path));
    (void)json_object_set_new(j, "clients", shown(e->clients));
    (void)json_object_set_new(j, "file", shown(e->file));
    (void)json_object_set_new(j, "inside", json_boolean(e->inside));
    if (e->inside)
        (void)json_object_set_new(j, "folder", folder_of(e->below));
    return j;
}

static json_t *samba_json(const Godwit__SharesInventory *v)
{
    json_t *j = json_object();
    put(j, "version", v->version);
    put(j, "role", v->role);
    put(j, "netbios_name", v->netbios_name);
    put(j, "machine_sid", v->machine_sid);
    put(j, "config", v->config);
    (void)json_object_set_new(j, "globals", parameters(v->globals, v->n_globals));
    return j;
}

json_t *shares_inventory_json(const Godwit__SharesInventory *v)
{
    json_t *j = json_object(), *shares = json_array(), *exports = json_array();
    for (size_t i = 0; i < v->n_shares; i++)
        (void)json_array_append_new(shares, share_json(v->shares[i]));
    for (size_t i = 0; i < v->n_exports; i++)
        (void)json_array_append_new(exports, export_json(v->exports[i]));
    (void)json_object_set_new(j, "samba", v->has_samba ? samba_json(v) : json_null());
    (void)json_object_set_new(j, "list", shares);
    (void)json_object_set_new(j, "exports", exports);
    (void)json_object_set_new(j, "warnings", texts(v->warnings, v->n_warnings));
    return j;
}

json_t *shares_applied_json(const Godwit__ShareApplyResult *r)
{
    json_t *j = json_object(), *all = json_array();
    for (size_t i = 0; i < r->n_outcomes; i++) {
        const Godwit__ShareOutcome *o = r->outcomes[i];
        json_t *one = json_object();
        (void)json_object_set_new(one, "name", shown(o->name));
        (void)json_object_set_new(one, "what", shown(o->what));
        (void)json_object_set_new(one, "path", shown(o->path));
        (void)json_object_set_new(one, "outcome", shown(o->outcome));
        (void)json_object_set_new(one, "notes", texts(o->notes, o->n_notes));
        (void)json_array_append_new(all, one);
    }
    (void)json_object_set_new(j, "outcomes", all);
    (void)json_object_set_new(j, "notes", texts(r->notes, r->n_notes));
    (void)json_object_set_new(j, "changed", json_boolean(r->changed));
    return j;
}
