/* render: parameters to text. Any thread. */
#include "agent/share/render.h"

#include <string.h>

#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/text.h"

#define NAME_MAX_LEN 200
#define VALUE_MAX 16384

bool render_is_program(const char *name, const char *value)
{
    static const char *const programs[] = {
        "root preexec",
        "root postexec",
        "preexec",
        "exec",
        "postexec",
        "magic script",
        "dfree command",
        "print command",
        "lpq command",
        "lprm command",
        "lppause command",
        "lpresume command",
        "config file",
        "wins hook",
        "queuepause command",
        "queueresume command",
        "get quota command",
        "set quota command",
        "message command",
        "panic action",
    };
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
        if (smbconf_same(name, programs[i]))
            return *value != '\0';
    /* Modules by path, and scripts that modules run. */
    if (smbconf_same(name, "vfs objects") || smbconf_same(name, "vfs object"))
        return strchr(value, '/') != NULL;
    return strchr(name, ':') && (strstr(name, "command") || strstr(name, "script"));
}

bool render_is_plain(const char *name, const char *value)
{
    size_t n = strlen(name), v = strlen(value);
    if (n == 0 || n > NAME_MAX_LEN || v > VALUE_MAX || strchr("[#;=", name[0]) || strchr(name, '='))
        return false;
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return false;
    for (size_t i = 0; i < v; i++)
        if ((unsigned char)value[i] < 0x20 || value[i] == 0x7f)
            return false;
    return v == 0 || value[v - 1] != '\\'; /* which would take the next line in */
}

static void line(struct buf *to, const char *before, const char *name, const char *value)
{
    CLEANUP(mem_free) char *text = xasprintf("%s%s = %s\n", before, name, value);
    buf_put(to, text, strlen(text));
}

static void note(const struct render_note *n, const char *name, const char *why)
{
    CLEANUP(mem_free) char *shown = text_printable(name, strnlen(name, 80));
    CLEANUP(mem_free) char *text = xasprintf("%s: %s", shown, why);
    n->say(n->arg, text);
}

static bool is_unknown(const struct render_ground *g, const char *name)
{
    for (char *const *u = g->unknown; u && *u; u++)
        if (smbconf_same(*u, name))
            return true;
    return false;
}

static void parameter(const Godwit__ShareParameter *p, const struct render_ground *g,
                      const struct render_note *n, struct buf *to)
{
    if (!render_is_plain(p->name, p->value)) {
        note(n, p->name, "cannot be written into smb.conf; left out");
    } else if (render_is_program(p->name, p->value)) {
        line(to, "\t# runs code, not taken over: ", p->name, p->value);
        note(n, p->name,
             "runs code on this server; it stands in godwit.conf as a comment: set it "
             "in smb.conf when you have looked at it");
    } else if (is_unknown(g, p->name)) {
        line(to, "\t# unknown to this Samba: ", p->name, p->value);
        note(n, p->name, "this Samba does not know it; it stands in godwit.conf as a comment");
    } else {
        line(to, "\t", p->name, p->value);
    }
}

static bool sets(const Godwit__Share *s, const char *name)
{
    for (size_t i = 0; i < s->n_parameters; i++)
        if (smbconf_same(s->parameters[i]->name, name))
            return true;
    return false;
}

/* What holds here and did not at the source goes back to Samba's own value. */
static void neutral(const Godwit__Share *s, const struct smbconf_section *here,
                    const struct smbconf_section *done, const struct render_ground *g,
                    const struct render_note *n, struct buf *to)
{
    for (size_t i = 0; here && i < here->nparams; i++) {
        const char *name = here->params[i].name;
        if (sets(s, name) || smbconf_same(name, "path") || smbconf_same(name, "include") ||
            smbconf_same(name, "copy") || (done && smbconf_value(done, name)))
            continue;
        const char *value = smbconf_value(g->builtin, name);
        if (!value)
            note(n, name, "is set here for this share, and was not at the source");
        else if (render_is_plain(name, value))
            line(to, "\t", name, value);
    }
}

void render_share(const Godwit__Share *s, const char *path, const struct render_ground *g,
                  const struct render_note *n, struct buf *to)
{
    CLEANUP(mem_free) char *head = xasprintf("[%s]\n", s->name);
    buf_put(to, head, strlen(head));
    if (path)
        line(to, "\t", "path", path);
    for (size_t i = 0; i < s->n_parameters; i++)
        if (!smbconf_same(s->parameters[i]->name, "path"))
            parameter(s->parameters[i], g, n, to);
    neutral(s, g->defaults, NULL, g, n, to);
    neutral(s, g->same, g->defaults, g, n, to);
    for (size_t i = 0; i < s->n_unknown; i++) {
        if (!render_is_plain(s->unknown[i]->name, s->unknown[i]->value))
            continue;
        line(to, "\t# unknown to the source's Samba: ", s->unknown[i]->name, s->unknown[i]->value);
        note(n, s->unknown[i]->name,
             "the source's own Samba does not know it; it stands in godwit.conf as a comment");
    }
    for (size_t i = 0; i < s->n_includes; i++) {
        if (s->origin != GODWIT__SHARE_ORIGIN__SHARE_FILE ||
            !render_is_plain("include", s->includes[i]))
            continue;
        line(to, "\t", "include", s->includes[i]);
        note(n, s->includes[i], "is included by who connects: bring those files over by hand");
    }
}
