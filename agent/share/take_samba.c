/* take_samba: shares of Samba: which come, what each becomes here, and the registry and descriptors
 * that files do not hold. Worker threads. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "agent/share/before.h"
#include "agent/share/belong.h"
#include "agent/share/list.h"
#include "agent/share/managed.h"
#include "agent/share/render.h"
#include "agent/share/sid.h"
#include "agent/share/take_priv.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

/* ── which shares come, and where to ── */

static bool is_wanted(const struct take *t, const Godwit__Share *s)
{
    return s->inside || t->order->smb == SHARE_ALL;
}

static const char *left_out(const Godwit__Share *s)
{
    if (s->kind == GODWIT__SHARE_KIND__SHARE_PRINTER)
        return "printers do not move";
    if (s->missing)
        return "its folder is not there on the source";
    if (!render_is_plain(s->name, s->path) || strpbrk(s->name, "[]/\\%\"") || s->name[0] == '-')
        return "its name or path cannot stand in a configuration of ours";
    return NULL;
}

static char *path_here(const struct take *t, const Godwit__Share *s)
{
    if (!s->path[0])
        return NULL;
    return s->inside ? belong_map(t->order->destination, s->below) : xstrdup(s->path);
}

static int check_folder(const struct take *t, const struct taken *one, struct fault *reterr)
{
    struct stat st;
    if (!one->path || (t->dry && one->share->inside))
        return 0;
    CLEANUP(mem_free) char *fixed = belong_fixed(one->path);
    if (!*fixed || (stat(fixed, &st) == 0 && S_ISDIR(st.st_mode)))
        return 0;
    CLEANUP(mem_free) char *name = text_quote(one->share->name, strnlen(one->share->name, 60));
    CLEANUP(mem_free) char *path = text_quote(fixed, strnlen(fixed, 80));
    return fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                     "share %s: its folder %s is not there on the destination; nothing was changed",
                     name, path);
}

static bool same_path(const char *a, const char *b)
{
    CLEANUP(mem_free) char *below = NULL;
    CLEANUP(mem_free) char *real = NULL;
    return belong_inside(a, b, &below, &real) && below[0] == '\0';
}

/* A share of that name may stand here already: with the same folder, or from the same pair. */
static int check_conflict(const struct take *t, struct taken *one, struct fault *reterr)
{
    const struct smbconf_section *s = smbconf_find(t->others->conf, one->share->name);
    CLEANUP(mem_free) char *mark = xasprintf(MANAGED_SHARE "%s\n", one->share->name);
    const char *path = s ? smbconf_value(s, "path") : NULL;
    if (!s || strstr(t->old_block, mark))
        return 0;
    bool homes = one->share->kind == GODWIT__SHARE_KIND__SHARE_HOMES;
    if ((homes && (!path || !*path)) || (path && one->path && same_path(path, one->path))) {
        take_note(one->outcome,
                  "there was a share of this name with this folder: it has the source's "
                  "settings now");
        return 0;
    }
    CLEANUP(mem_free) char *name = text_quote(one->share->name, strnlen(one->share->name, 60));
    CLEANUP(mem_free) char *have = text_quote(path ? path : "", path ? strnlen(path, 60) : 0);
    CLEANUP(mem_free)
    char *want = text_quote(one->path ? one->path : "", one->path ? strnlen(one->path, 60) : 0);
    return fault_set(
        reterr, FAULT_STOP_JOB, EEXIST,
        "share %s is on the destination already, for %s and not for %s: rename or remove "
        "one of them; nothing was changed",
        name, have, want);
}

static int choose(struct take *t, struct fault *reterr)
{
    const Godwit__SharesInventory *from = t->order->from;
    int rc = 0;
    t->taken = xcalloc(from->n_shares + 1, sizeof *t->taken);
    for (size_t i = 0; rc == 0 && i < from->n_shares; i++) {
        const Godwit__Share *s = from->shares[i];
        if (!is_wanted(t, s))
            continue;
        const char *why = left_out(s);
        CLEANUP(mem_free) char *path = path_here(t, s);
        Godwit__ShareOutcome *o = take_outcome(t, s->name, "share", path, why ? "left out" : "new");
        if (why) {
            take_note(o, why);
            continue;
        }
        struct taken *one = &t->taken[t->ntaken++];
        *one = (struct taken){.share = s, .outcome = o, .path = path};
        path = NULL;
        rc = check_folder(t, one, reterr);
        if (rc == 0)
            rc = check_conflict(t, one, reterr);
        if (rc == 0 && s->origin == GODWIT__SHARE_ORIGIN__SHARE_USER)
            rc = take_user_plan(t, one, reterr);
    }
    return rc;
}

/* ── the text ── */

