/* rejoin: leaving and joining, each with the account looked at before and after. Process with
 * rights. */
#include "agent/identity/rejoin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/identity/ads.h"
#include "agent/identity/bundle.h"
#include "agent/identity/keytab.h"
#include "agent/identity/names.h"
#include "agent/identity/rights.h"
#include "agent/identity/service.h"
#include "agent/identity/staged.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/fault_point.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/sid.h"

#define JOIN_MS 60000

int rejoin_ask(struct stage_run *r, const char *dc, struct credential **retwho, struct ads *ret)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    int rc = credential_read(&r->site, retwho, r->reterr);
    *ret =
        (struct ads){.v = &r->site, .dc = dc, .who = *retwho, .base = p ? ads_base(p->ou) : NULL};
    return rc;
}

/* "CN=FS1,OU=Servers,DC=x" -> "OU=Servers,DC=x" */
static const char *parent_of(const char *dn)
{
    const char *comma = dn ? strchr(dn, ',') : NULL;
    return comma ? comma + 1 : "";
}

/* What a computer has of its domain. */
static const char *const secrets[] = {"private/secrets.tdb", "etc/krb5.keytab"};

static int keep_secrets(struct stage_run *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
        CLEANUP(mem_free) char *path = bundle_place(&r->site, secrets[i]);
        int rc = undo_keep_file(r->site.undo, path);
        if (rc < 0)
            return fault_set(r->reterr, FAULT_STOP_JOB, -rc, "cannot note %.120s: %s", path,
                             strerror(-rc));
    }
    return 0;
}

/* What the one before was is in the note; no page of the new files has a rest of it. */
static int drop_secrets(struct stage_run *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(secrets); i++) {
        CLEANUP(mem_free) char *path = bundle_place(&r->site, secrets[i]);
        int rc = undo_shred(path);
        if (rc < 0)
            return fault_set(r->reterr, FAULT_STOP_JOB, -rc, "cannot remove %.120s: %s", path,
                             strerror(-rc));
    }
    return 0;
}

int rejoin_note(struct stage_run *r, const char *netbios, const char *dc, const char *dn, bool made)
{
    Godwit__UndoAccount was = GODWIT__UNDO_ACCOUNT__INIT;
    CLEANUP(mem_free) char *name = xstrdup(netbios);
    CLEANUP(mem_free) char *at = xstrdup(dc);
    CLEANUP(mem_free) char *ou = ads_ou_words(parent_of(dn));
    if (!ou)
        return fault_set(r->reterr, FAULT_STOP_JOB, ENOTSUP,
                         "the account stands in %.120s, which no join can be told", parent_of(dn));
    was.netbios = name;
    was.dc = at;
    was.ou = ou;
    was.made = made;
    int rc = undo_keep_account(r->site.undo, &was);
    return rc < 0 ? fault_set(r->reterr, FAULT_STOP_JOB, -rc, "cannot note the account: %s",
                              strerror(-rc))
                  : 0;
}

/* With the name that smb.conf has. An OU is always given: without one a join that fails half way
 * tries the older protocol, and may delete the account. */
static int join_as(struct stage_run *r, const struct ads *a, const char *ou, bool users_wait)
{
    CLEANUP(mem_free) char *where = xasprintf("createcomputer=%s", ou);
    const char *off = NULL;
    int rc = users_wait ? keytab_put_off(r, a->dc, &off) : 0;
    const char *const words[] = {"join", where, "--no-dns-updates", off, NULL};
    FAULT_POINT("identity.join");
    if (rc == 0)
        rc = ads_net(a, words, JOIN_MS, NULL, r->reterr);
    /* A destination is asked when it serves: wbinfo -t. */
    bool asks = stage_is_source(r) || strcmp(r->order->stage, "join") != 0;
    if (rc == 0 && asks && !ads_key_holds(a))
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EACCES,
                       "%.60s does not know the key that this host has after joining", a->dc);
    return rc;
}

/* ── leave ── */

static const char *leaving_name(const struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    const Godwit__IdentityNames *n = stage_is_source(r) ? p->old : p->destination_old;
    return n ? n->netbios : "";
}

static int find_own(struct stage_run *r, const struct ads *a, const char *name,
                    struct ads_account **ret)
{
    int rc = ads_find(a, name, ret, r->reterr);
    if (rc == 0)
        rc = fault_set(r->reterr, FAULT_STOP_JOB, ENOENT, "the directory has no account %.20s",
                       name);
    if (rc == 1 && ((*ret)->control & ADS_SERVER_TRUST))
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EINVAL, "%.20s is a domain controller", name);
    return rc;
}

