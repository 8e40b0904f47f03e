/* dns: what a cutover changes at the domain's name server, stage by stage. Process with rights. */
#include "agent/identity/dns.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "agent/identity/check.h"
#include "agent/identity/dns_set.h"
#include "agent/identity/keytab.h"
#include "agent/identity/names.h"
#include "agent/identity/net.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define TTL_LOW 60U /* s: for so long a client goes to where the server was */
#define NAMES_MAX 64

static const char *const types[] = {"A", "AAAA"};

/* ── names and addresses ── */

/* Full names of a server in DNS: its own first, those that were added, its aliases in its domain.
 */
struct names {
    char *at[NAMES_MAX];
    size_t n;
};

static void add_name(struct names *l, char *name)
{
    for (char *c = name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    bool had = !names_full_valid(name) || !strchr(name, '.') || l->n == NAMES_MAX;
    for (size_t i = 0; i < l->n && !had; i++)
        had = strcasecmp(l->at[i], name) == 0;
    if (had)
        free(name);
    else
        l->at[l->n++] = name;
}

static void names_of(const Godwit__IdentityNames *n, struct names *ret)
{
    ret->n = 0;
    for (size_t i = 0; n && i < n->n_dns_names; i++)
        add_name(ret, xstrdup(n->dns_names[i]));
    const char *domain = ret->n ? strchr(ret->at[0], '.') : NULL;
    for (size_t i = 0; domain && i < n->n_aliases; i++)
        add_name(ret, xasprintf("%s%s", n->aliases[i], domain));
}

static void names_done(struct names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->at[i]);
}

/* Addresses of a host, without a prefix. */
struct addresses {
    char *four[DNS_VALUES], *six[DNS_VALUES];
    size_t nfour, nsix;
};

static void add_address(struct addresses *l, const char *text)
{
    char *host = xmemdup(text, strcspn(text, "/"));
    bool six = strchr(host, ':') != NULL;
    size_t *n = six ? &l->nsix : &l->nfour;
    char **list = six ? l->six : l->four;
    if (!net_host_valid(host) || *n == DNS_VALUES)
        free(host);
    else
        list[(*n)++] = host;
}

static void addresses_done(struct addresses *l)
{
    for (size_t i = 0; i < l->nfour; i++)
        free(l->four[i]);
    for (size_t i = 0; i < l->nsix; i++)
        free(l->six[i]);
}

/* What the names are to stand for: what has moved, or all that this host has when nothing moves. */
static int own_addresses(struct stage_run *r, struct addresses *ret)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    for (size_t m = 0; !stage_is_source(r) && m < p->n_moves; m++)
        for (size_t i = 0; i < p->moves[m]->n_addresses; i++)
            add_address(ret, p->moves[m]->addresses[i]->address);
    if (ret->nfour + ret->nsix > 0)
        return 0;
    Godwit__UndoNetwork *net = NULL;
    int rc = net_look(&r->site, &net, r->reterr);
    for (size_t i = 0; rc == 0 && i < net->n_interfaces; i++)
        for (size_t k = 0; k < net->interfaces[i]->n_addresses; k++)
            add_address(ret, net->interfaces[i]->addresses[k]);
    if (rc == 0)
        net_free(net);
    return rc;
}

/* A name that has no record of a kind gets none of it, but for a host's own. An alias that stands
 * for another name goes on to do so. */
static int set_name(struct dns_work *w, const char *name, const struct addresses *l, bool own)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(types); i++) {
        Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT;
        char **values = (char **)(uintptr_t)(i ? l->six : l->four);
        size_t n = i ? l->nsix : l->nfour;
        rc = dns_ask(w, name, types[i], &now);
        bool there = rc == 0 && now.n_values > 0;
        dns_done(&now);
        if (rc == 0 && (there || (own && n > 0)))
            rc = dns_set(w, name, types[i], values, n, 0);
    }
    return rc;
}

/* Where the server has a reverse zone. Who may not write it leaves it: it is told. name NULL: the
 * address stands for nothing, if it stands for `only`. */
static void set_reverse(struct dns_work *w, const char *address, const char *name, const char *only)
{
    CLEANUP(mem_free) char *back = dns_reverse(address);
    CLEANUP(mem_free) char *value = name ? xstrdup(name) : NULL;
    char *values[] = {value};
    struct fault *real = w->r->reterr, why = {.err = 0};
    Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT;
    w->r->reterr = &why;
    int rc = back ? dns_ask(w, back, "PTR", &now) : -EINVAL;
    bool there = rc == 0 && now.n_values > 0;
    bool wanted = name ? there || (rc == 0 && dns_has_reverse(w, address))
                       : there && only && strcasecmp(now.values[0], only) == 0;
    dns_done(&now);
    if (wanted && dns_set(w, back, "PTR", values, name ? 1 : 0, 0) < 0)
        stage_text(&w->r->result->after, xstrdup(why.text));
    w->r->reterr = real;
}

