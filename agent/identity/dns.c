/* dns: asking, changing, noting. Process with rights. */
#include "agent/identity/dns.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/identity/ads.h"
#include "agent/identity/names.h"
#include "agent/identity/net.h"
#include "agent/identity/undo.h"
#include "common/base/cleanup.h"
#include "common/base/mem.h"
#include "common/base/program.h"

#define DNS_MS 15000
#define TRIES 3

/* ── one record set ── */

static int ask(const struct site *v, const char *dc, const char *name, const char *type,
               Godwit__UndoDns *ret, struct fault *reterr)
{
    CLEANUP(mem_free) char *at = xasprintf("@%s", dc);
    const char *const argv[] = {"dig", "+noall", "+answer", "+time=2", "+tries=2",
                                at,    name,     type,      NULL};
    const struct program_call c = {.argv = argv, .search = v->search, .timeout_ms = DNS_MS};
    struct program_output o;
    if (!names_full_valid(dc) || !names_full_valid(name))
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "'%.60s' is no name", name);
    int rc = program_run(&c, &o, reterr);
    if (rc < 0)
        return rc;
    if (o.code != 0)
        rc = fault_set(reterr, FAULT_RETRY, EIO, "the name server %.60s does not answer", dc);
    else
        dns_parse(o.out, name, type, ret);
    program_done(&o);
    if (rc == 0)
        ret->dc = xstrdup(dc);
    return rc;
}

static int update_once(const struct ads *a, const char *cache, const Godwit__UndoDns *want,
                       struct fault *reterr)
{
    static const char *const argv[] = {"nsupdate", "-g", "-t", "10", NULL};
    CLEANUP(mem_free) char *script = dns_script(want);
    CLEANUP(mem_free) char *ticket = xasprintf("KRB5CCNAME=FILE:%s", cache);
    const char *const env[] = {ticket, NULL};
    if (!script)
        return fault_set(reterr, FAULT_STOP_JOB, EINVAL, "'%.60s' cannot be written to DNS",
                         want->name);
    const struct program_call c = {.argv = argv,
                                   .search = a->v->search,
                                   .env = env,
                                   .input = script,
                                   .input_len = strlen(script),
                                   .timeout_ms = DNS_MS};
    struct program_output o;
    int rc = program_run(&c, &o, reterr);
    if (rc < 0)
        return rc;
    CLEANUP(mem_free) char *said = program_words(&o);
    if (o.code != 0)
        rc = fault_set(reterr, FAULT_RETRY, EIO, "the name server %.60s does not take %.80s: %s",
                       want->dc, want->name, said);
    program_done(&o);
    return rc;
}

/* A busy server refuses a ticket now and then that it takes a moment later. */
static int update(const struct ads *a, const char *cache, const Godwit__UndoDns *want,
                  struct fault *reterr)
{
    int rc = update_once(a, cache, want, reterr);
    for (int i = 0; rc == -EIO && i < TRIES; i++) {
        (void)poll(NULL, 0, 200);
        rc = update_once(a, cache, want, reterr);
    }
    return rc;
}

/* ── a stage's changes ── */

struct changing {
    struct stage_run *r;
    struct ads a;
    char *cache; /* made when it is needed first */
    bool ticket, dry;
    int changed;
};

static int make_ticket(struct changing *c)
{
    if (c->ticket)
        return 0;
    int rc = ads_ticket(&c->a, c->cache, c->r->reterr);
    c->ticket = rc == 0;
    return rc;
}

/* values NULL: none. ttl as it was. */
static int set(struct changing *c, const char *name, const char *type, char **values, size_t n)
{
    Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT, want = GODWIT__UNDO_DNS__INIT;
    int rc = ask(&c->r->site, c->a.dc, name, type, &now, c->r->reterr);
    if (rc < 0)
        return rc;
    want = now;
    want.values = values;
    want.n_values = n;
    if (!dns_same(&now, &want)) {
        c->changed = 1;
        if (!c->dry)
            rc = undo_keep_dns(c->r->site.undo, &now);
        if (!c->dry && rc == 0)
            rc = make_ticket(c);
        if (!c->dry && rc == 0)
            rc = update(&c->a, c->cache, &want, c->r->reterr);
    }
    dns_done(&now);
    return rc;
}

static void begin(struct changing *c, struct stage_run *r, const char *dc,
                  const struct credential *who)
{
    *c = (struct changing){
        .r = r, .a = {.v = &r->site, .dc = dc, .who = who}
    };
    c->cache = xasprintf("%s/ticket.dns", r->site.folder);
}

static void end(struct changing *c)
{
    (void)unlink(c->cache);
    free(c->cache);
}

/* ── names and addresses ── */

