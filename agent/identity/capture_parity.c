/* capture_parity: what has to be the same on both hosts, though no stage makes it so: Samba's
 * settings that users feel, firewalls, confinement, and the ids behind Samba's own users. Changes
 * nothing. Worker thread. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/identity/capture_priv.h"
#include "agent/share/smbconf.h"
#include "common/base/cleanup.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define TEXT_MAX 65536

static bool is_felt(const char *name)
{
    static const char *const all[] = {"security",
                                      "realm",
                                      "workgroup",
                                      "kerberos method",
                                      "vfs objects",
                                      "unix charset",
                                      "dos charset",
                                      "case sensitive",
                                      "default case",
                                      "preserve case",
                                      "mangled names",
                                      "store dos attributes",
                                      "ea support",
                                      "nt acl support",
                                      "ntlm auth",
                                      "server signing",
                                      "server min protocol",
                                      "smb encrypt",
                                      "map to guest",
                                      "guest account",
                                      "winbind use default domain",
                                      "winbind separator",
                                      "inherit acls",
                                      "inherit owner",
                                      "inherit permissions",
                                      "map acl inherit",
                                      "map archive",
                                      "map hidden",
                                      "map readonly",
                                      "map system",
                                      "username map"};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        if (smbconf_same(name, all[i]))
            return true;
    return strncasecmp(name, "acl_xattr:", 10) == 0;
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

static void tell_settings(const struct smbconf *conf, Godwit__IdentityCapture *c)
{
    const struct smbconf_section *g = smbconf_find(conf, "global");
    for (size_t i = 0; g && i < g->nparams; i++) {
        CLEANUP(mem_free) char *line = xasprintf("%s = %s", g->params[i].name, g->params[i].value);
        if (is_felt(g->params[i].name))
            capture_add(&c->settings, &c->n_settings, line);
    }
    if (c->n_settings)
        qsort(c->settings, c->n_settings, sizeof *c->settings, by_text);
}

static void tell_protection(const struct site *v, Godwit__IdentityCapture *c)
{
    static const char *const units[] = {"nftables", "firewalld", "ufw", "netfilter-persistent"};
    static const char *const files[] = {"/sys/fs/selinux/enforce",
                                        "/sys/kernel/security/apparmor/profiles"};
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        CLEANUP(mem_free) char *unit = xasprintf("%s.service", units[i]);
        const char *const argv[] = {"systemctl", "is-active", unit, NULL};
        CLEANUP(mem_free) char *said = capture_ask(v, argv);
        CLEANUP(mem_free) char *line = xasprintf("firewall %s", units[i]);
        if (said)
            capture_add(&c->protection, &c->n_protection, line);
    }
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        CLEANUP(mem_free) char *path = xasprintf("%s%s", v->root, files[i]);
        CLEANUP(mem_free) char *text = NULL;
        size_t len = 0;
        if (file_read(path, TEXT_MAX, &text, &len) < 0)
            continue;
        if (i == 0 && text[0] == '1')
            capture_add(&c->protection, &c->n_protection, "SELinux enforcing");
        if (i == 1 && strstr(text, "smbd"))
            capture_add(&c->protection, &c->n_protection, "AppArmor smbd");
    }
}

static void tell_accounts(Godwit__IdentityCapture *c)
{
    for (size_t i = 0; i < c->n_users; i++) {
        const struct passwd *p = getpwnam(c->users[i]);
        CLEANUP(mem_free)
        char *line =
            p ? xasprintf("%s:%u:%u", c->users[i], (unsigned)p->pw_uid, (unsigned)p->pw_gid) : NULL;
        if (line)
            capture_add(&c->accounts, &c->n_accounts, line);
    }
}

/* As the name server has them, not /etc/hosts; without the time that they are kept for. */
static void tell_dns(const struct site *v, Godwit__IdentityCapture *c)
{
    const char *argv[40] = {"dig", "+noall", "+answer", "+time=2", "+tries=1"};
    size_t n = 5;
    for (size_t i = 0; c->names && i < c->names->n_dns_names && n + 4 < ARRAY_SIZE(argv); i++) {
        if (c->names->dns_names[i][0] == '-' || !strchr(c->names->dns_names[i], '.'))
            continue;
        argv[n++] = c->names->dns_names[i];
        argv[n++] = "A";
        argv[n++] = c->names->dns_names[i];
        argv[n++] = "AAAA";
    }
    CLEANUP(mem_free) char *text = n > 5 ? capture_ask(v, argv) : NULL;
    char *save = NULL;
    for (char *l = text ? strtok_r(text, "\n", &save) : NULL; l; l = strtok_r(NULL, "\n", &save)) {
        char *rest = NULL, *name = strtok_r(l, " \t", &rest), *ttl = strtok_r(NULL, " \t", &rest);
        char *in = ttl ? strtok_r(NULL, " \t", &rest) : NULL;
        char *type = in ? strtok_r(NULL, " \t", &rest) : NULL;
        char *value = type ? strtok_r(NULL, " \t", &rest) : NULL;
        if (!value || name[0] == ';')
            continue;
        CLEANUP(mem_free) char *line = xasprintf("%s %s %s", name, type, value);
        capture_add(&c->dns, &c->n_dns, line);
    }
    if (c->n_dns)
        qsort(c->dns, c->n_dns, sizeof *c->dns, by_text);
}

void capture_parity(const struct site *v, const struct smbconf *conf, Godwit__IdentityCapture *c)
{
    tell_settings(conf, c);
    tell_protection(v, c);
    if (c->domain && c->domain->joined)
        tell_dns(v, c);
    else
        tell_accounts(c);
}