static bool has_registry(const struct take *t)
{
    const char *v = smbconf_value(smbconf_find(t->others->conf, "global"), "registry shares");
    return t->registry_only || (v && strcmp(v, "Yes") == 0);
}

static bool in_registry(const struct take *t, const struct taken *one)
{
    return one->share->origin == GODWIT__SHARE_ORIGIN__SHARE_REGISTRY ||
           (t->registry_only && one->share->origin != GODWIT__SHARE_ORIGIN__SHARE_USER);
}

static void render_one(const struct take *t, const struct taken *one, struct buf *to)
{
    struct render_ground g = {
        .defaults = smbconf_find(t->defaults, SAMBA_PROBE),
        .builtin = smbconf_find(t->builtin, "global"),
        .same = in_registry(t, one) ? NULL : smbconf_find(t->others->conf, one->share->name),
        .unknown = t->unknown};
    struct render_note n = {.say = take_note, .arg = one->outcome};
    render_share(one->share, one->path, &g, &n, to);
}

/* The block of this pair in godwit.conf. check: with the registry's shares as sections too, as they
 * will be in force. */
static char *render_block(struct take *t, bool check)
{
    static const char global[] = "[global]\n\tregistry shares = yes\n";
    struct buf b;
    bool registry = false;
    buf_init(&b, SMBCONF_MAX);
    for (size_t i = 0; i < t->ntaken; i++)
        registry = registry || in_registry(t, &t->taken[i]);
    if (registry && !has_registry(t))
        buf_put(&b, global, sizeof global - 1);
    for (size_t i = 0; i < t->ntaken; i++) {
        const struct taken *one = &t->taken[i];
        if (one->share->origin == GODWIT__SHARE_ORIGIN__SHARE_USER)
            continue;
        CLEANUP(mem_free) char *mark = xasprintf(MANAGED_SHARE "%s\n", one->share->name);
        buf_put(&b, mark, strlen(mark));
        if (!in_registry(t, one) || check)
            render_one(t, one, &b);
    }
    char *text = xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return text;
}

/* What is in force, as one file that needs no registry. malloc'd. */
static char *flat_text(const struct smbconf *c)
{
    struct buf b;
    buf_init(&b, 2 * SMBCONF_MAX);
    for (size_t i = 0; i < c->nsections; i++) {
        const struct smbconf_section *s = &c->sections[i];
        CLEANUP(mem_free) char *head = xasprintf("[%s]\n", s->name);
        buf_put(&b, head, strlen(head));
        for (size_t k = 0; k < s->nparams; k++) {
            const struct smbconf_param *p = &s->params[k];
            CLEANUP(mem_free) char *line = xasprintf("\t%s = %s\n", p->name, p->value);
            if (!smbconf_same(p->name, "config backend") && !smbconf_same(p->name, "include"))
                buf_put(&b, line, strlen(line));
        }
    }
    char *text = xmemdup(b.data ? b.data : (const uint8_t *)"", b.len);
    buf_done(&b);
    return text;
}

static bool says_registry(const char *config_text)
{
    CLEANUP(smbconf_free) struct smbconf *c = NULL;
    struct fault unused = {0};
    if (smbconf_parse(config_text, strlen(config_text), &c, &unused) < 0)
        return false;
    const struct smbconf_section *g = smbconf_find(c, "global");
    const char *backend = g ? smbconf_value(g, "config backend") : NULL;
    return backend && strcasecmp(backend, "registry") == 0;
}

/* Has testparm read smb.conf as it would be with this text in godwit.conf. */
static int try_text(struct take *t, const char *managed_text, struct samba **ret,
                    struct fault *reterr)
{
    CLEANUP(mem_free) char *beside = xasprintf("%s/check-godwit.conf", t->server->scratch);
    CLEANUP(mem_free) char *main = xasprintf("%s/check-smb.conf", t->server->scratch);
    CLEANUP(mem_free) char *flat = t->registry_only ? flat_text(t->now->conf) : NULL;
    CLEANUP(mem_free) char *with = managed_include(flat ? flat : t->config_text, t->managed);
    CLEANUP(mem_free) char *text = managed_redirect(with, t->managed, beside);
    int rc = file_write(beside, 0600, managed_text, strlen(managed_text));
    if (rc == 0)
        rc = file_write(main, 0600, text, strlen(text));
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot write %s: %s", main, strerror(-rc));
    return samba_ask(t->server, main, ret, reterr);
}

static bool knew(const struct samba *s, const char *name)
{
    for (size_t i = 0; i < s->nunknown; i++)
        if (smbconf_same(s->unknown[i], name))
            return false;
    return true;
}

