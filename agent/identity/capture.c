/* capture: what makes a host's identity, told without secrets. Changes nothing. Worker thread. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/identity/capture_priv.h"
#include "agent/identity/fence.h"
#include "agent/identity/keep.h"
#include "agent/identity/names.h"
#include "agent/identity/net.h"
#include "agent/identity/nfs.h"
#include "agent/identity/service.h"
#include "agent/share/samba.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

#define OPEN_MAX_TOLD 200
#define TOLD_MAX 1000 /* lines of one list */

static char *printable(const char *text)
{
    return text_printable(text, strnlen(text, 500));
}

void capture_add(char ***list, size_t *n, const char *text)
{
    if (*n == TOLD_MAX)
        return;
    *list = xrealloc(*list, (*n + 1) * sizeof **list);
    (*list)[(*n)++] = printable(text);
}

char *capture_ask(const struct site *v, const char *const *argv)
{
    const struct program_call c = {
        .argv = argv, .search = v->search, .max_out = 1U << 20, .timeout_ms = 10000};
    struct program_output o;
    struct fault unused = {.err = 0};
    if (program_run(&c, &o, &unused) < 0)
        return NULL;
    char *text = o.code == 0 ? xstrdup(o.out) : NULL;
    program_done(&o);
    return text;
}

static char *line_of(const struct site *v, const char *path)
{
    CLEANUP(mem_free) char *full = xasprintf("%s%s", v->root, path);
    CLEANUP(mem_free) char *text = NULL;
    size_t len = 0;
    if (file_read(full, 4096, &text, &len) < 0)
        return xstrdup("");
    text[strcspn(text, "\r\n")] = '\0';
    return printable(text);
}

/* ── names ── */

static void add_words(const char *text, char ***list, size_t *n)
{
    CLEANUP(mem_free) char *copy = xstrdup(text);
    char *save = NULL;
    for (char *w = strtok_r(copy, " ,\t", &save); w; w = strtok_r(NULL, " ,\t", &save))
        capture_add(list, n, w);
}

/* The full name that /etc/hosts or DNS has for the host's own; "" for none. */
static char *full_name(const struct site *v, const char *host)
{
    static const char *const argv[] = {"hostname", "--fqdn", NULL};
    CLEANUP(mem_free) char *said = capture_ask(v, argv);
    if (said)
        said[strcspn(said, "\r\n")] = '\0';
    bool fits = said && strchr(said, '.') && names_full_valid(said) &&
                strncasecmp(said, host, strlen(host)) == 0;
    return xstrdup(fits ? said : "");
}

static void tell_names(const struct site *v, bool samba, Godwit__IdentityCapture *c)
{
    char host[256] = "";
    Godwit__IdentityNames *n = xmalloc(sizeof *n);
    godwit__identity_names__init(n);
    (void)gethostname(host, sizeof host - 1);
    stage_text(&n->host, printable(host));
    CLEANUP(mem_free) char *full = full_name(v, host);
    if (*full)
        capture_add(&n->dns_names, &n->n_dns_names, full);
    if (samba) {
        CLEANUP(mem_free) char *aliases = names_ask_conf(v, "netbios aliases");
        CLEANUP(mem_free) char *more = names_ask_conf(v, "additional dns hostnames");
        stage_text(&n->netbios, names_ask_conf(v, "netbios name"));
        add_words(aliases, &n->aliases, &n->n_aliases);
        if (*more && !*full)
            capture_add(&n->dns_names, &n->n_dns_names, host);
        add_words(more, &n->dns_names, &n->n_dns_names);
    }
    c->names = n;
}

/* ── interfaces ── */