/* ── the stage "dns" ── */

static int write_names(struct dns_work *w, const Godwit__IdentityPlan *p)
{
    struct names names;
    struct addresses l = {.nfour = 0};
    int rc = own_addresses(w->r, &l);
    names_of(stage_is_source(w->r) ? p->source_new : p->old, &names);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        rc = set_name(w, names.at[i], &l, i == 0);
    for (size_t i = 0; rc == 0 && names.n && i < l.nfour; i++)
        set_reverse(w, l.four[i], names.at[0], NULL);
    for (size_t i = 0; rc == 0 && names.n && i < l.nsix; i++)
        set_reverse(w, l.six[i], names.at[0], NULL);
    addresses_done(&l);
    names_done(&names);
    return rc;
}

static bool has_tools(const struct stage_run *r)
{
    CLEANUP(mem_free) char *dig = NULL;
    CLEANUP(mem_free) char *nsupdate = NULL;
    return program_find("dig", r->site.search, &dig) == 0 &&
           program_find("nsupdate", r->site.search, &nsupdate) == 0;
}

static int run(struct stage_run *r, bool dry, bool note)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    struct fault why = {.err = 0}, *real = r->reterr;
    struct dns_work w;
    if (!p)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    if (!p->domain)
        return 0;
    if (p->n_moves && !has_tools(r)) {
        stage_text(&r->result->after, xstrdup("DNS is not looked at: 'dig' is not here"));
        return 0;
    }
    const struct ads machine = {.v = &r->site, .dc = p->dc};
    if (stage_is_source(r) && !ads_key_holds(&machine)) /* it stayed outside: it has no record */
        return 0;
    dns_begin(&w, r, p->dc, true);
    w.dry = dry;
    w.note = note;
    r->reterr = &why;
    int rc = write_names(&w, p);
    r->reterr = real;
    dns_end(&w);
    if (rc == 0)
        return w.changed;
    /* Users find what has moved by the addresses that their names have stood for all the time. */
    if (!stage_is_source(r) && !p->n_moves)
        return fault_set(real, why.what_next, why.err, "%s", why.text);
    stage_text(&r->result->after, xasprintf("DNS is to be put right by hand: %s", why.text));
    return w.changed;
}

int dns_stage(struct stage_run *r)
{
    return run(r, false, false);
}

int dns_note(struct stage_run *r)
{
    int rc = keytab_make(r);
    return rc < 0 ? rc : run(r, true, true);
}

int dns_probe(struct stage_run *r)
{
    int rc = run(r, true, false);
    return rc < 0 ? rc : rc == 0;
}

/* ── the stage "tidy" ── */

/* Its names, and the addresses that it gave up, where they stand for its name. */
static int drop_names(struct dns_work *w, const Godwit__IdentityPlan *p)
{
    struct names names;
    int rc = 0;
    names_of(p->destination_old, &names);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        for (size_t k = 0; rc == 0 && k < ARRAY_SIZE(types); k++)
            rc = dns_set(w, names.at[i], types[k], NULL, 0, 0);
    for (size_t m = 0; rc == 0 && names.n && m < p->n_moves; m++)
        for (size_t i = 0; i < p->moves[m]->n_gives_up; i++)
            set_reverse(w, p->moves[m]->gives_up[i]->address, NULL, names.at[0]);
    names_done(&names);
    return rc;
}

int dns_tidy(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    const Godwit__IdentityNames *n = p ? p->destination_old : NULL;
    struct fault why = {.err = 0}, *real = r->reterr;
    struct dns_work w;
    if (!p || !n)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    if (!p->domain)
        return 0;
    CLEANUP(credential_free) struct credential *who = NULL;
    if (credential_read(&r->site, &who, &why) < 0) {
        stage_text(&r->result->after,
                   xasprintf("the DNS records of %.63s stay, and its account after commit: remove "
                             "them by hand (%.200s)",
                             n->host, why.text));
        return 0;
    }
    dns_begin(&w, r, p->dc, false);
    r->reterr = &why;
    int rc = drop_names(&w, p);
    r->reterr = real;
    dns_end(&w);
    /* A record that misleads nobody is no reason to take users their server again. */
    if (rc < 0)
        stage_text(&r->result->after,
                   xasprintf("the DNS records of %.63s stay: remove them by hand (%.200s)", n->host,
                             why.text));
    return w.changed;
}