/* What this Samba does not know it says only when it reads it: then once more without. */
static int check_text(struct take *t, struct fault *reterr)
{
    CLEANUP(mem_free) char *rest = managed_without(t->managed_text, t->order->pair);
    for (int tries = 0; tries < 2; tries++) {
        size_t n = 0;
        CLEANUP(mem_free) char *block = render_block(t, true);
        CLEANUP(mem_free) char *text = managed_with(rest, t->order->pair, block);
        t->after = samba_free(t->after);
        int rc = try_text(t, text, &t->after, reterr);
        if (rc < 0)
            return rc;
        for (size_t i = 0; tries == 0 && i < t->after->nunknown; i++)
            if (knew(t->others, t->after->unknown[i]))
                t->unknown[n++] = xstrdup(t->after->unknown[i]);
        if (n == 0)
            break;
    }
    return 0;
}

/* ── what was ours and comes no more ── */

static bool comes(const struct take *t, const char *name)
{
    for (size_t i = 0; i < t->ntaken; i++)
        if (smbconf_same(t->taken[i].share->name, name))
            return true;
    return false;
}

static char *registry_text(const struct smbconf_section *s)
{
    struct buf b;
    buf_init(&b, SMBCONF_MAX);
    CLEANUP(mem_free) char *head = xasprintf("[%s]\n", s->name);
    buf_put(&b, head, strlen(head));
    for (size_t i = 0; i < s->nparams; i++) {
        CLEANUP(mem_free)
        char *line = xasprintf("\t%s = %s\n", s->params[i].name, s->params[i].value);
        buf_put(&b, line, strlen(line));
    }
    char *text = xmemdup(b.data, b.len);
    buf_done(&b);
    return text;
}

static void drop_gone(struct take *t)
{
    CLEANUP(mem_free) char *old = xstrdup(t->old_block);
    char *save = NULL;
    for (char *l = strtok_r(old, "\n", &save); l; l = strtok_r(NULL, "\n", &save)) {
        if (strncmp(l, MANAGED_SHARE, sizeof MANAGED_SHARE - 1) != 0)
            continue;
        const char *name = l + sizeof MANAGED_SHARE - 1;
        if (comes(t, name))
            continue;
        (void)take_outcome(t, name, "share", "", "removed");
        const struct smbconf_section *s = smbconf_find(t->registry, name);
        if (s) {
            CLEANUP(mem_free) char *text = registry_text(s);
            before_registry(t->before, name, text);
        }
    }
}

/* ── the registry ── */

static bool is_in_registry_so(const struct take *t, const struct taken *one, const char *text)
{
    const struct smbconf_section *have = smbconf_find(t->registry, one->share->name);
    CLEANUP(smbconf_free) struct smbconf *want = NULL;
    struct fault why = {0};
    if (!have || smbconf_parse(text, strlen(text), &want, &why) < 0 || want->nsections != 1)
        return false;
    return take_same_section(have, &want->sections[0]) ||
           strcmp(one->outcome->outcome, "same") == 0;
}

static void plan_registry(struct take *t)
{
    for (size_t i = 0; i < t->ntaken; i++) {
        const struct taken *one = &t->taken[i];
        struct buf b;
        if (!in_registry(t, one))
            continue;
        buf_init(&b, SMBCONF_MAX);
        render_one(t, one, &b);
        CLEANUP(mem_free) char *text = xmemdup(b.data, b.len);
        buf_done(&b);
        if (is_in_registry_so(t, one, text))
            continue;
        const struct smbconf_section *s = smbconf_find(t->registry, one->share->name);
        CLEANUP(mem_free) char *old = s ? registry_text(s) : NULL;
        before_registry(t->before, one->share->name, old);
    }
}

static const struct taken *find_taken(const struct take *t, const char *name)
{
    for (size_t i = 0; i < t->ntaken; i++)
        if (smbconf_same(t->taken[i].share->name, name))
            return &t->taken[i];
    return NULL;
}

int take_samba_write(struct take *t, struct fault *reterr)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->before->n_registry; i++) {
        const char *name = t->before->registry[i]->name;
        const struct taken *one = find_taken(t, name);
        if (one) {
            struct buf b;
            buf_init(&b, SMBCONF_MAX);
            render_one(t, one, &b);
            CLEANUP(mem_free) char *text = xmemdup(b.data, b.len);
            buf_done(&b);
            rc = before_import(t->server, one->share->name, text, reterr);
        } else {
            const char *const argv[] = {"net", "conf", "delshare", name, NULL};
            struct program_output o;
            rc = name[0] == '-' ? 0 : samba_tool(t->server, argv, &o, reterr);
            if (rc == 0 && name[0] != '-')
                program_done(&o);
        }
    }
    return rc;
}

/* ── descriptors ── */