static int leave(struct stage_run *r, const struct ads *a, const char *name)
{
    static const char *const words[] = {"leave", "--keep-account", NULL};
    CLEANUP(ads_account_free) struct ads_account *after = NULL;
    struct fault why = {.err = 0};
    FAULT_POINT("identity.leave");
    int left = ads_net(a, words, JOIN_MS, NULL, &why);
    int rc = find_own(r, a, name, &after);
    /* It says that it failed also where it had been done before. */
    if (rc > 0 && !(after->control & ADS_DISABLED))
        rc = fault_set(r->reterr, FAULT_STOP_JOB, EIO, "%s",
                       left < 0 ? why.text : "the account is not disabled after leaving");
    return rc;
}

/* 1: it has left; 0: what is there is noted, and it may. */
static int begin_leave(struct stage_run *r, struct credential **who, struct ads *a,
                       struct ads_account **had)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    if (!p)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    int rc = rejoin_ask(r, p->dc, who, a);
    if (rc == 0)
        rc = find_own(r, a, leaving_name(r), had);
    if (rc < 0)
        return rc;
    if (undo_account(r->site.undo) && ((*had)->control & ADS_DISABLED))
        return 1;
    rc = rights_to_take(a, *had, r->reterr);
    if (rc == 0)
        rc = rejoin_note(r, leaving_name(r), p->dc, (*had)->dn, false);
    return rc == 0 ? keep_secrets(r) : rc;
}

int rejoin_leave_note(struct stage_run *r)
{
    CLEANUP(credential_free) struct credential *who = NULL;
    CLEANUP(ads_account_free) struct ads_account *had = NULL;
    struct ads a;
    int rc = begin_leave(r, &who, &a, &had);
    return rc < 0 ? rc : 1;
}

int rejoin_leave(struct stage_run *r)
{
    CLEANUP(credential_free) struct credential *who = NULL;
    CLEANUP(ads_account_free) struct ads_account *had = NULL;
    struct ads a;
    int rc = begin_leave(r, &who, &a, &had);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = leave(r, &a, leaving_name(r));
    if (rc >= 0)
        rc = drop_secrets(r);
    stage_text(&r->result->before, xasprintf("account %s, key %u", had->dn, had->key_version));
    stage_text(&r->result->after, xstrdup("disabled, with SID, groups and SPNs"));
    return rc < 0 ? rc : 1;
}

int rejoin_leave_probe(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    CLEANUP(credential_free) struct credential *who = NULL;
    CLEANUP(ads_account_free) struct ads_account *had = NULL;
    struct ads a;
    int rc = p ? rejoin_ask(r, p->dc, &who, &a) : -EBADMSG;
    if (rc == 0)
        rc = find_own(r, &a, leaving_name(r), &had);
    return rc < 0 ? rc : (had->control & ADS_DISABLED) != 0 && !ads_key_holds(&a);
}

int rejoin_leave_undone(struct stage_run *r)
{
    const Godwit__UndoAccount *was = undo_account(r->site.undo);
    CLEANUP(credential_free) struct credential *who = NULL;
    CLEANUP(ads_account_free) struct ads_account *had = NULL;
    struct ads a = {.v = &r->site, .dc = was ? was->dc : NULL};
    if (!was || ads_key_holds(&a))
        return 0;
    int rc = rejoin_ask(r, was->dc, &who, &a);
    if (rc == 0)
        rc = find_own(r, &a, was->netbios, &had);
    if (rc > 0)
        rc = rights_to_take(&a, had, r->reterr);
    return rc < 0 ? rc : join_as(r, &a, was->ou, true);
}

/* ── join ── */

static int add_spns(struct stage_run *r, const struct ads *a, const Godwit__IdentityPlan *p,
                    const struct ads_account *now)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && p->account && i < p->account->n_spns; i++) {
        const char *spn = p->account->spns[i];
        const char *const words[] = {"setspn", "add", p->old->netbios, spn, NULL};
        if (spn[0] != '-' && !ads_has(now->spns, now->nspns, spn))
            rc = ads_net(a, words, ADS_MS, NULL, r->reterr);
    }
    return rc;
}

