/* ads: `net ads`, run and read. Worker thread. */
#include "agent/identity/ads.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/identity/names.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/sid.h"
#include "common/base/text.h"

#define WORDS_MAX 24

/* ── running ── */

static int fit(const struct ads *a, struct fault *reterr)
{
    if (a->dc && names_full_valid(a->dc) && strchr(a->dc, '.'))
        return 0;
    return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "'%.60s' is no domain controller",
                     a->dc ? a->dc : "");
}

static int run(const struct ads *a, const char *const *words, const char *const *env,
               int timeout_ms, struct program_output *ret, struct fault *reterr)
{
    const char *argv[WORDS_MAX + 8] = {"net", "ads"};
    size_t n = 2;
    int rc = fit(a, reterr);
    if (rc < 0)
        return rc;
    for (size_t i = 0; words[i] && n < WORDS_MAX; i++)
        argv[n++] = words[i];
    argv[n++] = "-S";
    argv[n++] = a->dc;
    argv[n++] = a->who ? "-A" : "-P";
    argv[n++] = a->who ? a->who->path : NULL;
    argv[n] = NULL;
    const struct program_call c = {.argv = argv,
                                   .search = a->v->search,
                                   .env = env,
                                   .max_out = 4U << 20,
                                   .timeout_ms = timeout_ms};
    return program_run(&c, ret, reterr);
}

int ads_net(const struct ads *a, const char *const *words, int timeout_ms, char **retout,
            struct fault *reterr)
{
    struct program_output o;
    int rc = run(a, words, NULL, timeout_ms, &o, reterr);
    if (rc < 0)
        return rc;
    if (o.code != 0) {
        CLEANUP(mem_free) char *said = program_words(&o);
        rc = fault_set(reterr, FAULT_STOP_JOB, EIO, "net ads %.20s at %.60s ended with %d: %s",
                       words[0], a->dc, o.code, said);
    } else if (retout) {
        *retout = xmemdup(o.out, o.len);
    }
    program_done(&o);
    return rc;
}

bool ads_key_holds(const struct ads *a)
{
    static const char *const words[] = {"kerberos", "kinit", NULL};
    static const char *const env[] = {"KRB5CCNAME=MEMORY:godwit", NULL};
    const struct ads machine = {.v = a->v, .dc = a->dc};
    struct fault unused = {.err = 0};
    struct program_output o;
    if (run(&machine, words, env, ADS_MS, &o, &unused) < 0)
        return false;
    bool holds = o.code == 0;
    program_done(&o);
    return holds;
}

