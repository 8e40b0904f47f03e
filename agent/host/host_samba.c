/* host_samba: version and role of a Samba that is installed, from its package's record and the
 * [global] section of smb.conf. Shares are not looked at here. Worker threads. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/host/host_priv.h"
#include "common/base/mem.h"

#define CONF_MAX (1 << 20)
#define PACKAGES_MAX (64 << 20)

/* Of the package "samba" in dpkg's record; malloc'd, "" for none. */
static char *version_of(const char *root)
{
    CLEANUP(mem_free) char *text = host_read(root, "/var/lib/dpkg/status", PACKAGES_MAX);
    char *at = text ? strstr(text, "\nPackage: samba\n") : NULL;
    if (!at)
        return xstrdup("");
    char *end = strstr(at, "\n\n");
    if (end)
        *end = '\0';
    const char *installed = strstr(at, "\nStatus: install ok installed");
    char *version = strstr(at, "\nVersion: ");
    if (!installed || !version)
        return xstrdup("");
    version += 10;
    version[strcspn(version, "\n")] = '\0';
    return host_shown(version);
}

/* Samba takes case and blanks in a parameter's name for nothing. */
static bool is_key(const char *text, size_t len, const char *key)
{
    size_t k = 0;
    for (size_t i = 0; i < len; i++) {
        if (isspace((unsigned char)text[i]))
            continue;
        if (tolower((unsigned char)text[i]) != key[k])
            return false;
        k++;
    }
    return key[k] == '\0';
}

/* The last value of key in [global]; malloc'd, "" for none. */
static char *global_of(const char *text, const char *key)
{
    const char *value = NULL;
    size_t n = 0;
    bool global = true; /* what stands before the first section is global too */
    for (const char *line = text; line && *line;) {
        const char *end = line + strcspn(line, "\n");
        line += strspn(line, " \t\r");
        const char *eq = memchr(line, '=', (size_t)(end > line ? end - line : 0));
        if (*line == '[')
            global = strncasecmp(line, "[global]", 8) == 0;
        else if (global && *line != '#' && *line != ';' && eq &&
                 is_key(line, (size_t)(eq - line), key)) {
            value = eq + 1 + strspn(eq + 1, " \t");
            n = value < end ? (size_t)(end - value) : 0;
        }
        line = *end ? end + 1 : NULL;
    }
    while (n > 0 && isspace((unsigned char)value[n - 1]))
        n--;
    CLEANUP(mem_free) char *copy = xmemdup(value ? value : "", n);
    return host_shown(copy);
}

static bool has(const char *root, const char *path)
{
    CLEANUP(mem_free) char *full = xasprintf("%s%s", root, path);
    return access(full, F_OK) == 0;
}

/* "server role = auto" means what security says. */
static char *role_of(const char *conf, const char *security)
{
    CLEANUP(mem_free) char *role = global_of(conf, "serverrole");
    if (*role && strcasecmp(role, "auto") != 0)
        return host_shown(role);
    bool member = strcasecmp(security, "ads") == 0 || strcasecmp(security, "domain") == 0;
    return xstrdup(member ? "member server" : "standalone server");
}

Godwit__HostSamba *host_samba(const char *root)
{
    Godwit__HostSamba *s = xcalloc(1, sizeof *s);
    godwit__host_samba__init(s);
    CLEANUP(mem_free) char *conf = host_read(root, "/etc/samba/smb.conf", CONF_MAX);
    const char *text = conf ? conf : "";
    s->configured = conf != NULL;
    s->version = version_of(root);
    s->security = global_of(text, "security");
    s->role = conf ? role_of(text, s->security) : xstrdup("");
    s->workgroup = global_of(text, "workgroup");
    s->realm = global_of(text, "realm");
    s->netbios_name = global_of(text, "netbiosname");
    s->joined = conf && strcasecmp(s->role, "standalone server") != 0 &&
                strcasecmp(s->role, "standalone") != 0 &&
                (has(root, "/var/lib/samba/private/secrets.tdb") ||
                 has(root, "/var/lib/samba/private/secrets.ldb"));
    return s;
}