/* All that others know the account by. */
static int is_as_before(struct stage_run *r, const Godwit__IdentityPlan *p,
                        const struct ads_account *now)
{
    const Godwit__IdentityDomain *was = p->account;
    if (!was || !*was->account_sid || !now->sid || strcmp(was->account_sid, now->sid) != 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, ESTALE,
                         "the account %.20s has another SID: %.80s, not %.80s", p->old->netbios,
                         now->sid ? now->sid : "", was ? was->account_sid : "");
    for (size_t i = 0; i < was->n_groups; i++)
        if (!ads_has(now->groups, now->ngroups, was->groups[i]))
            return fault_set(r->reterr, FAULT_STOP_JOB, ESTALE,
                             "the account is no member of %.120s any more", was->groups[i]);
    return 0;
}

static int check_after(struct stage_run *r, const struct ads *a, const Godwit__IdentityPlan *p)
{
    CLEANUP(ads_account_free) struct ads_account *now = NULL;
    int rc = find_own(r, a, p->old->netbios, &now);
    if (rc > 0)
        rc = is_as_before(r, p, now);
    if (rc == 0)
        rc = add_spns(r, a, p, now);
    if (rc == 0)
        stage_text(&r->result->after, xasprintf("joined as %s, SID %s, key %u", p->old->netbios,
                                                now->sid, now->key_version));
    return rc;
}

/* Local groups and their members keep their SIDs: files name them. */
static int set_local_sid(struct stage_run *r, const Godwit__IdentityPlan *p)
{
    const char *const argv[] = {"net", "setlocalsid", p->local_sid, NULL};
    if (!*p->local_sid)
        return 0;
    if (strncmp(p->local_sid, "S-1-5-21-", 9) != 0 ||
        strspn(p->local_sid + 9, "0123456789-") != strlen(p->local_sid + 9))
        return fault_set(r->reterr, FAULT_STOP_JOB, EINVAL, "'%.60s' is no SID of a machine",
                         p->local_sid);
    return service_tool(&r->site, argv, ADS_MS, r->reterr);
}

static int may_join(struct stage_run *r, const struct ads *a, const char *name, int found,
                    const struct ads_account *had)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    if (found < 0)
        return found;
    if (!stage_is_source(r) && found == 0)
        return fault_set(r->reterr, FAULT_STOP_JOB, ENOENT,
                         "the directory has no account %.20s to take over", name);
    if (found > 0 && (had->control & ADS_SERVER_TRUST))
        return fault_set(r->reterr, FAULT_STOP_JOB, EINVAL, "%.20s is a domain controller", name);
    bool staged = stage_is_source(r) && found > 0 && staged_is(r, name);
    if (staged)
        return rights_to_fill(a, had, r->reterr);
    if (stage_is_source(r) && found > 0 && !undo_account(r->site.undo))
        return fault_set(r->reterr, FAULT_STOP_JOB, EEXIST,
                         "the directory has an account %.20s already: choose another new name",
                         name);
    if (!stage_is_source(r)) {
        int rc = is_as_before(r, p, had);
        if (rc < 0)
            return rc;
    }
    return found > 0 ? rights_to_take(a, had, r->reterr) : rights_to_make(a, p->ou, r->reterr);
}

/* Is it so already? The name in smb.conf is the stage "names"'s. */
static bool is_joined(const struct stage_run *r, const struct ads *a, const char *name)
{
    CLEANUP(mem_free) char *now = names_ask_conf(&r->site, "netbios name");
    return strcasecmp(now, name) == 0 && ads_key_holds(a);
}

/* The source lets go of its account by disabling it, in an order of its own that runs beside this
 * one: two hosts that have joined by one name would both believe that they are it. */
static int await_left(struct stage_run *r, const struct ads *a, const char *name)
{
    int64_t until = clock_mono_ms() + STAGE_LET_GO_MS;
    for (;;) {
        CLEANUP(ads_account_free) struct ads_account *had = NULL;
        int rc = find_own(r, a, name, &had);
        if (rc < 0)
            return rc;
        if (had->control & ADS_DISABLED)
            return 0;
        if (clock_mono_ms() > until)
            return fault_set(r->reterr, FAULT_STOP_JOB, ETIMEDOUT,
                             "the source has not left the domain: the account %.20s is in use",
                             name);
        if (site_given_up(&r->site, 20))
            return fault_set(r->reterr, FAULT_RETRY, ECANCELED,
                             "nobody waits any more for the source to leave the domain");
    }
}