static void tell_interface(const struct site *v, const Godwit__UndoInterface *u,
                           Godwit__IdentityCapture *c)
{
    Godwit__IdentityInterface *i = xmalloc(sizeof *i);
    CLEANUP(mem_free) char *file = NULL;
    CLEANUP(mem_free) char *flag = xasprintf("/sys/class/net/%s/operstate", u->name);
    CLEANUP(mem_free) char *state = line_of(v, flag);
    godwit__identity_interface__init(i);
    stage_text(&i->name, xstrdup(u->name));
    stage_text(&i->mac, xstrdup(u->mac));
    stage_text(&i->manager, xstrdup(keep_name(keep_find(v, u->name, &file))));
    i->up = strcmp(state, "down") != 0;
    i->mtu = u->mtu;
    i->addresses = xcalloc(u->n_addresses + 1, sizeof(Godwit__IdentityAddress *));
    for (size_t k = 0; k < u->n_addresses; k++) {
        Godwit__IdentityAddress *a = xmalloc(sizeof *a);
        godwit__identity_address__init(a);
        stage_text(&a->address, xstrdup(u->addresses[k]));
        a->dynamic = net_leased(u, u->addresses[k]);
        i->addresses[i->n_addresses++] = a;
    }
    for (size_t k = 0; k < u->n_routes; k++)
        capture_add(&i->routes, &i->n_routes, u->routes[k]);
    c->interfaces[c->n_interfaces++] = i;
}

static int tell_network(const struct site *v, Godwit__IdentityCapture *c, struct fault *reterr)
{
    Godwit__UndoNetwork *n = NULL;
    int rc = net_look(v, &n, reterr);
    if (rc < 0)
        return rc;
    c->interfaces = xcalloc(n->n_interfaces + 1, sizeof(Godwit__IdentityInterface *));
    for (size_t i = 0; i < n->n_interfaces; i++)
        tell_interface(v, n->interfaces[i], c);
    net_free(n);
    return 0;
}

/* ── Samba ── */

static void tell_shares(const struct smbconf *conf, Godwit__IdentityCapture *c)
{
    c->shares = xcalloc(conf->nsections + 1, sizeof(Godwit__IdentityShare *));
    for (size_t i = 0; i < conf->nsections && c->n_shares < TOLD_MAX; i++) {
        const struct smbconf_section *s = &conf->sections[i];
        const char *path = smbconf_value(s, "path");
        if (smbconf_same(s->name, "global") || smbconf_same(s->name, "homes") ||
            smbconf_same(s->name, "printers") || !path)
            continue;
        Godwit__IdentityShare *h = xmalloc(sizeof *h);
        godwit__identity_share__init(h);
        stage_text(&h->name, printable(s->name));
        stage_text(&h->path, printable(path));
        h->missing = !strchr(path, '%') && access(path, F_OK) < 0;
        c->shares[c->n_shares++] = h;
    }
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void tell_idmap(const struct smbconf *conf, Godwit__IdentityCapture *c)
{
    const struct smbconf_section *g = smbconf_find(conf, "global");
    for (size_t i = 0; g && i < g->nparams; i++) {
        CLEANUP(mem_free) char *line = xasprintf("%s = %s", g->params[i].name, g->params[i].value);
        if (strncasecmp(line, "idmap", 5) == 0)
            capture_add(&c->idmap, &c->n_idmap, line);
    }
    if (c->n_idmap)
        qsort(c->idmap, c->n_idmap, sizeof *c->idmap, by_text);
}

static void tell_services(const struct site *v, Godwit__IdentityCapture *c)
{
    Godwit__UndoUnits *u = NULL;
    struct fault unused = {.err = 0};
    if (service_look(v, &u, &unused) < 0)
        return;
    for (size_t i = 0; i < u->n_units; i++)
        if (u->units[i]->active) {
            u->units[i]->name[strcspn(u->units[i]->name, ".")] = '\0';
            capture_add(&c->services, &c->n_services, u->units[i]->name);
        }
    service_free(u);
}

static void tell_users(const struct site *v, Godwit__IdentityCapture *c)
{
    static const char *const argv[] = {"pdbedit", "-L", NULL};
    CLEANUP(mem_free) char *text = capture_ask(v, argv);
    char *save = NULL;
    for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save)) {
        l[strcspn(l, ":")] = '\0';
        capture_add(&c->users, &c->n_users, l);
    }
}