int take_samba_descriptors(struct take *t, struct fault *reterr)
{
    struct samba_acls acls;
    int rc = samba_acls(t->server, &acls, reterr);
    for (size_t i = 0; rc == 0 && i < t->ntaken; i++) {
        struct taken *one = &t->taken[i];
        CLEANUP(mem_free) char *have = xstrdup("");
        if (one->share->origin == GODWIT__SHARE_ORIGIN__SHARE_USER)
            continue;
        const struct sid_ask ask = {t->server, t->order->from, t->map, take_note, one->outcome};
        one->sddl = sid_translate(&ask, one->share);
        for (size_t k = 0; rc == 0 && k < acls.n; k++) {
            if (!smbconf_same(acls.list[k].share, one->share->name))
                continue;
            free(have);
            have = NULL;
            rc = samba_sddl(t->server, acls.list[k].share, &have, reterr);
        }
        if (rc < 0 || strcmp(have, one->sddl) == 0 || (*one->sddl && !samba_sddl_valid(one->sddl)))
            continue;
        one->sets_descriptor = true;
        before_descriptor(t->before, one->share->name, have);
        if (strcmp(one->outcome->outcome, "same") == 0)
            take_set_outcome(one->outcome, "changed");
    }
    samba_acls_done(&acls);
    return rc;
}

int take_samba_secure(struct take *t, struct fault *reterr)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < t->ntaken; i++) {
        const struct taken *one = &t->taken[i];
        if (!one->sets_descriptor)
            continue;
        CLEANUP(mem_free) char *set = xasprintf("--setsddl=%s", one->sddl);
        const char *const argv[] = {"sharesec", one->sddl[0] ? set : "--delete", "--",
                                    one->share->name, NULL};
        struct program_output o;
        rc = samba_tool(t->server, argv, &o, reterr);
        if (rc == 0)
            program_done(&o);
    }
    return rc;
}

/* ── the plan ── */

static int read_here(struct take *t, struct fault *reterr)
{
    int rc = samba_ask(t->server, NULL, &t->now, reterr);
    if (rc == -ENOENT)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT,
                         "there is no Samba on the destination: install it (Debian: apt install "
                         "samba), or say shares: off");
    if (rc < 0)
        return rc;
    size_t len = 0;
    t->config = t->now->config ? realpath(t->now->config, NULL) : NULL;
    rc = t->config ? file_read(t->config, SMBCONF_MAX, &t->config_text, &len) : -ENOENT;
    if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "smb.conf is not readable: %s",
                         strerror(-rc));
    t->registry_only = says_registry(t->config_text);
    t->managed =
        xasprintf("%.*s" MANAGED_NAME, (int)(strrchr(t->config, '/') + 1 - t->config), t->config);
    rc = file_read(t->managed, SMBCONF_MAX, &t->managed_text, &len);
    if (rc == -ENOENT)
        t->managed_text = xstrdup("");
    else if (rc < 0)
        return fault_set(reterr, FAULT_STOP_JOB, -rc, "%.80s is not readable: %s", t->managed,
                         strerror(-rc));
    t->old_block = managed_block(t->managed_text, t->order->pair);
    CLEANUP(mem_free) char *rest = managed_without(t->managed_text, t->order->pair);
    rc = try_text(t, rest, &t->others, reterr);
    if (rc == 0)
        rc = samba_registry(t->server, &t->registry, reterr);
    if (rc == 0)
        rc = samba_share_defaults(t->server, t->others, &t->defaults, reterr);
    return rc == 0 ? samba_builtin(t->server, &t->builtin, reterr) : rc;
}

static int plan_files(struct take *t, struct fault *reterr)
{
    CLEANUP(mem_free) char *rest = managed_without(t->managed_text, t->order->pair);
    t->block = render_block(t, false);
    if (!*t->block && !*t->old_block)
        return 0;
    CLEANUP(mem_free) char *managed = managed_with(rest, t->order->pair, t->block);
    CLEANUP(mem_free) char *config = managed_include(t->config_text, t->managed);
    int rc = before_file(t->before, t->managed, managed, 0644);
    if (rc == 0 && !t->registry_only)
        rc = before_file(t->before, t->config, config, 0644);
    return rc == 0 ? 0
                   : fault_set(reterr, FAULT_STOP_JOB, -rc, "cannot look at %s: %s", t->managed,
                               strerror(-rc));
}

int take_samba_plan(struct take *t, struct fault *reterr)
{
    if (!t->order->from->has_samba)
        return 0;
    int rc = read_here(t, reterr);
    if (rc == 0)
        rc = choose(t, reterr);
    if (rc == 0)
        rc = check_text(t, reterr);
    if (rc < 0)
        return rc;
    take_judge(t);
    drop_gone(t);
    plan_registry(t);
    take_compare_globals(t);
    rc = plan_files(t, reterr);
    return rc == 0 ? take_samba_descriptors(t, reterr) : rc;
}
