/* domain: what a member says of its domain and its account there, by the machine's own password.
 * Changes nothing. Worker thread. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/identity/capture_priv.h"
#include "agent/identity/service.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/text.h"

char *capture_field(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        const char *v = at + strspn(at, " \t");
        if (strncasecmp(v, key, n) != 0 || v[n] != ':')
            continue;
        v += n + 1;
        v += strspn(v, " \t");
        size_t len = strcspn(v, "\r\n");
        while (len > 0 && isspace((unsigned char)v[len - 1]))
            len--;
        return text_printable(v, len);
    }
    return xstrdup("");
}

static void tell_fields(const char *text, const char *key, char ***list, size_t *n)
{
    for (const char *at = text; at && *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL) {
        CLEANUP(mem_free) char *line = xmemdup(at, strcspn(at, "\n"));
        CLEANUP(mem_free) char *value = capture_field(line, key);
        if (*value)
            capture_add(list, n, value);
    }
}

static void tell_account(const struct site *v, Godwit__IdentityDomain *d, const char *netbios)
{
    CLEANUP(mem_free) char *who = xasprintf("(sAMAccountName=%s$)", netbios);
    const char *const argv[] = {"net",
                                "ads",
                                "search",
                                "-P",
                                "-S",
                                d->dc,
                                who,
                                "distinguishedName",
                                "objectSid",
                                "servicePrincipalName",
                                "memberOf",
                                "msDS-KeyVersionNumber",
                                "nTSecurityDescriptor",
                                NULL};
    CLEANUP(mem_free) char *text = *d->dc ? capture_ask(v, argv) : NULL;
    if (!text)
        return;
    uint8_t sum[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    stage_text(&d->account_dn, capture_field(text, "distinguishedName"));
    stage_text(&d->account_sid, capture_field(text, "objectSid"));
    CLEANUP(mem_free) char *version = capture_field(text, "msDS-KeyVersionNumber");
    d->key_version = (uint32_t)strtoul(version, NULL, 10);
    tell_fields(text, "servicePrincipalName", &d->spns, &d->n_spns);
    tell_fields(text, "memberOf", &d->groups, &d->n_groups);
    const char *acl = strstr(text, "-------------- Security Descriptor");
    if (!acl)
        return;
    sha256_of(acl, strlen(acl), sum);
    text_hex(sum, sizeof sum, hex);
    stage_text(&d->acl_digest, xstrdup(hex));
}

void capture_domain(const struct site *v, const struct smbconf *conf, Godwit__IdentityCapture *c)
{
    static const char *const info[] = {"net", "ads", "info", NULL};
    const struct smbconf_section *g = smbconf_find(conf, "global");
    const char *security = g ? smbconf_value(g, "security") : NULL;
    const char *realm = g ? smbconf_value(g, "realm") : NULL;
    const char *workgroup = g ? smbconf_value(g, "workgroup") : NULL;
    Godwit__IdentityDomain *d = xmalloc(sizeof *d);
    godwit__identity_domain__init(d);
    c->domain = d;
    stage_text(&d->workgroup, xstrdup(workgroup ? workgroup : "WORKGROUP"));
    stage_text(&d->realm, xstrdup(realm ? realm : ""));
    if (!security || strcasecmp(security, "ads") != 0)
        return;
    CLEANUP(mem_free) char *text = capture_ask(v, info);
    if (text)
        stage_text(&d->dc, capture_field(text, "LDAP server name"));
    d->trusted = service_trusted(v, 0);
    tell_account(v, d, c->names->netbios);
    d->joined = d->trusted || *d->account_sid;
}