/* The machine's own key may do it while it is the one that wrote; a person's may more. What nobody
 * may is told: a rollback does not wait for it. */
int dns_undone(struct stage_run *r)
{
    struct fault why = {.err = 0}, *real = r->reterr;
    const struct undo *u = r->site.undo;
    r->reterr = &why;
    for (size_t i = u ? u->n : 0; i-- > 0;) {
        const Godwit__UndoDns *was = u->records[i]->dns;
        struct dns_work w;
        if (!was)
            continue;
        dns_begin(&w, r, was->dc, true);
        if (dns_put(&w, was) < 0)
            stage_text(&r->result->after,
                       xasprintf("DNS still has another %.120s: put it right by hand (%.200s)",
                                 was->name, why.text));
        dns_end(&w);
    }
    r->reterr = real;
    return 0;
}

/* ── for how long others remember ── */

static void tell_records(struct stage_run *r, uint32_t *retlongest)
{
    const struct undo *u = r->site.undo;
    Godwit__IdentityResult *out = r->result;
    for (size_t i = 0; u && i < u->n; i++) {
        const Godwit__UndoDns *d = u->records[i]->dns;
        if (!d)
            continue;
        Godwit__IdentityRecord *rec = xmalloc(sizeof *rec);
        godwit__identity_record__init(rec);
        stage_text(&rec->name, xstrdup(d->name));
        stage_text(&rec->type, xstrdup(d->type));
        rec->ttl = d->ttl;
        out->records =
            xrealloc(out->records, (out->n_records + 1) * sizeof(Godwit__IdentityRecord *));
        out->records[out->n_records++] = rec;
        *retlongest = d->ttl > *retlongest ? d->ttl : *retlongest;
    }
}

static int lower(struct dns_work *w, const char *name)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(types); i++) {
        Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT;
        rc = dns_ask(w, name, types[i], &now);
        if (rc == 0 && now.n_values && now.ttl > TTL_LOW)
            rc = dns_set(w, name, types[i], now.values, now.n_values, TTL_LOW);
        dns_done(&now);
    }
    return rc;
}

int dns_lower(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    struct fault why = {.err = 0}, *real = r->reterr;
    struct dns_work w;
    struct names names;
    uint32_t longest = 0;
    int rc = 0;
    if (!p || !p->old)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    if (!p->domain || p->n_moves)
        return 0;
    dns_begin(&w, r, p->dc, true);
    r->reterr = &why;
    names_of(p->old, &names);
    for (size_t i = 0; rc == 0 && i < names.n; i++)
        rc = lower(&w, names.at[i]);
    names_done(&names);
    r->reterr = real;
    dns_end(&w);
    tell_records(r, &longest);
    if (rc < 0) /* users then wait as long as they remember: no reason not to go on */
        check_add(r->result, "ttl", "warn", "lower the records' time to live by hand", "%s",
                  why.text);
    else if (w.changed)
        check_add(r->result, "ttl", "warn",
                  "run the cutover later, or have clients forget: ipconfig /flushdns",
                  "the names' records live for %u s from now on; until %u s from now clients may "
                  "remember the old ones",
                  TTL_LOW, longest);
    return w.changed;
}

int dns_raise(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    struct fault why = {.err = 0}, *real = r->reterr;
    struct dns_work w;
    int rc = 0;
    if (!p || !p->n_records)
        return 0;
    dns_begin(&w, r, p->dc, true);
    r->reterr = &why;
    for (size_t i = 0; rc == 0 && i < p->n_records && i < 2 * NAMES_MAX; i++) {
        const Godwit__IdentityRecord *rec = p->records[i];
        Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT;
        if (strcmp(rec->type, "A") != 0 && strcmp(rec->type, "AAAA") != 0)
            continue;
        rc = dns_ask(&w, rec->name, rec->type, &now);
        if (rc == 0 && now.n_values)
            rc = dns_set(&w, rec->name, rec->type, now.values, now.n_values, rec->ttl);
        dns_done(&now);
    }
    r->reterr = real;
    dns_end(&w);
    if (rc < 0)
        stage_text(&r->result->after,
                   xasprintf("DNS records still live for %u s: %.200s", TTL_LOW, why.text));
    return 0;
}
