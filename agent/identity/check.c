/* check: the pre-flight of one host against the plan: all that can be known beforehand, each with
 * what was seen and what to do. Changes nothing. Process with rights. */
#include "agent/identity/check.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/identity/ads.h"
#include "agent/identity/arp.h"
#include "agent/identity/keep.h"
#include "agent/identity/lease.h"
#include "agent/identity/names.h"
#include "agent/identity/net.h"
#include "agent/identity/rights.h"
#include "agent/identity/staged.h"
#include "agent/share/samba.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/program.h"
#include "common/base/text.h"

#define CHECKS_MAX 500
#define DCS_MAX 20U
#define SKEW_S 300 /* Kerberos refuses beyond */

struct checking {
    struct stage_run *r;
    const Godwit__IdentityPlan *p;
    struct ads machine, person;
    struct credential *who; /* NULL: none is here */
    bool source, rejoin;
};

void check_add(Godwit__IdentityResult *to, const char *id, const char *result, const char *remedy,
               const char *fmt, ...)
{
    char said[1024];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(said, sizeof said, fmt, ap);
    va_end(ap);
    if (to->n_checks == CHECKS_MAX)
        return;
    Godwit__IdentityCheck *c = xmalloc(sizeof *c);
    godwit__identity_check__init(c);
    stage_text(&c->id, text_printable(id, strnlen(id, 200)));
    stage_text(&c->result, xstrdup(result));
    stage_text(&c->evidence, text_printable(said, strlen(said)));
    stage_text(&c->remedy, xstrdup(remedy));
    to->checks = xrealloc(to->checks, (to->n_checks + 1) * sizeof(Godwit__IdentityCheck *));
    to->checks[to->n_checks++] = c;
}

#define ADD(c_, ...) check_add((c_)->r->result, __VA_ARGS__)

/* ── the domain ── */

/* "Server time offset: -3" */
int check_offset(const char *text, long *ret)
{
    const char *at = strstr(text, "Server time offset:");
    char *end = NULL;
    if (!at)
        return -ENODATA;
    at += 19;
    long n = strtol(at, &end, 10);
    if (end == at)
        return -ENODATA;
    *ret = n;
    return 0;
}

static bool check_dc(struct checking *c)
{
    static const char *const info[] = {"info", NULL};
    CLEANUP(mem_free) char *text = NULL;
    struct fault why = {.err = 0};
    long skew = 0;
    if (ads_net(&c->machine, info, ADS_MS, &text, &why) < 0) {
        ADD(c, "dc", "fail", "see that this host resolves and reaches its domain controller", "%s",
            why.text);
        return false;
    }
    ADD(c, "dc", "pass", "", "%s answers, and all calls go to it", c->p->dc);
    if (check_offset(text, &skew) < 0)
        ADD(c, "clock", "warn", "compare this host's clock with its domain controller's",
            "the controller does not tell its time");
    else if (labs(skew) >= SKEW_S)
        ADD(c, "clock", "fail", "set this host's clock (chrony or systemd-timesyncd)",
            "the clock differs by %ld s from the controller's; Kerberos allows %d", skew, SKEW_S);
    else
        ADD(c, "clock", "pass", "", "%ld s from the controller's", skew);
    return true;
}

static void check_secret(struct checking *c)
{
    if (ads_key_holds(&c->machine))
        ADD(c, "secret", "pass", "", "the machine's key holds at the controller");
    else
        ADD(c, "secret", "fail", "join this host to its domain again (net ads testjoin may lie)",
            "the controller does not take this machine's key");
}

static void check_credential(struct checking *c)
{
    struct fault why = {.err = 0};
    int rc = credential_read(&c->r->site, &c->who, &why);
    bool needed = c->rejoin;
    if (rc == 0) {
        ADD(c, "credential", "pass", "", "%s, for %.40s", CREDENTIAL_FILE, c->who->user);
        c->person = (struct ads){
            .v = &c->r->site, .dc = c->p->dc, .who = c->who, .base = ads_base(c->p->ou)};
        return;
    }
    bool fail = needed || rc != -ENOKEY;
    if (!fail && !c->source)
        return;
    ADD(c, "credential", fail ? "fail" : "warn",
        "write \"username = …\" and \"password = …\" into " CREDENTIAL_FILE
        ", root's, mode 0600, on this host",
        "%s%s", why.text, fail ? "" : ": the source will stay outside of the domain");
}