/* *ret: where it stands, or will; malloc'd. */
static int begin_join(struct stage_run *r, const struct ads *a, const char *name, bool wait,
                      char **ret)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    CLEANUP(ads_account_free) struct ads_account *had = NULL;
    CLEANUP(mem_free) char *dn = xasprintf("CN=%s,%s", name, p->ou);
    int found = ads_find(a, name, &had, r->reterr);
    int rc = may_join(r, a, name, found, had);
    if (rc == 0 && wait && !stage_is_source(r) && !undo_account(r->site.undo) &&
        !(had->control & ADS_DISABLED))
        rc = await_left(r, a, name);
    if (rc == 0)
        rc = rejoin_note(r, name, p->dc, had ? had->dn : dn, stage_is_source(r));
    if (rc == 0)
        rc = keep_secrets(r);
    if (rc == 0)
        *ret = ads_ou_words(parent_of(had ? had->dn : dn));
    return rc;
}

static int join_now(struct stage_run *r, const struct ads *a, const char *name)
{
    CLEANUP(mem_free) char *ou = NULL;
    int rc = begin_join(r, a, name, true, &ou);
    if (rc == 0)
        rc = drop_secrets(r);
    return rc < 0 ? rc : join_as(r, a, ou, !stage_is_source(r));
}

/* In a transplant the destination installs what no person could write. */
int rejoin_join_note(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    CLEANUP(credential_free) struct credential *who = NULL;
    CLEANUP(mem_free) char *ou = NULL;
    struct ads a;
    bool rejoin = p && p->method == GODWIT__IDENTITY_METHOD__IDENTITY_REJOIN;
    const Godwit__IdentityNames *as = !p ? NULL : stage_is_source(r) ? p->source_new : p->old;
    if (!p || !p->domain || (!rejoin && !stage_is_source(r)))
        return fault_set(r->reterr, FAULT_STOP_JOB, ENOTSUP,
                         "the databases that came from the source are installed by the host");
    if (!as || !names_netbios_valid(as->netbios))
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the plan has no name to join as");
    int rc = rejoin_ask(r, p->dc, &who, &a);
    if (rc == 0)
        rc = begin_join(r, &a, as->netbios, false, &ou);
    return rc < 0 ? rc : 1;
}

int rejoin_join(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    const Godwit__IdentityNames *as = stage_is_source(r) ? p->source_new : p->old;
    CLEANUP(credential_free) struct credential *who = NULL;
    struct ads a;
    int rc = rejoin_ask(r, p->dc, &who, &a);
    if (rc < 0)
        return rc;
    if (!as || !names_netbios_valid(as->netbios))
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the plan has no name to join as");
    bool was = undo_account(r->site.undo) && is_joined(r, &a, as->netbios);
    rc = was ? 0 : join_now(r, &a, as->netbios);
    if (rc == 0 && !stage_is_source(r))
        rc = check_after(r, &a, p);
    if (rc == 0 && !stage_is_source(r))
        rc = set_local_sid(r, p);
    return rc < 0 ? rc : !was;
}

int rejoin_join_probe(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    const Godwit__IdentityNames *as = !p ? NULL : stage_is_source(r) ? p->source_new : p->old;
    const struct ads a = {.v = &r->site, .dc = p ? p->dc : NULL};
    return as && is_joined(r, &a, as->netbios);
}

int rejoin_remove(struct stage_run *r, const char *dc, const char *netbios)
{
    CLEANUP(credential_free) struct credential *who = NULL;
    CLEANUP(ads_account_free) struct ads_account *had = NULL;
    struct ads a;
    int rc = rejoin_ask(r, dc, &who, &a);
    if (rc == 0)
        rc = ads_find(&a, netbios, &had, r->reterr);
    if (rc <= 0)
        return rc;
    if (had->control & ADS_SERVER_TRUST)
        return fault_set(r->reterr, FAULT_STOP_JOB, EINVAL, "%.20s is a domain controller",
                         netbios);
    rc = ads_remove(&a, netbios, r->reterr);
    return rc < 0 ? rc : 1;
}

int rejoin_join_undone(struct stage_run *r)
{
    const Godwit__UndoAccount *was = undo_account(r->site.undo);
    (void)keytab_forget(r);
    if (!was || !was->made)
        return 0;
    /* A leftover in the directory keeps nobody from being served again. */
    if (rejoin_remove(r, was->dc, was->netbios) < 0)
        stage_text(
            &r->result->after,
            xasprintf("the account %s stays in the directory: remove it by hand", was->netbios));
    return 0;
}