int ads_ticket(const struct ads *a, const char *cache, struct fault *reterr)
{
    static const char *const words[] = {"kerberos", "kinit", NULL};
    CLEANUP(mem_free) char *place = xasprintf("KRB5CCNAME=FILE:%s", cache);
    const char *const env[] = {place, NULL};
    struct program_output o;
    int rc = run(a, words, env, ADS_MS, &o, reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *said = program_words(&o);
    if (o.code != 0)
        rc = fault_set(reterr, FAULT_STOP_JOB, EACCES, "no ticket from %.60s: %s", a->dc, said);
    program_done(&o);
    return rc;
}

/* ── reading ── */

static int digit(char c)
{
    static const char all[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c ? strchr(all, c) : NULL;
    return at ? (int)(at - all) : -1;
}

int ads_base64(const char *text, size_t n, uint8_t **ret, size_t *retlen)
{
    uint32_t bits = 0;
    size_t len = 0, have = 0;
    while (n > 0 && text[n - 1] == '=')
        n--;
    CLEANUP(mem_free) uint8_t *out = xmalloc(n / 4 * 3 + 4);
    for (size_t i = 0; i < n; i++) {
        int d = digit(text[i]);
        if (d < 0)
            return -EBADMSG;
        bits = bits << 6 | (uint32_t)d;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        out[len++] = (uint8_t)(bits >> have);
    }
    *ret = out;
    *retlen = len;
    out = NULL;
    return 0;
}

static void add(char ***list, size_t *n, const char *text, size_t len)
{
    if (*n == ADS_NAMES)
        return;
    *list = xrealloc(*list, (*n + 1) * sizeof **list);
    (*list)[(*n)++] = text_printable(text, len);
}

static void set(char **slot, const char *text, size_t len)
{
    if (!*slot)
        *slot = text_printable(text, len);
}

/* A SID as bytes, in base64. */
static void set_sid(char **slot, const char *text, size_t n)
{
    CLEANUP(mem_free) uint8_t *bytes = NULL;
    size_t len = 0;
    struct sid sid;
    char words[SID_TEXT_MAX];
    if (*slot || ads_base64(text, n, &bytes, &len) < 0 || sid_unpack(bytes, len, &sid) < 0)
        return;
    sid_text(&sid, words);
    *slot = xstrdup(words);
}

static void take(struct ads_account *c, const char *key, size_t k, const char *value, size_t n)
{
    const struct {
        const char *key;
        char **one;
        char ***list;
        size_t *count;
        uint32_t *number;
    } rows[] = {
        {"distinguishedName",            &c->dn,       NULL,         NULL,          NULL           },
        {"objectSid",                    &c->sid,      NULL,         NULL,          NULL           },
        {"dNSHostName",                  &c->dns_name, NULL,         NULL,          NULL           },
        {"userAccountControl",           NULL,         NULL,         NULL,          &c->control    },
        {"msDS-KeyVersionNumber",        NULL,         NULL,         NULL,          &c->key_version},
        {"servicePrincipalName",         NULL,         &c->spns,     &c->nspns,     NULL           },
        {"memberOf",                     NULL,         &c->groups,   &c->ngroups,   NULL           },
        {"allowedAttributesEffective",   NULL,         &c->writable, &c->nwritable, NULL           },
        {"allowedChildClassesEffective", NULL,         &c->children, &c->nchildren, NULL           },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (strlen(rows[i].key) != k || strncasecmp(rows[i].key, key, k) != 0)
            continue;
        if (rows[i].one)
            set(rows[i].one, value, n);
        else if (rows[i].list)
            add(rows[i].list, rows[i].count, value, n);
        else
            *rows[i].number = (uint32_t)strtoul(value, NULL, 10);
    }
}

struct ads_account *ads_parse(const char *text, size_t *retn)
{
    struct ads_account *c = xcalloc(1, sizeof *c);
    *retn = 0;
    for (const char *at = text; *at;) {
        size_t n = strcspn(at, "\n"), k = strcspn(at, ":\n"), v;
        bool coded = k + 1 < n && at[k + 1] == ':'; /* base64, as ldapsearch has what is no text */
        if (k < n && *at != '\t' && *at != '-') {
            for (v = k + 1 + coded; v < n && isspace((unsigned char)at[v]); v++)
                ;
            size_t len = n;
            while (len > v && isspace((unsigned char)at[len - 1]))
                len--;
            *retn += k == 17 && strncasecmp(at, "distinguishedName", 17) == 0;
            if (coded && k == 9 && strncasecmp(at, "objectSid", 9) == 0)
                set_sid(&c->sid, at + v, len - v);
            else if (!coded)
                take(c, at, k, at + v, len - v);
        }
        at += n + (at[n] == '\n');
    }
    return c;
}

static void free_list(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

struct ads_account *ads_account_free(struct ads_account *c)
{
    if (!c)
        return NULL;
    free(c->dn);
    free(c->sid);
    free(c->dns_name);
    free_list(c->spns, c->nspns);
    free_list(c->groups, c->ngroups);
    free_list(c->writable, c->nwritable);
    free_list(c->children, c->nchildren);
    free(c);
    return NULL;
}

bool ads_has(char *const *list, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(list[i], name) == 0)
            return true;
    return false;
}

char *ads_escape(const char *text)
{
    char *out = xmalloc(3 * strlen(text) + 1), *to = out;
    static const char hex[] = "0123456789abcdef";
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if (!strchr("()*\\", *c) && *c >= 0x20) {
            *to++ = (char)*c;
            continue;
        }
        *to++ = '\\';
        *to++ = hex[*c >> 4];
        *to++ = hex[*c & 15];
    }
    *to = '\0';
    return out;
}

#define ATTRIBUTES                                                                                 \
    "distinguishedName", "objectSid", "dNSHostName", "userAccountControl",                         \
        "msDS-KeyVersionNumber", "servicePrincipalName", "memberOf", "allowedAttributesEffective", \
        "allowedChildClassesEffective"

static int one_of(char *text, struct ads_account **ret, const char *what, struct fault *reterr)
{
    size_t n = 0;
    CLEANUP(mem_free) char *owned = text;
    struct ads_account *c = ads_parse(owned, &n);
    if (n == 1) {
        *ret = c;
        return 1;
    }
    (void)ads_account_free(c);
    return n == 0 ? 0
                  : fault_set(reterr, FAULT_STOP_JOB, EMLINK, "the directory has %zu objects %.60s",
                              n, what);
}

/* ── by ldapsearch: a fifth of the time that `net` takes ── */

char *ads_cache(const struct site *v)
{
    return xasprintf("%s/ticket", v->folder);
}

const char *ads_base(const char *dn)
{
    for (const char *at = dn; at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
        if (strncasecmp(at, "DC=", 3) == 0)
            return at;
    return NULL;
}

static int ldap(const struct ads *a, const char *scope, const char *base, const char *filter,
                const char *const *words, char **retout)
{
    CLEANUP(mem_free) char *cache = ads_cache(a->v);
    CLEANUP(mem_free) char *ticket = xasprintf("KRB5CCNAME=FILE:%s", cache);
    CLEANUP(mem_free) char *url = xasprintf("ldap://%s", a->dc);
    const char *argv[WORDS_MAX + 16] = {"ldapsearch", "-LLL",   "-Q", "-o",  "ldif-wrap=no",
                                        "-Y",         "GSSAPI", "-H", url,   "-s",
                                        scope,        "-b",     base, filter};
    const char *const env[] = {ticket, NULL};
    const struct program_call c = {
        .argv = argv, .search = a->v->search, .env = env, .timeout_ms = ADS_MS};
    struct program_output o;
    struct fault unused = {.err = 0};
    size_t n = 14;
    for (size_t i = 0; words[i] && i < WORDS_MAX; i++)
        argv[n++] = words[i];
    int rc = fit(a, &unused);
    if (rc == 0)
        rc = program_run(&c, &o, &unused);
    if (rc < 0)
        return rc;
    rc = o.code == 0 ? 0 : -EACCES;
    if (rc == 0)
        *retout = xmemdup(o.out, o.len);
    program_done(&o);
    return rc;
}

/* With the ticket that is there, else with a new one. Any failure: the caller asks `net`. */
static int quickly(const struct ads *a, const char *scope, const char *base, const char *filter,
                   const char *const *words, char **retout)
{
    CLEANUP(mem_free) char *cache = NULL;
    struct fault unused = {.err = 0};
    if (!a->who || !a->base || !a->v->folder || !base || *base == '-')
        return -ENOTSUP;
    cache = ads_cache(a->v);
    if (access(cache, F_OK) == 0 && ldap(a, scope, base, filter, words, retout) == 0)
        return 0;
    int rc = ads_ticket(a, cache, &unused);
    return rc < 0 ? rc : ldap(a, scope, base, filter, words, retout);
}

static const char *const attributes[] = {ATTRIBUTES, NULL};

int ads_find(const struct ads *a, const char *netbios, struct ads_account **ret,
             struct fault *reterr)
{
    CLEANUP(mem_free) char *safe = ads_escape(netbios);
    CLEANUP(mem_free) char *filter = xasprintf("(sAMAccountName=%s$)", safe);
    const char *const words[] = {"search", filter, ATTRIBUTES, NULL};
    char *text = NULL;
    if (quickly(a, "sub", a->base, filter, attributes, &text) == 0)
        return one_of(text, ret, netbios, reterr);
    int rc = ads_net(a, words, ADS_MS, &text, reterr);
    return rc < 0 ? rc : one_of(text, ret, netbios, reterr);
}

int ads_look(const struct ads *a, const char *dn, struct ads_account **ret, struct fault *reterr)
{
    const char *const words[] = {"dn", dn, ATTRIBUTES, NULL};
    char *text = NULL;
    if (*dn == '-' || !strchr(dn, '='))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "'%.60s' is no name of an object", dn);
    if (quickly(a, "base", dn, "(objectClass=*)", attributes, &text) == 0)
        return one_of(text, ret, dn, reterr);
    int rc = ads_net(a, words, ADS_MS, &text, reterr);
    return rc < 0 ? rc : one_of(text, ret, dn, reterr);
}

/* What it says, as lines that `ldapadd` takes; NULL: a part would not mean itself. */
static char *account_text(const char *netbios, const char *container, const char *full)
{
    CLEANUP(mem_free) char *words = ads_ou_words(container);
    if (!words || !names_netbios_valid(netbios))
        return NULL;
    for (const char *c = container; *c; c++)
        if ((unsigned char)*c < 0x20 || (unsigned char)*c > 0x7e)
            return NULL;
    CLEANUP(mem_free)
    char *dns = full && names_full_valid(full) && strchr(full, '.')
                    ? xasprintf("dNSHostName: %s\nservicePrincipalName: HOST/%s\n"
                                "servicePrincipalName: RestrictedKrbHost/%s\n",
                                full, full, full)
                    : xstrdup("");
    return xasprintf("dn: CN=%s,%s\nobjectClass: computer\nsAMAccountName: %s$\n"
                     "userAccountControl: %u\nservicePrincipalName: HOST/%s\n"
                     "servicePrincipalName: RestrictedKrbHost/%s\n%s",
                     netbios, container, netbios, ADS_WORKSTATION | ADS_DISABLED, netbios, netbios,
                     dns);
}

int ads_make(const struct ads *a, const char *netbios, const char *container, const char *full,
             struct fault *reterr)
{
    CLEANUP(mem_free) char *text = account_text(netbios, container, full);
    CLEANUP(mem_free) char *cache = ads_cache(a->v);
    CLEANUP(mem_free) char *ticket = xasprintf("KRB5CCNAME=FILE:%s", cache);
    CLEANUP(mem_free) char *url = xasprintf("ldap://%s", a->dc);
    const char *const argv[] = {"ldapadd", "-Q", "-Y", "GSSAPI", "-H", url, NULL};
    const char *const env[] = {ticket, NULL};
    const struct program_call c = {.argv = argv,
                                   .search = a->v->search,
                                   .env = env,
                                   .input = text,
                                   .input_len = text ? strlen(text) : 0,
                                   .timeout_ms = ADS_MS};
    struct program_output o;
    int rc = fit(a, reterr);
    if (rc == 0 && !text)
        rc = fault_set(reterr, FAULT_STOP_JOB, EINVAL, "no account can be made in %.120s",
                       container);
    if (rc == 0)
        rc = ads_ticket(a, cache, reterr);
    if (rc == 0)
        rc = program_run(&c, &o, reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *said = program_words(&o);
    if (o.code != 0)
        rc = fault_set(reterr, FAULT_STOP_JOB, EACCES, "the account %.20s cannot be made: %s",
                       netbios, said);
    program_done(&o);
    return rc;
}

int ads_remove(const struct ads *a, const char *netbios, struct fault *reterr)
{
    CLEANUP(mem_free) char *name = xasprintf("%s$", netbios);
    CLEANUP(ads_account_free) struct ads_account *left = NULL;
    const char *const argv[] = {"net", "rpc", "user", "delete",     name,
                                "-S",  a->dc, "-A",   a->who->path, NULL};
    const struct program_call c = {.argv = argv, .search = a->v->search, .timeout_ms = ADS_MS};
    struct program_output o;
    int rc = fit(a, reterr);
    if (rc == 0)
        rc = program_run(&c, &o, reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *said = program_words(&o);
    program_done(&o);
    rc = ads_find(a, netbios, &left, reterr);
    return rc <= 0 ? rc
                   : fault_set(reterr, FAULT_STOP_JOB, EACCES, "the account %.20s stays: %s",
                               netbios, said);
}

/* ── descriptors ── */

/* Without the part that only administrators may read: `net` asks for all of it and gets none. */
int ads_descriptor(const struct ads *a, const char *dn, uint8_t **ret, size_t *retlen,
                   struct fault *reterr)
{
    CLEANUP(mem_free) char *cache = ads_cache(a->v);
    static const char key[] = "\nnTSecurityDescriptor:: ",
                      part[] = "1.2.840.113556.1.4.801=::MAMCAQQ=";
    CLEANUP(mem_free) char *url = xasprintf("ldap://%s", a->dc);
    CLEANUP(mem_free) char *ticket = xasprintf("KRB5CCNAME=FILE:%s", cache);
    CLEANUP(mem_free) char *control = xasprintf("!%s", part);
    const char *const argv[] = {"ldapsearch",
                                "-LLL",
                                "-Q",
                                "-o",
                                "ldif-wrap=no",
                                "-Y",
                                "GSSAPI",
                                "-H",
                                url,
                                "-s",
                                "base",
                                "-b",
                                dn,
                                "-E",
                                control,
                                "(objectClass=*)",
                                "nTSecurityDescriptor",
                                NULL};
    const char *const env[] = {ticket, NULL};
    const struct program_call c = {
        .argv = argv, .search = a->v->search, .env = env, .timeout_ms = ADS_MS};
    struct program_output o;
    int rc = fit(a, reterr);
    if (rc == 0)
        rc = program_run(&c, &o, reterr);
    if (rc < 0)
        return rc;
    const char *at = o.code == 0 ? strstr(o.out, key) : NULL;
    at = at ? at + sizeof key - 1 : NULL;
    if (!at || ads_base64(at, strcspn(at, "\r\n"), ret, retlen) < 0)
        rc = fault_set(reterr, FAULT_STOP_JOB, EACCES,
                       "the directory does not show the descriptor of %.120s", dn);
    program_done(&o);
    return rc;
}

/* ── where it stands ── */

/* A part of createcomputer= that means nothing but itself. */
static bool plain(const char *s, size_t n)
{
    if (n == 0 || n > 64)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && !strchr(" -_.&'", s[i]))
            return false;
    return true;
}

char *ads_ou_words(const char *dn)
{
    char *words = xstrdup("");
    if (strncasecmp(dn, "CN=Computers,DC=", 16) == 0) {
        free(words);
        return xstrdup("Computers");
    }
    while (strncasecmp(dn, "OU=", 3) == 0) {
        size_t n = strcspn(dn + 3, ",");
        if (!plain(dn + 3, n))
            break;
        char *more = xasprintf("%.*s%s%s", (int)n, dn + 3, *words ? "/" : "", words);
        free(words);
        words = more;
        dn += 3 + n + (dn[3 + n] == ',');
    }
    if (*words && strncasecmp(dn, "DC=", 3) == 0)
        return words;
    free(words);
    return NULL;
}