/* As whom the destination will be, and what the source is now. */
static void check_account(struct checking *c)
{
    CLEANUP(ads_account_free) struct ads_account *had = NULL;
    struct fault why = {.err = 0};
    const struct ads *a = c->who ? &c->person : &c->machine;
    const char *name = c->p->old->netbios;
    int rc = ads_find(a, name, &had, &why);
    if (rc <= 0) {
        ADD(c, "account", "fail", "look for the account in the directory",
            rc < 0 ? "%s" : "the directory has no account %s", rc < 0 ? why.text : name);
        return;
    }
    CLEANUP(mem_free) char *ou = ads_ou_words(strchr(had->dn, ',') ? strchr(had->dn, ',') + 1 : "");
    if (had->control & ADS_SERVER_TRUST)
        ADD(c, "account", "fail", "a domain controller cannot be moved", "%s is one", had->dn);
    else if (had->control & ADS_DISABLED)
        ADD(c, "account", "fail", "enable it, or end the cutover that has disabled it",
            "%s is disabled", had->dn);
    else if (c->rejoin && !ou)
        ADD(c, "account", "fail", "move the account into a plain OU, or use transplant",
            "no join can be told where %s stands", had->dn);
    else
        ADD(c, "account", "pass", "", "%s, SID %s, %zu SPNs, %zu groups", had->dn, had->sid,
            had->nspns, had->ngroups);
    if (!c->rejoin || !c->who)
        return;
    if (rights_to_take(&c->person, had, &why) == 0)
        ADD(c, "rights", "pass", "", "%.40s may take over %s", c->who->user, had->dn);
    else
        ADD(c, "rights", "fail",
            "give that user these rights on the account, or another user's credential "
            "(docs/CUTOVER.md, \"Rights\")",
            "%s", why.text);
}

static void check_spns(struct checking *c)
{
    size_t twice = 0, n = 0;
    const Godwit__IdentityDomain *d = c->p->account;
    CLEANUP(mem_free) char *text = NULL;
    CLEANUP(mem_free) char *filter = xstrdup("(|");
    for (size_t i = 0; d && i < d->n_spns && i < 100; i++) {
        CLEANUP(mem_free) char *safe = ads_escape(d->spns[i]);
        char *more = xasprintf("%s(servicePrincipalName=%s)", filter, safe);
        free(filter);
        filter = more;
    }
    char *whole = xasprintf("%s)", filter);
    free(filter);
    filter = whole;
    const char *const words[] = {"search", filter, "distinguishedName", NULL};
    struct fault why = {.err = 0};
    if (!d || !d->n_spns || ads_net(&c->machine, words, ADS_MS, &text, &why) < 0)
        return;
    CLEANUP(ads_account_free) struct ads_account *first = ads_parse(text, &n);
    twice = n > 1 ? n - 1 : 0;
    if (twice)
        ADD(c, "spn", "fail", "remove the service names from the other accounts (setspn -X)",
            "%zu other accounts have service names of %s", twice, c->p->old->netbios);
    else
        ADD(c, "spn", "pass", "", "%zu service names, each once in the directory", d->n_spns);
}

/* The one that was made when the cutover was prepared. */
static void check_staged(struct checking *c, const struct ads_account *had)
{
    struct fault why = {.err = 0};
    if (had->control & ADS_SERVER_TRUST) {
        ADD(c, "new-name", "fail", "give another one: --new-name", "%s is a domain controller",
            had->dn);
        return;
    }
    ADD(c, "new-name", "pass", "", "%s waits for the source", had->dn);
    if (!c->who)
        return;
    if (rights_to_fill(&c->person, had, &why) == 0)
        ADD(c, "rights-new", "pass", "", "%.40s may give %s to the source", c->who->user, had->dn);
    else
        ADD(c, "rights-new", c->rejoin ? "fail" : "warn",
            "give back the credential by which it was made, or have it removed: godwit cutover "
            "rollback",
            "%s", why.text);
}

