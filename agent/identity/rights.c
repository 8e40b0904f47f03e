/* rights: what the directory says that one may, and the rules of a descriptor where it does not say
 * it. Worker thread. */
#include "agent/identity/rights.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/sha256.h"
#include "common/base/sid.h"
#include "common/base/text.h"

#define CONTROL_ACCESS 0x100U
#define INHERIT_ONLY 0x08U
#define OBJECT_TYPE 0x1U
#define INHERITED_TYPE 0x2U
#define GUID_BYTES 16U
#define SIDS_MAX 1000
#define FRESH_S 3600 /* what was read so lately is not read again while users wait */

/* ── the descriptor ── */

enum ace_type { ACE_ALLOWED = 0, ACE_DENIED = 1, ACE_ALLOWED_OBJECT = 5, ACE_DENIED_OBJECT = 6 };

/* 00299570-246d-11d0-a768-00aa006e0529, bf967a86-0de6-11d0-a285-00aa003049e2: as they lie there. */
static const uint8_t reset_password[GUID_BYTES] = {0x70, 0x95, 0x29, 0x00, 0x6d, 0x24, 0xd0, 0x11,
                                                   0xa7, 0x68, 0x00, 0xaa, 0x00, 0x6e, 0x05, 0x29};
static const uint8_t computer[GUID_BYTES] = {0x86, 0x7a, 0x96, 0xbf, 0xe6, 0x0d, 0xd0, 0x11,
                                             0xa2, 0x85, 0x00, 0xaa, 0x00, 0x30, 0x49, 0xe2};

static uint32_t le32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static size_t le16(const uint8_t *p)
{
    return (size_t)p[0] | (size_t)p[1] << 8;
}

static bool is_in(char *const *list, size_t n, const char *text)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i], text) == 0)
            return true;
    return false;
}

/* 1: it allows, -1: it denies, 0: it speaks of something or somebody else. p: the entry, n bytes.
 */
static int one_ace(const uint8_t *p, size_t n, char *const *sids, size_t nsids)
{
    unsigned type = p[0], flags = p[1];
    bool object = type == ACE_ALLOWED_OBJECT || type == ACE_DENIED_OBJECT;
    size_t at = 8;
    struct sid sid;
    char text[SID_TEXT_MAX];
    if ((type > ACE_DENIED && !object) || (flags & INHERIT_ONLY) || n < 12 ||
        !(le32(p + 4) & CONTROL_ACCESS))
        return 0;
    uint32_t has = object ? le32(p + 8) : 0;
    at += object ? 4 : 0;
    for (uint32_t bit = OBJECT_TYPE; bit <= INHERITED_TYPE; bit <<= 1) {
        if (!(has & bit))
            continue;
        if (at + GUID_BYTES > n ||
            memcmp(p + at, bit == OBJECT_TYPE ? reset_password : computer, GUID_BYTES) != 0)
            return 0;
        at += GUID_BYTES;
    }
    if (at > n || sid_unpack(p + at, n - at, &sid) < 0)
        return 0;
    sid_text(&sid, text);
    if (!is_in(sids, nsids, text))
        return 0;
    return type == ACE_ALLOWED || type == ACE_ALLOWED_OBJECT ? 1 : -1;
}

/* The first that speaks of it decides, as the directory does. */
bool rights_may_reset(const uint8_t *sd, size_t len, char *const *sids, size_t nsids)
{
    if (len < 20 || le32(sd + 16) < 20 || le32(sd + 16) > len - 8)
        return false;
    const uint8_t *acl = sd + le32(sd + 16);
    size_t left = len - le32(sd + 16), entries = le16(acl + 4);
    if (le16(acl + 2) > left)
        return false;
    left = le16(acl + 2) - (le16(acl + 2) >= 8 ? 8 : le16(acl + 2));
    for (const uint8_t *at = acl + 8; entries-- > 0 && left >= 8;) {
        size_t n = le16(at + 2);
        if (n < 8 || n > left)
            return false;
        int says = one_ace(at, n, sids, nsids);
        if (says)
            return says > 0;
        at += n;
        left -= n;
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

static const char *line_after(const char *at)
{
    at = strchr(at, '\n');
    return at ? at + 1 : NULL;
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
    CLEANUP(mem_free) uint8_t *sd = NULL;
    CLEANUP(mem_free) char *cache = ads_cache(a->v);
    size_t len = 0;
    if (ads_has(had->writable, had->nwritable, "unicodePwd"))
        return 0;
    int rc = access(cache, F_OK) == 0 ? 0 : ads_ticket(a, cache, reterr);
    if (rc == 0)
        rc = ads_descriptor(a, had->dn, &sd, &len, reterr);
    if (rc == 0)
        rc = ask_sids(a, &s, reterr);
    if (rc == 0 && !rights_may_reset(sd, len, s.at, s.n))
        append(missing, "reset its password");
    sids_done(&s);
    return rc;
}

/* Who asked, for what, and since when it is known. */
static char *remembered(const struct ads *a, const struct ads_account *had)
{
    uint8_t sum[SHA256_LEN];
    char hex[2 * SHA256_LEN + 1];
    CLEANUP(mem_free)
    char *what = xasprintf("%s\n%s\n%s\n%s", a->who->user, a->who->password,
                           had->sid ? had->sid : "", had->dn ? had->dn : "");
    sha256_of(what, strlen(what), sum);
    explicit_bzero(what, strlen(what));
    text_hex(sum, 8, hex);
    return xasprintf("%s/rights.%s", a->v->folder, hex);
}

static bool is_fresh(const char *path)
{
    struct stat st;
    int64_t now = clock_wall_ms() / 1000;
    return stat(path, &st) == 0 && st.st_mtime <= now && now - st.st_mtime < FRESH_S;
}

static int ask_for(const struct ads *a, const struct ads_account *had, const char *const *needed,
                   struct fault *reterr)
{
    CLEANUP(mem_free) char *missing = xstrdup("");
    int rc = check_reset(a, had, &missing, reterr);
    if (rc < 0)
        return rc;
    for (; *needed; needed++) {
        CLEANUP(mem_free) char *what = xasprintf("write %s", *needed);
        if (!ads_has(had->writable, had->nwritable, *needed))
            append(&missing, what);
    }
    return *missing ? fault_set(reterr, FAULT_STOP_JOB, EACCES, "%.40s may not %s (of %.120s)",
                                a->who->user, missing, had->dn ? had->dn : "")
                    : 0;
}

static int ask_rights(const struct ads *a, const struct ads_account *had, struct fault *reterr);

int rights_to_take(const struct ads *a, const struct ads_account *had, struct fault *reterr)
{
    CLEANUP(mem_free) char *path = remembered(a, had);
    if (is_fresh(path))
        return 0;
    int rc = ask_rights(a, had, reterr);
    if (rc == 0)
        (void)file_write(path, 0600, "", 0);
    else
        (void)unlink(path);
    return rc;
}

static int ask_rights(const struct ads *a, const struct ads_account *had, struct fault *reterr)
{
    static const char *const needed[] = {"userAccountControl", "servicePrincipalName",
                                         "dNSHostName", NULL};
    return ask_for(a, had, needed, reterr);
}

int rights_to_fill(const struct ads *a, const struct ads_account *had, struct fault *reterr)
{
    static const char *const needed[] = {"userAccountControl", NULL};
    return ask_for(a, had, needed, reterr);
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