static void tell_open(const struct site *v, Godwit__IdentityCapture *c)
{
    size_t count = 0;
    struct fault why = {.err = 0};
    if (fence_open_files(v, OPEN_MAX_TOLD, &c->open_files, &c->n_open_files, &count, &why) < 0)
        capture_add(&c->warnings, &c->n_warnings, why.text);
    c->open_count = count <= UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

static void tell_samba(const struct site *v, const struct server *server, const struct samba *s,
                       Godwit__IdentityCapture *c)
{
    CLEANUP(mem_free) char *name = NULL;
    stage_text(&c->samba_version, samba_version(server));
    stage_text(&c->samba_role, xstrdup(s->role ? s->role : ""));
    samba_machine(server, &name, &c->local_sid);
    tell_shares(s->conf, c);
    tell_idmap(s->conf, c);
    tell_services(v, c);
    tell_users(v, c);
    tell_open(v, c);
    capture_domain(v, s->conf, c);
    capture_parity(v, s->conf, c);
}

/* ── the rest ── */

static void tell_keys(const struct site *v, Godwit__IdentityCapture *c)
{
    static const char *const kinds[] = {"rsa", "ecdsa", "ed25519"};
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
        CLEANUP(mem_free)
        char *path = xasprintf("%s/etc/ssh/ssh_host_%s_key.pub", v->root, kinds[i]);
        const char *const argv[] = {"ssh-keygen", "-lf", path, NULL};
        CLEANUP(mem_free) char *text = access(path, R_OK) == 0 ? capture_ask(v, argv) : NULL;
        if (!text)
            continue;
        text[strcspn(text, "\n")] = '\0';
        capture_add(&c->ssh_keys, &c->n_ssh_keys, text);
    }
}

static void tell_tools(const struct site *v, Godwit__IdentityCapture *c)
{
    static const char *const tools[] = {"ip", "systemctl", "testparm", "net", "smbcontrol"};
    for (size_t i = 0; i < ARRAY_SIZE(tools); i++) {
        CLEANUP(mem_free) char *path = NULL;
        CLEANUP(mem_free) char *text = xasprintf("the program '%s' is not here", tools[i]);
        if (program_find(tools[i], v->search, &path) < 0)
            capture_add(&c->warnings, &c->n_warnings, text);
    }
}

/* By its new name, and not joined: Samba's tools would make a SID for that name, and write it into
 * a database that a rollback finds changed. */
static bool is_nobody(const struct stage_run *r)
{
    return r->site.folder && stage_is_source(r) && stage_has_note(r, "names") &&
           !stage_has_note(r, "join");
}

int stage_capture(struct stage_run *r)
{
    const struct site *v = &r->site;
    CLEANUP(mem_free) char *scratch = xasprintf("%s/run", r->home);
    struct server server = {.search = v->search, .scratch = scratch, .cancel_fd = -1};
    CLEANUP(samba_free) struct samba *s = NULL;
    Godwit__IdentityCapture *c = xmalloc(sizeof *c);
    struct fault why = {.err = 0};
    godwit__identity_capture__init(c);
    r->result->capture = c; /* the result frees it, whole or not */
    (void)file_mkdirs(scratch, 0700);
    stage_text(&c->machine_id, line_of(v, "/etc/machine-id"));
    stage_text(&c->boot_id, line_of(v, "/proc/sys/kernel/random/boot_id"));
    stage_text(&c->open_cutover, stage_open_one(r->home));
    c->now_ms = clock_wall_ms();
    bool samba = samba_ask(&server, NULL, &s, &why) == 0;
    if (!samba && why.err != ENOENT)
        capture_add(&c->warnings, &c->n_warnings, why.text);
    int rc = tell_network(v, c, r->reterr);
    tell_names(v, samba, c);
    if (samba && !is_nobody(r))
        tell_samba(v, &server, s, c);
    nfs_list(v, &c->exports, &c->n_exports);
    tell_keys(v, c);
    tell_tools(v, c);
    if (rc == 0 && *r->order->cutover && *c->open_cutover &&
        strcmp(c->open_cutover, r->order->cutover) != 0)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EBUSY,
                       "this host is in cutover %.60s: end it or roll it back first",
                       c->open_cutover);
    return rc;
}