/* The name that the source gets. */
static void check_new_name(struct checking *c)
{
    CLEANUP(ads_account_free) struct ads_account *had = NULL;
    struct fault why = {.err = 0};
    const char *name = c->p->source_new->netbios;
    int rc = ads_find(c->who ? &c->person : &c->machine, name, &had, &why);
    if (rc > 0 && staged_is(c->r, name)) {
        check_staged(c, had);
        return;
    }
    if (rc != 0) {
        ADD(c, "new-name", "fail", "give another one: --new-name",
            rc < 0 ? "%s" : "the directory has an account %s already", rc < 0 ? why.text : name);
        return;
    }
    ADD(c, "new-name", "pass", "", "%s is free in the directory", name);
    if (!c->who)
        return;
    if (rights_to_make(&c->person, c->p->ou, &why) == 0)
        ADD(c, "rights-new", "pass", "", "%.40s may make %s in %s", c->who->user, name, c->p->ou);
    else
        ADD(c, "rights-new", c->rejoin ? "fail" : "warn",
            "let that user create computers there, or give another user's credential", "%s",
            why.text);
}

/* A controller that has not heard yet would refuse what another one took. */
static unsigned lagging(struct checking *c, const char *list, uint32_t version, unsigned *retall)
{
    unsigned behind = 0;
    CLEANUP(mem_free) char *copy = xstrdup(list);
    char *save = NULL;
    for (char *l = strtok_r(copy, "\n", &save); l && *retall < DCS_MAX;
         l = strtok_r(NULL, "\n", &save)) {
        char *name = strrchr(l, ' ') ? strrchr(l, ' ') + 1 : l;
        size_t n = strlen(name);
        if (n > 0 && name[n - 1] == '.')
            name[n - 1] = '\0';
        if (!names_full_valid(name))
            continue;
        CLEANUP(ads_account_free) struct ads_account *had = NULL;
        struct ads other = c->machine;
        struct fault why = {.err = 0};
        other.dc = name;
        (*retall)++;
        int rc = ads_find(&other, c->p->old->netbios, &had, &why);
        if (rc < 0)
            ADD(c, "replication", "warn", "bring the controller back, or take it out of DNS",
                "%.60s does not answer: %s", name, why.text);
        else
            behind += rc == 0 || had->key_version != version;
    }
    return behind;
}

static void check_replication(struct checking *c)
{
    const Godwit__IdentityDomain *d = c->p->account;
    CLEANUP(mem_free) char *service = xasprintf("_ldap._tcp.dc._msdcs.%s", d ? d->realm : "");
    const char *const argv[] = {"dig", "+short", "+time=2", "+tries=1", service, "SRV", NULL};
    const struct program_call call = {.argv = argv, .search = c->r->site.search};
    struct program_output o;
    struct fault unused = {.err = 0};
    unsigned all = 0;
    if (!d || !names_full_valid(d->realm) || program_run(&call, &o, &unused) < 0)
        return;
    unsigned behind = o.code == 0 ? lagging(c, o.out, d->key_version, &all) : 0;
    program_done(&o);
    if (behind)
        ADD(c, "replication", "fail", "wait for replication (samba-tool drs showrepl), then again",
            "%u of %u controllers have another state of the account", behind, all);
    else if (all)
        ADD(c, "replication", "pass", "", "%u controllers agree on the account", all);
    else
        ADD(c, "replication", "warn", "look at the name server",
            "DNS knows no controllers of %.60s", d->realm);
}

static void check_domain(struct checking *c)
{
    check_credential(c);
    if (!check_dc(c))
        return;
    check_secret(c);
    if (c->source || c->rejoin)
        check_account(c);
    if (c->source) {
        check_replication(c);
        check_spns(c);
        check_new_name(c);
    }
}

/* ── the network ── */

