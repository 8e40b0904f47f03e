/* take_judge: what each share is here beside what it was at the source: new, changed, the same, and
 * what of it is another. Worker threads. */
#include <stdlib.h>
#include <string.h>

#include "agent/share/render.h"
#include "agent/share/take_priv.h"
#include "agent/share/vfs.h"
#include "common/base/mem.h"
#include "common/base/text.h"

static void compare(struct taken *one, const struct smbconf_section *s)
{
    for (size_t i = 0; s && i < one->share->n_parameters; i++) {
        const Godwit__ShareParameter *p = one->share->parameters[i];
        const char *here = smbconf_value(s, p->name);
        if (!here || smbconf_same(p->name, "path") || strcmp(here, p->value) == 0 ||
            render_is_program(p->name, p->value))
            continue;
        CLEANUP(mem_free) char *a = text_printable(here, strnlen(here, 80));
        CLEANUP(mem_free) char *b = text_printable(p->value, strnlen(p->value, 80));
        CLEANUP(mem_free)
        char *text = xasprintf("%s: is \"%s\" here, and was \"%s\" at the source", p->name, a, b);
        take_note(one->outcome, text);
    }
}

bool take_same_section(const struct smbconf_section *a, const struct smbconf_section *b)
{
    if (a->nparams != b->nparams)
        return false;
    for (size_t i = 0; i < a->nparams; i++) {
        const char *v = smbconf_value(b, a->params[i].name);
        if (!v || strcmp(v, a->params[i].value) != 0)
            return false;
    }
    return true;
}

void take_set_outcome(Godwit__ShareOutcome *o, const char *outcome)
{
    free(o->outcome);
    o->outcome = xstrdup(outcome);
}

/* Such a share is made all the same: it works from the moment that the module is there. */
static void note_modules(const struct vfs *m, const struct taken *one)
{
    for (size_t i = 0; m && i < one->share->n_parameters; i++) {
        const Godwit__ShareParameter *p = one->share->parameters[i];
        bool objects = smbconf_same(p->name, "vfs objects") || smbconf_same(p->name, "vfs object");
        CLEANUP(mem_free) char *missing = objects ? vfs_missing(m, p->value) : NULL;
        CLEANUP(mem_free) char *shown = missing ? text_printable(missing, strlen(missing)) : NULL;
        if (!shown)
            continue;
        CLEANUP(mem_free)
        char *text =
            xasprintf("nobody can open it: the module %s of vfs objects is not here; install "
                      "it (Debian: apt install samba-vfs-modules)",
                      shown);
        take_note(one->outcome, text);
    }
}

void take_judge(struct take *t)
{
    CLEANUP(vfs_free) struct vfs *modules = vfs_ask(t->server);
    for (size_t i = 0; i < t->ntaken; i++) {
        struct taken *one = &t->taken[i];
        if (one->share->origin == GODWIT__SHARE_ORIGIN__SHARE_USER)
            continue;
        const struct smbconf_section *was = smbconf_find(t->now->conf, one->share->name),
                                     *is = smbconf_find(t->after->conf, one->share->name);
        compare(one, is);
        note_modules(modules, one);
        if (was && is)
            take_set_outcome(one->outcome, take_same_section(was, is) ? "same" : "changed");
    }
}

static bool is_of_shares(const struct take *t, const char *name)
{
    for (size_t i = 0; i < t->ntaken; i++)
        for (size_t k = 0; k < t->taken[i].share->n_parameters; k++)
            if (smbconf_same(t->taken[i].share->parameters[k]->name, name))
                return true;
    return false;
}

/* Settings of the whole server are its administrator's: those that differ are only named. */
void take_compare_globals(struct take *t)
{
    static const char *const own[] = {"netbios name",   "netbios aliases", "workgroup",
                                      "realm",          "interfaces",      "bind interfaces only",
                                      "server string",  "log file",        "max log size",
                                      "logging",        "panic action",    "registry shares",
                                      "passwd program", "passwd chat",     "pid directory",
                                      "lock directory", "private dir"};
    const struct smbconf_section *here = smbconf_find(t->others->conf, "global");
    const struct smbconf_section *builtin = smbconf_find(t->builtin, "global");
    const Godwit__SharesInventory *from = t->order->from;
    for (size_t i = 0; i < from->n_globals && t->result->n_notes < 32; i++) {
        const Godwit__ShareParameter *p = from->globals[i];
        const char *have = smbconf_value(here, p->name);
        bool skip = strncmp(p->name, "idmap config", 12) == 0 || is_of_shares(t, p->name);
        for (size_t k = 0; k < ARRAY_SIZE(own); k++)
            skip = skip || smbconf_same(own[k], p->name);
        have = have ? have : smbconf_value(builtin, p->name);
        if (skip || (have && strcmp(have, p->value) == 0))
            continue;
        CLEANUP(mem_free) char *name = text_printable(p->name, strnlen(p->name, 60));
        CLEANUP(mem_free) char *a = text_printable(have ? have : "", have ? strnlen(have, 60) : 0);
        CLEANUP(mem_free) char *b = text_printable(p->value, strnlen(p->value, 60));
        CLEANUP(mem_free)
        char *text = xasprintf("[global] %s is \"%s\" at the source and \"%s\" here: left as it is",
                               name, b, a);
        take_remark(t, text);
    }
}