struct addresses {
    char *four[DNS_VALUES], *six[DNS_VALUES]; /* without a prefix */
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

/* A name that has no record of a kind gets none of it, but for a host's own. */
static int set_name(struct changing *c, const char *name, const struct addresses *l, bool own)
{
    static const char *const types[] = {"A", "AAAA"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(types); i++) {
        Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT;
        char **values = (char **)(uintptr_t)(i ? l->six : l->four);
        size_t n = i ? l->nsix : l->nfour;
        rc = ask(&c->r->site, c->a.dc, name, types[i], &now, c->r->reterr);
        bool there = rc == 0 && now.n_values > 0;
        dns_done(&now);
        if (rc == 0 && (there || (own && n > 0)))
            rc = set(c, name, types[i], values, n);
    }
    return rc;
}

/* Where the server has a reverse zone. Who may not write it leaves it: it is told. */
static int set_reverse(struct changing *c, const char *address, const char *name)
{
    CLEANUP(mem_free) char *back = dns_reverse(address);
    CLEANUP(mem_free) char *value = xstrdup(name);
    char *values[] = {value};
    struct fault *real = c->r->reterr, why = {.err = 0};
    Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT;
    if (!back || ask(&c->r->site, c->a.dc, back, "PTR", &now, real) < 0)
        return 0;
    bool there = now.n_values > 0;
    dns_done(&now);
    if (!there)
        return 0;
    c->r->reterr = &why;
    if (set(c, back, "PTR", values, 1) < 0)
        stage_text(&c->r->result->after, xstrdup(why.text));
    c->r->reterr = real;
    return 0;
}

/* The source has the names of all its records there; DNS lists the domain's alone. */
static int work(struct changing *c, const Godwit__IdentityPlan *p)
{
    const Godwit__IdentityNames *n = stage_is_source(c->r) ? p->source_new : p->old;
    struct addresses l = {.nfour = 0};
    int rc = n ? own_addresses(c->r, &l) : -EBADMSG;
    for (size_t i = 0; rc == 0 && i < n->n_dns_names; i++)
        if (strchr(n->dns_names[i], '.'))
            rc = set_name(c, n->dns_names[i], &l, i == 0);
    const char *first = n && n->n_dns_names ? n->dns_names[0] : "";
    for (size_t i = 0; rc == 0 && strchr(first, '.') && i < l.nfour; i++)
        rc = set_reverse(c, l.four[i], first);
    addresses_done(&l);
    return rc;
}

static int run(struct stage_run *r, bool dry)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    CLEANUP(mem_free) char *dig = NULL;
    struct fault why = {.err = 0}, *real = r->reterr;
    struct changing c;
    if (!p)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    if (!p->domain)
        return 0;
    if (p->n_moves && program_find("dig", r->site.search, &dig) < 0) {
        stage_text(&r->result->after, xstrdup("DNS is not looked at: 'dig' is not here"));
        return 0;
    }
    begin(&c, r, p->dc, NULL);
    c.dry = dry;
    if (stage_is_source(r) && !ads_key_holds(&c.a)) { /* it stayed outside: it may write nothing */
        end(&c);
        return 0;
    }
    c.r->reterr = &why;
    int rc = work(&c, p);
    end(&c);
    r->reterr = real;
    if (rc == 0)
        return c.changed;
    /* Users find what has moved by the addresses that their names have stood for all the time. */
    if (!stage_is_source(r) && !p->n_moves)
        return fault_set(real, why.what_next, why.err, "%s", why.text);
    stage_text(&r->result->after, xasprintf("DNS is to be put right by hand: %s", why.text));
    return c.changed;
}

int dns_stage(struct stage_run *r)
{
    return run(r, false);
}

int dns_probe(struct stage_run *r)
{
    int rc = run(r, true);
    return rc < 0 ? rc : rc == 0;
}

int dns_tidy(struct stage_run *r)
{
    const Godwit__IdentityPlan *p = r->order->plan;
    const Godwit__IdentityNames *n = p ? p->destination_old : NULL;
    CLEANUP(credential_free) struct credential *who = NULL;
    struct fault why = {.err = 0}, *real = r->reterr;
    struct changing c;
    if (!p || !n)
        return fault_set(r->reterr, FAULT_STOP_JOB, EBADMSG, "the order has no plan");
    if (!p->domain)
        return 0;
    if (credential_read(&r->site, &who, &why) < 0) {
        stage_text(&r->result->after,
                   xasprintf("the DNS records of %.63s stay, and its account after commit: remove "
                             "them by hand (%.200s)",
                             n->host, why.text));
        return 0;
    }
    begin(&c, r, p->dc, who);
    c.r->reterr = &why;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n->n_dns_names; i++)
        for (int six = 0; rc == 0 && six < 2; six++)
            if (strchr(n->dns_names[i], '.'))
                rc = set(&c, n->dns_names[i], six ? "AAAA" : "A", NULL, 0);
    end(&c);
    r->reterr = real;
    /* A record that misleads nobody is no reason to take users their server again. */
    if (rc < 0)
        stage_text(&r->result->after,
                   xasprintf("the DNS records of %.63s stay: remove them by hand (%.200s)", n->host,
                             why.text));
    return c.changed;
}

/* 1: it is as it was. */
static int put_back(struct stage_run *r, const Godwit__UndoDns *was, const struct credential *who)
{
    Godwit__UndoDns now = GODWIT__UNDO_DNS__INIT;
    struct changing c;
    int rc = ask(&r->site, was->dc, was->name, was->type, &now, r->reterr);
    bool same = rc == 0 && dns_same(&now, was);
    dns_done(&now);
    if (rc < 0 || same)
        return rc < 0 ? rc : 1;
    begin(&c, r, was->dc, who);
    rc = make_ticket(&c);
    if (rc == 0)
        rc = update(&c.a, c.cache, was, r->reterr);
    end(&c);
    return rc < 0 ? rc : 1;
}

/* The machine's own key may do it while it is the one that wrote; a person's may more. What nobody
 * may is told: a rollback does not wait for it. */
int dns_undone(struct stage_run *r)
{
    CLEANUP(credential_free) struct credential *who = NULL;
    struct fault why = {.err = 0}, *real = r->reterr;
    const struct undo *u = r->site.undo;
    bool person = credential_read(&r->site, &who, &why) == 0;
    r->reterr = &why;
    for (size_t i = 0; u && i < u->n; i++) {
        const Godwit__UndoDns *was = u->records[i]->dns;
        if (!was || put_back(r, was, NULL) > 0 || (person && put_back(r, was, who) > 0))
            continue;
        stage_text(&r->result->after,
                   xasprintf("DNS still has another %.120s: put it right by hand (%.200s)",
                             was->name, why.text));
    }
    r->reterr = real;
    return 0;
}