/* A client that nobody can end takes the address back when it renews it. */
static void check_lease(struct checking *c, const Godwit__IdentityMove *m,
                        const Godwit__UndoInterface *i)
{
    CLEANUP(mem_free) char *id = xasprintf("lease %s", i->name);
    bool leased = false;
    for (size_t k = 0; k < m->n_addresses; k++)
        leased = leased || m->addresses[k]->dynamic;
    if (!c->source || !leased)
        return;
    if (lease_find(&c->r->site, i->name) == LEASE_UNKNOWN)
        ADD(c, id, "fail", "write the address as a static one in the interface's file first",
            "the address of %s comes by DHCP, and who asks for it is not known: networkd and "
            "ifupdown's dhclient are",
            i->name);
    else
        ADD(c, id, "pass", "", "%s asks for it, and will not any more",
            lease_find(&c->r->site, i->name) == LEASE_NETWORKD ? "networkd" : "dhclient");
}

static void check_manager(struct checking *c, const Godwit__IdentityMove *m,
                          const Godwit__UndoInterface *i)
{
    struct fault why = {.err = 0};
    CLEANUP(mem_free) char **add = xcalloc(m->n_addresses + m->n_gives_up + 2, sizeof *add);
    CLEANUP(mem_free) char **drop = xcalloc(m->n_addresses + m->n_gives_up + 2, sizeof *drop);
    struct net_want w = {.mac = i->mac, .name = i->name, .add = add, .drop = drop};
    char ***of = c->source ? &drop : &add;
    size_t *n = c->source ? &w.ndrop : &w.nadd;
    for (size_t k = 0; k < m->n_addresses; k++)
        (*of)[(*n)++] = m->addresses[k]->address;
    for (size_t k = 0; !c->source && k < m->n_gives_up; k++)
        drop[w.ndrop++] = m->gives_up[k]->address;
    if (c->source && *m->source_keeps)
        add[w.nadd++] = m->source_keeps;
    if (!c->source) {
        w.routes = m->routes;
        w.nroutes = m->n_routes;
    }
    CLEANUP(mem_free) char *file = NULL;
    const char *who = keep_name(keep_find(&c->r->site, i->name, &file));
    CLEANUP(mem_free) char *id = xasprintf("interface %s", i->name);
    check_lease(c, m, i);
    if (keep_try(&c->r->site, &w, &why) < 0)
        ADD(c, id, "fail",
            "have the interface's addresses in a file of networkd, ifupdown, "
            "NetworkManager or netplan, one line each",
            "%s", why.text);
    else
        ADD(c, id, "pass", "", "%s has it: %s", who, file);
}

/* Of the destination: the source answers for what moves, and nobody else. Of the source: the
 * address that it is to have is nobody's. */
static void check_address(struct checking *c, const Godwit__IdentityMove *m, const char *interface,
                          const char *address, bool free_now)
{
    char mac[18] = "";
    CLEANUP(mem_free) char *id = xasprintf("address %s", address);
    int rc = *c->r->site.root ? -ENOSYS : arp_in_use(interface, address, mac);
    if (rc < 0)
        ADD(c, id, "warn", "ask by arping from this host", "the segment could not be asked: %s",
            strerror(-rc));
    else if (free_now && rc == 1)
        ADD(c, id, "fail", "choose another address for the source", "in use: %s answers for it",
            mac);
    else if (!free_now && rc == 0)
        ADD(c, id, "fail", "both hosts have to be on one segment, or cut over by name only",
            "nobody answers for it on %s", interface);
    else if (!free_now && !stage_is_card(c->r->order->plan, true, mac))
        ADD(c, id, "fail", "end the other machine's use of the address",
            "in use: %s answers for it, the source's card is %s", mac, m->from_mac);
    else
        ADD(c, id, "pass", "", free_now ? "nobody has it" : "the source alone answers for it");
}

static void check_move(struct checking *c, const Godwit__UndoNetwork *net,
                       const Godwit__IdentityMove *m)
{
    const char *mac = c->source ? m->from_mac : m->to_mac;
    const Godwit__UndoInterface *i = net_find(net, mac, "");
    if (!i) {
        ADD(c, "interface", "fail", "map it by hand: --map MAC=MAC",
            "this host has no interface with the address %s", mac);
        return;
    }
    check_manager(c, m, i);
    if (c->source && *m->source_keeps && !net_has(i, m->source_keeps))
        check_address(c, m, i->name, m->source_keeps, true);
    for (size_t k = 0; !c->source && k < m->n_addresses; k++)
        if (!net_has(i, m->addresses[k]->address))
            check_address(c, m, i->name, m->addresses[k]->address, false);
}

