/* rights: what the directory says that one may, and the rules of a descriptor where it does not say
 * it. Worker thread. */
#include "agent/identity/rights.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"

#define RESET_PASSWORD "00299570-246d-11d0-a768-00aa006e0529"
#define CONTROL_ACCESS 0x100U
#define INHERIT_ONLY 0x08U
#define SIDS_MAX 1000

/* ── the descriptor ── */

enum ace_type { ACE_ALLOWED = 0, ACE_DENIED = 1, ACE_ALLOWED_OBJECT = 5, ACE_DENIED_OBJECT = 6 };

struct ace {
    unsigned type, flags, mask;
    char sid[200], guid[64];
};

static const char *line_after(const char *at)
{
    at = strchr(at, '\n');
    return at ? at + 1 : NULL;
}

/* "------- ACE (type: 0x05, flags: 0x00, size: 0x38, mask: 0x100, object flags: 0x1)" and the lines
 * that follow it. NULL: none is left; else where the next may begin. */
static const char *next_ace(const char *at, struct ace *ret)
{
    static const char head[] = "------- ACE (";
    bool object = false;
    while (at && strncmp(at, head, sizeof head - 1) != 0)
        at = line_after(at);
    if (!at)
        return NULL;
    *ret = (struct ace){.type = ~0U};
    unsigned size;
    if (sscanf(at, "------- ACE (type: 0x%x, flags: 0x%x, size: 0x%x, mask: 0x%x", &ret->type,
               &ret->flags, &size, &ret->mask) != 4)
        ret->type = ~0U;
    for (at = line_after(at); at && strncmp(at, head, sizeof head - 1) != 0; at = line_after(at)) {
        (void)sscanf(at, "access SID: %199s", ret->sid);
        if (strncmp(at, "Object type: SEC_ACE_OBJECT_TYPE_PRESENT", 40) == 0)
            object = true;
        if (object && !ret->guid[0])
            (void)sscanf(at, "Object GUID: %63s", ret->guid);
    }
    return at ? at : "";
}

static bool is_in(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

/* The first that speaks of it decides, as the directory does. */
bool rights_may_reset(const char *acl, char *const *sids, size_t nsids)
{
    struct ace e;
    for (const char *at = acl; at && (at = next_ace(at, &e)) != NULL;) {
        bool object = e.type == ACE_ALLOWED_OBJECT || e.type == ACE_DENIED_OBJECT;
        bool about = e.guid[0] ? strcasecmp(e.guid, RESET_PASSWORD) == 0 : true;
        if ((e.type > ACE_DENIED && !object) || (e.flags & INHERIT_ONLY) ||
            !(e.mask & CONTROL_ACCESS) || !about || !is_in(sids, nsids, e.sid))
            continue;
        return e.type == ACE_ALLOWED || e.type == ACE_ALLOWED_OBJECT;
    }
    return false;
}

/* ── who asks ── */

struct sids {
    char *at[SIDS_MAX];
    size_t n;
};

static void sids_done(struct sids *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->at[i]);
}

static void add_sid(struct sids *s, const char *text, size_t n)
{
    if (s->n < SIDS_MAX && n > 2 && n < 200 && strncmp(text, "S-", 2) == 0)
        s->at[s->n++] = xmemdup(text, n);
}

static void read_sids(const char *text, struct sids *ret)
{
    for (const char *at = text; at && *at; at = line_after(at)) {
        const char *value = strstr(at, ": ");
        bool mine =
            strncasecmp(at, "tokenGroups:", 12) == 0 || strncasecmp(at, "objectSid:", 10) == 0;
        if (mine && value)
            add_sid(ret, value + 2, strcspn(value + 2, " \r\n"));
    }
}

/* Their own, their groups' and everybody's. */
static int ask_sids(const struct ads *a, struct sids *ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *safe = ads_escape(a->who->user);
    CLEANUP(mem_free)
    char *filter = strchr(safe, '@') ? xasprintf("(userPrincipalName=%s)", safe)
                                     : xasprintf("(sAMAccountName=%s)", safe);
    const char *const find[] = {"search", filter, "distinguishedName", NULL};
    CLEANUP(mem_free) char *found = NULL;
    CLEANUP(mem_free) char *token = NULL;
    size_t n = 0;
    int rc = ads_net(a, find, ADS_MS, &found, reterr);
    if (rc < 0)
        return rc;
    CLEANUP(ads_account_free) struct ads_account *user = ads_parse(found, &n);
    if (n != 1 || !user->dn || user->dn[0] == '-')
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "the directory has %zu users '%.60s'", n,
                         a->who->user);
    const char *const look[] = {"dn", user->dn, "tokenGroups", "objectSid", NULL};
    rc = ads_net(a, look, ADS_MS, &token, reterr);
    if (rc < 0)
        return rc;
    read_sids(token, ret);
    add_sid(ret, "S-1-1-0", 7);
    add_sid(ret, "S-1-5-11", 8);
    return 0;
}

/* ── the questions ── */

static void append(char **list, const char *what)
{
    char *more = xasprintf("%s%s%s", *list, **list ? ", " : "", what);
    free(*list);
    *list = more;
}

/* Who may write the attribute itself is told so; a right to reset alone is in the descriptor. */
static int check_reset(const struct ads *a, const struct ads_account *had, char **missing,
                       struct fault *reterr)
{
    struct sids s = {.n = 0};
    if (ads_has(had->writable, had->nwritable, "unicodePwd"))
        return 0;
    int rc = ask_sids(a, &s, reterr);
    if (rc == 0 && !rights_may_reset(had->acl ? had->acl : "", s.at, s.n))
        append(missing, "reset its password");
    sids_done(&s);
    return rc;
}

int rights_to_take(const struct ads *a, const struct ads_account *had, struct fault *reterr)
{
    static const char *const needed[] = {"userAccountControl", "servicePrincipalName",
                                         "dNSHostName"};
    CLEANUP(mem_free) char *missing = xstrdup("");
    int rc = check_reset(a, had, &missing, reterr);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        CLEANUP(mem_free) char *what = xasprintf("write %s", needed[i]);
        if (!ads_has(had->writable, had->nwritable, needed[i]))
            append(&missing, what);
    }
    return *missing ? fault_set(reterr, FAULT_STOP_JOB, EACCES, "%.40s may not %s (of %.120s)",
                                a->who->user, missing, had->dn ? had->dn : "")
                    : 0;
}

int rights_to_make(const struct ads *a, const char *ou_dn, struct fault *reterr)
{
    CLEANUP(ads_account_free) struct ads_account *ou = NULL;
    int rc = ads_look(a, ou_dn, &ou, reterr);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return fault_set(reterr, FAULT_STOP_JOB, ENOENT, "the directory has no %.120s", ou_dn);
    return ads_has(ou->children, ou->nchildren, "computer")
               ? 0
               : fault_set(reterr, FAULT_STOP_JOB, EACCES,
                           "%.40s may not make computer accounts in %.120s", a->who->user, ou_dn);
}