static void check_network(struct checking *c)
{
    Godwit__UndoNetwork *net = NULL;
    struct fault why = {.err = 0};
    if (net_look(&c->r->site, &net, &why) < 0) {
        ADD(c, "network", "fail", "install iproute2", "%s", why.text);
        return;
    }
    for (size_t m = 0; m < c->p->n_moves; m++)
        check_move(c, net, c->p->moves[m]);
    net_free(net);
}

/* ── shares, programs, others ── */

static void check_share(struct checking *c, const struct samba *s, const char *name)
{
    const struct smbconf_section *h = smbconf_find(s->conf, name);
    const char *path = h ? smbconf_value(h, "path") : NULL;
    CLEANUP(mem_free) char *id = xasprintf("share %s", name);
    if (!path)
        ADD(c, id, "fail", "make the share here: godwit job create --shares pair does it",
            "this host does not share it");
    else if (!strchr(path, '%') && access(path, F_OK) < 0)
        ADD(c, id, "fail", "copy its folder first, or correct the share's path",
            "its folder %s is missing", path);
    else
        ADD(c, id, "pass", "", "%s", path);
}

static void check_shares(struct checking *c)
{
    CLEANUP(mem_free) char *scratch = xasprintf("%s/run", c->r->home);
    struct server server = {.search = c->r->site.search, .scratch = scratch, .cancel_fd = -1};
    CLEANUP(samba_free) struct samba *s = NULL;
    struct fault why = {.err = 0};
    if (samba_ask(&server, NULL, &s, &why) < 0) {
        ADD(c, "samba", "fail", "install and set up Samba on this host", "%s", why.text);
        return;
    }
    for (size_t i = 0; i < c->p->n_shares && !c->source; i++)
        check_share(c, s, c->p->shares[i]->name);
    check_host(c->r, c->source, s->conf);
}

static void check_programs(struct checking *c)
{
    static const struct {
        const char *name, *package;
        bool domain, need;
    } all[] = {
        {"ip",         "iproute2",         false, true },
        {"systemctl",  "systemd",          false, true },
        {"testparm",   "samba-common-bin", false, true },
        {"smbcontrol", "samba-common-bin", false, true },
        {"net",        "samba-common-bin", false, true },
        {"wbinfo",     "winbind",          true,  true },
        {"nsupdate",   "bind9-dnsutils",   true,  false},
    };
    for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
        CLEANUP(mem_free) char *path = NULL;
        CLEANUP(mem_free) char *remedy = xasprintf("install %s", all[i].package);
        if (all[i].domain && !c->p->domain)
            continue;
        if (program_find(all[i].name, c->r->site.search, &path) < 0)
            ADD(c, "programs", all[i].need ? "fail" : "warn", remedy, "'%s' is not here",
                all[i].name);
    }
}

/* Who moves addresses by itself would move them back. */
static void check_others(struct checking *c)
{
    static const char *const units[] = {"keepalived.service", "ctdb.service", "pacemaker.service"};
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        const char *const argv[] = {"systemctl", "is-active", "--quiet", units[i], NULL};
        const struct program_call call = {.argv = argv, .search = c->r->site.search};
        struct program_output o;
        struct fault unused = {.err = 0};
        if (*c->r->site.root || program_run(&call, &o, &unused) < 0)
            continue;
        if (o.code == 0)
            ADD(c, "addresses-owner", "fail", "take the addresses out of its configuration first",
                "%s runs here and may own addresses", units[i]);
        program_done(&o);
    }
}

int stage_check(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    if (!p || !p->old || !p->source_new)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    struct checking c = {
        .r = r,
        .p = p,
        .machine = {.v = &r->site, .dc = p->dc},
        .source = r->order->role == GODWIT__IDENTITY_ROLE__IDENTITY_SOURCE,
        .rejoin = p->method == GODWIT__IDENTITY_METHOD__IDENTITY_REJOIN
    };
    check_programs(&c);
    check_others(&c);
    check_network(&c);
    check_shares(&c);
    if (p->domain)
        check_domain(&c);
    (void)credential_free(c.who);
    return 1;
}
